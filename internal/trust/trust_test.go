package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

type node struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// make signs a certificate, by itself where parent is nil.
func mint(t *testing.T, name string, parent *node, edit func(*x509.Certificate)) *node {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
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
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	if n.cert, err = x509.ParseCertificate(der); err != nil {
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

func TestPath(t *testing.T) {
	root := mint(t, "root", nil, ca)
	sub := mint(t, "sub", root, ca)
	stranger := mint(t, "root", nil, ca) // of the same name
	narrow := mint(t, "narrow", root, func(c *x509.Certificate) { ca(c); c.PermittedEmailAddresses = []string{"other.example"} })
	with := func(f func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) { user(c); f(c) }
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
	} {
		t.Run(tt.name, func(t *testing.T) {
			leaf := mint(t, "alice", tt.issuer, tt.edit)
			path, err := NewAnchors([]*x509.Certificate{root.cert}).Path(leaf.cert, tt.extra, now)
			var e *Error
			if tt.want == "" {
				if err != nil || len(path) != tt.length {
					t.Fatalf("path of %d, %v", len(path), err)
				}
			} else if !errors.As(err, &e) || e.Reason != tt.want {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			if _, err := NewAnchors(nil).Path(leaf.cert, append(tt.extra, root.cert), now); err == nil {
				t.Error("trusted without any anchor")
			}
		})
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
	if _, err := NewAnchors([]*x509.Certificate{root.cert}).Path(leaf.cert, extra, now); err == nil {
		t.Error("trusted")
	}
}
