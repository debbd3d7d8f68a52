package trust

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust/path"
	"mailseal/internal/trust/revocation"
)

// says answers about certificates in place of CRLs; what is not there is good. It
// counts how often it is asked.
type says struct {
	about map[*node]revocation.Status
	count int
}

func (s *says) check(_ context.Context, r path.Result, q revocation.Question) revocation.Report {
	s.count++
	report := revocation.Report{Status: revocation.Good}
	for depth, l := range r.Links {
		answer := revocation.Answer{Certificate: l.Certificate, Depth: depth, Status: revocation.Good}
		for n, status := range s.about {
			if n.cert.Equal(l.Certificate.X509) {
				answer.Status, answer.Reason, answer.When, answer.Source = status, "keyCompromise", q.At, "a test"
			}
		}
		if answer.Status == revocation.Revoked || answer.Status == revocation.Unknown && report.Status == revocation.Good {
			report.Status = answer.Status
		}
		report.Answers = append(report.Answers, answer)
	}
	return report
}

// Two ways lead from the leaf up: what is said of revocation decides which is taken.
func TestRevocation(t *testing.T) {
	root, old := mint(t, "root", nil, ca), mint(t, "old root", nil, ca)
	short := mint(t, "sub", old, ca)
	between := mint(t, "between", root, ca)
	long := mintKey(t, "sub", between, short.key, ca)
	leaf := mint(t, "alice", short, user)
	extra := []*x509.Certificate{short.cert, long.cert, between.cert}
	good, revoked, unknown := revocation.Good, revocation.Revoked, revocation.Unknown
	type about = map[*node]revocation.Status
	for _, tt := range []struct {
		name   string
		mode   revocation.Mode
		about  about
		want   Reason
		length int
		status revocation.Status
	}{
		{"good", revocation.Soft, nil, "", 3, good},
		{"good, hard", revocation.Hard, nil, "", 3, good},
		{"revoked leaf", revocation.Soft, about{leaf: revoked}, Revoked, 0, revoked},
		{"revoked leaf, hard", revocation.Hard, about{leaf: revoked, short: unknown, long: unknown}, Revoked, 0, revoked},
		{"revoked leaf, off", revocation.Off, about{leaf: revoked}, "", 3, ""},
		{"revoked CA on one way", revocation.Soft, about{short: revoked}, "", 4, good},
		{"revoked CA on each way", revocation.Soft, about{short: revoked, between: revoked}, RevokedCA, 0, revoked},
		{"unknown leaf", revocation.Soft, about{leaf: unknown}, "", 3, unknown},
		{"unknown leaf, hard", revocation.Hard, about{leaf: unknown}, RevocationUnknown, 0, unknown},
		{"unknown CA on one way, hard", revocation.Hard, about{short: unknown}, "", 4, good},
		{"unknown on one way and revoked on the other, hard", revocation.Hard, about{short: revoked, long: unknown}, RevocationUnknown, 0, unknown},
		{"the other way round, hard", revocation.Hard, about{short: unknown, long: revoked}, RevocationUnknown, 0, unknown},
	} {
		s := &says{about: tt.about}
		a := New(Sources{Mail: []*x509.Certificate{root.cert, old.cert}}, Options{Revocation: tt.mode})
		a.check = s.check
		for _, again := range []string{"", ", again"} {
			f := a.Among(t.Context(), Came{Certificates: extra}, now).Find(leaf.cert, "")
			if got := because(f); got != tt.want || len(f.Path) != tt.length || f.Revocation.Status != tt.status {
				t.Errorf("%s%s: %v, path of %d, %s", tt.name, again, f.Err, len(f.Path), f.Revocation.Status)
			}
			if e := new(Error); errors.As(f.Err, &e) && e.Err == nil {
				t.Errorf("%s: nobody knows why", tt.name)
			}
		}
		if tt.mode == revocation.Off && s.count > 0 {
			t.Errorf("%s: asked", tt.name)
		}
	}
}

func because(f Finding) Reason {
	if e := new(Error); errors.As(f.Err, &e) {
		return e.Reason
	}
	return ""
}

