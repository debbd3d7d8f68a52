package cms

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"mailseal/smime/cms/syntax"
)

// names of what occurs in CMS objects, for people.
var names = map[string]string{
	"1.2.840.113549.1.7.1":       "data",
	"1.2.840.113549.1.7.2":       "signed-data",
	"1.2.840.113549.1.7.3":       "enveloped-data",
	"1.2.840.113549.1.7.5":       "digested-data",
	"1.2.840.113549.1.7.6":       "encrypted-data",
	"1.2.840.113549.1.9.16.1.1":  "signed-receipt",
	"1.2.840.113549.1.9.16.1.2":  "authenticated-data",
	"1.2.840.113549.1.9.16.1.4":  "timestamp-info",
	"1.2.840.113549.1.9.16.1.9":  "compressed-data",
	"1.2.840.113549.1.9.16.1.23": "auth-enveloped-data",

	"1.2.840.113549.1.9.3":       "contentType",
	"1.2.840.113549.1.9.4":       "messageDigest",
	"1.2.840.113549.1.9.5":       "signingTime",
	"1.2.840.113549.1.9.6":       "countersignature",
	"1.2.840.113549.1.9.15":      "smimeCapabilities",
	"1.2.840.113549.1.9.52":      "cmsAlgorithmProtection",
	"1.2.840.113549.1.9.16.2.1":  "receiptRequest",
	"1.2.840.113549.1.9.16.2.2":  "securityLabel",
	"1.2.840.113549.1.9.16.2.3":  "mlExpansionHistory",
	"1.2.840.113549.1.9.16.2.4":  "contentHint",
	"1.2.840.113549.1.9.16.2.7":  "contentIdentifier",
	"1.2.840.113549.1.9.16.2.10": "contentReference",
	"1.2.840.113549.1.9.16.2.11": "encryptionKeyPreference",
	"1.2.840.113549.1.9.16.2.12": "signingCertificate",
	"1.2.840.113549.1.9.16.2.14": "timeStampToken",
	"1.2.840.113549.1.9.16.2.15": "signaturePolicy",
	"1.2.840.113549.1.9.16.2.47": "signingCertificateV2",
	"1.3.6.1.4.1.311.16.4":       "microsoftEncryptionKeyPreference",

	"1.2.840.113549.2.5":      "MD5",
	"1.3.14.3.2.26":           "SHA-1",
	"2.16.840.1.101.3.4.2.1":  "SHA-256",
	"2.16.840.1.101.3.4.2.2":  "SHA-384",
	"2.16.840.1.101.3.4.2.3":  "SHA-512",
	"2.16.840.1.101.3.4.2.4":  "SHA-224",
	"2.16.840.1.101.3.4.2.8":  "SHA3-256",
	"2.16.840.1.101.3.4.2.9":  "SHA3-384",
	"2.16.840.1.101.3.4.2.10": "SHA3-512",
	"2.16.840.1.101.3.4.2.11": "SHAKE128",
	"2.16.840.1.101.3.4.2.12": "SHAKE256",

	"1.2.840.113549.1.1.1":    "RSA",
	"1.2.840.113549.1.1.4":    "RSA-MD5",
	"1.2.840.113549.1.1.5":    "RSA-SHA1",
	"1.2.840.113549.1.1.7":    "RSA-OAEP",
	"1.2.840.113549.1.1.10":   "RSA-PSS",
	"1.2.840.113549.1.1.11":   "RSA-SHA256",
	"1.2.840.113549.1.1.12":   "RSA-SHA384",
	"1.2.840.113549.1.1.13":   "RSA-SHA512",
	"1.2.840.113549.1.1.14":   "RSA-SHA224",
	"1.2.840.10040.4.1":       "DSA",
	"1.2.840.10040.4.3":       "DSA-SHA1",
	"2.16.840.1.101.3.4.3.1":  "DSA-SHA224",
	"2.16.840.1.101.3.4.3.2":  "DSA-SHA256",
	"2.16.840.1.101.3.4.3.10": "ECDSA-SHA3-256",
	"2.16.840.1.101.3.4.3.11": "ECDSA-SHA3-384",
	"2.16.840.1.101.3.4.3.12": "ECDSA-SHA3-512",
	"2.16.840.1.101.3.4.3.14": "RSA-SHA3-256",
	"2.16.840.1.101.3.4.3.15": "RSA-SHA3-384",
	"2.16.840.1.101.3.4.3.16": "RSA-SHA3-512",
	"1.2.840.10045.2.1":       "EC",
	"1.2.840.10045.4.1":       "ECDSA-SHA1",
	"1.2.840.10045.4.3.1":     "ECDSA-SHA224",
	"1.2.840.10045.4.3.2":     "ECDSA-SHA256",
	"1.2.840.10045.4.3.3":     "ECDSA-SHA384",
	"1.2.840.10045.4.3.4":     "ECDSA-SHA512",
	"1.3.101.110":             "X25519",
	"1.3.101.112":             "Ed25519",
	"1.3.101.113":             "Ed448",
	"2.16.840.1.101.3.4.3.17": "ML-DSA-44",
	"2.16.840.1.101.3.4.3.18": "ML-DSA-65",
	"2.16.840.1.101.3.4.3.19": "ML-DSA-87",
	"2.16.840.1.101.3.4.4.1":  "ML-KEM-512",
	"2.16.840.1.101.3.4.4.2":  "ML-KEM-768",
	"2.16.840.1.101.3.4.4.3":  "ML-KEM-1024",

	"1.2.840.113549.3.2":        "RC2-CBC",
	"1.2.840.113549.3.7":        "3DES-CBC",
	"1.3.14.3.2.7":              "DES-CBC",
	"2.16.840.1.101.3.4.1.2":    "AES128-CBC",
	"2.16.840.1.101.3.4.1.5":    "AES128-wrap",
	"2.16.840.1.101.3.4.1.6":    "AES128-GCM",
	"2.16.840.1.101.3.4.1.7":    "AES128-CCM",
	"2.16.840.1.101.3.4.1.22":   "AES192-CBC",
	"2.16.840.1.101.3.4.1.25":   "AES192-wrap",
	"2.16.840.1.101.3.4.1.26":   "AES192-GCM",
	"2.16.840.1.101.3.4.1.27":   "AES192-CCM",
	"2.16.840.1.101.3.4.1.42":   "AES256-CBC",
	"2.16.840.1.101.3.4.1.45":   "AES256-wrap",
	"2.16.840.1.101.3.4.1.46":   "AES256-GCM",
	"2.16.840.1.101.3.4.1.47":   "AES256-CCM",
	"1.2.392.200011.61.1.1.1.2": "Camellia128-CBC",
	"1.2.392.200011.61.1.1.1.4": "Camellia256-CBC",
	"1.2.840.113549.1.5.13":     "PBES2",

	"1.2.840.113549.1.9.16.3.5":  "ESDH",
	"1.2.840.113549.1.9.16.3.6":  "3DES-wrap",
	"1.2.840.113549.1.9.16.3.7":  "RC2-wrap",
	"1.2.840.113549.1.9.16.3.8":  "zlib",
	"1.2.840.113549.1.9.16.3.9":  "PWRI-KEK",
	"1.2.840.113549.1.9.16.3.18": "ChaCha20-Poly1305",
	"1.2.840.113549.1.9.16.3.19": "ECDH-HKDF-SHA256",
	"1.2.840.113549.1.9.16.3.20": "ECDH-HKDF-SHA384",
	"1.2.840.113549.1.9.16.3.21": "ECDH-HKDF-SHA512",
	"1.2.840.113549.1.9.16.13.3": "KEM",
	"1.3.133.16.840.63.0.2":      "ECDH-SHA1KDF",
	"1.3.132.1.11.0":             "ECDH-SHA224KDF",
	"1.3.132.1.11.1":             "ECDH-SHA256KDF",
	"1.3.132.1.11.2":             "ECDH-SHA384KDF",
	"1.3.132.1.11.3":             "ECDH-SHA512KDF",
	"1.3.6.1.5.5.8.1.2":          "HMAC-SHA1",
	"1.2.840.113549.2.9":         "HMAC-SHA256",
}

