package faults_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/host"
)

// alone starts a daemon without an MTA.
func alone(t *testing.T, lines ...string) *daemon.Daemon {
	s := settings(t)
	s.Socket = "unix:" + t.TempDir() + "/milter.sock"
	s.Milter = lines
	return daemon.Start(t, s)
}

// body is the text of a mail, in a piece of at most what an MTA sends.
func body(size int) string { return strings.Repeat("a line of twenty bytes\r\n", size/24) }

// 600 MTA connections come where 500 are allowed: 500 are served at once, the
// others as soon as one ends. All hold a mail as large as stays in memory.
func TestConnections(t *testing.T) {
	const allowed, more = 500, 100
	d := alone(t, fmt.Sprintf("max_connections = %d", allowed), `spool_memory = "64KiB"`)
	before, idle := descriptors(t, d), resident(t, d, "VmRSS")
	mark := d.Mark()
	conns := make([]raw, allowed)
	for i := range conns {
		c, err := dial(d)
		ok(t, err)
		defer c.Close()
		ok(t, c.negotiate())
		ok(t, c.begin())
		ok(t, c.send('B', body(60_000)))
		conns[i] = c
	}
	if n := descriptors(t, d); n < allowed {
		t.Errorf("%d descriptors for %d connections", n, allowed)
	}
	waiting := make(chan error, more)
	for range more {
		c, err := dial(d)
		ok(t, err)
		defer c.Close()
		go func() { waiting <- finish(c) }()
	}
	_, err := d.WaitLog(mark, fmt.Sprintf(": connections level=warn limit=%d ", allowed))
	ok(t, err)
	select {
	case err := <-waiting:
		t.Errorf("one too many was served: %v", err)
	default:
	}
	full := resident(t, d, "VmRSS")
	fds := descriptors(t, d)
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() {
			if code, text, err := c.end(); err != nil || code != 'a' {
				t.Errorf("end of a mail: %q %q, %v", code, text, err)
			}
			c.send('Q', "")
		})
	}
	all.Wait()
	for range more {
		if err := <-waiting; err != nil {
			t.Errorf("one of those that waited: %v", err)
		}
	}
	eventually(t, fmt.Sprintf("%d mails signed", allowed+more), func() bool { return len(d.Lines(mark, ": signed ")) == allowed+more })
	t.Logf("%d connections with a mail each: %d descriptors, %d MiB (idle %d), at most %d", allowed, fds, full, idle, resident(t, d, "VmHWM"))
	settled(t, d, before)
}

// finish gives a whole mail.
func finish(c raw) error {
	if err := errors.Join(c.negotiate(), c.begin(), c.send('B', body(60_000))); err != nil {
		return err
	}
	if code, text, err := c.end(); err != nil || code != 'a' {
		return fmt.Errorf("end of a mail: %q %q, %w", code, text, err)
	}
	return c.send('Q', "")
}

// The same through the MTAs.
func TestSessions(t *testing.T) {
	slow(t)
	const allowed, more = 500, 100
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			s := settings(t)
			s.Milter = []string{fmt.Sprintf("max_connections = %d", allowed)}
			h := host.Start(t, setup, s, roomy(setup, allowed+more))
			before, idle := descriptors(t, h.Seal), resident(t, h.Seal, "VmRSS")
			mails := batch(allowed+more, 2000, "session")
			sessions := make([]*mtarig.Client, allowed)
			each(mails[:allowed], 20, func(i int, m mtarig.Mail) {
				c, err := h.Dial(daemon.Local)
				if err != nil {
					t.Errorf("session %d: %v", i, err)
					return
				}
				sessions[i] = c
				if err := errors.Join(c.From(m.From), c.To(m.To[0])); err != nil {
					t.Errorf("session %d: %v", i, err)
				}
			})
			if t.Failed() {
				t.FailNow()
			}
			var late sync.WaitGroup
			var put, longest atomic.Int64
			for _, m := range mails[allowed:] {
				late.Go(func() {
					begin := time.Now()
					n, err := persist(h, m)
					if err != nil {
						t.Errorf("one of those that came late: %v", err)
					}
					put.Add(int64(n))
					for took := int64(time.Since(begin)); took > longest.Load(); {
						longest.Store(took)
					}
				})
			}
			_, err := h.Seal.WaitLog(0, ": connections level=warn")
			ok(t, err)
			t.Logf("%d sessions: %d descriptors, %d MiB (idle %d)", allowed, descriptors(t, h.Seal), resident(t, h.Seal, "VmRSS"), idle)
			each(mails[:allowed], 50, func(i int, m mtarig.Mail) {
				if err := errors.Join(sessions[i].Data(m.Data), sessions[i].Quit()); err != nil {
					t.Errorf("session %d: %v", i, err)
				}
			})
			late.Wait()
			arrivedOnce(t, h, mails)
			t.Logf("%d more: deferred %d times, the last done after %v; at most %d MiB", more, put.Load(), time.Duration(longest.Load()).Round(time.Millisecond), resident(t, h.Seal, "VmHWM"))
			ok(t, h.MTA.Stop())
			settled(t, h.Seal, before)
		})
	}
}

