package gateway

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/verdict"
)

// Whoever fails too often gets nothing opened for a while, and nobody else
// suffers by that.
func TestTooManyFailures(t *testing.T) {
	v := newVault(t)
	v.conf.DecryptFailures = 3
	now := time.Now()
	v.conf.Now = func() time.Time { return now }
	var told measures
	v.conf.Meter = &told
	g := v.gateway()
	good, bad := v.encrypt(letter, gcm, v.alice), spoil(v.encrypt(letter, gcm, v.alice))
	opens := func(want bool, why string) {
		t.Helper()
		got, _ := v.receive(g, good, aliceAt)
		if strings.Contains(got, secret) != want {
			t.Errorf("%s: opened %v", why, !want)
		}
	}
	for range 3 {
		opens(true, "before")
		v.receive(g, bad, aliceAt)
		v.logged("decrypted=failed")
	}
	if n := len(told); n != 6 || told[0].Decrypted != DecryptedYes || told[1].Decrypted != DecryptedFailed {
		t.Errorf("the meter is told %+v", told)
	}
	opens(false, "after three")
	v.logged("decrypted=no", "closed=limited")
	for range 5 { // what is not tried does not count
		v.receive(g, bad, aliceAt)
		v.logged("closed=limited")
	}
	now = now.Add(59 * time.Minute)
	opens(false, "within the hour")
	now = now.Add(time.Minute)
	opens(true, "after the hour")
	v.receive(g, v.encrypt(letter, cbc, v.eve), aliceAt)
	v.receive(g, bad, aliceAt)
	v.receive(g, bad, aliceAt)
	opens(true, "what is not for us does not count")
	v.receive(g, bad, aliceAt)
	opens(false, "three again")
	another := message.Client{Addr: netip.MustParseAddr("2001:db8::1")}
	m := v.read(good)
	m.Envelope = message.Envelope{Client: another, Recipients: []message.Recipient{{Address: aliceAt}}}
	o := g.Decide(context.Background(), m)
	defer o.Verdict.Close()
	if o.Opening.Decrypted != DecryptedYes {
		t.Errorf("another client: %+v", o.Opening)
	}
}

func TestPeer(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := peer(netip.MustParseAddr(in)); got.String() != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	f := newFailures(0)
	for range 10 {
		f.note([]netip.Addr{{}}, time.Now())
	}
	if f.over([]netip.Addr{{}}, time.Now()) {
		t.Error("0 is a limit")
	}
}

// Nothing is delivered in part: what cannot be read or written now is deferred,
// and so is what takes too long.
func TestOpeningFaults(t *testing.T) {
	v := newVault(t)
	v.conf.OnError = message.Defer
	mail := v.encrypt(letter, gcm, v.alice)
	for n := range 40 {
		m := v.read(mail)
		m.Envelope = message.Envelope{Client: outside, Recipients: []message.Recipient{{Address: aliceAt}}}
		m.Body = &brittle{Body: m.Body, left: n}
		o := v.gateway().Decide(context.Background(), m)
		defer o.Verdict.Close()
		switch {
		case o.Verdict.Action == message.Defer && len(o.Verdict.Edits) == 0 && o.Err != nil:
		case o.Verdict.Action == message.Accept && o.Opening.Decrypted == DecryptedYes:
			if n == 0 {
				t.Error("the body is not read")
			}
			return
		default:
			t.Fatalf("after %d reads: %+v", n, o)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		m.Body = &brittle{Body: m.Body.(*brittle).Body, left: n, then: func() { cancel(context.DeadlineExceeded) }}
		if o := v.gateway().Decide(ctx, m); o.Verdict.Action != message.Defer || len(o.Verdict.Edits) != 0 {
			t.Errorf("out of time after %d reads: %+v", n, o)
		}
	}
	t.Error("never opened")
}

// brittle is a body that can be read some times.
type brittle struct {
	message.Body
	left int
	then func()
}

func (b *brittle) ReadAt(p []byte, off int64) (int, error) {
	if b.left--; b.left < 0 {
		if b.then == nil {
			return 0, errors.New("input/output error")
		}
		b.then()
	}
	return b.Body.ReadAt(p, off)
}

var _ io.ReaderAt = (*brittle)(nil)

// A message's verdict of what could not be read has no result but that.
func TestFailedOpeningHasAResult(t *testing.T) {
	v := newVault(t)
	v.conf.OnError = message.Accept
	m := v.read(v.encrypt(letter, gcm, v.alice))
	m.Envelope = message.Envelope{Client: outside, Recipients: []message.Recipient{{Address: aliceAt}}}
	m.Body = &brittle{Body: m.Body, left: 3}
	o := v.gateway().Decide(context.Background(), m)
	if o.Verdict.Action != message.Accept || o.Result.Status != verdict.TempError || o.Opening != nil {
		t.Errorf("%+v", o)
	}
	for _, e := range o.Verdict.Edits {
		if _, ok := e.(message.ReplaceBody); ok {
			t.Error("half a mail")
		}
	}
}
