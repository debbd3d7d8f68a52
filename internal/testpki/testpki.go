// Package testpki makes the certificates that tests need: a test asks for a CA
// and then for whoever takes part in it.
//
//	p := testpki.New(t)
//	alice := p.User("alice@corp.example", ca.P256)
//	anchors := p.Roots()
//
// The CA is certmgr/ca itself, in the test's own folder; there is no second
// one. What is wrong with a certificate is therefore wrong by time, name,
// profile or issuer. Certificates that no CA of ours would sign are made by
// the tests that need them. Only tests import this package.
package testpki

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	mldsax509 "filippo.io/mldsa/x509"
	"software.sslmate.com/src/go-pkcs12"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
)

// A PKI is one CA and its certificates. It may be used from several
// goroutines of a test.
type PKI struct {
	t    testing.TB
	at   time.Time
	ca   *ca.CA
	made map[who]pki.Identity // under mu
	mu   sync.Mutex
	now  time.Time // what the CA takes for the present; under mu, but for the calls of ca.CA
}

type who struct {
	name    string
	kind    ca.KeyKind
	profile ca.Profile
	at      time.Time
}

// New makes a PKI for the present. Two of them have CAs of the same name with
// different keys, as an impostor's would be.
func New(t testing.TB) *PKI {
	t.Helper()
	return NewAt(t, time.Now())
}

// NewAt makes a PKI for a test whose clock stands at an instant: the CA is
// good from ten years before, other certificates from one hour before, for
// two years.
func NewAt(t testing.TB, at time.Time) *PKI {
	t.Helper()
	return start(t, at, "Test CA", nil)
}

// Stranger is a PKI with another name that nobody trusts.
func (p *PKI) Stranger() *PKI {
	p.t.Helper()
	return start(p.t, p.at, "Stranger CA", nil)
}

// Below is a PKI whose CA has its certificate from this one: its users have a
// chain of one certificate, and their root is this one's.
func (p *PKI) Below() *PKI {
	p.t.Helper()
	return start(p.t, p.at, "Test Issuing CA", p)
}

func start(t testing.TB, at time.Time, name string, parent *PKI) *PKI {
	t.Helper()
	p := &PKI{t: t, at: at, now: at.AddDate(-10, 0, 0), made: map[who]pki.Identity{}}
	o := ca.InitOptions{
		Subject:     ca.Subject{Country: "JP", Organization: "mailseal tests", CommonName: name},
		Key:         ca.P256,
		Unencrypted: true,
		Now:         func() time.Time { return p.now },
	}
	if parent != nil {
		parent.mu.Lock()
		defer parent.mu.Unlock()
		o.Parent, parent.now = parent.ca, at.AddDate(-5, 0, 0)
		p.now = parent.now
	}
	var err error
	if p.ca, err = ca.Init(filepath.Join(t.TempDir(), "CA"), o); err != nil {
		t.Fatal(err)
	}
	return p
}

// CA is the CA of the PKI.
func (p *PKI) CA() *ca.CA { return p.ca }

// Root is the trust anchor.
func (p *PKI) Root() *x509.Certificate {
	chain := p.ca.Chain()
	return chain[len(chain)-1]
}

// Roots is Root alone, for who takes several.
func (p *PKI) Roots() []*x509.Certificate { return []*x509.Certificate{p.Root()} }

// User is who may sign mail from an address. The same question has the same
// answer.
func (p *PKI) User(address string, kind ca.KeyKind) pki.Identity {
	p.t.Helper()
	return p.issue(who{address, kind, ca.User, p.at}, ca.Request{Emails: []string{address}})
}

// Expired had a certificate that ended a year ago.
func (p *PKI) Expired(address string, kind ca.KeyKind) pki.Identity {
	p.t.Helper()
	return p.issue(who{address, kind, ca.User, p.at.AddDate(-2, 0, 0)}, ca.Request{Emails: []string{address}, Days: 365})
}

// NotYetValid has a certificate that begins in a year.
func (p *PKI) NotYetValid(address string, kind ca.KeyKind) pki.Identity {
	p.t.Helper()
	return p.issue(who{address, kind, ca.User, p.at.AddDate(1, 0, 0)}, ca.Request{Emails: []string{address}})
}

// Client has the address in a certificate that is not for mail.
func (p *PKI) Client(address string, kind ca.KeyKind) pki.Identity {
	p.t.Helper()
	return p.issue(who{address, kind, ca.Client, p.at}, ca.Request{Emails: []string{address}})
}

// Gateway is who may sign mail from a whole domain.
func (p *PKI) Gateway(domain string, kind ca.KeyKind) pki.Identity {
	p.t.Helper()
	return p.issue(who{domain, kind, ca.Gateway, p.at}, ca.Request{Hosts: []string{domain, "*." + domain}})
}

// Host is a server.
func (p *PKI) Host(name string, kind ca.KeyKind) pki.Identity {
	p.t.Helper()
	return p.issue(who{name, kind, ca.Host, p.at}, ca.Request{Hosts: []string{name}})
}

// Issue is any other certificate that the CA signs. Its key is r.PublicKey or
// a new one.
func (p *PKI) Issue(r ca.Request) pki.Identity {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ask(p.at, r)
}

func (p *PKI) issue(w who, r ca.Request) pki.Identity {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if id, ok := p.made[w]; ok {
		return id
	}
	key := keys.get(p.t, w.name, w.kind)
	r.Profile, r.PublicKey = w.profile, key.Public()
	id := p.ask(w.at, r)
	id.Key = key
	p.made[w] = id
	return id
}

// ask has the CA issue at an instant. The caller holds mu.
func (p *PKI) ask(at time.Time, r ca.Request) pki.Identity {
	p.t.Helper()
	p.now = at
	i, err := p.ca.Issue(r)
	if err != nil {
		p.t.Fatal(err)
	}
	id := i.Identity()
	id.Name = id.Certificate.Subject.CommonName
	return id
}

// keys are made once a process: RSA takes its time.
var keys keyring

type keyring struct {
	mu   sync.Mutex
	made map[keyOf]crypto.Signer
}

type keyOf struct {
	name string
	kind ca.KeyKind
}

func (k *keyring) get(t testing.TB, name string, kind ca.KeyKind) crypto.Signer {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.made[keyOf{name, kind}]; ok {
		return key
	}
	key, err := ca.GenerateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	if k.made == nil {
		k.made = map[keyOf]crypto.Signer{}
	}
	k.made[keyOf{name, kind}] = key
	return key
}

// PEM is an identity as NAME.pem has it: key, certificate, chain.
func PEM(t testing.TB, id pki.Identity) []byte {
	t.Helper()
	return slices.Concat(KeyPEM(t, id.Key), CertPEM(append([]*x509.Certificate{id.Certificate}, id.Chain...)...))
}

// KeyPEM is a private key as PKCS #8.
func KeyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := mldsax509.MarshalPKCS8PrivateKey(key) // any other key goes to crypto/x509
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// CertPEM is certificates, one after the other.
func CertPEM(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

// PKCS12 is an identity with its chain, in the form that every mail program
// reads (3DES and SHA-1).
func PKCS12(t testing.TB, id pki.Identity, password string) []byte {
	t.Helper()
	b, err := pkcs12.LegacyDES.Encode(id.Key, id.Certificate, id.Chain, password)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Write writes a file in a new folder of the test, for who reads files: 0600.
// It returns the path.
func Write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
