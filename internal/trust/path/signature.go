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
	errUnverifiable = errors.New("and not checked")
	errSignature    = errors.New("signature does not verify")
	errEffort       = errors.New("no time left")
)

const minRSA = 2048 // bits

// verify checks the signature on child. One that is good but weak is errWeak; with
// errUnverifiable nobody knows whether it is good.
func verify(child, parent *x5280.Certificate) error {
	c := child.X509
	if len(child.Signature) == 0 {
		return errSignature
	}
	key := x509key.Public(parent.X509)
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return fmt.Errorf("%v is %w, %w", c.SignatureAlgorithm, errWeak, errUnverifiable)
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		if err := old(c, key); err != nil {
			return err
		}
		return fmt.Errorf("%v is %w", c.SignatureAlgorithm, errWeak)
	}
	if parent.X509.PublicKeyAlgorithm == x509.DSA {
		return fmt.Errorf("DSA is %w, %w", errWeak, errUnverifiable)
	}
	r, isRSA := key.(*rsa.PublicKey)
	if isRSA && r.N.BitLen() < 1024 { // crypto/rsa does not take them
		return fmt.Errorf("RSA with %d bits is %w, %w", r.N.BitLen(), errWeak, errUnverifiable)
	}
	if x509key.CheckSignature(parent.X509, c) != nil {
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
