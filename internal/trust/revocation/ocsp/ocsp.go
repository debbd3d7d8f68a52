// Package ocsp writes requests and reads responses of the Online Certificate Status
// Protocol. Nothing is believed here: whether who signed a response may speak for the
// certificate's issuer is decided in package revocation.
//
// The responses that x/crypto/ocsp reads it verifies while it does, by fewer algorithms
// than there are, and of whose certificates they are it compares the serial number only.
//
// RFC 6960, and RFC 5019 (requests that responders can answer from a store).
package ocsp

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // CertID: no more is asked of it than to tell issuers apart
	_ "crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"mailseal/internal/pki/x5280"
)

// hashes are those of CertIDs. Requests have SHA-1, which every responder knows (RFC
// 5019 section 2.1.1).
var hashes = map[x5280.OID]crypto.Hash{
	"\x2b\x0e\x03\x02\x1a":                 crypto.SHA1,
	"\x60\x86\x48\x01\x65\x03\x04\x02\x01": crypto.SHA256,
}

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// keyBits are the octets of a public key without its algorithm.
func keyBits(c *x5280.Certificate) (bits []byte, ok bool) {
	s := cryptobyte.String(c.SubjectPublicKey)
	ok = s.ReadASN1(&s, asn1.SEQUENCE) && s.SkipASN1(asn1.SEQUENCE) && s.ReadASN1BitStringAsBytes(&bits)
	return bits, ok
}

// Request is one for a single certificate, without a nonce: then responders may answer
// with what they have prepared (RFC 5019 section 2.1).
func Request(c, issuer *x5280.Certificate) ([]byte, error) {
	key, ok := keyBits(issuer)
	if !ok {
		return nil, errors.New("its issuer's key cannot be read")
	}
	r := ocsp.Request{
		HashAlgorithm: crypto.SHA1, IssuerNameHash: sum(crypto.SHA1, c.Issuer.Raw), IssuerKeyHash: sum(crypto.SHA1, key),
		SerialNumber: number(c.Serial),
	}
	return r.Marshal()
}

// About returns what a response says of a certificate: by its serial number and the
// hashes of its issuer's name and key (RFC 6960 section 4.1.1).
func (r *Response) About(c, issuer *x5280.Certificate) (Single, bool) {
	i := slices.IndexFunc(r.singles, func(s Single) bool { return s.about(c, issuer) })
	if i < 0 {
		return Single{}, false
	}
	s := r.singles[i]
	s.Critical = s.Critical || r.critical
	return s, true
}

func (s Single) about(c, issuer *x5280.Certificate) bool {
	hash, ok := hashes[s.algorithm]
	if !ok {
		return false
	}
	key, ok := keyBits(issuer)
	return ok && string(s.keyHash) == string(sum(hash, key)) && string(s.nameHash) == string(sum(hash, c.Issuer.Raw)) &&
		number(s.serial).Cmp(number(c.Serial)) == 0
}

// number is an INTEGER's.
func number(contents []byte) *big.Int {
	n := new(big.Int).SetBytes(contents)
	if len(contents) > 0 && contents[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(contents))))
	}
	return n
}

// unlimited is how long an answer holds that does not say until when: it claims to be of
// this very moment (RFC 6960 section 2.4), but may come from a cache.
const unlimited = time.Hour

// Fresh is nil while an answer holds, with clocks that differ by skew: RFC 6960 section 4.2.2.1.
func (s Single) Fresh(at time.Time, skew time.Duration) error {
	until := s.NextUpdate
	if until.IsZero() {
		until = s.ThisUpdate.Add(unlimited)
	}
	switch {
	case s.ThisUpdate.After(at.Add(skew)):
		return fmt.Errorf("its answer is not in force before %s", s.ThisUpdate.UTC().Format(time.DateTime))
	case at.After(until):
		return fmt.Errorf("its answer expired at %s", until.UTC().Format(time.DateTime))
	}
	return nil
}

// SignedBy reports whether a response says that it is by the key of a certificate, which its signature must prove.
func (r *Response) SignedBy(c *x5280.Certificate) bool {
	if r.keyHash == nil {
		return bytes.Equal(r.name, c.Subject.Raw)
	}
	key, ok := keyBits(c)
	return ok && bytes.Equal(r.keyHash, sum(crypto.SHA1, key))
}