// nameOf returns the name of oid, or its numbers.
func nameOf(oid asn1.ObjectIdentifier) string {
	s := oid.String()
	if name, ok := names[s]; ok {
		return name
	}
	if s == "" {
		return "unknown"
	}
	return s
}

// signatureName names the signature algorithm of si together with its digest.
func signatureName(si *SignerInfo) string {
	f, named := signatureOf(si.SignatureAlgorithm.Algorithm)
	var family string
	switch f {
	case unknownFamily, mldsaFamily:
		return nameOf(si.SignatureAlgorithm.Algorithm)
	case ed25519Family:
		return "Ed25519"
	case rsaPKCS1:
		family = "RSA"
	case rsaPSS:
		family = "RSA-PSS"
	case ecdsaFamily:
		family = "ECDSA"
	case dsaFamily:
		family = "DSA"
	}
	if named == 0 {
		named = syntax.Hash(si.DigestAlgorithm.Algorithm)
	}
	if named == 0 {
		return family
	}
	digest := named.String() // "SHA-256", "SHA3-256"
	if rest, ok := strings.CutPrefix(digest, "SHA-"); ok {
		digest = "SHA" + rest
	}
	return family + "-" + digest
}

// nameAttributes are the short names of RFC 4514 section 3, and of what occurs in mail besides.
var nameAttributes = map[string]string{
	"2.5.4.3":                    "CN",
	"2.5.4.4":                    "SN",
	"2.5.4.5":                    "serialNumber",
	"2.5.4.6":                    "C",
	"2.5.4.7":                    "L",
	"2.5.4.8":                    "ST",
	"2.5.4.9":                    "STREET",
	"2.5.4.10":                   "O",
	"2.5.4.11":                   "OU",
	"2.5.4.12":                   "title",
	"2.5.4.17":                   "postalCode",
	"2.5.4.42":                   "GN",
	"2.5.4.97":                   "organizationIdentifier",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC",
	"1.2.840.113549.1.9.1":       "emailAddress",
}

// nameString writes a DER Name as RFC 4514 does, unprintable characters escaped.
func nameString(der []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return "unreadable name"
	}
	var b strings.Builder
	for i, rdn := range slices.Backward(name) {
		if i < len(name)-1 {
			b.WriteByte(',')
		}
		for j, a := range rdn {
			if j > 0 {
				b.WriteByte('+')
			}
			attribute, ok := nameAttributes[a.Type.String()]
			if !ok {
				attribute = a.Type.String()
			}
			b.WriteString(attribute)
			b.WriteByte('=')
			writeEscaped(&b, fmt.Sprint(a.Value))
		}
	}
	return b.String()
}

// writeEscaped escapes what has a meaning in a name (RFC 4514 section 2.4) and what would upset a terminal.
func writeEscaped(b *strings.Builder, value string) {
	for i, r := range value {
		edge := i == 0 || i == len(value)-1
		switch {
		case strings.ContainsRune(`,+"\\<>;`, r), edge && r == ' ', i == 0 && r == '#':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(b, `\%02x`, c)
			}
		}
	}
}
