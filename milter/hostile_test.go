package milter

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever comes, the connection ends and the rest lives on.
func TestHostile(t *testing.T) {
	tests := []struct {
		what string
		talk func(m *mta)
		log  string
	}{
		{"HTTP", func(m *mta) { io.WriteString(m, "GET / HTTP/1.1\r\n\r\n") }, "packet"},
		{"nothing but zeros", func(m *mta) { m.Write(make([]byte, 64)) }, "packet of no bytes"},
		{"a packet of 4 GB", func(m *mta) { m.negotiate(); m.Write([]byte("\xff\xff\xff\xffB")) }, "bytes, more than"},
		{"a body of more than 1 MiB", func(m *mta) { m.negotiate(); m.Write([]byte("\x00\x10\x00\x01B")) }, "bytes, more than 1048576"},
		{"a recipient of 1 MiB", func(m *mta) { m.negotiate(); m.Write([]byte("\x00\x10\x00\x00R")) }, "bytes, more than 16384"},
		{"macros of 1 MiB", func(m *mta) { m.negotiate(); m.Write([]byte("\x00\x10\x00\x00D")) }, "bytes, more than 65536"},
		{"a command before the negotiation", func(m *mta) { m.args(cmdMail, "<a@example>") }, "before the negotiation"},
		{"two negotiations", func(m *mta) { m.negotiate(); m.send(cmdOptNeg, strings.Repeat("\xff", 12)) }, "second negotiation"},
		{"a short negotiation", func(m *mta) { m.send(cmdOptNeg, "\x00\x00\x00\x06") }, "less than 12 bytes"},
		{"an unknown command", func(m *mta) { m.negotiate(); m.send('?') }, "unknown command"},
		{"UNKNOWN, which version 2 has not", func(m *mta) { m.negotiate(); m.args('U', "VRFY") }, "unknown command"},
		{"QUIT_NC, which nobody sends", func(m *mta) { m.negotiate(); m.send('K') }, "unknown command"},
		{"connect without a NUL", func(m *mta) { m.negotiate(); m.send(cmdConnect, "host") }, "connect"},
		{"connect without a family", func(m *mta) { m.negotiate(); m.send(cmdConnect, "host\x00") }, "no address family"},
		{"connect without a port", func(m *mta) { m.negotiate(); m.send(cmdConnect, "host\x004\x00") }, "no port"},
		{"connect without an address", func(m *mta) { m.negotiate(); m.send(cmdConnect, "host\x004\x00\x19") }, "connect"},
		{"helo without a NUL", func(m *mta) { m.negotiate(); m.send(cmdHelo, "host") }, "helo"},
		{"mail without an address", func(m *mta) { m.negotiate(); m.send(cmdMail) }, "no address"},
		{"mail without a NUL", func(m *mta) { m.negotiate(); m.send(cmdMail, "<a@example>") }, "without its NUL"},
		{"recipient without an address", func(m *mta) { m.start().mail("<a@example>"); m.send(cmdRcpt) }, "no address"},
		{"macros for nothing", func(m *mta) { m.negotiate(); m.send(cmdMacro) }, "macros"},
		{"macros without a NUL", func(m *mta) { m.negotiate(); m.send(cmdMacro, "Mi\x00x") }, "without its NUL"},
		// The library would answer this one: it finds three strings, calls
		// nobody and says "continue", and the MTA takes that for the answer
		// to the end of the message.
		{"a NUL in a header value", func(m *mta) { m.start().mail("<a@example>"); m.send(cmdHeader, "X\x00 a\x00b\x00") }, "more than a name and a value"},
		{"a header without a value", func(m *mta) { m.start().mail("<a@example>"); m.send(cmdHeader, "X\x00") }, "without its NUL"},
		{"a header without anything", func(m *mta) { m.start().mail("<a@example>"); m.send(cmdHeader) }, "without its NUL"},
		{"cut in the length", func(m *mta) { m.start(); m.Write([]byte{0, 0}); m.Close() }, "unexpected EOF"},
		{"cut in the data", func(m *mta) { m.start(); m.Write([]byte("\x00\x00\x00\x10M<a@")); m.Close() }, "unexpected EOF"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			h := accepting()
			ts := serve(t, h)
			m := ts.dial()
			tt.talk(m)
			synctest.Wait()
			m.Close()
			synctest.Wait()
			ts.logged(tt.log)
			if got := ts.Stats().Open; got != 0 {
				t.Errorf("%s: still open", tt.what)
			}
			m = ts.dial().start()
			if got := m.deliver("a@example", []string{"b@example"}, nil, "x"); got[0] != "a" || len(h.all()) != 1 {
				t.Errorf("%s: a good mail after it: %q, %d mails", tt.what, got, len(h.all()))
			}
			m.quit()
			ts.stop()
		})
	}
}

// An MTA that goes away without QUIT, as sendmail does on a 421, is no news.
func TestGoneWithoutQuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, accepting())
		m := ts.dial().start()
		m.mail("<a@example>")
		m.Close()
		synctest.Wait()
		if got := ts.Stats().Open; got != 0 {
			t.Errorf("%d connections", got)
		}
		if got := ts.log.String(); got != "" {
			t.Errorf("log: %s", got)
		}
		ts.stop()
	})
}

// Who connects and says nothing, or stops within a packet, is dropped soon; an
// MTA between packets may think as long as its own client may.
func TestDeadlines(t *testing.T) {
	tests := []struct {
		what string
		talk func(m *mta)
		want time.Duration
	}{
		{"silence", func(m *mta) {}, time.Minute},
		{"cut in the length", func(m *mta) { m.Write([]byte{0, 0}) }, time.Minute},
		{"cut in a packet", func(m *mta) { m.start(); m.Write([]byte("\x00\x00\x00\x10M<a@")) }, time.Minute},
		{"a byte every 10 s", func(m *mta) {
			m.start()
			var head [4]byte
			binary.BigEndian.PutUint32(head[:], 1000)
			m.Write(append(head[:], 'M'))
			for range 5 {
				time.Sleep(10 * time.Second)
				m.Write([]byte("x"))
			}
		}, time.Minute},
		{"between mails", func(m *mta) { m.start() }, 2*time.Hour + 10*time.Second},
		{"within a mail", func(m *mta) { m.start().mail("<a@example>") }, 2*time.Hour + 10*time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			ts := serve(t, accepting())
			m := ts.dial()
			begin := time.Now()
			tt.talk(m)
			m.closed()
			if d := time.Since(begin); d != tt.want {
				t.Errorf("%s: dropped after %v; want %v", tt.what, d, tt.want)
			}
			ts.logged("timeout")
			ts.stop()
		})
	}
}
