package authority

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
)

// constrained asks for certificates inside the names that a CA is bound to, and
// says what such a certificate has outside of them.
var constrained = []struct {
	name    string
	request ca.Request
	outside func(*x509.Certificate)
}{
	{"user", ca.Request{Profile: ca.User, Subject: ca.Subject{CommonName: "Alice"}, Emails: []string{"alice@corp.example"}},
		func(c *x509.Certificate) { c.EmailAddresses = []string{"alice@other.example"} }},
	{"user-below", ca.Request{Profile: ca.User, Subject: ca.Subject{CommonName: "Alice"}, Emails: []string{"alice@corp.example"}},
		func(c *x509.Certificate) { c.EmailAddresses = []string{"alice@in.corp.example"} }}, // a host alone is permitted
	{"user-too", ca.Request{Profile: ca.User, Subject: ca.Subject{CommonName: "Alice"}, Emails: []string{"alice@corp.example"}},
		func(c *x509.Certificate) {
			c.EmailAddresses = append(c.EmailAddresses, "alice@corp.example.other.example")
		}},
	{"gateway", ca.Request{Profile: ca.Gateway, Subject: ca.Subject{CommonName: "Gateway"}, Hosts: []string{"corp.example", "*.corp.example"}},
		func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} }},
	{"host", ca.Request{Profile: ca.Host, Subject: ca.Subject{CommonName: "mx.in.corp.example"}},
		func(c *x509.Certificate) { c.DNSNames = []string{"mx.notcorp.example"} }},
}

// bind binds a CA to names.
func bind(o *ca.InitOptions) {
	o.PermitDNS, o.PermitEmail = []string{"corp.example"}, []string{"corp.example"}
}

// words are by what each program says that it is the name: a refusal for
// another reason would prove nothing. gpgsm does not know name constraints, and
// takes nothing below a CA that has them, for they are critical.
var words = map[string]string{
	"openssl":  "permitted subtree violation",
	"certtool": "violates the signer's constraints",
	"certutil": "not permitted to issue a certificate with this name",
	"gpgsm":    "critical certificate extension 2.5.29.30 is not supported",
}

// What a CA is bound to holds: for everybody a certificate inside is good, and
// one outside, which our CA does not issue, is not.
func TestNameConstraints(t *testing.T) {
	root := newCA(t, nil)
	cas := map[string]*ca.CA{
		"root":         newCA(t, bind),
		"intermediate": newCA(t, func(o *ca.InitOptions) { bind(o); o.Parent, o.Subject.CommonName = root, "Issuing CA" }),
	}
	var inside, outside []*certificate
	for kind, c := range cas {
		for _, tt := range constrained {
			in := issue(t, c, tt.name+"-"+kind, tt.request, ca.RSA2048)
			inside = append(inside, in)
			out := forge(t, c, in, tt.outside)
			if _, err := c.Issue(ca.Request{
				Profile: in.profile, Emails: out.cert.EmailAddresses, Hosts: out.cert.DNSNames, Subject: tt.request.Subject,
			}); !errors.Is(err, ca.ErrRefused) {
				t.Errorf("%s: our CA says %v", out.name, err)
			}
			outside = append(outside, out)
		}
	}
	for _, p := range programs(t, append(inside, outside...)) {
		t.Run(p.name(), func(t *testing.T) {
			for _, c := range inside {
				for _, u := range c.uses() {
					err := p.accepts(c, u)
					if err != nil && (p.name() != "gpgsm" || !strings.Contains(err.Error(), words["gpgsm"])) {
						t.Errorf("%s for %v: %v", c.name, u, err)
					}
				}
			}
			for _, c := range outside {
				for _, u := range c.uses() {
					if err := p.accepts(c, u); err == nil || !strings.Contains(err.Error(), words[p.name()]) {
						t.Errorf("%s for %v: %v, want %q", c.name, u, err, words[p.name()])
					}
				}
			}
		})
	}
}

// forge has a CA sign what it would not: a certificate like another, but for
// its names.
func forge(t *testing.T, c *ca.CA, like *certificate, change func(*x509.Certificate)) *certificate {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Dir(), "private", "cakey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.ParseKey(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	template := *like.cert
	template.RawSubject, template.Subject.OrganizationalUnit = nil, []string{"outside " + like.name}
	template.SignatureAlgorithm = 0
	template.SerialNumber = big.NewInt(int64(serial()))
	change(&template)
	der, err := x509.CreateCertificate(rand.Reader, &template, c.Certificate(), template.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return below(c, "outside-"+like.name, like.profile, cert)
}
