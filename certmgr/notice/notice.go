// Package notice writes to the postmaster about what goes wrong in the background,
// once a cause and day:
//
//	book := notice.NewBook(notice.Config{File: file, Send: mail.Send, Log: log})
//	go book.Run(ctx)
//	book.Tell(notice.Notice{Target: "sendmail", Cause: "server", Text: "..."})
//
// Tell never waits: what is to be told is gathered for a moment, goes into one
// mail, and is tried again where the mail cannot be sent, as when the server that
// it is about is the one that would have to take it. Who was told is remembered in
// a file, so that a restart tells nothing again.
//
// RFC 5322 (the mail), RFC 3834 (what programs send says so).
package notice

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"mailseal/internal/durable"
)

// A Notice is one thing that somebody has to know.
type Notice struct {
	Target string // "" where it is about none
	Cause  string // one word
	Text   string
	At     time.Time
}

// key is what is told once a day.
func (n Notice) key() string { return n.Target + "/" + n.Cause }

const (
	again    = 24 * time.Hour
	gather   = 10 * time.Second
	firstTry = time.Minute
	lastTry  = 15 * time.Minute
	// maxWaiting bounds what is not sent yet.
	maxWaiting = 1000
)

// Config is what a Book needs.
type Config struct {
	File string // what was told, and when
	// Send sends all at once. nil: nobody is told anything.
	Send func(context.Context, []Notice) error
	Log  *slog.Logger
	Now  func() time.Time
}

// A Book knows what was told to whom, and what is to be.
type Book struct {
	c    Config
	wake chan struct{}

	mu      sync.Mutex
	told    map[string]time.Time // nil before the file is read
	waiting []Notice
}

// NewBook makes a Book. The file is read when something is to be told.
func NewBook(c Config) *Book {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Book{c: c, wake: make(chan struct{}, 1)}
}

// Tell has somebody told, unless that was done, or is to be, for the same cause.
func (b *Book) Tell(n Notice) {
	if b.c.Send == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read()
	same := func(w Notice) bool { return w.key() == n.key() }
	if b.fresh(b.told[n.key()]) || slices.ContainsFunc(b.waiting, same) || len(b.waiting) >= maxWaiting {
		return
	}
	b.waiting = append(b.waiting, n)
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
}

// fresh: it was told today. A time to come is one of a clock that was wrong.
func (b *Book) fresh(at time.Time) bool {
	since := b.c.Now().Sub(at)
	return since >= 0 && since < again
}

// Run sends what is told, until the context ends.
func (b *Book) Run(ctx context.Context) {
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			return
		}
		wait := gather
		for try := firstTry; ; try = min(2*try, lastTry) {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			if b.send(ctx) {
				break
			}
			wait = try
		}
	}
}

// send reports whether there is nothing left to send.
func (b *Book) send(ctx context.Context) bool {
	b.mu.Lock()
	waiting := slices.Clone(b.waiting)
	b.mu.Unlock()
	if len(waiting) == 0 {
		return true
	}
	if err := b.c.Send(ctx, waiting); err != nil {
		if ctx.Err() == nil {
			b.c.Log.Warn("cannot notify", "error", err)
		}
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = b.waiting[len(waiting):] // others came behind them
	for _, n := range waiting {
		b.told[n.key()] = b.c.Now()
	}
	b.write()
	return len(b.waiting) == 0
}

func (b *Book) read() {
	if b.told != nil {
		return
	}
	b.told = make(map[string]time.Time)
	data, err := os.ReadFile(b.c.File)
	if err == nil {
		err = json.Unmarshal(data, &b.told)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.c.Log.Warn("cannot remember notices", "error", err)
	}
	if b.told == nil { // the file holds null
		b.told = make(map[string]time.Time)
	}
}

func (b *Book) write() {
	maps.DeleteFunc(b.told, func(_ string, at time.Time) bool { return !b.fresh(at) })
	data, err := json.Marshal(b.told)
	if err == nil {
		err = durable.WriteFile(b.c.File, data, 0o600)
	}
	if err != nil {
		b.c.Log.Warn("cannot remember notices", "error", err)
	}
}
