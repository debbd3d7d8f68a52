package milter

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"testing"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// BenchmarkMail tells mails over a Unix socket as Postfix does: all that is not
// answered in one write. "session" is with a connection for each mail, "mail"
// within one connection. "replaced" sends the body back.
func BenchmarkMail(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"10KB", 10 << 10}, {"1MB", 1 << 20}} {
		for _, replace := range []bool{false, true} {
			name := size.name + "/accepted"
			if replace {
				name = size.name + "/replaced"
			}
			b.Run(name+"/mail", func(b *testing.B) { benchmarkMail(b, size.n, replace, false) })
			b.Run(name+"/session", func(b *testing.B) { benchmarkMail(b, size.n, replace, true) })
		}
	}
}

func benchmarkMail(b *testing.B, size int, replace, session bool) {
	store, err := spool.New(spool.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	h := handlerFunc(func(_ context.Context, m *message.Message) (message.Verdict, error) {
		v := message.Verdict{Action: message.Accept}
		if replace {
			v.Edits = []message.Edit{
				message.SetField{Field: field("Content-Type", " multipart/signed; boundary=b")},
				message.SetField{Field: field("MIME-Version", " 1.0")},
				message.ReplaceBody{Body: message.Section(m.Body, 0, m.Body.Size())},
			}
		}
		return v, nil
	})
	s, err := New(Config{Handler: h, Spool: store})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := Listen("unix:"+filepath.Join(b.TempDir(), "m"), SocketOptions{})
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	defer func() {
		s.Shutdown(context.Background())
		<-served
	}()
	open, mail := dialogue(size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var m *mta
		for pb.Next() {
			if m == nil {
				c, err := net.Dial("unix", ln.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				m = newMTA(b, c)
				m.negotiate()
				m.Write(open)
			}
			for _, part := range mail {
				m.Write(part)
				if code := skipAnswer(m); code != 'c' && code != 'a' {
					b.Errorf("answer %q", code)
					return
				}
			}
			if session {
				m.quit()
				m = nil
			}
		}
		if m != nil {
			m.quit()
		}
	})
}

// dialogue is what is said to open a session, and for a mail up to each answer.
func dialogue(size int) (open []byte, mail [][]byte) {
	open = appendPacket(open, cmdConnect, nul("client.example"), "4", "\x00\x19", nul("192.0.2.1"))
	open = appendPacket(open, cmdHelo, nul("client.example"))
	rcpt := appendPacket(nil, cmdRcpt, nul("<b@example>"))
	var rest []byte
	for range 12 {
		rest = appendPacket(rest, cmdMacro, string(cmdHeader), nul("i", "4X1"))
		rest = appendPacket(rest, cmdHeader, nul("X-Field", " an ordinary value of an ordinary length"))
	}
	rest = appendPacket(rest, cmdEOH)
	body := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz\r\n"), size/38+1)[:size]
	for len(body) > 0 {
		n := min(len(body), 65535)
		rest = appendPacket(rest, cmdBody, string(body[:n]))
		body = body[n:]
	}
	rest = appendPacket(rest, cmdEOM)
	return open, [][]byte{appendPacket(nil, cmdMail, nul("<a@example>")), rcpt, rest}
}

// skipAnswer reads up to an answer and returns its code.
func skipAnswer(m *mta) byte {
	for {
		var head [5]byte
		if _, err := io.ReadFull(m.br, head[:]); err != nil {
			m.t.Error(err)
			return 0
		}
		if _, err := m.br.Discard(int(binary.BigEndian.Uint32(head[:])) - 1); err != nil {
			m.t.Error(err)
			return 0
		}
		switch head[4] {
		case 'm', 'b', 'i':
		default:
			return head[4]
		}
	}
}
