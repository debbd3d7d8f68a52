package certmgr

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"mailseal/certmgr/notice"
)

const (
	firstRetry = time.Second
	lastRetry  = 15 * time.Minute
	// proofAfter is how often a server is asked that has nothing new.
	proofAfter = time.Hour
	// lasting is how long a failure lasts before somebody is told.
	lasting = time.Minute
	// absentFor is how long a server may not answer before somebody is told.
	absentFor = 10 * time.Minute
	// longest is how long is slept at most: clocks are set, and machines sleep.
	longest = 30 * time.Second
	// many repairs of a target in a while are somebody else's doing.
	many       = 5
	manyWithin = 10 * time.Minute
)

// A charge is what the loop knows of a target. Only the loop touches it.
type charge struct {
	target   Target
	running  bool
	dirty    bool // something has changed
	force    bool // look even if nothing has
	next     time.Time
	proved   time.Time // when the server was last asked
	told     time.Time // when it was last told to read files that were right
	due      time.Time // when something ends
	failures int
	since    time.Time // of the first failure, or absence
	left     string    // what was wrong at the last failure
	repairs  []time.Time
	notes    []string // that were logged last
}

// Run watches until the context ends, and puts right what is not. First it ends
// what a crash has cut short, and looks at everything. The error is about the state
// folder: nothing can be done without it.
func (k *Keeper) Run(ctx context.Context) error {
	if len(k.c.Targets) == 0 {
		<-ctx.Done()
		return nil
	}
	repaired := k.Repair()
	if errors.Is(repaired, ErrState) {
		return repaired
	}
	var rest sync.WaitGroup
	defer rest.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rest.Go(func() { k.notices.Run(ctx) })
	if repaired != nil {
		k.notices.Tell(notice.Notice{Cause: causeJournal, Text: repaired.Error(), At: k.c.Now()})
	}
	w := k.c.Watch()
	defer w.Close()
	w.Set(k.interests())
	// The CA is looked at before the first pass: what changes after that is seen.
	v := k.look(ctx)
	v.close()
	seen := make(chan string, 1)
	rest.Go(func() { k.lookOut(ctx, v.mark(), seen) })
	rest.Go(func() { k.findPrimes(ctx) })
	r := &round{k: k, reports: make(chan Report), charges: map[string]*charge{}}
	for _, t := range k.c.Targets {
		r.charges[t.Name] = &charge{target: t, dirty: true, force: true}
	}
	r.loop(ctx, w.Changed(), seen)
	return nil
}

// ofAuthority is what the watcher calls the files of the CA. No target is called so.
const ofAuthority = ""

// interests are the files and folders that each target is about.
func (k *Keeper) interests() map[string][]string {
	all := make(map[string][]string)
	for _, t := range k.c.Targets {
		all[t.Name] = t.Interest()
	}
	if len(k.c.Authority) > 0 {
		all[ofAuthority] = k.c.Authority
	}
	return all
}

// lookOut tells when the CA is another than it was, until the context ends.
func (k *Keeper) lookOut(ctx context.Context, last string, seen chan<- string) {
	if k.c.Connect == nil {
		return
	}
	t := time.NewTicker(k.c.Poll)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-k.poke:
		case <-ctx.Done():
			return
		}
		v := k.look(ctx)
		v.close()
		if mark := v.mark(); mark != last && ctx.Err() == nil {
			last = mark
			select {
			case seen <- mark:
			default: // it is known
			}
		}
	}
}

// A round is the loop's own.
type round struct {
	k       *Keeper
	charges map[string]*charge
	reports chan Report
	running int
}

// loop begins passes that are due and takes what comes of them, until the context
// ends and the last one has.
func (r *round) loop(ctx context.Context, changed <-chan string, seen <-chan string) {
	for {
		wake := time.NewTimer(r.begin(ctx))
		select {
		case name, ok := <-changed:
			if name == ofAuthority && ok {
				r.k.Changed()
			} else if c := r.charges[name]; ok && c != nil {
				c.dirty = true
			} else if !ok {
				changed = nil
			}
		case <-seen:
			for _, c := range r.charges {
				c.dirty, c.force = true, true
			}
		case name := <-r.k.primes:
			if c := r.charges[name]; c != nil {
				c.dirty, c.force = true, true
			}
		case report := <-r.reports:
			r.end(ctx, report)
		case <-wake.C:
		case <-ctx.Done():
			for r.running > 0 {
				<-r.reports
				r.running--
			}
			wake.Stop()
			return
		}
		wake.Stop()
	}
}

