package capability

import (
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/recipient"
	"mailseal/smime/cms/syntax"
)

// words are the names of what occurs in lists, by the numbers of its identifier.
var words = map[string]string{
	"2.16.840.1.101.3.4.1.2":     "AES128-CBC",
	"2.16.840.1.101.3.4.1.22":    "AES192-CBC",
	"2.16.840.1.101.3.4.1.42":    "AES256-CBC",
	"2.16.840.1.101.3.4.1.6":     "AES128-GCM",
	"2.16.840.1.101.3.4.1.26":    "AES192-GCM",
	"2.16.840.1.101.3.4.1.46":    "AES256-GCM",
	"2.16.840.1.101.3.4.1.7":     "AES128-CCM",
	"2.16.840.1.101.3.4.1.27":    "AES192-CCM",
	"2.16.840.1.101.3.4.1.47":    "AES256-CCM",
	"1.2.840.113549.1.9.16.3.18": "ChaCha20-Poly1305",
	"1.2.840.113549.3.7":         "3DES-CBC",
	"1.2.840.113549.3.2":         "RC2-CBC",
	"1.3.14.3.2.7":               "DES-CBC",

	"2.16.840.1.101.3.4.1.5":     "AES128-wrap",
	"2.16.840.1.101.3.4.1.25":    "AES192-wrap",
	"2.16.840.1.101.3.4.1.45":    "AES256-wrap",
	"1.2.840.113549.1.9.16.3.6":  "3DES-wrap",
	"1.3.133.16.840.63.0.2":      "ECDH-SHA1",
	"1.3.132.1.11.0":             "ECDH-SHA224",
	"1.3.132.1.11.1":             "ECDH-SHA256",
	"1.3.132.1.11.2":             "ECDH-SHA384",
	"1.3.132.1.11.3":             "ECDH-SHA512",
	"1.2.840.113549.1.9.16.3.5":  "ESDH",
	"1.2.840.113549.1.9.16.3.19": "X25519-HKDF-SHA256",
	"2.16.840.1.101.3.4.4.2":     "ML-KEM-768",
	"2.16.840.1.101.3.4.4.3":     "ML-KEM-1024",

	"1.2.840.113549.1.1.5":       "RSA-SHA1",
	"1.2.840.113549.1.1.11":      "RSA-SHA256",
	"1.2.840.113549.1.1.12":      "RSA-SHA384",
	"1.2.840.113549.1.1.13":      "RSA-SHA512",
	"1.2.840.113549.1.1.10":      "RSA-PSS",
	"1.2.840.10045.4.3.2":        "ECDSA-SHA256",
	"1.2.840.10045.4.3.3":        "ECDSA-SHA384",
	"1.2.840.10045.4.3.4":        "ECDSA-SHA512",
	"1.3.101.112":                "Ed25519",
	"1.3.14.3.2.26":              "SHA-1",
	"2.16.840.1.101.3.4.2.1":     "SHA-256",
	"2.16.840.1.101.3.4.2.2":     "SHA-384",
	"2.16.840.1.101.3.4.2.3":     "SHA-512",
	"1.2.840.113549.1.9.16.3.8":  "zlib",
	"1.2.840.113549.1.9.15.1":    "preferSignedData",
	"1.2.840.113549.1.9.15.2":    "canNotDecryptAny",
	"1.2.840.113549.1.9.15.3":    "receiptRequest",
	"1.2.840.113549.1.9.15.4":    "receipt",
	"1.2.840.113549.1.9.16.11.1": "preferBinaryInside",
}

// String names the algorithm in people's words, with those of its parameters that matter; by its numbers, if it is not known here.
func (c Capability) String() string {
	if t, err := recipient.ParseTransport(c.algorithm()); err == nil {
		return name(t)
	}
	word, ok := words[c.OID.String()]
	if !ok {
		return c.OID.String()
	}
	s := cryptobyte.String(c.Parameters)
	var bits int64
	if s.PeekASN1Tag(der.INTEGER) && s.ReadASN1Integer(&bits) && bits > 0 && bits < 10000 {
		return fmt.Sprintf("%s %d bits", word, bits) // RC2: RFC 2311 section 2.5.2
	}
	if a, ok := syntax.ReadAlgorithm(&s, der.SEQUENCE); ok && s.Empty() { // RFC 5753 section 7.2
		if wrap, ok := words[asn1.ObjectIdentifier(a.Algorithm).String()]; ok {
			return word + " with " + wrap
		}
	}
	return word
}

// Words are the entries, each by its String, in their order; nil of somebody of whom nothing is known.
func (l List) Words() []string {
	if l == nil {
		return nil
	}
	all := make([]string, len(l))
	for i, c := range l {
		all[i] = c.String()
	}
	return all
}
