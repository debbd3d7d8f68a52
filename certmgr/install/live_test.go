package install

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/command"
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

// sniBench is a Postfix with a certificate for its own name, and two targets that
// share its table for others.
func sniBench(t *testing.T) (own *bench, others []*bench, mta *mtarig.Postfix, table string) {
	t.Helper()
	own = newBench(t)
	own.layout("postfix", Choices{})
	own.right()
	table = filepath.Join(t.TempDir(), "sni")
	mta = rig.Postfix.Start(t, mtarig.Config{Hostname: hosts[0], TLS: mtarig.TLS{Chain: own.path("host.pem"), CA: own.path("cacert.pem")},
		Extra: []string{"tls_server_sni_maps = hash:" + table}}).(*mtarig.Postfix)
	for _, host := range []string{"one.example.jp", "two.example.jp"} {
		b := benchOf(t, own.pki)
		b.layout("postfix", Choices{SNI: "hash:" + table})
		b.target.Name, b.target.Hosts, b.target.Table.Postmap = host, []string{host}, mta.Command("postmap")
		others = append(others, b)
	}
	return own, others, mta, table
}

// served is the certificate that is presented to who asks for a host.
func served(t *testing.T, addr, host string) *x509.Certificate {
	t.Helper()
	c := rig.Dial(t, addr)
	var leaf *x509.Certificate
	err := c.StartTLS(&tls.Config{ServerName: host, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		leaf = s.PeerCertificates[0]
		return nil
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
	return leaf
}

// Postfix finds each host's certificate in the table that two targets share, also
// after a renewal; nobody else reads the keys in it; what somebody else has in the
// table stays.
func TestTable(t *testing.T) {
	own, others, mta, table := sniBench(t)
	own.do(os.WriteFile(table, []byte("# by hand\nby-hand.example.jp "+own.path("host.pem")+"\nONE.example.jp /gone.pem\n"), 0o644))
	own.do(os.WriteFile(table+".db", nil, 0o644))
	for _, b := range others {
		b.right()
	}
	others[0].target.Hosts = append(others[0].target.Hosts, "eins.example.jp")
	renewed := others[0].right()
	if renewed.Map != nil {
		t.Error(renewed.Map)
	}
	for _, b := range others {
		b.wantRight()
	}
	want := "# by hand\nby-hand.example.jp " + own.path("host.pem") + "\none.example.jp " + others[0].path("host.pem") +
		"\ntwo.example.jp " + others[1].path("host.pem") + "\neins.example.jp " + others[0].path("host.pem") + "\n"
	if got, err := os.ReadFile(table); err != nil || string(got) != want {
		t.Errorf("%s, %v; want\n%s", got, err, want)
	}
	for _, path := range []string{table, table + ".db"} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, fi.Mode(), err)
		}
	}
	own.do(mta.Reload())
	for host, path := range map[string]string{
		"one.example.jp": others[0].path("host.pem"), "eins.example.jp": others[0].path("host.pem"), "two.example.jp": others[1].path("host.pem"),
		"by-hand.example.jp": own.path("host.pem"), "elsewhere.example.jp": own.path("host.pem"),
	} {
		certs, err := pki.ReadCertificates(path)
		own.do(err)
		if got := served(t, mta.Addr(), host); !got.Equal(certs[0]) {
			t.Errorf("%s is served %s, serial %X\n%s", host, got.Subject, got.SerialNumber, mta.Log())
		}
	}
}

// Whatever happens to the table is found and mended; where postmap fails, the files
// are installed nevertheless, and the table is made later.
func TestTableFaults(t *testing.T) {
	_, others, _, table := sniBench(t)
	b := others[0]
	b.right()
	other := others[1]
	for _, tt := range []struct {
		what string
		do   func()
		want Fault
	}{
		{"source deleted", func() { b.do(os.Remove(table)) }, Missing},
		{"source emptied", func() { b.do(os.Truncate(table, 0)) }, SNI},
		{"source readable", func() { b.do(os.Chmod(table, 0o640)) }, Mode},
		{"database deleted", func() { b.do(os.Remove(table + ".db")) }, Missing},
		{"database emptied", func() { b.do(os.Truncate(table+".db", 0)) }, Broken},
		{"database readable", func() { b.do(os.Chmod(table+".db", 0o644)) }, Mode},
		{"database older than the file", func() {
			id := b.pki.Issue(ca.Request{Profile: ca.Host, Hosts: b.target.Hosts, Key: ca.P256})
			b.write("host.pem", testpki.PEM(t, id), 0o600)
		}, SNI},
		{"lines of another", func() { other.right(); b.target.Hosts = []string{"three.example.jp", "one.example.jp"} }, Names},
	} {
		tt.do()
		if p, _ := b.plan(); len(p.Findings) == 0 || p.Findings[0].Fault != tt.want || !p.Map || !p.Reload {
			t.Errorf("%s: %v", tt.what, p.Findings)
		}
		b.right()
	}
	other.wantRight()
	postmap := b.target.Table.Postmap
	b.target.Hosts, b.target.Table.Postmap = []string{"one.example.jp", "four.example.jp"}, "false"
	p, s := b.plan()
	if done := b.install(p, s); done.Map == nil {
		t.Error("no error")
	}
	b.target.Table.Postmap = postmap
	if p, _ := b.plan(); len(p.Write) > 0 || !p.Map || p.Done() {
		t.Errorf("%v", p.Steps)
	}
	b.right()
}