// A path is remembered, what is said of its revocation is not.
func TestRevokedLater(t *testing.T) {
	root := mint(t, "root", nil, ca)
	leaf := mint(t, "alice", root, user)
	s := &says{about: map[*node]revocation.Status{}}
	a := believing(root.cert)
	a.check = s.check
	for i, status := range []revocation.Status{revocation.Good, revocation.Revoked, revocation.Good} {
		s.about[leaf] = status
		if _, err := way(a, leaf.cert, nil, now); (err == nil) != (status == revocation.Good) {
			t.Errorf("%d, %s: %v", i, status, err)
		}
	}
}

// What is revoked below one anchor is revoked, though those below another know nothing
// of it.
func TestRevokedForAll(t *testing.T) {
	root, partner := mint(t, "root", nil, ca), mint(t, "partner", nil, ca)
	sub := mint(t, "sub", root, ca)
	cross := mintKey(t, "sub", partner, sub.key, ca)
	leaf := mint(t, "alice", sub, user)
	for _, revoked := range []*node{leaf, cross} {
		a := New(Sources{Mail: []*x509.Certificate{root.cert}, Domains: map[string][]*x509.Certificate{"partner.example": {partner.cert}}}, Options{})
		a.check = func(_ context.Context, r path.Result, q revocation.Question) revocation.Report {
			s := &says{about: map[*node]revocation.Status{}}
			if r.Path[len(r.Path)-1].X509.Equal(partner.cert) {
				s.about[revoked] = revocation.Revoked
			}
			return s.check(t.Context(), r, q)
		}
		search := a.Among(t.Context(), Came{Certificates: []*x509.Certificate{sub.cert, cross.cert}}, now)
		for range 2 { // he may have signed twice
			f := search.Find(leaf.cert, "partner.example")
			if got := because(f); revoked == leaf && (got != Revoked || f.Revocation.Status != revocation.Revoked) || revoked == cross && got != "" {
				t.Errorf("%v, %s", f.Err, f.Revocation.Status)
			}
		}
	}
}

// Whoever is revoked has no signature that is merely weak.
func TestRevokedAndWeak(t *testing.T) {
	cs := weak(t)
	leaf, issuer := cs[0], cs[1]
	for _, status := range []revocation.Status{revocation.Good, revocation.Revoked} {
		a := believing(issuer)
		a.check = (&says{about: map[*node]revocation.Status{{cert: leaf}: status}}).check
		f := a.Among(t.Context(), Came{}, leaf.NotBefore.AddDate(0, 0, 1)).Find(leaf, "")
		if got, want := because(f), map[revocation.Status]Reason{revocation.Good: Weak, revocation.Revoked: Revoked}[status]; got != want {
			t.Errorf("%s: %v, want %q", status, f.Err, want)
		}
	}
}

// However many good paths the signers of a mail have, revocation is asked for of a few.
func TestTrialsAreBounded(t *testing.T) {
	root := mint(t, "root", nil, ca)
	sub := mint(t, "sub", root, ca)
	s := &says{about: map[*node]revocation.Status{}}
	var extra []*x509.Certificate
	for i := range 30 {
		other := mintKey(t, "sub", root, sub.key, func(c *x509.Certificate) {
			ca(c)
			c.SerialNumber, c.NotBefore = big.NewInt(int64(i+1)), now.AddDate(-1, 0, -i)
		})
		s.about[other] = revocation.Revoked
		extra = append(extra, other.cert)
	}
	a := believing(root.cert)
	a.check = s.check
	search := a.Among(t.Context(), Came{Certificates: extra}, now)
	for i := range 3 { // of all signers together
		leaf := mint(t, fmt.Sprint("signer ", i), sub, user)
		if f := search.Find(leaf.cert, ""); f.Err == nil || s.count > maxSpare+i+1 {
			t.Errorf("signer %d: asked %d times: %v", i, s.count, f.Err)
		}
	}
}

