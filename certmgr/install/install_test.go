package install

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// What time does.
func TestTime(t *testing.T) {
	b := newBench(t)
	b.right()
	certs, err := pki.ParseCertificates(b.read("host.cert"))
	b.do(err)
	leaf := certs[0]
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	due := Due(leaf)
	if left := leaf.NotAfter.Sub(due); left < life/3 || left > life/3+life/30 || !due.Equal(Due(leaf)) {
		t.Errorf("renewed when %v of %v are left", left, life)
	}
	list, err := x509.ParseRevocationList(b.target.CRL)
	b.do(err)
	listDue := list.NextUpdate.Add(-list.NextUpdate.Sub(list.ThisUpdate) / 3)
	for _, tt := range []struct {
		at   time.Time
		want []Fault
	}{
		{leaf.NotBefore.Add(-time.Second), []Fault{NotYet}},
		{listDue.Add(-time.Second), nil},
		{listDue, []Fault{Expiring}},
		{due.Add(-time.Second), []Fault{Expiring}},
		{due, []Fault{Expiring, Expiring}},
		{leaf.NotAfter, []Fault{Expired, Expiring}},
	} {
		b.now = tt.at
		p, _ := b.plan()
		var got []Fault
		for _, f := range p.Findings {
			got = append(got, f.Fault)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.at, p.Findings, tt.want)
		}
		if want := slices.Contains(got, Expiring); p.NewCRL != want {
			t.Errorf("%v: a new list: %v, want %v", tt.at, p.NewCRL, want)
		}
		if len(got) == 0 && !p.Due.Equal(listDue) {
			t.Errorf("%v: next at %v, want %v", tt.at, p.Due, listDue)
		}
	}
}

// Below another CA the certificate brings the one between, and the file of CAs has
// both.
func TestBelowAnotherCA(t *testing.T) {
	b := benchOf(t, testpki.New(t).Below())
	b.right()
	certs, err := pki.ParseCertificates(b.read("host.cert"))
	b.do(err)
	if len(certs) != 2 {
		t.Fatalf("%d certificates; want 2", len(certs))
	}
	b.write("host.cert", ca.EncodeCertificates(certs[0]), 0o644)
	if p, _ := b.plan(); len(p.Findings) != 1 || p.Findings[0].Fault != Chain {
		t.Errorf("%v", p.Findings)
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	b.right()
	out, err := exec.Command("openssl", "verify", "-CApath", b.dir, "-no-CAfile", "-crl_check_all", "-purpose", "sslserver", b.path("host.cert")).CombinedOutput()
	// The root's own list is not a part of the target.
	if err == nil || !strings.Contains(string(out), "unable to get certificate CRL") {
		t.Errorf("openssl: %s", out)
	}
	if out, err := exec.Command("openssl", "verify", "-CApath", b.dir, "-no-CAfile", "-crl_check", "-purpose", "sslserver", b.path("host.cert")).CombinedOutput(); err != nil {
		t.Errorf("openssl: %s", out)
	}
}

// The CA is renewed: its certificate changes, what it has issued stays, and so do
// others that stood in the file.
func TestCARenewed(t *testing.T) {
	b := newBench(t)
	b.right()
	other := b.pki.Stranger().Root()
	b.write("cacert.pem", append(b.read("cacert.pem"), ca.EncodeCertificates(other)...), 0o644)
	cert := b.read("host.cert")
	_, err := b.pki.CA().RenewCA(ca.CARenewal{})
	b.do(err)
	b.target.Authority = b.pki.CA().Chain()
	p, s := b.plan()
	if p.Issue || !slices.Equal(p.Write, []Role{CA}) {
		t.Errorf("%v", p.Steps)
	}
	b.install(p, s)
	b.wantRight()
	if want := ca.EncodeCertificates(b.pki.Root(), other); !bytes.Equal(b.read("cacert.pem"), want) {
		t.Error("cacert.pem is not the new certificate and the other one")
	}
	if !bytes.Equal(b.read("host.cert"), cert) {
		t.Error("host.cert was changed")
	}
}

// What somebody else has put there is kept, what is ours is not.
func TestReplacedIsKept(t *testing.T) {
	b := newBench(t)
	if done := b.right(); done.Kept != "" {
		t.Errorf("kept in %s, and nothing was there", done.Kept)
	}
	b.target.Hosts = append(slices.Clone(hosts), "smtp.example.jp")
	if done := b.right(); done.Kept != "" {
		t.Errorf("our own files were kept in %s", done.Kept)
	}
	b.host(b.pki.Stranger().Host(hosts[0], ca.P256))
	key, cert := b.read("host.key"), b.read("host.cert")
	done := b.right()
	for name, want := range map[string][]byte{"host.key": key, "host.cert": cert} {
		path := filepath.Join(done.Kept, name)
		got, err := os.ReadFile(path)
		if fi, statErr := os.Stat(path); err != nil || statErr != nil || !bytes.Equal(got, want) || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, err, statErr)
		}
	}
}

