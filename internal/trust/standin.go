package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
)

// A view is certificates as crypto/x509 gets to see them.
type view struct {
	leaf           *x509.Certificate
	roots, between *x509.CertPool
	meant          map[*x509.Certificate]*x509.Certificate // by what stands in for it
}

// standIns have crypto/x509 apply its rules to a path whose signatures were checked
// here already, be it that it does not know them, as ML-DSA, or that it would take
// too long to find out which of many fit. Every CA key is exchanged for one of
// Ed25519 made for the purpose, and a certificate is signed with that if, and only
// if, its own signature by the CA key was good. So the copies have good signatures
// exactly where the originals have, and all else in them is the originals'.
//
// This goes when the rules are applied here too.
func standIns(leaf *x509.Certificate, issued map[*x509.Certificate][]*x509.Certificate, a *Anchors) view {
	v := view{roots: x509.NewCertPool(), between: x509.NewCertPool(), meant: map[*x509.Certificate]*x509.Certificate{}}
	keys := map[string]ed25519.PrivateKey{} // by SubjectPublicKeyInfo
	key := func(ca *x509.Certificate) ed25519.PrivateKey {
		spki := string(ca.RawSubjectPublicKeyInfo)
		if keys[spki] == nil {
			_, keys[spki], _ = ed25519.GenerateKey(rand.Reader) // crypto/rand does not fail
		}
		return keys[spki]
	}
	copies := map[*x509.Certificate]*x509.Certificate{}
	standIn := func(c *x509.Certificate) *x509.Certificate {
		if copies[c] == nil {
			made := *c
			// Without an issuer it has no signature that anybody could find good.
			made.SignatureAlgorithm, made.Signature = x509.PureEd25519, nil
			copies[c], v.meant[&made] = &made, c
		}
		return copies[c]
	}
	v.leaf = standIn(leaf)
	for child, parents := range issued {
		for i, p := range parents {
			if i == 0 {
				standIn(child).Signature = ed25519.Sign(key(p), child.RawTBSCertificate)
			}
			ca := standIn(p)
			ca.PublicKeyAlgorithm, ca.PublicKey = x509.Ed25519, key(p).Public()
		}
	}
	for c, made := range copies {
		switch {
		case a.holds(c):
			v.roots.AddCert(made)
		case c != leaf:
			v.between.AddCert(made)
		}
	}
	return v
}

// originals are the certificates of a path that stand-ins make.
func (v view) originals(path []*x509.Certificate) []*x509.Certificate {
	if v.meant == nil {
		return path
	}
	meant := make([]*x509.Certificate, len(path))
	for i, c := range path {
		meant[i] = v.meant[c]
	}
	return meant
}
