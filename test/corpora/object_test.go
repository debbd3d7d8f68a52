package corpora

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"filippo.io/mldsa"

	"mailseal/internal/mlkemkey"
	"mailseal/internal/pki"
	"mailseal/internal/x509key"
	"mailseal/smime/cms"
)

// examine says what a file is and what becomes of it.
func (s *shelf) examine(t *testing.T, name string) string {
	t.Helper()
	data := s.content[name]
	switch {
	case strings.HasPrefix(name, "wycheproof/"):
		return s.vectors(t, name)
	case path.Ext(name) == ".eml" || path.Ext(name) == ".mbox" || strings.HasPrefix(name, "mimekit/thunderbird") || bytes.HasPrefix(data, []byte("Content-Type:")):
		return s.mail(t, name, data)
	}
	var outcomes []string
	for _, b := range blocks(data) {
		outcome := s.object(t, name, b)
		if len(outcomes) == 0 || outcomes[len(outcomes)-1] != outcome {
			outcomes = append(outcomes, outcome)
		}
	}
	return strings.Join(outcomes, "; ")
}

// object reads DER or BER.
func (s *shelf) object(t *testing.T, name string, b *pem.Block) string {
	t.Helper()
	if b.Type == "" && isReadable(b.Bytes) {
		return "no object: text"
	}
	if isPKCS12(b.Bytes) {
		id, err := opened(b.Bytes)
		return verdict("PKCS #12", fmt.Sprintf("opened, %d key(s), %d certificate(s) above", len(id.Pairs), len(id.Chain)), err)
	}
	if oid, err := cms.Identify(bytes.NewReader(b.Bytes)); err == nil {
		return s.cms(t, name, oid, b.Bytes)
	}
	if strings.Contains(b.Type, "PRIVATE KEY") {
		return s.identity(name, b)
	}
	if c, err := pki.ParseCertificates(b.Bytes); err == nil {
		return "certificate, " + kindOfKey(c[0])
	} else if b.Type == "CERTIFICATE" || path.Ext(name) == ".crt" || path.Ext(name) == ".cer" {
		return "certificate: " + err.Error()
	}
	if _, err := x509.ParseRevocationList(b.Bytes); err == nil {
		return "revocation list"
	} else if path.Ext(name) == ".crl" {
		return "revocation list: " + err.Error()
	}
	if what := other(b); what != "" {
		return "no object of S/MIME: " + what
	}
	return s.bareKey(name, b.Bytes)
}

// bareKey reads a private key that does not say of what kind it is.
func (s *shelf) bareKey(name string, der []byte) (why string) {
	for _, kind := range []string{"EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PRIVATE KEY"} {
		if why = s.identity(name, &pem.Block{Type: kind, Bytes: der}); !strings.Contains(why, "PEM block") {
			break
		}
	}
	return why
}

// isReadable says whether data is for people.
func isReadable(data []byte) bool {
	return utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' })
}

// other names what a gateway never meets, "" if it may be a private key.
func other(b *pem.Block) string {
	if b.Type != "" {
		return b.Type
	}
	if _, err := x509.ParseCertificateRequest(b.Bytes); err == nil {
		return "CERTIFICATE REQUEST"
	}
	if _, err := x509.ParsePKIXPublicKey(b.Bytes); err == nil {
		return "PUBLIC KEY"
	}
	// A private key begins with its version (RFC 5958, RFC 8017 appendix A.1.2, RFC 5915).
	var version struct{ Version int }
	if _, err := asn1.Unmarshal(b.Bytes, &version); err != nil {
		return "another ASN.1 type"
	}
	return ""
}

func kindOfKey(c *x509.Certificate) string {
	switch k := x509key.Public(c).(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return k.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	case *mldsa.PublicKey:
		return "ML-DSA"
	}
	if k, err := mlkemkey.ParsePublicKey(c.RawSubjectPublicKeyInfo); err == nil {
		return fmt.Sprintf("ML-KEM %v", mlkemkey.OID(k))
	}
	if k, err := x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo); err == nil {
		if _, ok := k.(*ecdh.PublicKey); ok {
			return "X25519"
		}
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki)
	return fmt.Sprintf("of a key that is not known (%v)", spki.Algorithm.Algorithm)
}
