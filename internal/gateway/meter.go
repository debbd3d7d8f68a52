package gateway

import (
	"time"

	"mailseal/internal/fault"
	"mailseal/internal/policy"
	"mailseal/internal/verdict"
)

// A Meter is told of every mail that was decided on. It is called from several
// goroutines at once and returns at once.
type Meter interface {
	// Decided is told what Gateway.Handle has done.
	Decided(Measure)
	// Cleaned is told how many results Before.Handle has taken away, which may
	// be none.
	Cleaned(results int)
}

// A Measure is what is counted of a mail: words of small fixed sets, and times.
// There is nothing in it that a mail could choose.
type Measure struct {
	Direction policy.Direction
	Event     string         // as Outcome has it
	Status    verdict.Status // "" where no signature was judged
	Decrypted Decrypted      // "" where nothing was encrypted
	Failed    bool           // the mail could not be processed
	Fault     fault.Kind     // why, if Failed
	Took      Steps
}

// Steps are how long the parts of a decision took, 0 for one that was not
// needed.
type Steps struct {
	Decide time.Duration // reading the header and the rules
	Sign   time.Duration
	Verify time.Duration
}

func (o *Outcome) measure() Measure {
	m := Measure{Direction: o.Direction, Event: o.Event, Took: o.Took}
	if o.Result != nil {
		m.Status = o.Result.Status
	}
	if o.Opening != nil {
		m.Decrypted = o.Opening.Decrypted
	}
	if o.Err != nil {
		m.Failed, m.Fault = true, fault.Of(o.Err)
	}
	return m
}