// Postfix trusts peers of both, for whom the file of CAs has all.
func TestPostfixKnowsPublicCAs(t *testing.T) {
	b := newBench(t)
	public := testpki.New(t).Stranger()
	b.layout("postfix", Choices{Public: true, Bundle: systemBundle(t, public.Root())})
	b.right()
	mta := rig.Chrooted.Start(t, mtarig.Config{Hostname: hosts[0], TLS: mtarig.TLS{Chain: b.path("host.pem"), CA: b.path("cacert.pem")},
		Extra: []string{"smtpd_tls_loglevel = 1"}})
	for what, id := range map[string]pki.Identity{
		"Trusted":   b.pki.Host("peer.example.test", ca.P256),
		"Trusted ":  public.Below().Host("peer.example.org", ca.P256),
		"Untrusted": testpki.New(t).Stranger().Host("peer.example.net", ca.P256),
	} {
		before := len(mta.Log())
		greet(t, mta.Addr(), id)
		said := regexp.MustCompile(`: (\w+) TLS connection established from`)
		for end := time.Now().Add(patience); !said.MatchString(mta.Log()[before:]); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("nothing of TLS in\n%s", mta.Log())
			}
		}
		if got := said.FindStringSubmatch(mta.Log()[before:])[1]; got != strings.TrimSpace(what) {
			t.Errorf("%s; want %s\n%s", got, what, mta.Log())
		}
	}
}

// Dovecot takes the file with CA and list, refuses who is revoked in it, and reads
// it again at a reload.
func TestDovecotKnowsTheList(t *testing.T) {
	b := newBench(t)
	b.layout("dovecot", Choices{})
	b.right()
	mta, err := mtarig.NewDovecot(mtarig.Config{Tools: rig.Tools(t), Hostname: hosts[0],
		TLS:   mtarig.TLS{Certificate: b.path("dovecot.pem"), Key: b.path("dovecot.key"), CA: b.path("ca.pem"), DH: b.path("dh.pem")},
		Extra: []string{"ssl_verify_client_cert = yes", "auth_ssl_require_client_cert = yes", "verbose_ssl = yes"}})
	if err != nil {
		rig.Missing(t, err)
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mta.Close(); err != nil {
			t.Error(err)
		}
	})
	b.do(mta.Start())
	login := func(id pki.Identity) string {
		t.Helper()
		c, err := tls.Dial("tcp", mta.IMAPS(), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{{Certificate: [][]byte{id.Certificate.Raw}, PrivateKey: id.Key}}})
		b.do(err)
		defer c.Close()
		b.do(c.SetDeadline(time.Now().Add(patience)))
		_, err = fmt.Fprintf(c, "a LOGIN %s %s\r\n", mtarig.DovecotUser, mtarig.DovecotPassword)
		b.do(err)
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if answer, ok := strings.CutPrefix(lines.Text(), "a "); ok {
				return answer
			}
		}
		return "nothing"
	}
	good, bad := b.pki.Client("good@example.jp", ca.P256), b.pki.Client("bad@example.jp", ca.P256)
	for _, id := range []pki.Identity{good, bad} {
		if got := login(id); !strings.HasPrefix(got, "OK") {
			t.Errorf("%s\n%s", got, mta.Log())
		}
	}
	_, err = b.pki.CA().Revoke(ca.Revocation{Serial: fmt.Sprintf("%X", bad.Certificate.SerialNumber)})
	b.do(err)
	b.target.CRL, err = testpki.Source{PKI: b.pki}.CRL(t.Context())
	b.do(err)
	if p, _ := b.plan(); len(p.Findings) != 1 || p.Findings[0].Fault != Outdated || !slices.Equal(p.Write, []Role{CA}) {
		t.Errorf("%v %v", p.Findings, p.Write)
	}
	b.right()
	_, err = command.Shell(t.Context(), patience, mta.ReloadCommand())
	b.do(err)
	for end := time.Now().Add(patience); strings.HasPrefix(login(bad), "OK"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("revoked, and let in\n%s", mta.Log())
		}
	}
	if got := login(good); !strings.HasPrefix(got, "OK") {
		t.Errorf("%s\n%s", got, mta.Log())
	}
}
