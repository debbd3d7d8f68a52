package faults_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/host"
)

// A mail of 100 MB where 64 MiB are allowed is refused for good before it is
// whole, and nothing of it is left.
func TestTooLarge(t *testing.T) {
	slow(t)
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			h := host.Start(t, setup, settings(t))
			before := descriptors(t, h.Seal)
			m := mail(recipient("toolarge"), 100<<20)
			c, err := h.Dial(daemon.Local)
			ok(t, err)
			defer c.Close()
			err = c.Send(m)
			if mtarig.Code(err) != 552 || !strings.Contains(fmt.Sprint(err), "5.3.4 message too large") {
				t.Errorf("client is told %.300v; want 552 5.3.4", err)
			}
			after := mail(recipient("after"), 100)
			ok(t, c.Send(after))
			ok(t, c.Quit())
			arrivedOnce(t, h, []mtarig.Mail{after})
			if n := h.Count(m.To[0]); n > 0 {
				t.Errorf("it was delivered %d times", n)
			}
			emptyState(t, h.Seal)
			t.Logf("%d MiB at most", resident(t, h.Seal, "VmHWM"))
			settled(t, h.Seal, before)
		})
	}
}

// largest is what the daemon may take in memory, however large mails are.
const largest = 64

// Mails of 100 MB, where they are allowed, signed and then verified: each host's
// own mail goes out and comes in again from outside.
func TestHuge(t *testing.T) {
	slow(t)
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			s := settings(t)
			s.Milter = []string{`max_message_size = "256MiB"`}
			h := host.Start(t, setup, s)
			before := descriptors(t, h.Seal)
			m := mail(recipient("huge"), 100<<20)
			ok(t, h.Deliver(m))
			intact(t, h, m)
			signing := resident(t, h.Seal, "VmHWM")
			in := mtarig.Mail{From: author, To: []string{recipient("hugein")}, Data: h.Arrived(t, m.To[0]).Data}
			ok(t, h.DeliverFrom(daemon.Outside, in))
			verified(t, h, in.To[0])
			both := resident(t, h.Seal, "VmHWM")
			t.Logf("100 MB: signing takes %d MiB at most, with verifying %d", signing, both)
			if both > largest && lean() {
				t.Errorf("mailseal took %d MiB", both)
			}
			settled(t, h.Seal, before)
		})
	}
}

// intact checks a large mail that went out. That is the product's part, which
// has no race detector in it.
func intact(t *testing.T, h *host.Host, m mtarig.Mail) {
	t.Helper()
	got := h.Arrived(t, m.To[0]).Data
	if stdout, _, status := daemon.Run(t, got, "verify", "-ca", h.Seal.Trust()); status != 0 {
		t.Errorf("mailseal verify: status %d, %s", status, stdout)
	}
	if _, text, _ := bytes.Cut(m.Data, []byte("\r\n\r\n")); !bytes.Contains(got, text) {
		t.Errorf("mail for %s does not hold all of its text", m.To[0])
	}
	h.AwaitEmptyQueue(t)
	if n := h.Count(m.To[0]); n != 1 {
		t.Errorf("mail for %s was delivered %d times", m.To[0], n)
	}
}

// verified checks what is said of a mail that came in.
func verified(t *testing.T, h *host.Host, to string) {
	t.Helper()
	top, _, _ := strings.Cut(string(h.Arrived(t, to).Data), "\r\n\r\n")
	if !strings.Contains(top, "smime=pass") {
		t.Errorf("mail for %s: no smime=pass in %.1000s", to, top)
	}
}

// Four mails of 25 MB at once: all verified, and two signed while two are
// verified.
func TestFourLarge(t *testing.T) {
	slow(t)
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			h := host.Start(t, setup, settings(t))
			m := mail(recipient("large"), 25<<20)
			ok(t, h.Deliver(m))
			received := h.Arrived(t, m.To[0]).Data
			h.Seal.Stop()
			for _, kind := range []string{"verified", "mixed"} {
				h.Seal.Start()
				before := descriptors(t, h.Seal)
				mails := make([]mtarig.Mail, 4)
				out := func(i int) bool { return kind == "mixed" && i%2 == 0 }
				for i := range mails {
					mails[i] = mtarig.Mail{From: author, To: []string{recipient("%s%d", kind, i)}, Data: received}
					if out(i) {
						mails[i].Data = m.Data
					}
				}
				each(mails, 4, func(i int, m mtarig.Mail) {
					from := daemon.Outside
					if out(i) {
						from = daemon.Local
					}
					if err := h.DeliverFrom(from, m); err != nil {
						t.Error(err)
					}
				})
				peak := resident(t, h.Seal, "VmHWM")
				t.Logf("four mails of 25 MB at once, %s: %d MiB at most", kind, peak)
				if peak > largest && lean() {
					t.Errorf("mailseal took %d MiB", peak)
				}
				for i, m := range mails {
					if out(i) {
						intact(t, h, m)
					} else {
						verified(t, h, m.To[0])
					}
				}
				settled(t, h.Seal, before)
			}
			h.Seal.Start()
		})
	}
}
