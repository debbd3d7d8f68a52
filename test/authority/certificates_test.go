package authority

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailseal/certmgr/ca"
)

// A certificate is what programs judge.
type certificate struct {
	name    string // of its files too
	profile ca.Profile
	cert    *x509.Certificate
	chain   []*x509.Certificate // between it and the root
	root    *x509.Certificate
}

// uses are those of the profile, as far as the key has them.
func (c *certificate) uses() []use {
	switch c.profile {
	case ca.Host:
		return []use{serving, connecting}
	case ca.Client:
		return []use{connecting}
	case ca.SubCA:
		return []use{issuing}
	}
	if c.cert.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) == 0 {
		return []use{signing}
	}
	return []use{signing, encrypting}
}

func (c *certificate) email() string {
	if c.profile == ca.User {
		return c.cert.EmailAddresses[0]
	}
	return ""
}

func (c *certificate) host() string {
	if c.profile == ca.Host {
		return c.cert.DNSNames[0]
	}
	return ""
}

// requests ask for one certificate of each profile.
var requests = []ca.Request{
	{Profile: ca.User, Subject: ca.Subject{CommonName: "山田 太郎"}, Emails: []string{"taro@corp.example", "yamada@mail.corp.example"}},
	{Profile: ca.Gateway, Subject: ca.Subject{CommonName: "corp.example"}, Hosts: []string{"*.corp.example"}},
	{Profile: ca.Gateway, Authority: ca.DomainSigning, Hosts: []string{"corp.example"}},
	{Profile: ca.Host, Subject: ca.Subject{CommonName: "mx.corp.example"}, Hosts: []string{"*.in.corp.example"},
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")}},
	{Profile: ca.Client, Subject: ca.Subject{CommonName: "backup"}},
	{Profile: ca.SubCA, Subject: ca.Subject{CommonName: "Issuing CA of a branch"}},
}

// title tells the requests apart.
func title(r ca.Request) string {
	if r.Authority != "" {
		return string(r.Authority)
	}
	return r.Profile.String()
}

// kinds are those that every test is about. RSA keys of 4096 bits are long in
// the making.
func kinds() []ca.KeyKind {
	k := []ca.KeyKind{ca.RSA2048, ca.RSA3072, ca.P256, ca.P384, ca.Ed25519}
	if os.Getenv("MAILSEAL_SLOW") != "" {
		k = append(k, ca.RSA4096)
	}
	return k
}

// keys are made once a process.
var keys struct {
	sync.Mutex
	made map[ca.KeyKind]crypto.Signer
}

func key(t testing.TB, kind ca.KeyKind) crypto.Signer {
	t.Helper()
	keys.Lock()
	defer keys.Unlock()
	if k, ok := keys.made[kind]; ok {
		return k
	}
	k, err := ca.GenerateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	if keys.made == nil {
		keys.made = map[ca.KeyKind]crypto.Signer{}
	}
	keys.made[kind] = k
	return k
}

// newCA makes a CA, of P-256 unless it is changed.
func newCA(t testing.TB, change func(*ca.InitOptions)) *ca.CA {
	t.Helper()
	o := ca.InitOptions{
		Subject: ca.Subject{Country: "JP", State: "Osaka", Locality: "Kita-ku", Organization: "株式会社例", CommonName: "Private CA"},
		Key:     ca.P256, Unencrypted: true,
	}
	if change != nil {
		change(&o)
	}
	// Two CAs of one name are one to some programs.
	o.Subject.OrganizationalUnit = strings.ReplaceAll(t.Name(), "/", " ") + fmt.Sprintf(" %d", serial())
	c, err := ca.Init(filepath.Join(t.TempDir(), "CA"), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var count struct {
	sync.Mutex
	n int
}

func serial() int {
	count.Lock()
	defer count.Unlock()
	count.n++
	return count.n
}

// issue makes a certificate for a key of a kind.
func issue(t testing.TB, c *ca.CA, name string, r ca.Request, kind ca.KeyKind) *certificate {
	t.Helper()
	r.PublicKey = key(t, kind).Public()
	r.Subject.OrganizationalUnit = name // NSS has one name for all certificates of a subject
	i, err := c.Issue(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return below(c, name, r.Profile, i.Certificate)
}

// below is a certificate that a CA has signed.
func below(c *ca.CA, name string, profile ca.Profile, cert *x509.Certificate) *certificate {
	made := &certificate{name: name, profile: profile, cert: cert}
	for _, above := range c.Chain() {
		if bytes.Equal(above.RawIssuer, above.RawSubject) {
			made.root = above
		} else {
			made.chain = append(made.chain, above)
		}
	}
	return made
}

const web = "http://ca.corp.example"

// everything is what our CA makes: each profile for each key, by CAs of several
// kinds.
func everything(t testing.TB) (all []*certificate) {
	t.Helper()
	plain := newCA(t, nil)
	for _, kind := range kinds() {
		for _, r := range requests {
			all = append(all, issue(t, plain, title(r)+"-"+kind.String(), r, kind))
		}
	}
	intermediate := newCA(t, func(o *ca.InitOptions) { o.Parent, o.Subject.CommonName = plain, "Issuing CA" })
	published := newCA(t, func(o *ca.InitOptions) { o.Settings.URL = web })
	for _, r := range requests {
		if r.Profile != ca.SubCA { // which may not make any
			all = append(all, issue(t, intermediate, title(r)+"-intermediate", r, ca.RSA2048))
		}
		all = append(all, issue(t, published, title(r)+"-published", r, ca.RSA2048))
	}
	for _, kind := range kinds() {
		c := newCA(t, func(o *ca.InitOptions) { o.Key = kind })
		all = append(all, issue(t, c, "user-by-"+kind.String(), requests[0], ca.P256))
	}
	return all
}

// Everybody accepts every certificate for what it is for.
func TestAccepted(t *testing.T) {
	all := everything(t)
	for _, make := range []func(testing.TB, []*certificate) program{newOpenSSL, newGnuTLS, newNSS, newGPGSM} {
		p := make(t, all)
		t.Run(p.name(), func(t *testing.T) {
			dashes := 0
			for _, c := range all {
				for _, u := range c.uses() {
					l, err := judge(p, c, u)
					if err != nil {
						t.Errorf("%s for %v: %v", c.name, u, err)
					}
					if l != nil {
						dashes++
					}
				}
			}
			t.Logf("%d beyond it", dashes)
			if p.name() != "gpgsm" { // which does not know purposes
				refusals(t, p, all)
			}
		})
	}
}

// refusals holds that a certificate is good for nothing else.
func refusals(t *testing.T, p program, all []*certificate) {
	t.Helper()
	checked := 0
	for _, c := range all {
		// A CA could issue a certificate for any purpose, and has the key usage
		// to sign OCSP answers: it passes as one of its own.
		if !strings.HasSuffix(c.name, "-rsa2048") || c.profile == ca.SubCA {
			continue
		}
		for _, u := range []use{signing, encrypting, serving, connecting, issuing} {
			// certtool has no purpose of CAs.
			if slices.Contains(c.uses(), u) || p.name() == "certtool" && u == issuing {
				continue
			}
			checked++
			if err := p.accepts(c, u); err == nil {
				t.Errorf("%s is taken for %v", c.name, u)
			}
		}
	}
	if checked == 0 {
		t.Error("nothing checked")
	}
}
