package mtarig_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

// dialogue is a session in lines: what is said, and how the answer begins.
type dialogue struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func talk(t *testing.T, addr string) *dialogue {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(wait))
	return &dialogue{t, c, bufio.NewReader(c)}
}

func (d *dialogue) tls() *tls.ConnectionState {
	d.t.Helper()
	c := tls.Client(d.conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		d.t.Fatal(err)
	}
	d.conn, d.r = c, bufio.NewReader(c)
	state := c.ConnectionState()
	return &state
}

// expect reads up to a line that begins so.
func (d *dialogue) expect(prefix string) {
	d.t.Helper()
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			d.t.Fatalf("want %q: %v", prefix, err)
		}
		if strings.HasPrefix(line, prefix) {
			return
		}
		if strings.HasPrefix(line, "-ERR") || strings.Contains(line, " NO ") || strings.Contains(line, " BAD ") {
			d.t.Fatalf("want %q, have %q", prefix, line)
		}
	}
}

func (d *dialogue) say(line, prefix string) {
	d.t.Helper()
	if _, err := fmt.Fprintf(d.conn, "%s\r\n", line); err != nil {
		d.t.Fatal(err)
	}
	d.expect(prefix)
}

// One can log in over TLS in three ways, and a reload brings another
// certificate; after Close nobody answers.
func TestDovecot(t *testing.T) {
	t.Parallel()
	files := selfSigned(t)
	d, err := mtarig.NewDovecot(mtarig.Config{Tools: rig.Tools(t), TLS: files})
	rig.Missing(t, err)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("log of dovecot:\n%s", d.Log())
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		for _, a := range []string{d.Addr(), d.IMAPS(), d.POP3S()} {
			if c, err := net.Dial("tcp", a); err == nil {
				c.Close()
				t.Error("it still answers")
			}
		}
	}()
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}

	imap := func(s *dialogue) {
		s.say("a LOGIN "+mtarig.DovecotUser+" "+mtarig.DovecotPassword, "a OK")
		s.say("b SELECT INBOX", "b OK")
		s.say("c LOGOUT", "c OK")
	}
	s := talk(t, d.Addr())
	s.expect("* OK")
	s.say("a STARTTLS", "a OK")
	s.tls()
	imap(s)

	s = talk(t, d.POP3S())
	s.tls()
	s.expect("+OK")
	s.say("USER "+mtarig.DovecotUser, "+OK")
	s.say("PASS "+mtarig.DovecotPassword, "+OK")
	s.say("QUIT", "+OK")

	s = talk(t, d.IMAPS())
	before := s.tls().PeerCertificates[0]
	s.expect("* OK")
	imap(s)

	other := selfSigned(t)
	for from, to := range map[string]string{other.Certificate: files.Certificate, other.Key: files.Key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("/bin/sh", "-c", d.ReloadCommand()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for end := time.Now().Add(wait); talk(t, d.IMAPS()).tls().PeerCertificates[0].Equal(before); {
		if time.Now().After(end) {
			t.Fatal("the old certificate is still served")
		}
	}
}
