package peers

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A Cook makes mails by recipe and opens what others have made by one, so
// that every algorithm can be asked for. Peers do it with the options of their
// programs.
type Cook interface {
	// Name and version, as "openssl" and "3.0.19".
	Name() string
	Version() string
	// Make makes a mail with a CMS object out of a mail with CRLF, whose
	// Content-* fields and body go inside. A wrapped ErrCannot is returned where
	// the program has no way to ask for it; every other error is what the
	// program said.
	Make(r Recipe, mail []byte) ([]byte, error)
	// Open checks what is signed and decrypts what is encrypted, with the key or
	// password of one of the recipients. It returns the entity that was inside.
	Open(r Recipe, mail []byte, with Recipient) ([]byte, error)
}

// A Type of CMS object.
type Type int

const (
	Signed Type = iota
	Encrypted
	Compressed
	Digested
	CertsOnly
)

// smimeType is the parameter of the mail's Content-Type (RFC 8551 section 3.2.2).
func (r Recipe) smimeType() string {
	switch r.Type {
	case Encrypted:
		if r.authenticated() {
			return "authEnveloped-data"
		}
		return "enveloped-data"
	case Compressed:
		return "compressed-data"
	case CertsOnly:
		return "certs-only"
	}
	return "signed-data"
}

// A Recipe says what a mail is made of.
type Recipe struct {
	Type     Type
	Detached bool // of Signed: multipart/signed
	BER      bool // indefinite lengths and chunks, where the program lets one choose

	Signers []Signer // of Signed; of CertsOnly whose certificates
	// Bare are signers without signed attributes, NoCertificates without their
	// certificates.
	Bare, NoCertificates bool

	To     []Recipient // of Encrypted
	Cipher string      // "AES-256-CBC"
	// Misplaced is an authenticated cipher in an EnvelopedData, where RFC 5083
	// forbids it.
	Misplaced bool
}

// A Signer is an identity and how it signs.
type Signer struct {
	Who    string
	Digest string // "SHA-256"; "" where the key allows for one only
	PSS    bool
	KeyID  bool // named by its subject key identifier
}

// A Recipient is an identity, or a password, and how it gets the key.
type Recipient struct {
	Who       string
	Password  string
	KeyID     bool
	OAEP, MGF string // digests; "" for PKCS #1 v1.5
	KDF       string // the digest of ECDH's key derivation
	Cofactor  bool   // ECDH with the cofactor (RFC 5753 section 7.1.4)
}

// authenticated says that the cipher belongs into an AuthEnvelopedData.
func (r Recipe) authenticated() bool {
	return r.Type == Encrypted && !r.Misplaced && !strings.HasSuffix(r.Cipher, "-CBC")
}

// one is the signers' common value of something that a program knows once.
func one[T comparable](r Recipe, what string, of func(Signer) T) (v T, err error) {
	for i, s := range r.Signers {
		if w := of(s); i > 0 && w != v {
			return v, fmt.Errorf("%w choose %s for each signer", ErrCannot, what)
		}
		v = of(s)
	}
	return v, nil
}

// A Pantry is what cooks work with: keys, certificates and programs.
type Pantry struct {
	Anchors    string              // trust anchors; a PEM file with one or more
	Identities map[string]Identity // without chains
	// Root is a folder with another system, whose programs can be called in
	// bin-here; "" is this one.
	Root string
	Jars string // the folder of Bouncy Castle's libraries
	// OpenSSL makes PKCS #12 files: one that knows all keys. "" is PATH's.
	OpenSSL string
}

// program is a tool of the pantry. The test is skipped where it is missing.
func (p Pantry) program(t testing.TB, name string) string {
	t.Helper()
	if p.Root != "" {
		name = filepath.Join(p.Root, "bin-here", name)
	}
	need(t, name)
	return name
}

// certificate is an identity's.
func (p Pantry) certificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	return certificates(t, p.Identities[name].Certificate)[0]
}

// der is the content of a PEM file with one block.
func der(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("no PEM in %s", file)
	}
	return block.Bytes
}

// Object is the CMS object in a mail, and what is signed if that is outside.
func Object(mail []byte) (cms, content []byte, err error) {
	s, err := split(mail)
	return s.cms, s.content, err
}

// Mail puts a CMS object, made of the mail's entity, into its place.
func Mail(r Recipe, mail, cms []byte) ([]byte, error) {
	outer, inner, err := unwrap(mail)
	if err != nil {
		return nil, err
	}
	if r.Detached {
		return wrapDetached(outer, inner, cms, r.micalg()), nil
	}
	return wrapOpaque(outer, cms, r.smimeType()), nil
}

// Entity is what of a mail goes inside.
func Entity(mail []byte) ([]byte, error) {
	_, inner, err := unwrap(mail)
	return inner, err
}

// Inside is a mail with the same outer fields and another entity.
func Inside(mail, entity []byte) ([]byte, error) {
	outer, _, err := unwrap(mail)
	return append([]byte(outer+"MIME-Version: 1.0\r\n"), entity...), err
}

// Address is the mail address in the certificate of an identity.
func Address(who string) string { return who + "@example.test" }

// micalg names the signers' digests (RFC 8551 section 3.5.3.2).
func (r Recipe) micalg() string {
	var all []string
	for _, s := range r.Signers {
		d := strings.ToLower(s.Digest)
		if d == "" {
			d = "sha-512"
		}
		if !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return strings.Join(all, ",")
}

// fromPEM is what PEM is of, one after the other.
func fromPEM(text []byte) []byte {
	var b bytes.Buffer
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return b.Bytes()
		}
		b.Write(block.Bytes)
	}
}
