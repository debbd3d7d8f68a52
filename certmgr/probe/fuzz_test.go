package probe

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"
)

// A tape is a connection to a server that says what it says, whatever it is told.
type tape struct {
	net.Conn // none: what is not overridden must not be called
	in       io.Reader
	out      bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error)       { return t.in.Read(p) }
func (t *tape) Write(p []byte) (int, error)      { return t.out.Write(p) }
func (t *tape) Close() error                     { return nil }
func (t *tape) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

// FuzzServer: whatever a server says in clear, there is a result with a cause, it
// is not OK, its words are fit for a terminal, and we have said nothing but our
// few commands before TLS, and TLS only after it was agreed on, with nothing
// between the two.
func FuzzServer(f *testing.F) {
	for scheme, s := range good {
		f.Add(scheme, []byte(s[""]+s["EHLO"]+strings.ReplaceAll(s["CAPABILITY"]+s["STARTTLS"], "TAG", "p1")+s["CAPA"]+s["STLS"]))
	}
	f.Add("smtp", []byte("220 a\r\n250-a\r\n250 STARTTLS\r\n454 no\r\n"))
	f.Add("smtp", []byte("220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n220 evil\r\n"))
	f.Add("imap", []byte("* OK a\r\n* CAPABILITY STARTTLS\r\np1 OK\r\np2 OK\r\n\x16\x03\x03\x00\x01\x02"))
	f.Add("pop3", []byte("+OK\r\n+OK\r\nSTLS\r\n.\r\n+OK\r\n"))
	f.Add("imaps", []byte("\x15\x03\x01\x00\x02\x02\x28"))
	f.Fuzz(func(t *testing.T, scheme string, said []byte) {
		u := URL{Scheme: scheme, Host: "192.0.2.1", Port: "25"}
		if ports[scheme] == "" {
			return
		}
		c, r := &tape{in: bytes.NewReader(said)}, Result{URL: u}
		Want{}.examine(c, &r)
		failure := (*Failure)(nil)
		if r.OK() || !errors.As(r.Err, &failure) || failure.Cause == "" || r.Verify() == "OK" {
			t.Fatalf("verify=%s: %#v", r.Verify(), r.Err)
		}
		for _, text := range append(r.Notes, failure.Text, r.Banner) {
			if len(text) > 4*maxText || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("not fit to be read: %q", text)
			}
		}
		clear, hello, shaken := strings.Cut(c.out.String(), "\x16\x03\x01")
		if shaken && (!r.Offered || len(hello) == 0) {
			t.Errorf("a handshake that was not agreed on, after %q", clear)
		}
		for line := range strings.Lines(clear) {
			switch strings.TrimSpace(line) {
			case "EHLO [192.0.2.1]", "STARTTLS", "CAPA", "STLS", "p1 CAPABILITY", "p2 STARTTLS":
			default:
				t.Errorf("we have said %q", line)
			}
		}
		if shaken && !u.Implicit() {
			// What the server has said up to there ends with its yes.
			yes := map[string]string{"smtp": "220", "pop3": "+OK", "imap": "p2 OK"}[scheme]
			if !strings.Contains(strings.ToUpper(string(said)), strings.ToUpper(yes)) {
				t.Errorf("a handshake without a yes")
			}
		}
	})
}

// FuzzAnswer: of what a server answers to a hello, no version and no size is taken
// that it has not named, and no more is read than is bounded.
func FuzzAnswer(f *testing.F) {
	hello := []byte("\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x9f\x00\x00\x00")
	f.Add(hello, false)
	f.Add(append(bytes.Clone(hello), "\x16\x03\x03\x00\x07\x0c\x00\x00\x03\x00\x01\x80"...), true)
	f.Add([]byte("\x15\x03\x01\x00\x02\x02\x28"), true)
	f.Add([]byte("500 command unrecognized\r\n"), false)
	f.Fuzz(func(t *testing.T, said []byte, wantDH bool) {
		in := bytes.NewReader(said)
		a, err := readAnswer(in, wantDH)
		if a.version != 0 && !bytes.Contains(said, []byte{byte(a.version >> 8), byte(a.version)}) {
			t.Errorf("version %04x is nowhere in it", a.version)
		}
		if a.dhBits > 0 && (!wantDH || a.version == 0 || a.dhBits > 8*len(said)) {
			t.Errorf("%d bits in %d bytes", a.dhBits, len(said))
		}
		if err != nil && !wantDH && a != (answer{}) {
			t.Errorf("%+v beside %v", a, err)
		}
		if read := len(said) - in.Len(); read > maxFlight {
			t.Errorf("%d bytes read", read)
		}
	})
}