func (b *bench) leaf() *x509.Certificate {
	b.t.Helper()
	certs, err := pki.ParseCertificates(b.read("host.cert"))
	b.do(err)
	return certs[0]
}

func TestRollBack(t *testing.T) {
	b := newBench(t)
	first := b.right()
	if err := first.RollBack(); !errors.Is(err, ErrUnsound) {
		t.Errorf("back to nothing: %v", err)
	}
	b.wantRight()
	before := b.contents()
	b.target.Group, b.target.Hosts = 1, append(slices.Clone(hosts), "smtp.example.jp")
	p, s := b.plan()
	done := b.install(p, s)
	if b.contents() == before {
		t.Fatal("nothing was changed")
	}
	b.do(done.RollBack())
	if got := b.contents(); got != before {
		t.Error(cmp.Diff(before, got))
	}
	b.do(os.Truncate(b.path("host.cert"), 100))
	p, s = b.plan()
	if err := b.install(p, s).RollBack(); !errors.Is(err, ErrUnsound) {
		t.Errorf("back to a truncated certificate: %v", err)
	}
	b.wantRight()
}

// contents are all files and links of the folder.
func (b *bench) contents() string {
	b.t.Helper()
	entries, err := os.ReadDir(b.dir)
	b.do(err)
	all := ""
	for _, e := range entries {
		target, _ := os.Readlink(b.path(e.Name()))
		all += fmt.Sprintf("%s %v %s\n%s\n", e.Name(), e.Type(), target, b.read(e.Name()))
	}
	return all
}

// The CA does not answer: what can do without it is mended, and key and
// certificate stay as they are.
func TestSourceGone(t *testing.T) {
	b := newBench(t)
	b.right()
	b.do(os.Remove(b.path("dh.param")))
	b.now = Due(b.leaf())
	cert := b.read("host.cert")
	p, s := b.plan()
	c, err := b.target.Obtain(t.Context(), p, s, gone{})
	if !errors.Is(err, errGone) {
		t.Fatalf("%v", err)
	}
	if len(c) != 1 || c[DH] == nil {
		t.Errorf("%d contents; want dh.param alone", len(c))
	}
	_, err = b.journal.Install(b.target, c, s, b.now)
	b.do(err)
	b.read("dh.param")
	if !bytes.Equal(b.read("host.cert"), cert) {
		t.Error("host.cert was changed")
	}
}

// Contents that are not right are not installed, and nothing is changed.
func TestInstallRefuses(t *testing.T) {
	b := newBench(t)
	b.right()
	before := b.contents()
	_, s := b.plan()
	stranger := b.pki.Stranger().Host(hosts[0], ca.P256)
	key, err := ca.EncodeKey(stranger.Key, nil)
	b.do(err)
	for what, c := range map[string]Contents{
		"key alone":           {Key: key},
		"certificate alone":   {Certificate: ca.EncodeCertificates(stranger.Certificate)},
		"pair of another CA":  {Key: key, Certificate: ca.EncodeCertificates(stranger.Certificate)},
		"another CA":          {CA: ca.EncodeCertificates(b.pki.Stranger().Root())},
		"no CRL":              {CRL: []byte("x")},
		"no DH parameters":    {DH: nil},
		"one right one wrong": {DH: b.target.Group.Parameters().PEM(), CA: nil},
	} {
		if _, err := b.journal.Install(b.target, c, s, b.now); err == nil {
			t.Errorf("%s: installed", what)
		}
		if got := b.contents(); got != before {
			t.Fatalf("%s: %s", what, cmp.Diff(before, got))
		}
	}
}

