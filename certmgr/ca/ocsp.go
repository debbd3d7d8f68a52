package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"mailseal/certmgr/ca/index"
	"mailseal/certmgr/ca/sign"
)

// maxOCSPDays bounds how long an answer is good: it is what somebody may still
// show who was revoked since.
const maxOCSPDays = 7

// An OCSPAnswer says whether a certificate is revoked (RFC 6960), signed by
// the CA's own key, so that who hands it out needs none.
type OCSPAnswer struct {
	Serial     string
	ThisUpdate time.Time
	NextUpdate time.Time
	DER        []byte
}

// OCSP makes the answer about a certificate. The error is ErrNotFound for a
// number that the CA never used: then the responder answers unauthorized,
// unsigned (RFC 5019 section 2.2.3), and nobody makes the CA sign at will.
func (c *CA) OCSP(serial string) (*OCSPAnswer, error) {
	answer, err := c.ocsp(serial)
	if err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	return answer, nil
}

func (c *CA) ocsp(serial string) (*OCSPAnswer, error) {
	if c.key == nil {
		return nil, ErrNoKey
	}
	a, err := c.refresh()
	if err != nil {
		return nil, err
	}
	lock, err := c.reading()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	e, err := c.find(serial)
	if err != nil {
		return nil, err
	}
	now := c.now().UTC().Truncate(time.Minute)
	if err := a.checkClock(c.now()); err != nil {
		return nil, err
	}
	t := ocsp.Response{
		Status: ocsp.Good, SerialNumber: mustSerial(e.Serial), IssuerHash: crypto.SHA1,
		ThisUpdate: now.Add(-backdate), NextUpdate: now.AddDate(0, 0, min(maxOCSPDays, a.settings.CRLDays)),
	}
	if e.Status == index.Revoked {
		r, err := index.ParseRevocation(e.Revocation)
		if err != nil {
			return nil, err
		}
		t.Status, t.RevokedAt, t.RevocationReason = ocsp.Revoked, r.At, int(r.Reason)
		if r.Reason == index.RemoveFromCRL {
			t.RevocationReason = ocsp.Unspecified
		}
	}
	der, err := a.answer(t, c.key)
	return &OCSPAnswer{Serial: e.Serial, ThisUpdate: t.ThisUpdate, NextUpdate: t.NextUpdate, DER: der}, err
}

// answer signs. x/crypto/ocsp knows RSA and ECDSA alone: for Ed25519 it signs
// with a key that is thrown away, and what it signed is signed again.
func (a *authority) answer(t ocsp.Response, key crypto.Signer) ([]byte, error) {
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return ocsp.CreateResponse(a.cert, a.cert, t, key)
	}
	throwAway, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := ocsp.CreateResponse(a.cert, a.cert, t, throwAway)
	if err != nil {
		return nil, err
	}
	var response struct { // RFC 6960 section 4.2.1
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &response); err != nil {
		return nil, err
	}
	var basic struct {
		Data      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(response.Bytes.Response, &basic); err != nil {
		return nil, err
	}
	s, err := sign.For(a.cert.PublicKey)
	if err != nil {
		return nil, err
	}
	if response.Bytes.Response, err = s.Sign(key, a.cert, basic.Data.FullBytes); err != nil {
		return nil, err
	}
	return asn1.Marshal(response)
}
