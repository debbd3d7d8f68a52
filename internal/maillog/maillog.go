// Package maillog writes the log that a postmaster greps: one line an event,
// the MTA's queue id first, then the event, then key=value.
//
//	4bXJ2k1Qz9: verified smime=pass verify=OK from=anna@example.jp
//	-: listening socket=unix:/run/mailseal/milter.sock
//	4bXJ2k1QzB: deferred level=error err="no space left on device"
//
// A line can be trusted word by word. Values that come from outside are quoted
// with quotes, control characters and "=" escaped, so whatever a sender puts
// into a header field, it makes neither a key nor a line, and a search for
// verify=OK finds our word and nobody else's. Subjects, bodies and keys are
// never logged; that is the callers' part.
package maillog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxLine bounds a line: syslog daemons cut at 8 KiB.
const maxLine = 7 << 10

// An EventWriter is a target that wants more than the line, as syslog wants
// the severity. It is called by one goroutine at a time.
type EventWriter interface {
	WriteEvent(at time.Time, level slog.Level, line []byte) error
}

// New returns a handler that writes one line an event to w, in one Write, or
// WriteEvent where w has it. The attribute "id" at the top level is the queue
// id and goes first, "-" where there is none; the message is the event. Levels
// other than info are told as level=.
func New(w io.Writer, level slog.Leveler) slog.Handler {
	if level == nil {
		level = slog.LevelInfo
	}
	return &handler{out: &output{w: w}, level: level}
}

// handler is a slog.Handler. It is copied, never changed.
type handler struct {
	out   *output
	level slog.Leveler
	id    string
	attrs []pair // of With, in order
	group string // prefix of keys, with its dot
}

var _ slog.Handler = (*handler)(nil)

// A pair is a key and value ready to be written.
type pair struct{ key, value string }

// output is shared by all copies of a handler.
type output struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (o *output) write(at time.Time, level slog.Level, line []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e, ok := o.w.(EventWriter); ok {
		return e.WriteEvent(at, level, line)
	}
	_, err := o.w.Write(line)
	return err
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	n := *h
	n.group += name + "."
	return &n
}

func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	n := *h
	n.attrs = slices.Clip(h.attrs)
	for _, a := range as {
		n.add(h.group, a)
	}
	return &n
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	n := *h
	n.attrs = slices.Clip(h.attrs)
	if r.Level != slog.LevelInfo {
		n.attrs = append(n.attrs, pair{"level", strings.ToLower(r.Level.String())})
	}
	r.Attrs(func(a slog.Attr) bool {
		n.add(h.group, a)
		return true
	})
	return h.out.write(r.Time, r.Level, n.line(r.Message))
}

// add appends an attribute, a group one by one.
func (h *handler) add(prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	switch {
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, in := range v.Group() {
			h.add(prefix, in)
		}
	case a.Key == "": // slog: ignore
	case prefix == "" && a.Key == "id":
		h.id = text(v)
	default:
		h.attrs = append(h.attrs, pair{key(prefix + a.Key), quote(text(v), limit(a.Key))})
	}
}

// line puts a line together. What does not fit any more is left out whole, and
// counted.
func (h *handler) line(event string) []byte {
	b := make([]byte, 0, 256)
	b = append(b, queueID(h.id)...)
	b = append(b, ": "...)
	b = append(b, word(event)...)
	left := 0
	for _, p := range h.attrs {
		if len(b)+len(p.key)+len(p.value)+2 > maxLine {
			left++
			continue
		}
		b = append(b, ' ')
		b = append(b, p.key...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	if left > 0 {
		b = fmt.Appendf(b, " left_out=%d", left)
	}
	return append(b, '\n')
}

// text is the value in words: times in RFC 3339, errors and lists as they
// print themselves.
func text(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().Format(time.RFC3339)
	case slog.KindAny:
		if ss, ok := v.Any().([]string); ok {
			return strings.Join(ss, ",")
		}
	}
	return v.String()
}

// limit is how much of a value is shown. Stacks are ours and worth more room.
func limit(key string) int {
	if key == "stack" {
		return 4 << 10
	}
	return maxValue
}
