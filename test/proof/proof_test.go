// Package proof_test has certmgr/probe ask real servers for TLS: what is served as
// it should be, and what the servers do where it is not.
package proof_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/dh"
	"mailseal/certmgr/probe"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/rig"
)

const (
	hostname = "mx.example.test"
	patience = 2 * time.Minute
)

// A server is one that runs, with the files that it reads.
type server struct {
	instance
	mtarig.TLS
	probes []probe.URL
}

// An instance is what mtarig starts.
type instance interface {
	Start() error
	Stop() error
	Close() error
	Addr() string
	Log() string
	WaitLog(pattern string, timeout time.Duration) (string, error)
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// install writes files as a postmaster does.
func install(t *testing.T, files mtarig.TLS, id pki.Identity, cas []*x509.Certificate) {
	t.Helper()
	for path, content := range map[string][]byte{
		files.Key: testpki.KeyPEM(t, id.Key), files.Certificate: testpki.CertPEM(append([]*x509.Certificate{id.Certificate}, id.Chain...)...), files.CA: testpki.CertPEM(cas...),
	} {
		ok(t, os.WriteFile(path, content, 0o600))
	}
}

// run starts a server of a kind, whose certificate is from a CA.
func run(t *testing.T, kind string, p *testpki.PKI, id pki.Identity) *server {
	t.Helper()
	dir := t.TempDir()
	files := mtarig.TLS{Certificate: filepath.Join(dir, "host.cert"), Key: filepath.Join(dir, "host.key"), CA: filepath.Join(dir, "cacert.pem")}
	install(t, files, id, p.Roots())
	if kind != "postfix" { // which is best left to its library
		files.DH = filepath.Join(dir, "dh.param")
		ok(t, os.WriteFile(files.DH, dh.FFDHE3072.Parameters().PEM(), 0o600))
	}
	return start(t, kind, files)
}

// start starts a server with files, or with TLS switched off where they have no names.
func start(t *testing.T, kind string, files mtarig.TLS) *server {
	t.Helper()
	s := &server{TLS: files}
	cfg := mtarig.Config{Tools: rig.Tools(t), Hostname: hostname, TLS: files}
	schemes := []string{"smtp"}
	var err error
	switch kind {
	case "postfix":
		cfg.Extra = []string{"smtpd_tls_loglevel = 1"}
		s.instance, err = mtarig.NewPostfix(cfg)
	case "sendmail":
		cfg.Extra = []string{"define(`confLOG_LEVEL', `14')dnl"}
		s.instance, err = mtarig.NewSendmail(cfg)
	case "dovecot":
		schemes = []string{"imap", "imaps", "pop3", "pop3s"}
		l, err2 := net.Listen("tcp", "127.0.0.1:0")
		ok(t, err2)
		_, pop3, err2 := net.SplitHostPort(l.Addr().String())
		ok(t, errors.Join(err2, l.Close()))
		cfg.Extra = []string{"service pop3-login {\n  inet_listener pop3 {\n    port = " + pop3 + "\n  }\n}"}
		var d *mtarig.Dovecot
		if d, err = mtarig.NewDovecot(cfg); err == nil {
			s.instance = d
			s.probes = urls(t, "imaps://"+d.IMAPS(), "pop3s://"+d.POP3S(), "pop3://127.0.0.1:"+pop3)
		}
	}
	rig.Missing(t, err)
	ok(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", kind, s.Log())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ok(t, s.Start())
	s.probes = append(urls(t, schemes[0]+"://"+s.Addr()), s.probes...)
	return s
}

func urls(t *testing.T, list ...string) []probe.URL {
	t.Helper()
	var all []probe.URL
	for _, s := range list {
		u, err := probe.Parse(s)
		ok(t, err)
		all = append(all, u)
	}
	return all
}

var kinds = []string{"postfix", "sendmail", "dovecot"}

// want looks for a failure with a cause, or none, and words.
func want(t *testing.T, r probe.Result, verify string, cause probe.Cause, words ...string) {
	t.Helper()
	if r.Verify() != verify || r.Cause() != cause {
		t.Errorf("%s: verify=%s, cause %q, %v; want %s, %q", r.URL, r.Verify(), r.Cause(), r.Err, verify, cause)
	}
	for _, w := range words {
		if !strings.Contains(fmt.Sprint(r.Err), w) {
			t.Errorf("%s: %v; want %q in it", r.URL, r.Err, w)
		}
	}
}

// TestServed: what real servers serve, and how they take our certificate.
func TestServed(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := testpki.New(t)
			id := p.Host(hostname, ca.RSA2048)
			s := run(t, kind, p, id)
			w := probe.Want{Host: hostname, CAs: p.Roots(), Leaf: id.Certificate, Timeout: patience,
				Client: &tls.Certificate{Certificate: [][]byte{id.Certificate.Raw}, PrivateKey: id.Key}}
			for _, u := range s.probes {
				r := probe.Check(t.Context(), u, w)
				want(t, r, "OK", "")
				if !r.Offered || r.Version != "TLSv1.3" || r.Curve == "" || u.Scheme != "pop3" && u.Scheme != "pop3s" && r.Banner != hostname || len(r.Notes) > 0 {
					t.Errorf("%s: offered %t, %s %s, greets as %q, notes %q", u, r.Offered, r.Version, r.Curve, r.Banner, r.Notes)
				}
				want(t, probe.Check(t.Context(), u, probe.Want{Host: "other.example.test", CAs: p.Roots(), Timeout: patience}), "FAIL", probe.OtherName, "it covers "+hostname)
				want(t, probe.Check(t.Context(), u, probe.Want{Host: hostname, CAs: testpki.New(t).Roots(), Timeout: patience}), "FAIL", probe.UnknownCA, "another key")

				versions, err := probe.Versions(t.Context(), u)
				if taken := handshakes(t, u); !slices.Equal(versions, taken) || len(taken) < 2 || err != nil {
					t.Errorf("%s takes %x, %v; crypto/tls comes to an end with %x", u, versions, err, taken)
				}
				bits, err := probe.DHBits(t.Context(), u)
				if err != nil || s.DH != "" && bits != 3072 || bits < 2048 {
					t.Errorf("%s does Diffie-Hellman with %d bits, %v; want 3072, or at least 2048 where it chooses", u, bits, err)
				}
			}
			seen := map[string]string{
				"postfix":  `Trusted TLS connection established from .*\[127.0.0.1\]: TLSv1.3`,
				"sendmail": `STARTTLS=server, relay=.*, version=TLSv1.3, verify=OK`,
				"dovecot":  `imap-login: .*TLS`,
			}[kind]
			if _, err := s.WaitLog(seen, patience); err != nil {
				t.Errorf("the server has not seen our certificate: %v", err)
			}
		})
	}
}

