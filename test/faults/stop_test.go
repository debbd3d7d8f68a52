package faults_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/host"
)

// Sessions at every point of a transaction: before MAIL, before RCPT, before
// DATA, in the middle of the text, and with all of it sent.
const points = 5

// A client brings one mail to a point, and later to its end.
type client struct {
	*mtarig.Client
	mail  mtarig.Mail
	point int
	end   chan error // of one that is on its way
}

func (c *client) advance() error {
	half := len(c.mail.Data) / 2
	steps := []func() error{
		func() error { return c.From(c.mail.From) },
		func() error { return c.To(c.mail.To[0]) },
		func() error { _, err := c.Cmd(354, "DATA"); return err },
		func() error { return c.Raw(c.mail.Data[:half]) },
		func() error { return c.Raw(append(c.mail.Data[half:len(c.mail.Data):len(c.mail.Data)], ".\r\n"...)) },
		func() error { _, err := c.Reply(250); return err },
	}
	if c.end == nil { // the way there
		c.end = make(chan error, 1)
		for _, step := range steps[:[points]int{0, 1, 2, 4, 5}[c.point]] {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}
	for _, step := range steps[[points]int{0, 1, 2, 4, 5}[c.point]:] {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Stopped or killed in the midst of very many mails, the daemon has finished
// each or the client is told to try again.
func TestEndInTransactions(t *testing.T) {
	for _, end := range []struct {
		name   string
		signal syscall.Signal
		status int
	}{{"stopped", syscall.SIGTERM, 0}, {"killed", syscall.SIGKILL, -1}} {
		for _, setup := range host.Both {
			t.Run(end.name+"/"+setup.String(), func(t *testing.T) {
				n := many(100)
				h := host.Start(t, setup, settings(t), roomy(setup, n))
				clients := make([]*client, n)
				for i := range clients {
					c, err := h.Dial(daemon.Local)
					ok(t, err)
					defer c.Close()
					// A part is so large that it is on disk.
					clients[i] = &client{Client: c, point: i % points, mail: mail(recipient("%s%d", end.name, i), 1000+i%3*300_000)}
				}
				var on sync.WaitGroup
				for _, c := range clients {
					on.Go(func() {
						if err := c.advance(); err != nil {
							t.Errorf("on the way to point %d: %v", c.point, err)
						}
					})
				}
				on.Wait()
				begin := time.Now()
				h.Seal.Signal(end.signal)
				var put atomic.Int64
				for _, c := range clients {
					on.Go(func() {
						err := c.advance()
						if err != nil && !deferred(err) {
							t.Errorf("client at point %d is told %v", c.point, err)
						}
						if err == nil {
							return
						}
						put.Add(1)
						c.Close()
						if again := h.Deliver(c.mail); !deferred(again) && !hungUp(again) && end.signal == syscall.SIGKILL {
							t.Errorf("without a milter a client is told %v", again)
						}
						c.mail.Args = []string{"again"}
					})
				}
				on.Wait()
				if status := h.Seal.Wait(); status != end.status {
					t.Errorf("mailseal milter ended with status %d; want %d", status, end.status)
				}
				t.Logf("%d of %d mails deferred; ended after %v", put.Load(), n, time.Since(begin).Round(time.Millisecond))
				emptyState(t, h.Seal)
				h.Seal.Start()
				var all []mtarig.Mail
				for _, c := range clients {
					again := c.mail.Args != nil
					c.mail.Args = nil
					if again {
						_, err := persist(h, c.mail)
						ok(t, err)
					}
					all = append(all, c.mail)
				}
				arrivedOnce(t, h, all)
			})
		}
	}
}

// Sessions that are between mails hold nothing up, and are told to try again.
func TestStopWithIdleSessions(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			h := host.Start(t, setup, settings(t), roomy(setup, 50))
			var idle []*mtarig.Client
			for range many(50) {
				c, err := h.Dial(daemon.Local)
				ok(t, err)
				defer c.Close()
				idle = append(idle, c)
			}
			begin := time.Now()
			h.Seal.Stop()
			took := time.Since(begin)
			if took > 20*time.Second {
				t.Errorf("%d idle sessions held the end up for %v", len(idle), took)
			}
			h.Seal.Start()
			told := map[int]int{}
			for i, c := range idle {
				told[mtarig.Code(c.Send(mail(recipient("idle%d", i), 100)))]++
			}
			t.Logf("ended after %v; %d sessions were told %v", took.Round(time.Millisecond), len(idle), told)
			if told[451] != len(idle) {
				t.Errorf("sessions were told %v; want 451 each", told)
			}
			mails := batch(len(idle), 100, "after")
			each(mails, 5, func(_ int, m mtarig.Mail) {
				if err := h.Deliver(m); err != nil {
					t.Errorf("in a new session: %v", err)
				}
			})
			arrivedOnce(t, h, mails)
		})
	}
}

