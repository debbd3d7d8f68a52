package milter

import (
	"sync/atomic"
	"time"

	"mailseal/internal/fault"
)

// Stats are counts since New.
type Stats struct {
	Open          int   // connections now
	Limit         int   // connections at once
	Connections   int64 // connections ever
	Waits         int64 // times that connections had to wait because Limit was reached
	Broken        int64 // connections that ended by an error or by silence
	AcceptRetries int64 // connections that could not be accepted at once
	Messages      int64 // mails given to a handler
	Panics        int64 // panics of the handler or of ours
	Received      int64 // bytes from MTAs
	Sent          int64 // bytes to MTAs
	// Faults are the mails that the server itself answered with a fault, and
	// the recipients beyond Config.MaxRecipients. What a handler defers or
	// rejects is not among them. Every kind is there.
	Faults map[fault.Kind]int64
}

type counters struct {
	connections, waits, broken, retries, messages, panics, received, sent atomic.Int64

	faults map[fault.Kind]*atomic.Int64 // not changed after newFaults
}

func newFaults() map[fault.Kind]*atomic.Int64 {
	m := map[fault.Kind]*atomic.Int64{}
	for _, k := range fault.Kinds() {
		m[k] = new(atomic.Int64)
	}
	return m
}

// fault counts an answer. A number that is no kind is told as Internal.
func (c *counters) fault(k fault.Kind) {
	n, ok := c.faults[k]
	if !ok {
		n = c.faults[fault.Internal]
	}
	n.Add(1)
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	faults := make(map[fault.Kind]int64, len(s.stats.faults))
	for k, n := range s.stats.faults {
		faults[k] = n.Load()
	}
	return Stats{
		Open:          open,
		Limit:         s.conf.MaxConnections,
		Connections:   s.stats.connections.Load(),
		Waits:         s.stats.waits.Load(),
		Broken:        s.stats.broken.Load(),
		AcceptRetries: s.stats.retries.Load(),
		Messages:      s.stats.messages.Load(),
		Panics:        s.stats.panics.Load(),
		Received:      s.stats.received.Load(),
		Sent:          s.stats.sent.Load(),
		Faults:        faults,
	}
}

// A Step of the way of a mail, as a Meter is told of it.
type Step int

// The steps.
const (
	Receive Step = iota // from MAIL to the end of the message: the client's time more than anybody's
	Send                // from the decision until edits and answer are written: the MTA's time
	Whole               // from the end of the message until the answer is written: what the client waits for us
)

// A Meter is told how long the steps of each mail took. It is called from
// several goroutines at once and returns at once.
type Meter interface {
	Took(Step, time.Duration)
}

// A stopwatch is held for one mail from the end of the message on. The zero
// stopwatch does nothing.
type stopwatch struct {
	meter          Meter // nil: nobody wants to know, or no mail ends
	ended, decided time.Time
}

// start is told when a mail began that ends now.
func (w *stopwatch) start(meter Meter, began time.Time) {
	if meter == nil {
		return
	}
	*w = stopwatch{meter: meter, ended: time.Now()}
	meter.Took(Receive, w.ended.Sub(began))
}

// lap is called when it is decided what to send.
func (w *stopwatch) lap() {
	if w.meter != nil {
		w.decided = time.Now()
	}
}

// stop is called when an answer is written, of whatever.
func (w *stopwatch) stop() {
	if w.meter == nil {
		return
	}
	now := time.Now()
	if !w.decided.IsZero() {
		w.meter.Took(Send, now.Sub(w.decided))
	}
	w.meter.Took(Whole, now.Sub(w.ended))
	*w = stopwatch{}
}
