package milter

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// FuzzSession: whatever an MTA says in whatever order, nothing panics, every
// command that wants an answer gets exactly one and no other does, and no mail
// that the handler sees has a part of another mail in it.
func FuzzSession(f *testing.F) {
	all := func(ops ...byte) []byte { return ops }
	mail := all(opMail, opRcpt, opHeader, opEOH, opBody, opEOM)
	start := all(opOptNeg, opConnect, opHelo)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	f.Add(join(start, mail, all(opQuit)))
	f.Add(join(start, mail, all(opAbort), mail, all(opAbort, opQuit)))                     // Postfix
	f.Add(join(start, mail, mail, all(opMail, opRcpt, opRcpt), mail))                      // sendmail
	f.Add(join(start, all(opAbort, opMacroHelo, opHelo), mail))                            // STARTTLS
	f.Add(join(start, all(opMacroMail, opMail, opMacroRcpt, opRcpt, opMacroEOM), mail))    // queue ids
	f.Add(join(start, all(opRcpt, opBody, opHeader, opEOM, opEOM, opData), mail))          // out of order
	f.Add(join(start, all(opMail, opRcpt, opHeader, opBody, opMail, opBodyEOM), mail))     // aborted without ABORT
	f.Add(join(all(opMail), start))                                                        // no negotiation
	f.Add(join(start, all(opMail, opRcpt, opBad, cmdHeader, 1)))                           // malformed
	f.Add(join(start, all(opMail, opBad, '?', 3, 1, 2, 3)))                                // unknown
	f.Add(join(start, all(opMail, opRcpt, opHeader, opCut)))                               // cut off
	f.Add(join(start, all(opOptNeg), mail))                                                // second negotiation
	f.Add(join(start, all(opMail, opRcpt, opRcpt, opRcpt, opRcpt, opBody), mail, all(99))) // refused recipients
	store, err := spool.New(spool.Config{Dir: f.TempDir(), Limit: 200})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		script := perform(ops)
		h := handlerFunc(func(_ context.Context, m *message.Message) (message.Verdict, error) {
			checkUnmixed(t, m)
			return message.Verdict{Action: message.Accept, Edits: []message.Edit{
				message.SetField{Field: field("Subject", " x")},
				message.ReplaceBody{Body: message.Bytes([]byte("new"))},
				message.AddField{Field: field("X", " y")},
			}}, nil
		})
		s, err := New(Config{Handler: h, Spool: store, MaxRecipients: 2, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		c := &scriptedConn{in: bytes.NewReader(script.bytes)}
		if err := s.Serve(&oneConn{conn: c}); err == nil {
			t.Fatal("Serve returned nil")
		}
		s.serving.Wait() // a Shutdown would end it earlier
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := s.Stats().Panics; n > 0 {
			t.Fatalf("%d panics", n)
		}
		checkAnswers(t, script.answered, c.out.Bytes())
	})
}

const (
	opOptNeg = iota
	opConnect
	opHelo
	opMail
	opRcpt
	opHeader
	opEOH
	opBody
	opEOM
	opBodyEOM
	opAbort
	opData
	opQuit
	opMacroHelo
	opMacroMail
	opMacroRcpt
	opMacroEOM
	opBad // a code, a length and so many bytes
	opCut // the connection ends within a packet
	ops
)

// A script is what an MTA says, and which of it wants an answer.
type script struct {
	bytes    []byte
	answered []byte
	tag      int
	over     bool // the milter hangs up here
	open     bool // negotiated
}

func perform(input []byte) *script {
	s := &script{}
	for len(input) > 0 && !s.over && len(s.bytes) < 64<<10 {
		op := input[0] % ops
		input = input[1:]
		switch op {
		case opBad:
			input = s.bad(input)
		case opCut:
			s.bytes = append(s.bytes, 0, 0, 0, 50, cmdBody, 'x')
			s.over = true
		default:
			s.good(op)
		}
	}
	return s
}

