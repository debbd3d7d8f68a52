package maillog

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// A Queue stands before a target that may stop taking lines: a pipe whose
// reader hangs, a syslog daemon that was stopped. Mail waits for no log.
//
// While the target takes lines, each has been handed to it when WriteEvent
// returns, so the line on a mail is there before the mail is answered. When it
// has taken none for a while, lines wait in memory and callers do not; when too
// many wait, further ones are lost and counted, and so are those that the target
// refuses. What was lost is told once the target takes lines again.
type Queue struct {
	w     io.Writer
	lines chan entry
	stop  chan struct{} // closed by Close
	ended chan struct{} // closed when the last line has gone

	stalled atomic.Bool  // nobody waits for the target
	untold  atomic.Int64 // lines lost that the log has not told of
	lost    atomic.Int64 // lines lost ever
}

var _ EventWriter = (*Queue)(nil)

type entry struct {
	at    time.Time
	level slog.Level
	line  []byte
	done  chan error // has room for one
}

const (
	queueLength   = 1024        // at 7 KiB at most
	queuePatience = time.Second // with a target, for one line
)

// NewQueue starts a Queue before w. Close ends it.
func NewQueue(w io.Writer) *Queue {
	q := &Queue{w: w, lines: make(chan entry, queueLength), stop: make(chan struct{}), ended: make(chan struct{})}
	go q.run()
	return q
}

// WriteEvent hands on a line, which belongs to the Queue from here on. It
// returns nil for one that waits.
func (q *Queue) WriteEvent(at time.Time, level slog.Level, line []byte) error {
	e := entry{at: at, level: level, line: line, done: make(chan error, 1)}
	select {
	case q.lines <- e:
	default:
		q.lose()
		return fmt.Errorf("log: %d lines wait for the target; this one is lost", queueLength)
	}
	if q.stalled.Load() {
		return nil
	}
	patience := time.NewTimer(queuePatience)
	defer patience.Stop()
	select {
	case err := <-e.done:
		return err
	case <-patience.C:
		q.stalled.Store(true)
		return nil
	}
}

// Write is WriteEvent for what is no event of ours.
func (q *Queue) Write(line []byte) (int, error) {
	if err := q.WriteEvent(time.Now(), slog.LevelInfo, append([]byte(nil), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// Close waits for the lines that wait, but not for long, and closes the target
// where it can be closed. It is called once; lines that come later are lost.
func (q *Queue) Close() error {
	close(q.stop)
	select {
	case <-q.ended:
	case <-time.After(queuePatience):
		return fmt.Errorf("log: the target takes no lines; %d are lost", len(q.lines))
	}
	if c, ok := q.w.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Lost is how many lines were lost so far.
func (q *Queue) Lost() int64 { return q.lost.Load() }

func (q *Queue) lose() {
	q.lost.Add(1)
	q.untold.Add(1)
}

func (q *Queue) run() {
	defer close(q.ended)
	for {
		select {
		case e := <-q.lines:
			q.take(e)
			continue
		case <-q.stop:
		}
		for len(q.lines) > 0 {
			q.take(<-q.lines)
		}
		return
	}
}

// take gives a line to the target.
func (q *Queue) take(e entry) {
	err := q.put(e)
	if err != nil {
		q.lose()
	} else if len(q.lines) == 0 {
		q.stalled.Store(false)
		q.tell()
	}
	e.done <- err
}

// tell tells what was lost. If that is lost too, it is told later.
func (q *Queue) tell() {
	n := q.untold.Swap(0)
	if n == 0 {
		return
	}
	line := fmt.Appendf(nil, "-: log level=warn lost=%d error=\"the target of the log did not take these lines\"\n", n)
	if q.put(entry{at: time.Now(), level: slog.LevelWarn, line: line}) != nil {
		q.untold.Add(n)
	}
}

func (q *Queue) put(e entry) error {
	if w, ok := q.w.(EventWriter); ok {
		return w.WriteEvent(e.at, e.level, e.line)
	}
	_, err := q.w.Write(e.line)
	return err
}
