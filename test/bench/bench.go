package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"mailseal/internal/mtarig"
)

// A bench is all that runs while it measures.
type bench struct {
	options  options
	progress io.Writer

	dir      string // ours, beside the MTAs' own in options.dir
	keeper   *keeper
	tools    mtarig.Tools
	material *material
	sink     *mtarig.Sink
	sockets  map[milterKey]mtarig.Milter
	milters  map[milterKey]*process
	stands   map[standKey]*stand

	cells   []cell
	rates   map[cell]float64 // the best so far, in mails a second
	results results
}

// newBench makes what measuring needs, and starts nothing but the sink.
func newBench(o options, progress io.Writer) (*bench, error) {
	b := &bench{
		options: o, progress: progress, tools: mtarig.Find(o.tree),
		sockets: map[milterKey]mtarig.Milter{}, milters: map[milterKey]*process{}, stands: map[standKey]*stand{},
		rates: map[cell]float64{}, results: newResults(),
	}
	b.cells = cells(func(c cell) bool { return o.only.MatchString(c.String()) })
	if len(b.cells) == 0 {
		return nil, fmt.Errorf("-only %q: no measurement has such a name", o.only)
	}
	if err := b.tools.Postfix(); err != nil { // smtp-source is part of it
		return nil, err
	}
	var err error
	if b.dir, err = os.MkdirTemp(o.dir, "ms-bench-"); err != nil {
		return nil, err
	}
	// Postfix's own user goes through it to the sockets.
	if err = os.Chmod(b.dir, 0o755); err == nil {
		b.keeper, err = keep(b.dir)
	}
	if err == nil {
		b.material, err = newMaterial(b.dir, o, b.tools)
	}
	if err == nil {
		b.sink, err = mtarig.NewSink(mtarig.SinkConfig{})
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// measure takes all rounds.
func (b *bench) measure(ctx context.Context) error {
	b.say("starting MTAs and milters for %d measurements", len(b.cells))
	if err := b.start(); err != nil {
		return err
	}
	if err := b.check(ctx); err != nil {
		return err
	}
	b.say("finding out how many mails a measurement takes")
	for _, share := range []time.Duration{16, 4} {
		for _, c := range b.cells {
			if _, err := b.one(ctx, c, enough(c, b.rates[c], b.options.run/share)); err != nil {
				return err
			}
		}
	}
	begun := time.Now()
	for round := range b.options.rounds {
		b.say("round %d of %d%s", round+1, b.options.rounds, left(time.Since(begun), round, b.options.rounds))
		for _, c := range b.cells {
			s, err := b.one(ctx, c, enough(c, b.rates[c], b.options.run))
			if err != nil {
				return err
			}
			b.results.add(c, s)
		}
	}
	if err := b.check(ctx); err != nil {
		return err
	}
	for k, p := range b.milters {
		peak, err := p.peak()
		if err != nil {
			return err
		}
		b.results.peak[k] = peak
	}
	return nil
}

// start starts what the cells need, each once.
func (b *bench) start() error {
	for _, s := range setups {
		for _, c := range b.cells {
			k := c.stand()
			if c.setup != s.name || b.stands[k] != nil {
				continue
			}
			if err := b.prepare(k, s); err != nil {
				return fmt.Errorf("%v: %w", k, err)
			}
		}
	}
	return b.eachStand(func(s *stand) error { return s.mta.Start() })
}

// eachStand does it to all stands, some at a time.
func (b *bench) eachStand(do func(*stand) error) error {
	var g errgroup.Group
	g.SetLimit(4)
	for k, s := range b.stands {
		g.Go(func() error {
			if err := do(s); err != nil {
				return fmt.Errorf("%v: %w", k, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// check looks at one mail from each stand.
func (b *bench) check(ctx context.Context) error {
	b.say("looking at a mail from each")
	for k, s := range b.stands {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.check(b.material, b.sink); err != nil {
			return fmt.Errorf("%v: %w", k, err)
		}
	}
	return nil
}

// one takes one measurement.
func (b *bench) one(ctx context.Context, c cell, n int) (sent, error) {
	if ctx.Err() != nil {
		return sent{}, ctx.Err()
	}
	s, err := b.measureOn(ctx, b.stands[c.stand()], c, n)
	if err != nil {
		return s, fmt.Errorf("%v: %w", c, err)
	}
	b.rates[c] = max(b.rates[c], s.rate())
	return s, nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

// enough is how many mails take about as long as wanted, the same number in
// each session; two where nothing is known yet.
func enough(c cell, rate float64, want time.Duration) int {
	each := 2
	if rate > 0 {
		each = max(int(rate*want.Seconds()/float64(c.sessions)+0.5), 1)
	}
	return c.sessions * min(each, 5000)
}

// left says how long the rest will take.
func left(spent time.Duration, done, all int) string {
	if done == 0 {
		return ""
	}
	rest := spent / time.Duration(done) * time.Duration(all-done)
	return fmt.Sprintf(", about %v left", rest.Round(time.Second))
}
