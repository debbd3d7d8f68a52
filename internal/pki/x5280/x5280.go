// Package x5280 reads certificates and CRLs as RFC 5280 defines them, for who validates
// paths and asks about revocation. crypto/x509 refuses some that are valid (a
// distribution point relative to its CRL's issuer, a negative serial number, a DSA key
// that inherits its parameters, odd names), and of others it keeps less than the rules need: whether
// a key usage is there at all, constraints on directory names, policy mappings.
//
// Read takes what crypto/x509 has parsed already; Parse takes bytes, and for who
// knows crypto/x509's certificates only there is ParseX509, which gives one of those
// for whatever this package reads.
//
// Nothing is judged here. An extension that cannot be understood is a Fault of the
// certificate, which the rules refuse by it; only what is no certificate at all is
// an error.
//
// A CRL stays the bytes that it is, with an index of four bytes for each entry: those of
// large CAs have some hundred thousand.
//
// RFC 5280 sections 4.1, 4.2, 5 and 7.1, RFC 4518 (comparison of names), RFC 9598
// (SmtpUTF8Mailbox).
package x5280

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// maxSize is bytes of a certificate. One for mail has 1 to 3 KiB, one with an ML-DSA
// or SLH-DSA signature some 10 to 60.
const maxSize = 256 << 10

// maxTold bounds the Faults of a certificate or CRL, and its Unknown.
const maxTold = 10

var errMalformed = errors.New("malformed certificate")

// A Certificate is one that has been read. Nobody may change it.
type Certificate struct {
	// X509 is the same for crypto/x509, with the public key.
	X509 *x509.Certificate

	Version            int
	Serial             []byte // contents of the INTEGER
	Issuer, Subject    Name
	NotBefore          time.Time
	NotAfter           time.Time
	SubjectPublicKey   []byte // SubjectPublicKeyInfo
	SignatureAlgorithm []byte // AlgorithmIdentifier
	Signature          []byte // nil if it is not of whole octets

	Extensions []Extension
	// Basic is nil without basicConstraints, Usage is nil without keyUsage, and so on.
	Basic          *BasicConstraints
	Usage          *KeyUsage
	Purposes       []OID // extKeyUsage; none without the extension
	AltNames       []GeneralName
	Policies       []OID
	Mappings       []Mapping
	PolicyLimits   PolicyConstraints
	InhibitAny     *int // inhibitAnyPolicy's SkipCerts
	Constraints    *NameConstraints
	SubjectKeyID   []byte
	AuthorityKeyID []byte

	// Unknown are the critical extensions that this package does not know.
	Unknown []OID
	// Faults are what is wrong with its form, in words.
	Faults []string
}

// An Extension is one as it stands there.
type Extension struct {
	ID       OID
	Critical bool
	Value    []byte
}

// Extension returns one of the certificate's.
func (c *Certificate) Extension(id OID) (Extension, bool) {
	for _, e := range c.Extensions {
		if e.ID == id {
			return e, true
		}
	}
	return Extension{}, false
}

// SelfIssued reports whether issuer and subject are the same name (RFC 5280 section 3.2).
func (c *Certificate) SelfIssued() bool { return c.Subject.Equal(c.Issuer) }

// Equal reports whether both are the same certificate.
func (c *Certificate) Equal(d *Certificate) bool {
	return c == d || string(c.X509.Raw) == string(d.X509.Raw)
}

// String is the subject for people, in quotes and of bounded length.
func (c *Certificate) String() string {
	s := c.X509.Subject.String()
	if s == "" {
		s = fmt.Sprintf("serial number %x", c.Serial)
	}
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "..."
	}
	return fmt.Sprintf("%q", s)
}

// Read reads a certificate that crypto/x509 has parsed.
func Read(c *x509.Certificate) (*Certificate, error) { return read(c.Raw, c) }

// Parse reads a certificate.
func Parse(der []byte) (*Certificate, error) {
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		parsed = nil
	}
	c, ownErr := read(der, parsed)
	if ownErr != nil && err != nil {
		return nil, err // it says more
	}
	return c, ownErr
}

// ParseX509 is x509.ParseCertificate, which also takes valid certificates that this
// refuses. Of those, the rarer fields are missing: addresses of the issuer's
// certificate and CRLs, constraints, policies.
func ParseX509(der []byte) (*x509.Certificate, error) {
	parsed, err := x509.ParseCertificate(der)
	if err == nil {
		return parsed, nil
	}
	c, ownErr := read(der, nil)
	if ownErr != nil {
		return nil, err
	}
	return c.X509, nil
}
