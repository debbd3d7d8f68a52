package pki

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailseal/internal/pki/x5280"
)

// ReadCertificates reads a file of certificates, PEM or DER.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	data, err := readFile(path, maxCertificates)
	if err != nil {
		return nil, err
	}
	cs, err := ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cs, nil
}

// Files are what a folder has with one of the endings, in whatever case, sorted by
// name. Names that begin with a dot are not for us.
func Files(folder string, endings ...string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if slices.Contains(endings, strings.ToLower(filepath.Ext(e.Name()))) && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, filepath.Join(folder, e.Name()))
		}
	}
	return all, nil
}

// ParseCertificates reads certificates in PEM, among whatever other blocks
// and text, or in DER, one behind the other. There is at least one. Some that
// crypto/x509 refuses are valid, and taken.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	if !isPEM(data) {
		cs, err := x509.ParseCertificates(data)
		if c, ownErr := x5280.ParseX509(data); err != nil && ownErr == nil {
			return []*x509.Certificate{c}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("neither PEM nor a DER certificate: %w", err)
		}
		if len(cs) == 0 {
			return nil, errors.New("empty; want a certificate")
		}
		return cs, nil
	}
	bs, err := blocks(data)
	if err != nil {
		return nil, err
	}
	var cs []*x509.Certificate
	for i, b := range bs {
		switch b.Type {
		case "CERTIFICATE", "X509 CERTIFICATE":
			c, err := x5280.ParseX509(b.Bytes)
			if err != nil {
				return nil, fmt.Errorf("certificate in PEM block %d: %w", i+1, err)
			}
			cs = append(cs, c)
		case "TRUSTED CERTIFICATE":
			// It bears OpenSSL's own trust settings, which may reject what the
			// reader would then trust.
			return nil, fmt.Errorf("PEM block %d is in OpenSSL's TRUSTED form; convert it: openssl x509 -in OLD -out NEW", i+1)
		}
	}
	if len(cs) == 0 {
		return nil, errors.New("holds no certificate")
	}
	return cs, nil
}

// oidEmailAddress is PKCS #9's attribute in distinguished names.
var oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// Addresses returns the mail addresses that a certificate is about: the
// rfc822Names of its subjectAltName, then the emailAddress attributes of its
// subject (RFC 8550 section 3), exactly as they stand there.
func Addresses(c *x509.Certificate) []string {
	as := slices.Clone(c.EmailAddresses)
	for _, atv := range c.Subject.Names {
		if s, ok := atv.Value.(string); ok && atv.Type.Equal(oidEmailAddress) && !slices.Contains(as, s) {
			as = append(as, s)
		}
	}
	return as
}
