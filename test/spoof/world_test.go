package spoof_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"mailseal/internal/pki"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/trust"
	"mailseal/smime/cms/syntax"
)

// now is the present in all of it: forged certificates are good from 2020 to 2040.
func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// A world is who there is: a CA that we trust, and who has certificates from it.
type world struct {
	testing.TB
	root           *forge.Issued // trusted
	partners       *forge.Issued // trusted for Alice's domain
	evil           *forge.Issued // trusted for Mallory's
	alice, mallory *forge.Issued
	bob, carol     *forge.Issued // ours, with keys to decrypt
	keys           map[string]crypto.Signer
	serial         byte
}

func newWorld(t testing.TB) *world {
	w := &world{TB: t, keys: map[string]crypto.Signer{}}
	w.root = forge.Certificate{Subject: forge.Name("Trusted CA"), Extensions: forge.CA}.Sign(nil)
	w.partners = forge.Certificate{Subject: forge.Name("Partner's CA"), Extensions: forge.CA}.Sign(nil)
	w.evil = forge.Certificate{Subject: forge.Name("Evil's CA"), Extensions: forge.CA}.Sign(nil)
	w.alice, w.mallory = w.person(alice).Sign(w.root), w.person(mallory).Sign(w.root)
	reader := func(address string) *forge.Issued {
		c := w.person(address)
		c.Extensions[0] = forge.Usage(0, 4)
		return c.Sign(w.root)
	}
	w.bob, w.carol = reader(bob), reader(carol)
	return w
}

// person is a certificate for who writes mail from that address.
func (w *world) person(address string, extensions ...[]byte) forge.Certificate {
	return w.named(address, append(extensions, forge.AltNames(forge.Mail(address)))...)
}

// named is a certificate for signing mail, with a common name.
func (w *world) named(name string, extensions ...[]byte) forge.Certificate {
	w.serial++
	return forge.Certificate{
		Subject: forge.Name(name), Key: w.key(name), Serial: []byte{1, w.serial},
		Extensions: append([][]byte{forge.Usage(0), forge.Purposes(forge.ForMail)}, extensions...),
	}
}

// certify signs a certificate with a P-256 key: its own, or another person's.
func certify(c forge.Certificate, by *forge.Issued) *forge.Issued {
	c.Algorithm = syntax.Algorithm(oidECDSA, nil)
	return c.Sign(by)
}

// key is the P-256 key of a name.
func (w *world) key(name string) crypto.Signer {
	if k, ok := w.keys[name]; ok {
		return k
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	w.keys[name] = k
	return k
}

func (w *world) parse(c *forge.Issued) *x509.Certificate {
	w.Helper()
	p, err := x509.ParseCertificate(c.DER)
	if err != nil {
		w.Fatal(err)
	}
	return p
}

func (w *world) anchors() *trust.Anchors {
	return trust.New(trust.Sources{
		Mail: []*x509.Certificate{w.parse(w.root)},
		Domains: map[string][]*x509.Certificate{
			"partner.example": {w.parse(w.partners)}, "evil.example": {w.parse(w.evil)}, ".evil.example": {w.parse(w.evil)},
		},
	}, trust.Options{})
}

// identities are the gateway's own.
func (w *world) identities() (list []pki.Identity) {
	for _, c := range []*forge.Issued{w.bob, w.carol} {
		p := w.parse(c)
		list = append(list, pki.Identity{Name: p.Subject.CommonName, Certificate: p, Key: c.Key})
	}
	return list
}