// The second SIGTERM ends the daemon at once, also one that waits for a client
// in the middle of a mail.
func TestStoppedTwice(t *testing.T) {
	h := host.Start(t, host.Both[0], settings(t))
	c, err := h.Dial(daemon.Local)
	ok(t, err)
	defer c.Close()
	m := mail(recipient("twice"), 1000)
	ok(t, c.From(m.From))
	ok(t, c.To(m.To[0]))
	mark := h.Seal.Mark()
	h.Seal.Signal(syscall.SIGTERM)
	_, err = h.Seal.WaitLog(mark, ": stopping")
	ok(t, err)
	// It waits for the mail; how soon after that line the second signal is no
	// longer caught is not to be seen.
	pid := h.Seal.Pid()
	eventually(t, "end after more signals", func() bool {
		syscall.Kill(pid, syscall.SIGTERM)
		return gone(pid)
	})
	if status := h.Seal.Wait(); status != -1 {
		t.Errorf("status %d; want an end by the signal", status)
	}
	if err := c.Data(m.Data); !deferred(err) {
		t.Errorf("client is told %v", err)
	}
	h.Seal.Start()
	ok(t, h.Deliver(m))
	arrivedOnce(t, h, []mtarig.Mail{m})
}

// gone reports whether a child has ended.
func gone(pid int) bool {
	state, err := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || state == 'Z'
}

// A client that says nothing in the middle of its mail holds the end up for
// half a minute and no longer.
func TestStopWithSilentClient(t *testing.T) {
	slow(t)
	h := host.Start(t, host.Both[0], settings(t))
	c, err := h.Dial(daemon.Local)
	ok(t, err)
	defer c.Close()
	m := mail(recipient("silent"), 1000)
	ok(t, c.From(m.From))
	ok(t, c.To(m.To[0]))
	begin := time.Now()
	h.Seal.Stop()
	took := time.Since(begin)
	t.Logf("ended after %v", took.Round(time.Millisecond))
	if took < 30*time.Second {
		t.Errorf("ended after %v, before the client's time was up", took)
	}
	if err := c.Data(m.Data); !deferred(err) {
		t.Errorf("client is told %v", err)
	}
	h.Seal.Start()
	ok(t, h.Deliver(m))
	arrivedOnce(t, h, []mtarig.Mail{m})
}

// The MTA is killed, not the milter: mails that it had taken are in its queue,
// those that it had not are the client's, and the daemon gives everything back.
func TestMTAKilled(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			h := host.Start(t, setup, settings(t), roomy(setup, many(100)))
			ok(t, h.Deliver(mail(recipient("first"), 100)))
			before := descriptors(t, h.Seal)
			mails := batch(many(100), 300_000, "mtakilled")
			var taken sync.Map
			var sent sync.WaitGroup
			var done atomic.Int64
			for i, m := range mails {
				sent.Go(func() {
					if h.Deliver(m) == nil {
						taken.Store(i, true)
					}
					done.Add(1)
				})
			}
			eventually(t, "a third of the mails", func() bool { return done.Load() >= int64(len(mails)/3) })
			ok(t, h.MTA.Stop())
			sent.Wait()
			ok(t, h.MTA.Start())
			again := 0
			for i, m := range mails {
				if _, was := taken.Load(i); !was {
					again++
					_, err := persist(h, m)
					ok(t, err)
				}
			}
			ok(t, h.MTA.Flush())
			// The queue is not awaited empty: sendmail that is killed may leave an
			// empty control file of a mail that it has not taken.
			twice := 0
			for _, m := range mails {
				signed(t, h.Arrived(t, m.To[0]).Data)
				// A client that has no answer sends again what the MTA may have
				// taken (RFC 5321 section 4.5.4.1), and the MTA what the next host
				// may have: that is between them.
				if h.Count(m.To[0]) > 1 {
					twice++
				}
			}
			t.Logf("%d of %d mails sent again, %d of them twice there", again, len(mails), twice)
			settled(t, h.Seal, before)
		})
	}
}
