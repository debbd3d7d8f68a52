package path

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"errors"
	"fmt"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/x509key"
)

var (
	errWeak         = errors.New("too weak")
	errUnverifiable = errors.New("cannot be checked")
	errSignature    = errors.New("signature does not verify")
	errUnknown      = errors.New("unknown algorithm")
	errEffort       = errors.New("no time left")
)

const minRSA = 2048 // bits

// verify checks the signature on child. One that is good but weak is errWeak. Of
// errUnverifiable nobody knows whether it is good: anybody may have written it.
func verify(child, parent *x5280.Certificate) error { return signedBy(child.X509, parent) }

// Verify checks a signature on something other than a certificate: a CRL, or an OCSP
// response. Nothing else of the signer is looked at.
func Verify(s x5280.Signed, signer *x5280.Certificate, allowWeak bool) error {
	err := signedBy(s.X509(), signer)
	if allowWeak && isWeak(err) && !errors.Is(err, errUnverifiable) {
		return nil
	}
	return err
}

// IsWeak reports whether an error of Verify is about the algorithm alone.
func IsWeak(err error) bool { return isWeak(err) }

// signedBy is verify, of which the child may be anything that has the outer form of a
// certificate.
func signedBy(c *x509.Certificate, parent *x5280.Certificate) error {
	if len(c.Signature) == 0 {
		return errSignature
	}
	key := x509key.Public(parent.X509)
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA:
		return fmt.Errorf("%v %w", c.SignatureAlgorithm, errUnverifiable)
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		if err := old(c, key); err != nil {
			return err
		}
		return fmt.Errorf("%v is %w", c.SignatureAlgorithm, errWeak)
	}
	if parent.X509.PublicKeyAlgorithm == x509.DSA {
		return verifyDSA(c, key)
	}
	r, isRSA := key.(*rsa.PublicKey)
	if isRSA && r.N.BitLen() < 1024 { // crypto/rsa does not take them
		return fmt.Errorf("RSA with %d bits %w", r.N.BitLen(), errUnverifiable)
	}
	signer := parent.X509
	if restriction, only := x509key.PSSOnly(signer); only && isRSA {
		if !permits(restriction, c) {
			return errSignature
		}
		signer = &x509.Certificate{PublicKey: key, PublicKeyAlgorithm: x509.RSA}
	}
	switch err := x509key.CheckSignature(signer, c); {
	case errors.Is(err, x509.ErrUnsupportedAlgorithm):
		return errUnknown
	case err != nil:
		return errSignature
	}
	if isRSA && r.N.BitLen() < minRSA {
		return fmt.Errorf("RSA with %d bits is %w", r.N.BitLen(), errWeak)
	}
	return nil
}

// old verifies with hashes that crypto/x509 refuses, so that what is broken is told
// from what is merely old.
func old(c *x509.Certificate, key crypto.PublicKey) error {
	digest, hash := sha1.Sum(c.RawTBSCertificate), crypto.SHA1
	switch k := key.(type) {
	case *rsa.PublicKey:
		sum := digest[:]
		if c.SignatureAlgorithm == x509.MD5WithRSA {
			d := md5.Sum(c.RawTBSCertificate)
			sum, hash = d[:], crypto.MD5
		}
		if c.SignatureAlgorithm != x509.ECDSAWithSHA1 && rsa.VerifyPKCS1v15(k, hash, sum, c.Signature) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		if c.SignatureAlgorithm == x509.ECDSAWithSHA1 && ecdsa.VerifyASN1(k, digest[:], c.Signature) {
			return nil
		}
	}
	return errSignature
}

func isWeak(err error) bool { return errors.Is(err, errWeak) }

// unsigned is what is wrong with the signature on child, as verify or a search has it.
func unsigned(depth int, child, parent *x5280.Certificate, err error) Failure {
	f := Failure{Signature, child, depth, named(depth, child) + " is not signed by the key of " + parent.String()}
	switch {
	case errors.Is(err, errEffort):
		f.Rule, f.Text = Effort, named(depth, child)+" comes with so many others, or with keys so large, that its signature is not checked"
	case errors.Is(err, errUnverifiable):
		f.Text = fmt.Sprintf("%s is signed by %s in a way that is too weak to be checked here (%v)", named(depth, child), parent, err)
	case errors.Is(err, errWeak):
		f.Rule, f.Text = Weak, fmt.Sprintf("%s is signed by %s in a way that is too weak to be trusted (%v)", named(depth, child), parent, err)
	case errors.Is(err, errUnknown):
		f.Text = fmt.Sprintf("%s is signed by %s with an algorithm that is not known here", named(depth, child), parent)
	}
	return f
}
