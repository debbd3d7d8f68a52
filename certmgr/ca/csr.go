package ca

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
)

const maxCSR = 1 << 20

// takeCSR fills what a request says by its certificate request. Extensions
// other than the names are the profile's affair: they are not looked at.
func (r *Request) takeCSR() error {
	csr, err := parseCSR(r.CSR)
	if err != nil {
		return fmt.Errorf("certificate request: %w", err)
	}
	if r.PublicKey != nil {
		return errors.New("a certificate request and a public key; give one of them")
	}
	r.PublicKey = csr.PublicKey
	if r.Subject.CommonName != "" || len(r.Emails)+len(r.Hosts)+len(r.Addresses) > 0 {
		return nil
	}
	if r.Subject == (Subject{}) {
		r.Subject = SubjectOf(csr.Subject)
	} else {
		r.Subject.CommonName = csr.Subject.CommonName
	}
	if len(csr.URIs) > 0 {
		return fmt.Errorf("certificate request: the name %q: no profile has such", csr.URIs[0])
	}
	r.Emails, r.Hosts = csr.EmailAddresses, csr.DNSNames
	for _, ip := range csr.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			r.Addresses = append(r.Addresses, a)
		}
	}
	return nil
}

// parseCSR reads a request and makes sure that who made it has the key.
func parseCSR(b []byte) (*x509.CertificateRequest, error) {
	if len(b) > maxCSR {
		return nil, fmt.Errorf("%d bytes: want up to %d", len(b), maxCSR)
	}
	if block, _ := pem.Decode(b); block != nil {
		if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
			return nil, fmt.Errorf("the PEM says %s", block.Type)
		}
		b = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(b)
	if err != nil {
		return nil, err
	}
	switch csr.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.MD5WithRSA:
		return nil, fmt.Errorf("its signature (%v): want one with SHA-256 or better", csr.SignatureAlgorithm)
	}
	// First the key: one of megabytes would keep us busy for minutes.
	if err := checkPublicKey(csr.PublicKey); err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("its signature (%v): %w", csr.SignatureAlgorithm, err)
	}
	return csr, nil
}
