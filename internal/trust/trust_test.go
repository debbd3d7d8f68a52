package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

type node struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// make signs a certificate, by itself where parent is nil.
func mint(t testing.TB, name string, parent *node, edit func(*x509.Certificate)) *node {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return mintKey(t, name, parent, key, edit)
}

// mintKey is mint with a key of any kind.
func mintKey(t testing.TB, name string, parent *node, key crypto.Signer, edit func(*x509.Certificate)) *node {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		BasicConstraintsValid: true,
	}
	edit(tmpl)
	n := &node{key: key}
	if parent == nil {
		parent = &node{cert: tmpl, key: key}
	}
	var err error
	if n.cert, err = testpki.Certificate(tmpl, parent.cert, key.Public(), parent.key); err != nil {
		t.Fatal(err)
	}
	return n
}

func ca(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

func user(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	c.EmailAddresses = []string{"alice@example.jp"}
}

// believing is anchors of CAs for all mail.
func believing(cas ...*x509.Certificate) *Anchors { return New(Sources{Mail: cas}, Options{}) }

// way is the path that is found.
func way(a *Anchors, leaf *x509.Certificate, extra []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	f := a.Among(context.Background(), Came{Certificates: extra}, at).Find(leaf, "")
	return f.Path, f.Err
}

func TestPath(t *testing.T) {
	root := mint(t, "root", nil, ca)
	sub := mint(t, "sub", root, ca)
	stranger := mint(t, "root", nil, ca) // of the same name
	narrow := mint(t, "narrow", root, func(c *x509.Certificate) {
		ca(c)
		c.PermittedEmailAddresses = []string{"other.example", "bob@third.example"}
	})
	without := mint(t, "without", root, func(c *x509.Certificate) { ca(c); c.ExcludedEmailAddresses = []string{"example.jp"} })
	old := mint(t, "old", root, func(c *x509.Certificate) { ca(c); c.NotAfter = now.Add(-time.Hour) })
	bySubject := func(address string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			user(c)
			c.EmailAddresses = nil
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: address}}
		}
	}
	with := func(f func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) { user(c); f(c) }
	}
	var impostors []*x509.Certificate
	for _, name := range []string{"root", "sub", "narrow", "without", "old", "leaf"} {
		impostors = append(impostors, mint(t, name, nil, ca).cert, mint(t, name, stranger, ca).cert)
	}
	for _, tt := range []struct {
		name   string
		issuer *node
		edit   func(*x509.Certificate)
		extra  []*x509.Certificate
		want   Reason
		length int
	}{
		{name: "directly under the anchor", issuer: root, edit: user, length: 2},
		{name: "through an intermediate", issuer: sub, edit: user, extra: []*x509.Certificate{stranger.cert, sub.cert}, length: 3},
		{name: "without the intermediate", issuer: sub, edit: user, want: Unknown},
		{name: "another CA of the same name", issuer: stranger, edit: user, want: Unknown},
		{name: "its own anchor brought along", issuer: stranger, edit: user, extra: []*x509.Certificate{stranger.cert}, want: Unknown},
		{name: "expired", issuer: root, edit: with(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) }), want: Expired},
		{name: "not yet valid", issuer: root, edit: with(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), want: NotYetValid},
		{name: "for servers", issuer: root, edit: with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), want: Purpose},
		{name: "for anything", issuer: root, edit: with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), length: 2},
		{name: "no extended key usage", issuer: root, edit: with(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), length: 2},
		{name: "only for encryption", issuer: root, edit: with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), want: KeyUsage},
		{name: "nonRepudiation alone", issuer: root, edit: with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }), length: 2},
		{name: "issuer is no CA", issuer: mint(t, "leaf", root, user), edit: user, want: Unknown},
		{name: "name constraints", issuer: narrow, edit: user, extra: []*x509.Certificate{narrow.cert}, want: Constraints},
		{name: "within them", issuer: narrow, edit: with(func(c *x509.Certificate) { c.EmailAddresses = []string{"alice@OTHER.example", "bob@third.example"} }), extra: []*x509.Certificate{narrow.cert}, length: 3},
		{name: "one of two within them", issuer: narrow, edit: with(func(c *x509.Certificate) { c.EmailAddresses = []string{"alice@other.example", "eve@third.example"} }), extra: []*x509.Certificate{narrow.cert}, want: Constraints},
		{name: "a host is not those below it", issuer: narrow, edit: with(func(c *x509.Certificate) { c.EmailAddresses = []string{"alice@sub.other.example"} }), extra: []*x509.Certificate{narrow.cert}, want: Constraints},
		{name: "name constraints, address in the subject", issuer: narrow, edit: bySubject("alice@example.jp"), extra: []*x509.Certificate{narrow.cert}, want: Constraints},
		{name: "within them, address in the subject", issuer: narrow, edit: bySubject("alice@other.example"), extra: []*x509.Certificate{narrow.cert}, length: 3},
		{name: "excluded, address in the subject", issuer: without, edit: bySubject("alice@example.jp"), extra: []*x509.Certificate{without.cert}, want: Constraints},
		{name: "not excluded", issuer: without, edit: bySubject("alice@other.example"), extra: []*x509.Certificate{without.cert}, length: 3},
		{name: "expired CA", issuer: old, edit: user, extra: []*x509.Certificate{old.cert}, want: ExpiredCA},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leaf := mint(t, "alice", tt.issuer, tt.edit)
			// Where there is one way only, crypto/x509 checks the signatures; among impostors that is done here.
			for _, impostors := range [][]*x509.Certificate{nil, impostors} {
				path, err := way(believing(root.cert), leaf.cert, slices.Concat(impostors, tt.extra), now)
				var e *Error
				if tt.want == "" {
					if err != nil || len(path) != tt.length || path[0] != leaf.cert || path[len(path)-1] != root.cert {
						t.Fatalf("path of %d, %v", len(path), err)
					}
				} else if !errors.As(err, &e) || e.Reason != tt.want {
					t.Fatalf("%v, want %q", err, tt.want)
				}
			}
			if _, err := way(believing(), leaf.cert, append(tt.extra, root.cert), now); err == nil {
				t.Error("trusted without any anchor")
			}
		})
	}
}

