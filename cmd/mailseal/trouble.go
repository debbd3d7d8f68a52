package main

import (
	"log/slog"
	"time"
)

// A trouble remembers what has gone wrong, so that what is tried every minute
// is told when it begins, every hour that it lasts, and when it ends.
type trouble struct {
	last map[string]told
}

type told struct {
	text string
	at   time.Time
}

const tellAgain = time.Hour

// complain tells of an error, or that there is none any more.
func (t *trouble) complain(log *slog.Logger, what string, err error) {
	before, lasting := t.last[what]
	switch {
	case err == nil && lasting:
		delete(t.last, what)
		log.Info("it is well again", "what", what)
	case err == nil:
	case !lasting || before.text != err.Error() || time.Since(before.at) >= tellAgain:
		if t.last == nil {
			t.last = make(map[string]told)
		}
		t.last[what] = told{err.Error(), time.Now()}
		log.Error(what, "error", err)
	}
}