func TestSources(t *testing.T) {
	root := mint(t, "root", nil, ca)
	partner := mint(t, "partner", nil, ca)
	under := mint(t, "partner sub", root, ca) // by the CA for all mail and trusted for one domain
	itself := mint(t, "self-signed", nil, func(c *x509.Certificate) { user(c); c.IsCA, c.KeyUsage = true, c.KeyUsage|x509.KeyUsageCertSign })
	expired := mint(t, "expired", nil, func(c *x509.Certificate) { user(c); c.NotAfter = now.Add(-time.Hour) })
	server := mint(t, "server", nil, func(c *x509.Certificate) { user(c); c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	byPartner, byRoot := mint(t, "bob", partner, user), mint(t, "alice", root, user)
	a := New(Sources{
		Mail: []*x509.Certificate{root.cert},
		Domains: map[string][]*x509.Certificate{
			"partner.example": {partner.cert, under.cert}, ".wide.example": {partner.cert},
		},
		Pinned: []*x509.Certificate{itself.cert, expired.cert, server.cert},
	}, Options{Revocation: revocation.Off})
	for _, tt := range []struct {
		name, domain string
		leaf         *node
		want         Reason
		basis        Basis
		length       int
	}{
		{"a CA for mail", "", byRoot, "", CA, 2},
		{"a CA for mail, the partner's domain", "partner.example", byRoot, "", CA, 2},
		{"the domain's CA", "partner.example", byPartner, "", DomainCA, 2},
		{"both", "partner.example", mint(t, "carol", under, user), "", DomainCA, 2},
		{"another domain", "other.example", byPartner, Unknown, CA, 0},
		{"no domain", "", byPartner, Unknown, CA, 0},
		{"below the domain", "sub.partner.example", byPartner, Unknown, CA, 0},
		{"below a domain that stands for those below", "a.b.wide.example", byPartner, "", DomainCA, 2},
		{"that one itself", "wide.example", byPartner, Unknown, CA, 0},
		{"one that only ends so", "notpartner.example", byPartner, Unknown, CA, 0},
		{"the domain's CA, expired", "partner.example", mint(t, "old", partner, func(c *x509.Certificate) { user(c); c.NotAfter = now.Add(-time.Hour) }), Expired, CA, 0},
		{"pinned", "", itself, "", Pinned, 1},
		{"below a pinned one", "", mint(t, "mallory", itself, user), Unknown, CA, 0},
		{"pinned, expired", "", expired, Expired, CA, 0},
		{"pinned, a server's", "", server, Purpose, CA, 0},
	} {
		extra := []*x509.Certificate{itself.cert, under.cert, partner.cert}
		f := a.Among(t.Context(), Came{Certificates: extra}, now).Find(tt.leaf.cert, tt.domain)
		if because(f) != tt.want || f.Basis != tt.basis || len(f.Path) != tt.length {
			t.Errorf("%s: %v, basis %d, path of %d", tt.name, f.Err, f.Basis, len(f.Path))
		}
	}
}

// All domains' CAs together cost no more than one search.
func BenchmarkDomains(b *testing.B) {
	root := mint(b, "root", nil, ca)
	leaf := mint(b, "alice", root, user)
	domains := map[string][]*x509.Certificate{}
	for i := range 1000 {
		domains[fmt.Sprintf("d%d.example", i)] = []*x509.Certificate{root.cert}
	}
	s := Sources{Mail: []*x509.Certificate{root.cert}, Domains: domains}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			New(s, Options{})
		}
	})
	a := New(s, Options{Revocation: revocation.Off})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			if f := a.Among(b.Context(), Came{}, now).Find(leaf.cert, "d7.example"); f.Err != nil {
				b.Fatal(f.Err)
			}
		}
	})
}