// An anchor that is no CA is believed itself, and nobody whom it certified.
func TestAnchorThatIsNoCA(t *testing.T) {
	root := mint(t, "root", nil, ca)
	for name, pinned := range map[string]*node{"self-signed": mint(t, "alice", nil, user), "issued": mint(t, "alice", root, user)} {
		anchors := believing(pinned.cert)
		if path, err := way(anchors, pinned.cert, nil, now); err != nil || len(path) != 1 {
			t.Errorf("%s: path of %d, %v", name, len(path), err)
		}
		below := mint(t, "mallory", pinned, user)
		if _, err := way(anchors, below.cert, []*x509.Certificate{pinned.cert}, now); err == nil {
			t.Errorf("%s: it certifies others", name)
		}
		if _, err := way(anchors, pinned.cert, nil, now.AddDate(2, 0, 0)); err == nil {
			t.Errorf("%s: for ever", name)
		}
	}
	server := mint(t, "server", nil, func(c *x509.Certificate) { user(c); c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	if _, err := way(believing(server.cert), server.cert, nil, now); err == nil {
		t.Error("a server's certificate signs mail")
	}
}

// weak is testdata/sha1.pem: a user whom testdata/sha1ca.pem, who follows, certified
// with SHA-1, both made by openssl.
func weak(t *testing.T) []*x509.Certificate {
	t.Helper()
	var all []*x509.Certificate
	for _, name := range []string{"sha1.pem", "sha1ca.pem"} {
		cs, err := pki.ReadCertificates(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cs[0])
	}
	return all
}

func TestWeakPath(t *testing.T) {
	leaf, issuer := weak(t)[0], weak(t)[1]
	for _, tt := range []struct {
		anchors, extra []*x509.Certificate
		want           Reason
	}{
		{[]*x509.Certificate{issuer}, nil, Weak},
		{nil, []*x509.Certificate{issuer}, Unknown},
		{[]*x509.Certificate{mint(t, "root", nil, ca).cert}, []*x509.Certificate{issuer, issuer}, Unknown},
	} {
		var e *Error
		if _, err := way(believing(tt.anchors...), leaf, tt.extra, leaf.NotBefore.AddDate(0, 0, 1)); !errors.As(err, &e) || e.Reason != tt.want {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

// However many certificates a mail carries, the answer comes.
func TestPathIsBounded(t *testing.T) {
	root := mint(t, "root", nil, ca)
	var extra []*x509.Certificate
	for range 60 { // all of one name: every one is a possible issuer of every other
		extra = append(extra, mint(t, "root", nil, ca).cert)
	}
	leaf := mint(t, "alice", mint(t, "root", nil, ca), user)
	if _, err := way(believing(root.cert), leaf.cert, extra, now); err == nil {
		t.Error("trusted")
	}
}

// The answer does not depend on what was asked before, and not on the time of
// the question before.
func TestPathIsRemembered(t *testing.T) {
	root := mint(t, "root", nil, ca)
	sub := mint(t, "sub", root, ca)
	leaf := mint(t, "alice", sub, user)
	a := believing(root.cert)
	with, without := []*x509.Certificate{sub.cert}, []*x509.Certificate(nil)
	for range 2 {
		if _, err := way(a, leaf.cert, with, now); err != nil {
			t.Error(err)
		}
		if _, err := way(a, leaf.cert, without, now); err == nil {
			t.Error("trusted without the intermediate, which only came before")
		}
		if _, err := way(a, leaf.cert, with, now.AddDate(2, 0, 0)); err == nil {
			t.Error("trusted after it has expired, as it was trusted before")
		}
	}
}

// A path of large certificates is none to be remembered.
func TestLargePath(t *testing.T) {
	root := mint(t, "root", nil, ca)
	for _, size := range []int{0, maxRemembered} {
		leaf := mint(t, "alice", root, func(c *x509.Certificate) {
			user(c)
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, size)}}
		})
		a := believing(root.cert)
		search := a.Among(t.Context(), Came{}, now)
		if f := search.Find(leaf.cert, ""); f.Err != nil {
			t.Fatal(f.Err)
		}
		q := asked(sha256.Sum256(append(slices.Clone(search.came), leaf.cert.Raw...)))
		if _, ok := a.mail.paths.Get(q); ok != (size == 0) {
			t.Errorf("%d bytes: remembered: %t", size, ok)
		}
	}
}

func BenchmarkPath(b *testing.B) {
	root := mint(b, "root", nil, ca)
	sub := mint(b, "sub", root, ca)
	leaf := mint(b, "alice", sub, user)
	for name, anchors := range map[string]func() *Anchors{
		"first": func() *Anchors { return believing(root.cert) },
		"again": sync.OnceValue(func() *Anchors { return believing(root.cert) }),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := way(anchors(), leaf.cert, []*x509.Certificate{sub.cert}, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
