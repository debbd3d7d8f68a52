package install

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/rig"
)

const patience = 2 * time.Minute

// greet connects, presents a certificate, whatever CAs the server names, and says
// how many these are.
func greet(t *testing.T, addr string, id pki.Identity) (named int) {
	t.Helper()
	c := rig.Dial(t, addr)
	certificate := tls.Certificate{Certificate: [][]byte{id.Certificate.Raw}, PrivateKey: id.Key}
	for _, m := range id.Chain {
		certificate.Certificate = append(certificate.Certificate, m.Raw)
	}
	err := c.StartTLS(&tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		named = len(r.AcceptableCAs)
		return &certificate, nil
	}})
	if err == nil {
		err = c.Hello("client.example.test")
	}
	if err == nil {
		err = c.Quit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return named
}

// systemBundle is a system's public CAs and one more, whose key is known.
func systemBundle(t *testing.T, roots ...*x509.Certificate) string {
	t.Helper()
	system, err := os.ReadFile(SystemBundle("linux"))
	if err != nil {
		t.Skip("ca-certificates is not installed")
	}
	return testpki.Write(t, "bundle.crt", append(system, ca.EncodeCertificates(roots...)...))
}

// Sendmail says verify=OK to peers of the private CA and of public ones, and names
// the private one alone; what the system withdraws it does not trust any more,
// without a word from us.
func TestSendmailKnowsPublicCAs(t *testing.T) {
	b := newBench(t)
	public := testpki.New(t).Stranger()
	bundle := systemBundle(t, public.Root())
	b.layout("sendmail", Choices{Public: true, Bundle: bundle})
	b.right()
	mta := rig.Sendmail.Start(t, mtarig.Config{Hostname: hosts[0], Extra: []string{"define(`confLOG_LEVEL', `14')"},
		TLS: mtarig.TLS{Certificate: b.path("host.cert"), Key: b.path("host.key"), CA: b.path("cacert.pem"), Dir: b.dir, DH: b.path("dh.param")}})
	verify := func(id pki.Identity) string {
		t.Helper()
		before := len(mta.Log())
		if named := greet(t, mta.Addr(), id); named != 1 {
			t.Errorf("the server names %d CAs; want 1", named)
		}
		if _, err := mta.WaitLog(`STARTTLS=server, relay`, patience); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if m := regexp.MustCompile(`STARTTLS=server, relay=.* verify=(\w+)`).FindStringSubmatch(mta.Log()[before:]); m != nil {
				return m[1]
			}
		}
		t.Fatal("no verify= in the log")
		return ""
	}
	for _, tt := range []struct {
		what string
		id   pki.Identity
		want string
	}{
		{"private CA", b.pki.Host("peer.example.test", ca.P256), "OK"},
		{"public CA", public.Host("peer.example.org", ca.P256), "OK"},
		{"below the public CA", public.Below().Host("peer.example.org", ca.P256), "OK"},
		{"nobody's", testpki.New(t).Stranger().Host("peer.example.net", ca.P256), "FAIL"},
	} {
		if got := verify(tt.id); got != tt.want {
			t.Errorf("%s: verify=%s, want %s\n%s", tt.what, got, tt.want, mta.Log())
		}
	}
	system, err := os.ReadFile(SystemBundle("linux"))
	b.do(err)
	b.do(os.WriteFile(bundle, system, 0o644))
	if got := verify(public.Host("peer.example.org", ca.P256)); got != "FAIL" {
		t.Errorf("withdrawn: verify=%s, want FAIL", got)
	}
	if p, _ := b.plan(); len(p.Findings) != 1 || p.Findings[0].Fault != Links || p.Reload {
		t.Errorf("withdrawn: %v %v", p.Findings, p.Steps)
	}
	b.right()
	if links, err := filepath.Glob(b.path("????????.*")); err != nil || len(links) < 50 || bytes.Contains(b.read("cacert.pem"), system[:2000]) {
		t.Errorf("%d links, %v", len(links), err)
	}
}
