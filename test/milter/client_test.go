package milter_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/rig"
)

// What the MTAs tell of STARTTLS is told of every mail of the session, also of
// the second, and not of a session without.
func TestTLS(t *testing.T) {
	p := testpki.New(t)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	host, client := p.Host("mta.example.test", ca.P256), p.Client("client@example.test", ca.P256)
	stranger := p.Stranger().Client("client@example.test", ca.P256)
	files := mtarig.TLS{
		Certificate: write("host.pem", testpki.CertPEM(append([]*x509.Certificate{host.Certificate}, host.Chain...)...)),
		Key:         write("host.key", testpki.KeyPEM(t, host.Key)),
		CA:          write("ca.pem", testpki.CertPEM(p.Root())),
	}
	with := func(id pki.Identity) *tls.Config {
		certs := tls.Certificate{Certificate: [][]byte{id.Certificate.Raw}, PrivateKey: id.Key}
		for _, c := range id.Chain {
			certs.Certificate = append(certs.Certificate, c.Raw)
		}
		return &tls.Config{
			InsecureSkipVerify: true,
			// The MTA's hint at its own CA would keep the stranger silent.
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs, nil },
		}
	}
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{tls: files}, accept())
		sessions := []struct {
			name   string
			config *tls.Config
		}{
			{"plain", nil},
			{"tls", &tls.Config{InsecureSkipVerify: true}},
			{"known", with(client)},
			{"unknown", with(stranger)},
		}
		for _, s := range sessions {
			c := rig.Dial(t, b.mta.Addr())
			if s.config != nil {
				if err := c.StartTLS(s.config); err != nil {
					t.Fatal(err)
				}
				if err := c.Hello("client.example.test"); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				m := mail(0)
				m.From = s.name + "@example.test"
				if err := c.Send(m); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Quit(); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range b.all() {
			got := m.Envelope.Client.TLS
			name, _, _ := strings.Cut(m.Envelope.Sender, "@")
			if name == "plain" {
				if got.Version != "" || got.Subject != "" {
					t.Errorf("%s: %+v", name, got)
				}
				continue
			}
			if got.Version != "TLSv1.3" || got.Bits == "" || !strings.HasPrefix(got.Cipher, "TLS_") {
				t.Errorf("%s: %+v", name, got)
			}
			// Postfix names only whom it trusts, sendmail says what it thinks.
			verify := map[string]string{"tls": "NO", "known": "OK", "unknown": "FAIL"}[name]
			if kind != rig.Sendmail {
				verify = ""
			}
			named := name == "known" || name == "unknown" && kind == rig.Sendmail
			if got.Verify != verify || (got.Subject != "") != named || strings.Contains(got.Subject, "+") {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if n := len(b.all()); n != 8 {
			t.Errorf("%d mails", n)
		}
	})
}

// XCLIENT makes Postfix begin anew, with another client, in the same session.
func TestXClient(t *testing.T) {
	b := start(t, rig.Postfix, setup{}, accept())
	c := rig.Dial(t, b.mta.Addr())
	if err := c.Send(mail(0)); err != nil {
		t.Fatal(err)
	}
	if err := c.XClient("ADDR=192.0.2.7", "NAME=far.example.org", "LOGIN=alice+2Bx@example.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello("far.example.org"); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := c.Send(mail(i + 1)); err != nil {
			t.Fatal(err)
		}
	}
	want := message.Client{
		Name: "far.example.org", Addr: netip.MustParseAddr("192.0.2.7"),
		Helo: "far.example.org", Login: "alice+2Bx@example.test",
	}
	mails := b.all()
	if got := mails[0].Envelope.Client; got.Login != "" || !got.Addr.IsLoopback() {
		t.Errorf("before XCLIENT: %+v", got)
	}
	for _, m := range mails[1:] {
		if got := m.Envelope.Client; got != want {
			t.Errorf("%+v; want %+v", got, want)
		}
	}
}
