package ca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
)

// lint checks what RFC 5280 section 4 demands of every certificate, and that
// it is what the template says.
func (a *authority) lint(cert, template *x509.Certificate) error {
	if err := lintExtensions(cert, template); err != nil {
		return err
	}
	switch {
	case cert.Version != 3:
		return fmt.Errorf("lint: version %d", cert.Version)
	case cert.SerialNumber.Sign() <= 0 || len(cert.SerialNumber.Bytes()) > 20:
		return fmt.Errorf("lint: serial number %v: want 1 to 20 octets, positive", cert.SerialNumber)
	case !bytes.Equal(cert.RawIssuer, a.cert.RawSubject):
		return errors.New("lint: the issuer's name is not the CA's subject, byte for byte")
	case !bytes.Equal(cert.AuthorityKeyId, a.keyID) || len(cert.SubjectKeyId) == 0:
		return errors.New("lint: key identifiers do not match")
	case cert.NotAfter.Before(cert.NotBefore):
		return errors.New("lint: ends before it begins")
	case cert.NotBefore.Before(a.cert.NotBefore) || cert.NotAfter.After(a.cert.NotAfter):
		return errors.New("lint: outlives the CA")
	case !samePublicKey(cert.PublicKey, template.PublicKey):
		return errors.New("lint: another public key")
	case cert.IsCA != template.IsCA || cert.KeyUsage != template.KeyUsage:
		return errors.New("lint: another key usage")
	}
	return nil
}

// lintExtensions: each that the profile has, once, critical where it must be.
func lintExtensions(cert, template *x509.Certificate) error {
	want := map[string]bool{ // is it critical
		"2.5.29.14": false, // subject key identifier
		"2.5.29.15": true,  // key usage
		"2.5.29.19": true,  // basic constraints
		"2.5.29.35": false, // authority key identifier
	}
	for _, e := range []struct {
		oid      string
		critical bool
		there    bool
	}{
		{"2.5.29.37", false, len(template.ExtKeyUsage) > 0},
		{"2.5.29.17", false, len(template.EmailAddresses)+len(template.DNSNames)+len(template.IPAddresses) > 0}, // subject alternative name
		{"2.5.29.30", true, template.PermittedDNSDomainsCritical},                                               // name constraints
		{"2.5.29.31", false, len(template.CRLDistributionPoints) > 0},
		{"1.3.6.1.5.5.7.1.1", false, len(template.OCSPServer)+len(template.IssuingCertificateURL) > 0}, // authority information access
	} {
		if e.there {
			want[e.oid] = e.critical
		}
	}
	for _, e := range cert.Extensions {
		critical, ok := want[e.Id.String()]
		if !ok {
			return fmt.Errorf("lint: extension %v: twice, or not of the profile", e.Id)
		}
		if critical != e.Critical {
			return fmt.Errorf("lint: extension %v: critical %t", e.Id, e.Critical)
		}
		delete(want, e.Id.String())
	}
	if len(want) > 0 {
		return fmt.Errorf("lint: extensions missing: %v", want)
	}
	return nil
}

// sameButSignature makes sure that what was linted is what was signed.
func sameButSignature(cert, draft *x509.Certificate) error {
	same := cert.SerialNumber.Cmp(draft.SerialNumber) == 0 &&
		bytes.Equal(cert.RawSubject, draft.RawSubject) && bytes.Equal(cert.RawIssuer, draft.RawIssuer) &&
		bytes.Equal(cert.RawSubjectPublicKeyInfo, draft.RawSubjectPublicKeyInfo) &&
		cert.NotBefore.Equal(draft.NotBefore) && cert.NotAfter.Equal(draft.NotAfter) &&
		len(cert.Extensions) == len(draft.Extensions)
	for i := 0; same && i < len(cert.Extensions); i++ {
		a, b := cert.Extensions[i], draft.Extensions[i]
		same = a.Id.Equal(b.Id) && a.Critical == b.Critical && bytes.Equal(a.Value, b.Value)
	}
	if !same {
		return errors.New("what was signed is not what was linted")
	}
	return nil
}