// begin begins what is due, and tells how long to sleep.
func (r *round) begin(ctx context.Context) time.Duration {
	now := r.k.c.Now()
	sleep := longest
	for _, t := range r.k.c.Targets { // in order: who waits longest is not forgotten
		c := r.charges[t.Name]
		at := c.when(now)
		if c.running || ctx.Err() != nil {
			continue
		}
		if wait := at.Sub(now); wait > 0 {
			sleep = min(sleep, wait)
			continue
		}
		if r.running >= r.k.c.Parallel {
			continue // a report wakes the loop
		}
		l := c.look(now)
		c.running, c.dirty, c.force = true, false, false
		r.running++
		go func() { r.reports <- r.k.pass(ctx, c.target, l) }()
	}
	return max(sleep, 10*time.Millisecond)
}

// look is what a target is looked at for.
func (c *charge) look(now time.Time) look {
	old := func(at time.Time) bool { return now.Sub(at) >= proofAfter || now.Before(at) }
	l := look{proof: c.force || !c.since.IsZero() || old(c.proved), reload: old(c.told)}
	if c.failures > 0 && !c.force && now.Before(c.next) {
		l.unless = c.left
	}
	return l
}

// when is when a target is to be looked at next.
func (c *charge) when(now time.Time) time.Time {
	if c.dirty || c.force {
		if n := len(c.repairs); n > many && !c.force { // somebody else works there too
			return c.repairs[n-1].Add(min(time.Duration(n-many)*time.Minute, lastRetry))
		}
		return now
	}
	at := c.next
	if !c.due.IsZero() && c.due.Before(at) && c.failures == 0 {
		at = c.due
	}
	// The clock was set back: nothing waits longer than it would have.
	if at.Sub(now) > max(proofAfter, lastRetry)*2 {
		return now
	}
	return at
}

// end takes what came of a pass.
func (r *round) end(ctx context.Context, report Report) {
	k, c, now := r.k, r.charges[report.Target], r.k.c.Now()
	r.running--
	c.running = false
	if report.unless || ctx.Err() != nil {
		return
	}
	if !slices.Equal(c.notes, report.Found.Notes) {
		c.notes = report.Found.Notes
		k.note(report)
	}
	if len(report.Proof) > 0 || len(c.target.Probes) == 0 {
		c.proved = now
	}
	c.due, c.left = report.due, report.left
	if !c.due.After(now) {
		c.due = time.Time{} // it was this pass's to see to it
	}
	if report.told {
		c.told = now
	}
	spoilt := errors.Is(report.Err, errSpoilt)
	if report.Installed && (report.Err == nil || spoilt) {
		c.repairs = append(slices.DeleteFunc(c.repairs, func(at time.Time) bool { return now.Sub(at) > manyWithin }), now)
		if len(c.repairs) == many+1 {
			k.log.Warn("changed again and again", "target", c.target.Name, "times", len(c.repairs))
			k.notices.Tell(notice.Notice{Target: c.target.Name, Cause: causeRepeated, At: now, Text: "its files were put right several times within ten minutes, and are changed each time by somebody else"})
		}
	}
	switch {
	case spoilt: // which is no failure of the server's
		c.dirty = true
	case report.Err != nil:
		r.failed(c, report, now)
	case report.Absent:
		r.absent(c, report, now)
	default:
		if !c.since.IsZero() {
			k.log.Info("well again", "target", c.target.Name)
		}
		c.failures, c.since, c.left = 0, time.Time{}, ""
		c.next = now.Add(proofAfter)
	}
}

func (r *round) failed(c *charge, report Report, now time.Time) {
	k := r.k
	if c.since.IsZero() || now.Before(c.since) {
		c.since = now
	}
	c.failures++
	wait := backOff(c.failures)
	if report.cause == causeOthers { // there is nothing to try
		wait = proofAfter
	}
	c.next = now.Add(wait)
	k.log.Error("not right", "target", c.target.Name, "error", oneLine(report.Err), "again", wait.Round(time.Second).String())
	if report.RolledBack || report.cause == causeOthers || now.Sub(c.since) >= lasting {
		n := notice.Notice{Target: c.target.Name, Cause: report.cause, Text: report.Err.Error(), At: now}
		if n.Cause == causeAuthority {
			n.Target = ""
		}
		k.notices.Tell(n)
	}
}

func (r *round) absent(c *charge, report Report, now time.Time) {
	if c.since.IsZero() || now.Before(c.since) {
		c.since = now
	}
	c.failures = 0
	c.next = now.Add(min(max(now.Sub(c.since)/2, firstRetry), lastRetry))
	if now.Sub(c.since) >= absentFor {
		r.k.notices.Tell(notice.Notice{Target: c.target.Name, Cause: "absent", Text: report.Proof[0].URL.String() + ": " + report.Proof[0].Err.Error(), At: now})
	}
}

// backOff is how long is waited after so many failures: 1 s doubling to 15
// minutes, and up to a fifth less, so that not all come at once.
func backOff(failures int) time.Duration {
	d := lastRetry
	if failures < 11 {
		d = min(firstRetry<<(failures-1), lastRetry)
	}
	return d - time.Duration(rand.Int64N(int64(d)/5+1))
}