// handshakes are the versions of TLS with which crypto/tls and a server agree.
// Where there is no TLS from the start, an MTA's client asks for it.
func handshakes(t *testing.T, u probe.URL) []uint16 {
	var taken []uint16
	for v := uint16(tls.VersionTLS10); v <= tls.VersionTLS13; v++ {
		cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: v, MaxVersion: v}
		var err error
		switch {
		case u.Implicit():
			var c *tls.Conn
			if c, err = tls.Dial("tcp", u.Address(), cfg); err == nil {
				c.Close()
			}
		case u.Scheme == "smtp":
			err = rig.Dial(t, u.Address()).StartTLS(cfg)
		default:
			err = after(t, u, cfg)
		}
		if err == nil {
			taken = append(taken, v)
		}
	}
	return taken
}

// after comes to TLS by the command that Dovecot takes at once.
func after(t *testing.T, u probe.URL, cfg *tls.Config) error {
	t.Helper()
	c, err := net.Dial("tcp", u.Address())
	ok(t, err)
	defer c.Close()
	ok(t, c.SetDeadline(time.Now().Add(patience)))
	in := bufio.NewReader(c)
	_, err = in.ReadString('\n')
	ok(t, err)
	_, err = c.Write([]byte(map[string]string{"pop3": "STLS\r\n", "imap": "a STARTTLS\r\n"}[u.Scheme]))
	ok(t, err)
	_, err = in.ReadString('\n')
	ok(t, err)
	return tls.Client(c, cfg).Handshake()
}

// TestNotReadYet: new files that nobody has told the server of, as after a reload
// command that does nothing.
func TestNotReadYet(t *testing.T) {
	for _, kind := range []string{"sendmail", "dovecot"} { // Postfix reads them when it likes
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := testpki.New(t)
			issue := func() pki.Identity {
				return p.Issue(ca.Request{Profile: ca.Host, Hosts: []string{hostname}, Key: ca.P256})
			}
			s := run(t, kind, p, issue())
			id := issue()
			install(t, s.TLS, id, p.Roots())
			w := probe.Want{Host: hostname, CAs: p.Roots(), Leaf: id.Certificate, Timeout: patience}
			for _, u := range s.probes {
				want(t, probe.Check(t.Context(), u, w), "FAIL", probe.OtherLeaf, "it has not read the new files")
			}
			ok(t, s.Stop())
			ok(t, s.Start())
			for _, u := range s.probes {
				want(t, probe.Check(t.Context(), u, w), "OK", "")
			}
		})
	}
}

// TestUnusable: servers go on without TLS where a key is not the certificate's, and
// each says so in its own way; and so they do where nobody has wanted TLS.
func TestUnusable(t *testing.T) {
	for _, kind := range []string{"postfix", "sendmail"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := testpki.New(t)
			id := p.Host(hostname, ca.RSA2048)
			id.Key = p.Host("other.example.test", ca.RSA2048).Key
			s := run(t, kind, p, id)
			w := probe.Want{Host: hostname, CAs: p.Roots(), Timeout: patience}
			want(t, probe.Check(t.Context(), s.probes[0], w), "NO", probe.Unavailable, `"454 4.`, "TLS not available", "cannot use its key")

			off := start(t, kind, mtarig.TLS{})
			r := probe.Check(t.Context(), off.probes[0], w)
			cause := map[string]probe.Cause{"postfix": probe.NotOffered, "sendmail": probe.Unavailable}[kind]
			want(t, r, "NO", cause, "STARTTLS is not offered", "switched off")
			if r.Offered || r.Banner != hostname {
				t.Errorf("offered %t, greets as %q", r.Offered, r.Banner)
			}
			ok(t, off.Stop())
			want(t, probe.Check(t.Context(), off.probes[0], w), "TEMP", probe.Unreachable, "refused")
		})
	}
}
