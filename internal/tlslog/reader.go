package tlslog

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"time"

	"mailseal/internal/logline"
	"mailseal/internal/tlslog/cause"
)

// A Reader makes Events of a log's lines. It is for one goroutine. Its memory is
// bounded: of processes that it has not heard of for long it forgets what they
// said.
type Reader struct {
	take func(Event)
	keep bool

	seed      maphash.Seed
	processes map[uint64]*process // those heard of lately
	before    map[uint64]*process // those heard of before
	met       uint64              // processes, ever
	saw       [sawAll]bool
}

// What programs are known to log. That a mail went in clear is seen only in the
// log of one that would have told of TLS.
const (
	sawSendmail = iota
	sawPostfixIn
	sawPostfixOut
	sawExim
	sawAll
)

// NewReader makes a Reader that hands on what it finds. keep has the Events
// carry their lines.
func NewReader(take func(Event), keep bool) *Reader {
	return &Reader{take: take, keep: keep, seed: maphash.MakeSeed(), processes: map[uint64]*process{}, before: map[uint64]*process{}}
}

const (
	maxProcesses = 8192
	// An old process's number may be another's after this time.
	processLife = time.Hour
	// maxRelays bounds the connections that one sendmail keeps open.
	maxRelays = 8
)

// A process is what is known of one that has said something of TLS.
type process struct {
	number  uint64 // in the order in which they were met
	last    time.Time
	pending *Event   // has its result, may get its reason
	reason  string   // came before its result
	to      string   // Postfix: whom the reason is about
	relays  []string // to whom TLS is on
	in      bool     // TLS is on with the client
	refused bool     // a handshake with the client has failed
	daemon  bool     // sendmail has started, and is about to say whether with TLS
	inited  bool     // it has
}

// Line takes a line; raw is the whole of it.
func (r *Reader) Line(e logline.Entry, raw []byte) {
	program, message := e.Program, e.Message
	if len(message) < 8 {
		return
	}
	switch {
	case bytes.HasPrefix(program, []byte("postfix")):
		r.postfix(e, program, raw)
	case isSendmail(program):
		r.sendmail(e, raw)
	case bytes.HasPrefix(program, []byte("mailseal")):
		r.mailseal(e, raw)
	case len(program) == 0: // what a program writes to a file of its own
		r.mailseal(e, raw)
		if bytes.Contains(message[:min(len(message), 24)], []byte("-login: ")) {
			r.dovecot(e, raw)
		}
	case bytes.HasPrefix(program, []byte("exim")):
		r.exim(e, raw)
	case bytes.HasPrefix(program, []byte("dovecot")):
		r.dovecot(e, raw)
	default:
		// multi_instance_name and syslog_name call Postfix what they like.
		if i := bytes.LastIndexByte(program, '/'); i >= 0 {
			r.postfix(e, program, raw)
		}
	}
}

func isSendmail(program []byte) bool {
	for _, p := range []string{"sm-", "sendmail"} {
		if len(program) >= len(p) && string(program[:len(p)]) == p {
			return true
		}
	}
	return false
}

// Flush hands on what waits for another line, as at the end of the log or where
// no line comes for a while.
func (r *Reader) Flush() {
	r.settleAll(r.before)
	r.settleAll(r.processes)
}

// settleAll hands on what several have pending, in the order of time.
func (r *Reader) settleAll(all map[uint64]*process) {
	var waiting []*process
	for _, p := range all {
		if p.pending != nil {
			waiting = append(waiting, p)
		}
	}
	slices.SortFunc(waiting, func(a, b *process) int {
		return cmp.Or(a.pending.Time.Compare(b.pending.Time), cmp.Compare(a.number, b.number))
	})
	for _, p := range waiting {
		r.settle(p)
	}
}

// settle hands on what a process has pending.
func (r *Reader) settle(p *process) {
	if p.pending == nil {
		return
	}
	e := p.pending
	p.pending = nil
	r.take(*e)
}

func (r *Reader) key(e logline.Entry) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.Write(e.Host)
	h.WriteByte(0)
	h.Write(e.Program)
	h.WriteByte(0)
	maphash.WriteComparable(&h, e.PID)
	return h.Sum64()
}

// known returns what is known of a process, nil when it has said nothing.
func (r *Reader) known(e logline.Entry) *process {
	k := r.key(e)
	p := r.processes[k]
	if p == nil {
		if p = r.before[k]; p == nil {
			return nil
		}
		delete(r.before, k)
		r.add(k, p)
	}
	if e.Time.Sub(p.last) > processLife {
		r.settle(p)
		*p = process{number: p.number}
	}
	p.last = e.Time
	return p
}

// process is known for one that says something now.
func (r *Reader) process(e logline.Entry) *process {
	if p := r.known(e); p != nil {
		return p
	}
	r.met++
	p := &process{number: r.met, last: e.Time}
	r.add(r.key(e), p)
	return p
}

// add makes room by forgetting those of whom nothing was heard since the last
// time that there was none.
func (r *Reader) add(k uint64, p *process) {
	if len(r.processes) >= maxProcesses {
		r.settleAll(r.before)
		r.before, r.processes = r.processes, make(map[uint64]*process, maxProcesses)
	}
	r.processes[k] = p
}

// event begins an Event of a line.
func (r *Reader) event(e logline.Entry, side Side, v Verdict, raw []byte) Event {
	ev := Event{Time: e.Time, Host: string(e.Host), Program: string(e.Program), Side: side, Verdict: v}
	if r.keep {
		ev.Lines = []string{string(raw)}
	}
	return ev
}

// clear hands on that mail went without TLS. On the machine itself, as to a
// filter, that is as it should be.
func (r *Reader) clear(e Event, said string) {
	switch e.Address {
	case "", "127.0.0.1", "::1", "IPv6:::1":
		if e.Name == "" || e.Address != "" {
			return
		}
	}
	e.Said, e.Cause = said, cause.Find("clear")
	r.take(e)
}

// also adds a line to an Event.
func (r *Reader) also(e *Event, raw []byte) {
	if r.keep && len(e.Lines) < maxLines {
		e.Lines = append(e.Lines, string(raw))
	}
}

// maxLines bounds what one Event is made of.
const maxLines = 8