func TestPrint(t *testing.T) {
	b := newBench(t)
	p, _ := b.plan()
	var text, program bytes.Buffer
	b.do(p.Print(&text))
	b.do(p.JSON(&program))
	for _, want := range []string{"sendmail: " + b.path("host.key") + ": is missing\n", "sendmail: step 1: issue a certificate for [mx.example.jp mail.example.jp] with a new key\n", "reload the server: for f in /var/run/sendmail/mta/"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	var again Plan
	b.do(json.Unmarshal(program.Bytes(), &again))
	if diff := cmp.Diff(p, again, cmpopts.IgnoreUnexported(Plan{})); diff != "" {
		t.Error(diff)
	}
}

// A journal that cannot be read, and a folder that is gone, hinder no other target.
func TestRepairHindersNoOther(t *testing.T) {
	b := newBench(t)
	install := filepath.Join(b.journal.dir, "install")
	b.do(b.journal.Repair()) // nothing was ever begun
	b.do(os.MkdirAll(install, 0o700))
	gone := entry{Ready: true, Dir: "/no/such", Files: []moved{{New: "/no/such/.host.key.mailseal", Path: "/no/such/host.key"}}}
	b.do(b.journal.begin("gone", gone))
	broken := filepath.Join(install, "broken.journal")
	b.do(os.WriteFile(broken, []byte("{"), 0o600))
	p, s := b.plan()
	b.install(p, s)
	if err := b.journal.Repair(); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("%v", err)
	}
	b.do(os.Remove(broken))
	b.do(b.journal.Repair())
	b.wantRight()
}

// What cannot be read cannot be kept, so it is not replaced.
func TestUnreadableStays(t *testing.T) {
	b := newBench(t)
	b.do(os.MkdirAll(b.path("cacert.pem/inside"), 0o755))
	p, s := b.plan()
	c, err := b.target.Obtain(t.Context(), p, s, testpki.Source{PKI: b.pki})
	b.do(err)
	if _, err := b.journal.Install(b.target, c, s, b.now); err == nil || !strings.Contains(err.Error(), "cacert.pem") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(b.path("host.key")); err == nil {
		t.Error("the others were installed")
	}
}

// Postfix has key and certificate in one file.
func TestPairFile(t *testing.T) {
	b := newBench(t)
	b.layout("postfix", Choices{})
	b.right()
	good := b.read("host.pem")
	if n := bytes.Index(good, []byte("CERTIFICATE")); n < bytes.Index(good, []byte("PRIVATE KEY")) {
		t.Errorf("the key is not first:\n%.30s", good)
	}
	swapped := append(good[bytes.Index(good, []byte("-----BEGIN CERT")):], good[:bytes.Index(good, []byte("-----BEGIN CERT"))]...)
	id := b.pki.Stranger().Host(hosts[0], ca.P256)
	for _, tt := range []struct {
		content []byte
		mode    fs.FileMode
		want    []Fault
		issue   bool
	}{
		{good, 0o600, nil, false},
		{good, 0o644, []Fault{Mode}, false},
		{swapped, 0o600, []Fault{Order}, false},
		{good[:len(good)-60], 0o600, []Fault{Broken}, true},
		{nil, 0o600, []Fault{Broken}, true},
		{slices.Concat(ca.EncodeCertificates(id.Certificate), good[:bytes.Index(good, []byte("-----BEGIN CERT"))]), 0o600, []Fault{Names, Issuer, Unpaired}, true},
	} {
		b.write("host.pem", tt.content, tt.mode)
		b.do(os.Chmod(b.path("host.pem"), tt.mode))
		p, s := b.plan()
		var got []Fault
		for _, f := range p.Findings {
			got = append(got, f.Fault)
		}
		if !slices.Equal(got, tt.want) || p.Issue != tt.issue {
			t.Errorf("%v, issues %v; want %v", p.Findings, p.Issue, tt.want)
		}
		if !p.Done() {
			b.install(p, s)
		}
		b.wantRight()
	}
	b.target.Hosts = append(slices.Clone(hosts), "smtp.example.jp")
	before := b.read("host.pem")
	done := b.right()
	b.do(done.RollBack())
	if !bytes.Equal(b.read("host.pem"), before) {
		t.Error("not rolled back")
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	if out, err := exec.Command("openssl", "verify", "-CAfile", b.path("cacert.pem"), "-purpose", "sslclient", b.path("host.pem")).CombinedOutput(); err != nil {
		t.Errorf("openssl: %s", out)
	}
}
