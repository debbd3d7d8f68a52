package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"mailseal/internal/config"
	"mailseal/internal/maillog"
)

// A service is what all daemons have: a log, and perhaps a manager that wants to
// hear of them.
type service struct {
	getenv func(string) string
	level  slog.LevelVar
	log    *slog.Logger
	logTo  *maillog.Queue
}

// openLog opens the log. The error is about log.target.
func (s *service) openLog(c config.Log, env Env) error {
	s.level.Set(c.Level)
	target := io.Writer(maillog.Stamped(env.Stderr))
	if env.Getenv("JOURNAL_STREAM") != "" { // systemd.exec(5): the journal has its own time
		target = env.Stderr
	}
	if c.Syslog {
		w, err := maillog.Syslog()
		if err != nil {
			return err
		}
		target = w
	}
	s.logTo = maillog.NewQueue(target)
	s.log = slog.New(maillog.New(s.logTo, &s.level))
	return nil
}

// tell notifies systemd, which is not worth ending for.
func (s *service) tell(state ...string) {
	if err := notify(s.getenv, state...); err != nil {
		s.log.Warn("cannot notify systemd", "error", err)
	}
}

// watched gives signs of life where systemd waits for them, until the context
// ends.
func (s *service) watched(ctx context.Context, answers func(context.Context, time.Duration) error) {
	switch period, err := watchdogPeriod(s.getenv); {
	case err != nil:
		s.log.Warn("no watchdog", "error", err)
	case period > 0:
		s.watch(ctx, period, answers)
	}
}

// watch gives systemd a sign of life three times a period, and only after each
// of our sockets has answered as it answers others. With the time that an
// answer may take, two of three may be late.
func (s *service) watch(ctx context.Context, period time.Duration, answers func(context.Context, time.Duration) error) {
	every := period / 3
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		err := answers(ctx, every)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Error("no sign of life", "error", err)
		default:
			s.tell("WATCHDOG=1")
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
