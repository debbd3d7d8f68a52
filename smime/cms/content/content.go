// Package content encrypts and decrypts the content of CMS messages as streams, in memory that does not depend on their
// size.
//
//	a, err := content.New(rand.Reader, content.AES256GCM)
//	e, err := a.Encrypter(w, key, nil)
//	io.Copy(e, plaintext)
//	tag, err := e.Finish()
//
// What a Decrypter gives nobody may look at before its Finish has said that it is good: the tag of an authenticated cipher, or the
// padding of CBC, come last.
//
// RFC 3565 (AES-CBC), RFC 3370 section 5.1 (Triple-DES), RFC 5084 (AES-GCM and AES-CCM), RFC 8103 (ChaCha20-Poly1305), RFC 5652
// section 6.3 (padding), NIST SP 800-38A, 800-38C and 800-38D.
package content

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// Why an algorithm identifier cannot be used. Both can be told to anybody: they depend on no key.
var (
	ErrUnsupported = errors.New("unsupported content encryption")
	ErrParameters  = errors.New("malformed parameters of the content encryption")
)

// Cipher is a content encryption algorithm. The zero Cipher is none.
type Cipher int

// The ciphers. 3DES and CCM are only read, as is AES-192-GCM, which no profile of S/MIME wants.
const (
	None Cipher = iota
	AES128CBC
	AES192CBC
	AES256CBC
	TripleDESCBC
	AES128GCM
	AES192GCM
	AES256GCM
	AES128CCM
	AES192CCM
	AES256CCM
	ChaCha20Poly1305
)

// mode is how a cipher works, and what its parameters are.
type mode int

const (
	cbc mode = iota + 1
	gcm
	ccm
	chacha
)

var ciphers = [...]struct {
	name  string
	oid   asn1.ObjectIdentifier
	mode  mode
	key   int // octets
	write bool
}{
	AES128CBC:        {"AES128-CBC", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, cbc, 16, true},
	AES192CBC:        {"AES192-CBC", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, cbc, 24, true},
	AES256CBC:        {"AES256-CBC", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, cbc, 32, true},
	TripleDESCBC:     {"3DES-CBC", asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, cbc, 24, false},
	AES128GCM:        {"AES128-GCM", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 6}, gcm, 16, true},
	AES192GCM:        {"AES192-GCM", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 26}, gcm, 24, false},
	AES256GCM:        {"AES256-GCM", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}, gcm, 32, true},
	AES128CCM:        {"AES128-CCM", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 7}, ccm, 16, false},
	AES192CCM:        {"AES192-CCM", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 27}, ccm, 24, false},
	AES256CCM:        {"AES256-CCM", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 47}, ccm, 32, false},
	ChaCha20Poly1305: {"ChaCha20-Poly1305", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 18}, chacha, 32, true},
}

// valid says whether c is one of the constants but None.
func (c Cipher) valid() bool { return c > None && int(c) < len(ciphers) }

// String is the cipher's name.
func (c Cipher) String() string {
	if !c.valid() {
		return fmt.Sprintf("content.Cipher(%d)", int(c))
	}
	return ciphers[c].name
}

// OID is the cipher's identifier, nil for None.
func (c Cipher) OID() asn1.ObjectIdentifier {
	if !c.valid() {
		return nil
	}
	return ciphers[c].oid
}

// KeySize is the number of octets of a key.
func (c Cipher) KeySize() int {
	if !c.valid() {
		return 0
	}
	return ciphers[c].key
}

// Authenticated says whether the cipher makes a tag, and so belongs into AuthEnvelopedData (RFC 5083) and not into
// EnvelopedData.
func (c Cipher) Authenticated() bool { return c.valid() && ciphers[c].mode != cbc }

// Writable says whether New takes the cipher.
func (c Cipher) Writable() bool { return c.valid() && ciphers[c].write }

// mode is 0 for None.
func (c Cipher) mode() mode {
	if !c.valid() {
		return 0
	}
	return ciphers[c].mode
}

// Algorithm is a cipher with the parameters for one message: its initialisation vector or nonce, and the length of its tag.
type Algorithm struct {
	cipher Cipher
	nonce  []byte
	tag    int
}

