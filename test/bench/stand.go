package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mailseal/internal/mtarig"
)

// A stand is an MTA with a set-up's milter: what a measurement runs on.
type stand struct {
	setup  setup
	mta    mta
	milter *process // nil for no milter
}

// sent is what a measurement tells.
type sent struct {
	mails       int
	took        time.Duration
	milter, mta time.Duration // CPU time of either
}

// rate is mails in a second.
func (s sent) rate() float64 { return float64(s.mails) / s.took.Seconds() }

// cpu is what milter and MTA have spent so far.
func (s *stand) cpu() (spent sent, err error) {
	if s.milter != nil {
		if spent.milter, err = s.milter.cpu(); err != nil {
			return spent, err
		}
	}
	spent.mta, err = cpuInside(s.mta.Dir())
	return spent, err
}

// measureOn sends n mails and counts them.
func (b *bench) measureOn(ctx context.Context, s *stand, c cell, n int) (sent, error) {
	if s.milter != nil {
		if err := s.milter.skip(); err != nil {
			return sent{}, err
		}
	}
	before, err := s.cpu()
	if err != nil {
		return sent{}, err
	}
	source, err := b.tools.SMTPSource(ctx, "-s", strconv.Itoa(c.sessions), "-m", strconv.Itoa(n),
		"-f", s.setup.from(), "-t", far, "-F", b.material.mail(c.size, s.setup.signed), s.mta.Addr())
	if err != nil {
		return sent{}, err
	}
	start := time.Now()
	out, err := source.CombinedOutput()
	took := time.Since(start)
	if err != nil {
		return sent{}, fmt.Errorf("smtp-source: %w: %s%s", err, out, s.tail())
	}
	if err := s.mta.await(n); err != nil {
		return sent{}, fmt.Errorf("mails that the MTA took: %w%s", err, s.tail())
	}
	if s.setup.logs != "" {
		if err := s.milter.await(n, s.setup.logs); err != nil {
			return sent{}, fmt.Errorf("mails that the milter saw: %w%s", err, s.tail())
		}
	}
	after, err := s.cpu()
	return sent{mails: n, took: took, milter: after.milter - before.milter, mta: after.mta - before.mta}, err
}

// check sends a mail and looks at what is delivered.
func (s *stand) check(m *material, sink *mtarig.Sink) error {
	mail, err := m.read(small, s.setup.signed)
	if err != nil {
		return err
	}
	if err := mtarig.Send(s.mta.Addr(), mtarig.Mail{From: s.setup.from(), To: []string{near}, Data: mail}); err != nil {
		return fmt.Errorf("%w%s", err, s.tail())
	}
	if err := s.mta.deliver(); err != nil {
		return err
	}
	got, err := sink.Next(patience)
	if err != nil {
		return fmt.Errorf("%w%s", err, s.tail())
	}
	taken := 1
	if _, ok := s.mta.(*sendmail); ok {
		taken = 0 // deliver has emptied the queue
	}
	if err := s.mta.await(taken); err != nil {
		return err
	}
	return s.setup.check(m, got.Data)
}

// tail is the end of the logs, for errors.
func (s *stand) tail() string {
	log := s.mta.Log()
	text := "\nlog of the MTA:\n" + strings.TrimSpace(log[max(0, len(log)-2000):])
	if s.milter != nil {
		text += "\nlog of the milter:\n" + s.milter.tail()
	}
	return text
}

// standKey names a stand. Without a milter the network is "", so that there is
// one for both.
type standKey struct{ mta, network, setup string }

func (c cell) stand() standKey {
	if c.setup == noMilter {
		return standKey{c.mta, "", c.setup}
	}
	return standKey{c.mta, c.network, c.setup}
}

// milterKey names a milter, which both MTAs use.
type milterKey struct{ network, setup string }

func (k standKey) milter() milterKey { return milterKey{k.network, k.setup} }

// prepare makes an instance, and its milter where it does not run yet. The
// instance is the bench's at once: whatever goes wrong later, close ends it.
func (b *bench) prepare(k standKey, s setup) error {
	conf := mtarig.Config{Tools: b.tools, Hostname: authservID, Parent: b.options.dir}
	var filter mtarig.Milter
	if s.milter != nil {
		f, err := b.socket(k.milter())
		if err != nil {
			return err
		}
		filter, conf.Milters = f, []mtarig.Milter{f}
	}
	m, err := newMTA(k.mta, conf, b.sink.Addr())
	if err != nil {
		return err
	}
	st := &stand{setup: s, mta: m}
	b.stands[k] = st
	if s.milter == nil {
		return nil
	}
	st.milter, err = b.milter(k.milter(), s, filter)
	return err
}

// socket chooses where a milter listens.
func (b *bench) socket(k milterKey) (mtarig.Milter, error) {
	if f, ok := b.sockets[k]; ok {
		return f, nil
	}
	f := mtarig.Milter{Network: k.network, Address: filepath.Join(b.dir, fmt.Sprintf("%d.sock", len(b.sockets)))}
	if k.network == "tcp" {
		var err error
		if f.Address, err = freePort(); err != nil {
			return f, err
		}
	}
	b.sockets[k] = f
	return f, nil
}

// freePort finds a port that no outgoing connection gets before the milter does:
// the kernel gives those from 32768 on.
func freePort() (addr string, err error) {
	for range 100 {
		var ln net.Listener
		addr = fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		if ln, err = net.Listen("tcp", addr); err == nil {
			return addr, ln.Close()
		}
	}
	return "", err
}

func (b *bench) milter(k milterKey, s setup, f mtarig.Milter) (*process, error) {
	if p, ok := b.milters[k]; ok {
		return p, nil
	}
	dir := filepath.Join(b.dir, fmt.Sprintf("milter-%d", len(b.milters)))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	cmd, err := s.milter(b.material, dir, f.Network, f.Address)
	if err != nil {
		return nil, err
	}
	p, err := startProcess(s.name, cmd, dir, f.Network, f.Address)
	if err != nil {
		return nil, err
	}
	b.milters[k] = p
	return p, nil
}

// close ends all that runs.
func (b *bench) close() error {
	var errs []error
	for _, p := range b.milters {
		p.stop()
	}
	errs = append(errs, b.eachStand(func(s *stand) error { return s.mta.Close() }))
	if b.sink != nil {
		errs = append(errs, b.sink.Close())
	}
	errs = append(errs, os.RemoveAll(b.dir))
	if b.keeper != nil {
		errs = append(errs, b.keeper.release())
	}
	return errors.Join(errs...)
}