// Clients that connect and go away again, some with a word.
func TestConnectAndClose(t *testing.T) {
	d := alone(t)
	c, err := dial(d)
	ok(t, err)
	ok(t, finish(c))
	c.Close()
	before := descriptors(t, d)
	const n = 10_000
	begin := time.Now()
	for i := range n {
		c, err := d.Dial()
		for errors.Is(err, syscall.EAGAIN) { // the kernel holds no more; connect(2) would block
			time.Sleep(time.Millisecond)
			c, err = d.Dial()
		}
		ok(t, err)
		switch i % 4 {
		case 1:
			c.Write([]byte{0, 0})
		case 2:
			c.Write(packet('O', strings.Repeat("\xff", 12)))
		}
		c.Close()
	}
	t.Logf("%d connections in %v", n, time.Since(begin).Round(time.Millisecond))
	c, err = dial(d)
	ok(t, err)
	ok(t, finish(c))
	c.Close()
	t.Logf("%d MiB at most", resident(t, d, "VmHWM"))
	if mib := resident(t, d, "VmHWM"); mib > 64 && lean() {
		t.Errorf("%d MiB after %d connections", mib, n)
	}
	settled(t, d, before)
}

// Clients that say nothing, stop in the midst, or talk nonsense keep nobody
// else from being served, and what they had is given back when they go.
func TestSlowAndWrong(t *testing.T) {
	d := alone(t)
	before := descriptors(t, d)
	mark := d.Mark()
	quiet := []struct {
		what string
		talk func(raw) error
	}{
		{"silent from the start", func(raw) error { return nil }},
		{"silent after half a packet", func(c raw) error { _, err := c.Write(packet('O', strings.Repeat("x", 12))[:9]); return err }},
		{"silent in a mail", func(c raw) error { return errors.Join(c.negotiate(), c.begin()) }},
		{"silent in the text", func(c raw) error {
			return errors.Join(c.negotiate(), c.begin(), c.send('B', body(60_000)), c.send('B', body(60_000)))
		}},
		{"silent in a packet of the text", func(c raw) error {
			err := errors.Join(c.negotiate(), c.begin())
			_, e := c.Write(packet('B', body(60_000))[:30_000])
			return errors.Join(err, e)
		}},
	}
	var open []net.Conn
	for range 20 {
		for _, q := range quiet {
			c, err := dial(d)
			ok(t, err)
			open = append(open, c)
			if err := q.talk(c); err != nil {
				t.Errorf("%s: %v", q.what, err)
			}
		}
	}
	// One byte at a time is slow, not wrong.
	c, err := dial(d)
	ok(t, err)
	ok(t, errors.Join(c.negotiate(), c.begin()))
	for _, b := range packet('B', body(2000)) {
		_, err := c.Write([]byte{b})
		ok(t, err)
	}
	code, text, err := c.end()
	if err != nil || code != 'a' {
		t.Errorf("a byte at a time: %q %q, %v", code, text, err)
	}
	open = append(open, c)

	wrong := map[string][]byte{
		"a packet of 4 GiB": {0xff, 0xff, 0xff, 0xff, 'B'}, "a packet of nothing": {0, 0, 0, 0}, "HTTP": []byte("GET / HTTP/1.1\r\n\r\n"),
	}
	random := rand.NewChaCha8([32]byte{3})
	for i := range 200 {
		b := make([]byte, 1+random.Uint64()%5000)
		random.Read(b)
		wrong[fmt.Sprintf("noise %d", i)] = b
	}
	for what, b := range wrong {
		c, err := dial(d)
		ok(t, err)
		c.Write(b) // it may be closed in the midst
		if u, ok := c.Conn.(*net.UnixConn); ok {
			u.CloseWrite()
		}
		if n, err := io.Copy(io.Discard, c); n > 0 || err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: answered with %d bytes, %v", what, n, err)
		}
		c.Close()
	}
	if len(d.Lines(mark, `bytes, more than`)) == 0 {
		t.Error("the log does not tell of a packet that is too large")
	}
	c, err = dial(d)
	ok(t, err)
	ok(t, finish(c))
	open = append(open, c)
	for _, c := range open {
		c.Close()
	}
	settled(t, d, before)
}