// Tags are written whole; RFC 5084's default of 12 octets is only read. The shortest that AES-CCM may have (4 and 6 octets) are
// refused: SP 800-38C appendix B.2 wants no tag below 64 bits.
const (
	fullTag    = 16
	defaultTag = 12
	minCCMTag  = 8
	gcmNonce   = 12
	maxNonce   = 64 // of AES-GCM, where any length is allowed
)

// New makes parameters for one message that is encrypted with c under a key that is used for no other.
func New(rand io.Reader, c Cipher) (Algorithm, error) {
	if !c.Writable() {
		return Algorithm{}, fmt.Errorf("%w to write: %v", ErrUnsupported, c)
	}
	a := Algorithm{cipher: c, nonce: make([]byte, gcmNonce), tag: fullTag}
	if c.mode() == cbc {
		a.nonce, a.tag = make([]byte, aesBlock), 0
	}
	_, err := io.ReadFull(rand, a.nonce)
	return a, err
}

// Parse reads a contentEncryptionAlgorithm.
func Parse(id pkix.AlgorithmIdentifier) (Algorithm, error) {
	for i := range ciphers {
		c := Cipher(i)
		if c == None || !ciphers[c].oid.Equal(id.Algorithm) {
			continue
		}
		a := Algorithm{cipher: c}
		var ok bool
		switch in := cryptobyte.String(id.Parameters.FullBytes); c.mode() {
		case cbc:
			ok = a.readOctets(in, a.block())
		case chacha:
			ok, a.tag = a.readOctets(in, gcmNonce), fullTag
		default:
			ok = a.readParameters(in)
		}
		if !ok {
			return Algorithm{}, fmt.Errorf("%w: %v", ErrParameters, c)
		}
		if c.mode() == ccm && a.tag < minCCMTag {
			return Algorithm{}, fmt.Errorf("%w: %v with a tag of %d octets", ErrUnsupported, c, a.tag)
		}
		return a, nil
	}
	return Algorithm{}, fmt.Errorf("%w: %v", ErrUnsupported, id.Algorithm)
}

// readOctets reads an OCTET STRING of that size, which is all there may be.
func (a *Algorithm) readOctets(in cryptobyte.String, size int) bool {
	var nonce cryptobyte.String
	if !in.ReadASN1(&nonce, der.OCTET_STRING) || !in.Empty() || len(nonce) != size {
		return false
	}
	a.nonce = nonce
	return true
}

// readParameters reads GCMParameters or CCMParameters (RFC 5084 section 3).
func (a *Algorithm) readParameters(in cryptobyte.String) bool {
	var body, nonce cryptobyte.String
	a.tag = defaultTag
	if !in.ReadASN1(&body, der.SEQUENCE) || !in.Empty() || !body.ReadASN1(&nonce, der.OCTET_STRING) ||
		!body.Empty() && !body.ReadASN1Integer(&a.tag) || !body.Empty() {
		return false
	}
	a.nonce = nonce
	if a.cipher.mode() == ccm {
		return len(nonce) >= 7 && len(nonce) <= 13 && a.tag >= 4 && a.tag <= fullTag && a.tag%2 == 0
	}
	return len(nonce) >= 1 && len(nonce) <= maxNonce && a.tag >= defaultTag && a.tag <= fullTag
}

// DER is the AlgorithmIdentifier.
func (a Algorithm) DER() ([]byte, error) {
	var b cryptobyte.Builder
	switch a.cipher.mode() {
	case cbc, chacha:
		b.AddASN1OctetString(a.nonce)
	default:
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(a.nonce)
			if a.tag != defaultTag {
				b.AddASN1Int64(int64(a.tag))
			}
		})
	}
	parameters, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return syntax.Algorithm(a.cipher.OID(), parameters), nil
}

// Cipher is the algorithm without its parameters.
func (a Algorithm) Cipher() Cipher { return a.cipher }

// TagSize is the number of octets of the tag, 0 for CBC.
func (a Algorithm) TagSize() int { return a.tag }

// CiphertextSize is the number of octets that n octets of plaintext become, the tag not counted.
func (a Algorithm) CiphertextSize(n int64) int64 {
	if a.cipher.mode() == cbc {
		return n - n%int64(a.block()) + int64(a.block())
	}
	return n
}
