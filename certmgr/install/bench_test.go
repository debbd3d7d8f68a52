package install

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

var hosts = []string{"mx.example.jp", "mail.example.jp"}

// gone is a source that does not answer.
type gone struct{}

var errGone = errors.New("connection refused")

func (gone) Certificate(context.Context, []string) (pki.Identity, error) {
	return pki.Identity{}, errGone
}
func (gone) CRL(context.Context) ([]byte, error) { return nil, errGone }

// A bench is a target with its CA and journal.
type bench struct {
	t       *testing.T
	pki     *testpki.PKI
	dir     string // the server's
	target  Target
	from    Source
	journal *Journal
	now     time.Time
}

// newBench has a sendmail whose folder is not there yet.
func newBench(t *testing.T) *bench {
	t.Helper()
	return benchOf(t, testpki.New(t))
}

func benchOf(t *testing.T, p *testpki.PKI) *bench {
	t.Helper()
	crl, err := testpki.Source{PKI: p}.CRL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b := &bench{t: t, pki: p, from: testpki.Source{PKI: p}, now: time.Now(), journal: NewJournal(filepath.Join(dir, "state")), dir: filepath.Join(dir, "certs"),
		target: Target{Name: "sendmail", Hosts: hosts, Authority: p.CA().Chain(), CRL: crl}}
	b.layout("sendmail", Choices{})
	return b
}

// layout makes the target one of another server.
func (b *bench) layout(server string, c Choices) {
	b.t.Helper()
	var err error
	b.target.Layout, err = LayoutOf(server, b.dir, c)
	b.do(err)
	b.target.Name = server
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) plan() (Plan, State) {
	b.t.Helper()
	_, s := b.planAll()
	s.Open = nil // /tmp is
	return b.target.Plan(s, b.now), s
}

func (b *bench) planAll() (Plan, State) {
	b.t.Helper()
	s, err := Inspect(b.target)
	b.do(err)
	return b.target.Plan(s, b.now), s
}

// install does what the plan says and returns what can be taken back.
func (b *bench) install(p Plan, s State) *Installed {
	b.t.Helper()
	c, err := b.target.Obtain(b.t.Context(), p, s, b.from)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, list := range append(listsOf(c[CRL]), listsOf(c[CA])...) {
		b.target.CRL = list
	}
	done, err := b.journal.Install(b.target, c, s, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

// right installs what is missing, and wants nothing to be left to do.
func (b *bench) right() *Installed {
	b.t.Helper()
	p, s := b.plan()
	done := b.install(p, s)
	b.wantRight()
	return done
}

func (b *bench) wantRight() {
	b.t.Helper()
	if p, _ := b.plan(); !p.Done() || len(p.Findings) > 0 {
		b.t.Errorf("it is still to be done: %v %v", p.Findings, p.Steps)
	}
	names, err := filepath.Glob(b.path(".*"))
	left, err2 := filepath.Glob(filepath.Join(b.journal.dir, "install", "*.journal"))
	if err != nil || err2 != nil || len(names)+len(left) > 0 {
		b.t.Errorf("left: %v %v", names, left)
	}
}

func (b *bench) do(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) write(name string, content []byte, mode fs.FileMode) {
	b.t.Helper()
	b.do(os.WriteFile(b.path(name), content, mode))
}

func (b *bench) read(name string) []byte {
	b.t.Helper()
	content, err := os.ReadFile(b.path(name))
	b.do(err)
	return content
}

// host writes another key and certificate, as somebody would by hand.
func (b *bench) host(id pki.Identity) {
	b.t.Helper()
	b.pairIn("host.key", "host.cert", id)
}

// pairIn is host with other names and more certificates.
func (b *bench) pairIn(keyName, certName string, id pki.Identity, more ...*x509.Certificate) {
	b.t.Helper()
	key, err := ca.EncodeKey(id.Key, nil)
	b.do(err)
	b.write(keyName, key, 0o600)
	b.write(certName, ca.EncodeCertificates(append([]*x509.Certificate{id.Certificate}, more...)...), 0o644)
}

func (b *bench) link() string {
	b.t.Helper()
	names, err := filepath.Glob(b.path("????????.0"))
	b.do(err)
	if len(names) != 1 {
		b.t.Fatalf("links %v; want one", names)
	}
	return names[0]
}