// crl is one of an issuer, about the node.
func crl(t testing.TB, issuer, about *node, number int64, until time.Time) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now.Add(-time.Hour), NextUpdate: until}
	if about != nil {
		list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: about.cert.SerialNumber, RevocationTime: now.Add(-time.Hour), ReasonCode: 1}}
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, issuer.cert, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// From the bytes of CRLs, configured or from the mail, to the reason.
func TestCRLs(t *testing.T) {
	issuing := func(c *x509.Certificate) {
		ca(c)
		c.KeyUsage |= x509.KeyUsageCRLSign
		c.SubjectKeyId = []byte(c.Subject.CommonName)
	}
	root, stranger := mint(t, "root", nil, issuing), mint(t, "root", nil, issuing)
	sub := mint(t, "sub", root, issuing)
	leaf, pinned := mint(t, "alice", sub, user), mint(t, "pinned", sub, user)
	later, past := now.AddDate(0, 0, 7), now.Add(-time.Minute)
	above := crl(t, root, nil, 1, later)
	for _, tt := range []struct {
		name       string
		local, own [][]byte
		leaf       *node
		soft, hard Reason
		status     revocation.Status // soft
	}{
		{"none", nil, nil, leaf, "", RevocationUnknown, revocation.Unknown},
		{"good", [][]byte{above, crl(t, sub, nil, 1, later)}, nil, leaf, "", "", revocation.Good},
		{"good, by those in the mail", nil, [][]byte{above, crl(t, sub, nil, 1, later)}, leaf, "", "", revocation.Good},
		{"revoked", [][]byte{above, crl(t, sub, leaf, 1, later)}, nil, leaf, Revoked, Revoked, revocation.Revoked},
		{"revoked, by one in the mail", nil, [][]byte{crl(t, sub, leaf, 1, later)}, leaf, Revoked, Revoked, revocation.Revoked},
		{"revoked, and an older one in the mail", [][]byte{above, crl(t, sub, leaf, 2, later)}, [][]byte{crl(t, sub, nil, 1, later)}, leaf, Revoked, Revoked, revocation.Revoked},
		{"revoked CA", [][]byte{crl(t, root, sub, 1, later), crl(t, sub, nil, 1, later)}, nil, leaf, RevokedCA, RevokedCA, revocation.Revoked},
		{"out of date", [][]byte{above, crl(t, sub, nil, 1, past)}, nil, leaf, "", RevocationUnknown, revocation.Unknown},
		{"by a stranger of that name", [][]byte{crl(t, stranger, sub, 1, later)}, nil, leaf, "", RevocationUnknown, revocation.Unknown},
		{"pinned", [][]byte{above, crl(t, sub, pinned, 1, later)}, nil, pinned, "", "", revocation.Good},
	} {
		var lists []*x5280.CRL
		for _, der := range tt.local {
			l, err := x5280.ParseCRL(der)
			if err != nil {
				t.Fatal(err)
			}
			lists = append(lists, l)
		}
		for mode, want := range map[revocation.Mode]Reason{revocation.Soft: tt.soft, revocation.Hard: tt.hard, revocation.Off: ""} {
			a := New(Sources{
				Mail: []*x509.Certificate{root.cert}, Pinned: []*x509.Certificate{pinned.cert}, Lists: revocation.NewLists(lists...),
			}, Options{Revocation: mode})
			for range 2 { // found, and remembered
				f := a.Among(t.Context(), Came{Certificates: []*x509.Certificate{sub.cert}, CRLs: tt.own}, now).Find(tt.leaf.cert, "")
				if because(f) != want || mode == revocation.Soft && f.Revocation.Status != tt.status {
					t.Errorf("%s, %s: %v, %s; want %q", tt.name, mode, f.Err, f.Revocation.Status, want)
				}
			}
		}
	}
	// A good CRL that runs out is good no more, though the path is remembered.
	l, err := x5280.ParseCRL(crl(t, root, nil, 1, now.Add(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	a := New(Sources{Mail: []*x509.Certificate{root.cert}, Lists: revocation.NewLists(l)}, Options{Revocation: revocation.Hard})
	bob := mint(t, "bob", root, user)
	for _, hours := range []time.Duration{0, 2, 0} {
		_, err := way(a, bob.cert, nil, now.Add(hours*time.Hour))
		if (err == nil) != (hours == 0) {
			t.Errorf("after %d hours: %v", hours, err)
		}
	}
}

// Who is certified with DSA is weak, where everything else holds (NIST's own
// certificates: nothing else makes them any more).
func TestDSA(t *testing.T) {
	root := os.Getenv("MAILSEAL_CORPORA")
	if root == "" {
		root = "../../../shared/corpora"
	}
	read := func(name string) *x509.Certificate {
		der, err := os.ReadFile(filepath.Join(root, "pkits/certs", name+".crt"))
		if err != nil {
			t.Skip("corpus pkits is absent: set MAILSEAL_CORPORA")
		}
		c, err := x5280.ParseX509(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	anchor, issuer := read("TrustAnchorRootCertificate"), read("DSACACert")
	a := New(Sources{Mail: []*x509.Certificate{anchor}}, Options{Revocation: revocation.Off})
	for name, want := range map[string]Reason{
		"ValidDSASignaturesTest4EE": Weak, "InvalidDSASignatureTest6EE": Unknown,
	} {
		if f := a.Among(t.Context(), Came{Certificates: []*x509.Certificate{issuer}}, now).Find(read(name), ""); because(f) != want {
			t.Errorf("%s: %v, want %q", name, f.Err, want)
		}
	}
}