// good adds a command as it should be. A new tag begins with each mail, and
// where one is broken off.
func (s *script) good(op byte) {
	tag := func() string { return fmt.Sprintf("tag%d.", s.tag) }
	switch op {
	case opOptNeg:
		if s.open {
			s.over = true
			s.say(cmdOptNeg, strings.Repeat("\xff", 12))
			return
		}
		s.open = true
		s.say(cmdOptNeg, strings.Repeat("\xff", 12))
		return
	case opMail, opAbort, opHelo, opConnect:
		s.tag++
	}
	if !s.open {
		s.over = true
	}
	switch op {
	case opConnect:
		s.say(cmdConnect, nul("host"), "4", "\x00\x19", nul("192.0.2.1"))
	case opHelo:
		s.say(cmdHelo, nul("helo"))
	case opMail:
		s.say(cmdMail, nul("<"+tag()+">", tag()))
	case opRcpt:
		s.say(cmdRcpt, nul("<"+tag()+">", tag()))
	case opHeader:
		s.say(cmdHeader, nul(tag(), " "+tag()))
	case opEOH:
		s.say(cmdEOH)
	case opBody:
		s.say(cmdBody, tag())
	case opEOM:
		s.say(cmdEOM)
	case opBodyEOM:
		s.say(cmdEOM, tag())
	case opAbort:
		s.say(cmdAbort)
	case opData:
		s.say(cmdData)
	case opQuit:
		s.say(cmdQuit)
		s.over = true
	case opMacroHelo:
		s.say(cmdMacro, string(cmdHelo), nul("{tls_version}", tag(), "i", "never"))
	case opMacroMail: // belongs to the mail that comes
		next := fmt.Sprintf("tag%d.", s.tag+1)
		s.say(cmdMacro, string(cmdMail), nul("i", next, "{auth_authen}", next))
	case opMacroRcpt:
		s.say(cmdMacro, string(cmdRcpt), nul("i", tag()))
	case opMacroEOM:
		s.say(cmdMacro, string(cmdEOM), nul("i", tag()))
	}
}

func (s *script) say(code byte, data ...string) {
	s.bytes = appendPacket(s.bytes, code, data...)
	if (s.open && !s.over) && answered(code) {
		s.answered = append(s.answered, code)
	}
}

// bad adds a packet that no MTA would send. Only those that may hold anything
// are left out: they would not be bad.
func (s *script) bad(input []byte) []byte {
	if len(input) < 2 {
		return nil
	}
	code, n := input[0], min(int(input[1]), len(input)-2)
	data := bytes.ReplaceAll(input[2:2+n], []byte{0}, []byte{1})
	switch code {
	case cmdBody, cmdEOM, cmdEOH, cmdAbort, cmdData, cmdQuit:
		code = '?'
	case cmdOptNeg:
		data = data[:min(len(data), 11)]
	case cmdMacro:
		if len(data) == 1 {
			data = nil
		}
	}
	s.bytes = appendPacket(s.bytes, code, string(data))
	s.over = true
	return nil
}

func checkUnmixed(t *testing.T, m *message.Message) {
	tag := m.Envelope.Sender
	body := make([]byte, m.Body.Size())
	if _, err := m.Body.ReadAt(body, 0); err != nil && err != io.EOF {
		t.Errorf("body: %v", err)
	}
	parts := []string{m.Envelope.SenderArgs[0], strings.ReplaceAll(string(body), tag, "")}
	if parts[1] == "" {
		parts = parts[:1]
	}
	for _, r := range m.Envelope.Recipients {
		parts = append(parts, r.Address, r.Args[0])
	}
	for _, f := range m.Header {
		parts = append(parts, f.Name(), f.Text())
	}
	for _, p := range []string{m.Envelope.QueueID, m.Envelope.Client.Login} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	for _, p := range parts {
		if p != tag {
			t.Errorf("the mail of %s has a part of %s", tag, p)
		}
	}
}

// checkAnswers holds what was written against what was asked.
func checkAnswers(t *testing.T, asked, out []byte) {
	edits := ""
	for len(out) > 0 {
		if len(out) < 5 || len(out) < 4+int(binary.BigEndian.Uint32(out)) {
			t.Fatalf("half a packet: %q", out)
		}
		code := out[4]
		out = out[4+binary.BigEndian.Uint32(out):]
		if strings.IndexByte("mbi", code) >= 0 {
			edits += string(code)
			continue
		}
		if len(asked) == 0 {
			t.Fatalf("an answer %q to nothing", code)
		}
		want := "cy"
		switch asked[0] {
		case cmdOptNeg:
			want = "O"
		case cmdData:
			want = "c"
		case cmdEOM:
			want = "ay"
		}
		if strings.IndexByte(want, code) < 0 || (edits == "mbi") != (code == 'a') || edits != "" && asked[0] != cmdEOM {
			t.Fatalf("answer %q with edits %q to %q", code, edits, asked[0])
		}
		asked, edits = asked[1:], ""
	}
	if len(asked) > 0 || edits != "" {
		t.Fatalf("no answer to %q, edits %q", asked, edits)
	}
}

// A scriptedConn is a connection whose other end has said all it will say.
type scriptedConn struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *scriptedConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *scriptedConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *scriptedConn) Close() error                     { return nil }
func (c *scriptedConn) LocalAddr() net.Addr              { return nil }
func (c *scriptedConn) RemoteAddr() net.Addr             { return nil }
func (c *scriptedConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptedConn) SetWriteDeadline(time.Time) error { return nil }

// A oneConn listens for one connection only.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return nil }
