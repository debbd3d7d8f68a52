package milter

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"mailseal/internal/fault"
	"mailseal/internal/message"
)

// grace is how long a handler has to come to an end after its context has.
const grace = 5 * time.Second

var (
	errLost    = errors.New("connection of the MTA lost")
	errOverdue = fmt.Errorf("%w: no decision in time", fault.Timeout)
)

// finish has the mail decided, sends the edits and returns the answer.
func (s *session) finish(m *mail) final {
	s.server.stats.messages.Add(1)
	msg := m.message(s.server.create)
	v, err := s.decide(m.handler, msg)
	if errors.Is(err, errOverdue) || errors.Is(err, errLost) {
		// The handler still has the mail; whoever waits for it closes it.
		return s.refuse(err)
	}
	defer msg.Body.Close()
	defer closeBodies(v)
	if err != nil {
		// What becomes of mail that a handler cannot decide on is for the
		// handler to say. An error is not a way to say it.
		if !fault.Of(err).Temporary() {
			err = fmt.Errorf("%w: %w", fault.Internal, err)
		}
		return s.refuse(err)
	}
	p, err := newPlan(v, msg, s.macros.sendmail())
	if err != nil {
		return s.refuse(fmt.Errorf("%w: %w", fault.Internal, err))
	}
	s.conn.watch.lap()
	if err := s.conn.send(p); errors.Is(err, errBody) {
		// The MTA forgets the edits of a mail that it does not take.
		return s.refuse(fmt.Errorf("%w: %w", fault.Storage, err))
	}
	return answerVerdict(v)
}

// decide runs the handler. While it works the MTA is told so: sendmail waits no
// longer than its R timer (10 s) for the next packet, Postfix no longer than
// milter_content_timeout. Before the end of the message that would be an error,
// so only here. An MTA that has gone is noticed by it.
//
// A handler that has not come to an end at grace after its context did is left
// alone with the mail, and the mail is deferred.
func (s *session) decide(h Handler, msg *message.Message) (message.Verdict, error) {
	ctx, cancel := context.WithTimeout(s.server.base, s.server.conf.Work)
	defer cancel()
	done := make(chan decision, 1)
	go func() { done <- s.server.call(ctx, h, msg) }()

	progress := time.NewTicker(s.server.conf.ProgressEvery)
	defer progress.Stop()
	ended := ctx.Done()
	var patience <-chan time.Time
	reason := errOverdue
	for {
		select {
		case d := <-done:
			return d.verdict, d.err
		case <-progress.C:
			if err := s.conn.progress(); err != nil {
				reason = errLost
				cancel()
			}
		case <-ended:
			ended = nil
			wait := grace
			if s.server.base.Err() != nil {
				wait, reason = 0, errLost
			}
			timer := time.NewTimer(wait)
			defer timer.Stop()
			patience = timer.C
		case <-patience:
			s.server.adopt(done, msg)
			return message.Verdict{}, reason
		}
	}
}

// A decision is what a handler returned.
type decision struct {
	verdict message.Verdict
	err     error
}

// call calls the handler. A panic is an error like any other, after it has been
// logged and counted.
func (s *Server) call(ctx context.Context, h Handler, m *message.Message) (d decision) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(m.Envelope.QueueID, v, debug.Stack())
			d = decision{err: fmt.Errorf("%w: panic: %v", fault.Internal, v)}
		}
	}()
	v, err := h.Handle(ctx, m)
	return decision{v, err}
}

// adopt waits for a handler that nobody else waits for, and frees what it had.
func (s *Server) adopt(done <-chan decision, m *message.Message) {
	s.strays.Add(1)
	go func() {
		defer s.strays.Done()
		d := <-done
		closeBodies(d.verdict)
		m.Body.Close()
	}()
}

// closeBodies closes what a verdict owns. It may hold nonsense: it has not been
// checked, or did not pass.
func closeBodies(v message.Verdict) {
	for _, e := range v.Edits {
		if r, ok := e.(message.ReplaceBody); ok && r.Body != nil {
			r.Body.Close()
		}
	}
}
