package probe

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

const host = "mx.example.jp"

// A script is what a server of the tests says before TLS: to what, what. "" is
// its greeting. A reply's last byte 0 ends the session after it.
type script map[string]string

// good are servers as they should be.
var good = map[string]script{
	"smtp": {
		"":         "220-mx.example.jp ESMTP\r\n220 welcome\r\n",
		"EHLO":     "250-mx.example.jp\r\n250-8BITMIME\r\n250-starttls\r\n250 SIZE 10000\r\n",
		"STARTTLS": "220 2.0.0 go ahead\r\n",
		"QUIT":     "221 bye\r\n",
	},
	"pop3": {
		"":     "+OK <1896.69@mx.example.jp>\r\n",
		"CAPA": "+OK\r\nTOP\r\nSTLS\r\nUIDL\r\n.\r\n",
		"STLS": "+OK begin\r\n",
		"QUIT": "+OK\r\n",
	},
	"imap": {
		"":           "* OK [CAPABILITY IMAP4rev1] mx.example.jp ready\r\n",
		"CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nTAG OK done\r\n",
		"STARTTLS":   "TAG OK begin\r\n",
		"LOGOUT":     "* BYE\r\nTAG OK\r\n",
	},
}

// but is a script with some replies changed, given in turns.
func (s script) but(changes ...string) script {
	n := script{}
	for k, v := range s {
		n[k] = v
	}
	for i := 0; i < len(changes); i += 2 {
		n[changes[i]] = changes[i+1]
	}
	return n
}

// serve is a server of a protocol on a port of its own, until the test ends.
func serve(t *testing.T, scheme string, s script, cfg *tls.Config) URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	u, err := Parse(scheme + "://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			session(c, u, s, cfg)
		}
	}()
	return u
}

// session plays a script. After TLS it is played again, as far as it goes.
func session(c net.Conn, u URL, s script, cfg *tls.Config) {
	defer func() { c.Close() }()
	c.SetDeadline(time.Now().Add(time.Minute))
	if u.Implicit() {
		t := tls.Server(c, cfg)
		if t.Handshake() != nil {
			return
		}
		c = t
	}
	if !reply(c, s[""], "") {
		return
	}
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := append(strings.Fields(line), "", "")
		tag, verb := "", words[0]
		if strings.HasPrefix(u.Scheme, "imap") {
			tag, verb = words[0], words[1]
		}
		if !reply(c, s[verb], tag) {
			return
		}
		if verb == "STARTTLS" || verb == "STLS" {
			t := tls.Server(c, cfg)
			if t.Handshake() != nil {
				return
			}
			c, in = t, bufio.NewReader(t)
		}
	}
}

func reply(c net.Conn, text, tag string) bool {
	text, end := strings.CutSuffix(text, "\x00")
	_, err := io.WriteString(c, strings.ReplaceAll(text, "TAG", tag))
	return err == nil && !end && text != ""
}

// serving is what a server presents: its certificate, and what is above it.
func serving(id pki.Identity) *tls.Config {
	chain := [][]byte{id.Certificate.Raw}
	for _, c := range id.Chain {
		chain = append(chain, c.Raw)
	}
	return &tls.Config{MinVersion: tls.VersionTLS10, Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: id.Key}}}
}

// wanted is what is wanted of mx.example.jp's server with the CA of a PKI.
func wanted(p *testpki.PKI) Want {
	return Want{Host: host, CAs: p.Roots(), Timeout: time.Minute}
}

// wantFailure looks for a cause, and words of its text.
func wantFailure(t *testing.T, r Result, verify string, cause Cause, words ...string) {
	t.Helper()
	if r.OK() || r.Cause() != cause || r.Verify() != verify {
		t.Errorf("%s verify=%s cause %q: %v; want %s, %q", r.URL, r.Verify(), r.Cause(), r.Err, verify, cause)
	}
	for _, w := range words {
		if text := fmt.Sprint(r.Err); !strings.Contains(text, w) {
			t.Errorf("%s: %s; want %q in it", r.URL, text, w)
		}
	}
}

func hostOf(p *testpki.PKI) pki.Identity { return p.Host(host, ca.P256) }
