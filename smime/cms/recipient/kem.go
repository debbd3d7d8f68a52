package recipient

import (
	"crypto"
	"crypto/hkdf"
	"crypto/x509/pkix"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/mlkemkey"
	"mailseal/smime/cms/keywrap"
	"mailseal/smime/cms/syntax"
)

// encapsulate makes a KEMRecipientInfo with HKDF-SHA256 and AES-256 key wrap, whatever the size of cek
// (RFC 9629 section 3, RFC 9936 section 2.2).
func (t To) encapsulate(key crypto.Encapsulator, cek []byte) ([]byte, error) {
	shared, ciphertext := key.Encapsulate()
	oid, size := wrapOf(32)
	wrap := syntax.Algorithm(oid, nil)
	derivation, err := find(derivations, oidHKDFSHA256)
	if err != nil {
		return nil, err
	}
	kek, err := derivation.deriveKEM(shared, nil, wrap, size)
	if err != nil {
		return nil, err
	}
	wrapped, err := keywrap.Wrap(kek, cek)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(syntax.Explicit(4), func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidKEMRecipient)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			t.addIdentifier(b)
			b.AddBytes(syntax.Algorithm(mlkemkey.OID(key), nil))
			b.AddASN1OctetString(ciphertext)
			b.AddBytes(syntax.Algorithm(oidHKDFSHA256, nil))
			b.AddASN1Int64(int64(size))
			b.AddBytes(wrap)
			b.AddASN1OctetString(wrapped)
		})
	})
	return b.Bytes()
}

// deriveKEM makes a key-encryption key of size octets for the algorithm wrap from the encapsulated secret. The info is the
// CMSORIforKEMOtherInfo (RFC 9629 section 5), and there is no salt.
func (n named) deriveKEM(shared, ukm, wrap []byte, size int) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(wrap)
		b.AddASN1Int64(int64(size))
		if ukm != nil {
			b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
		}
	})
	info, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return hkdf.Key(n.hash.New, shared, nil, string(info), size)
}

// encapsulated is the key of a KEMRecipientInfo.
type encapsulated struct {
	kem, derivation, wrap pkix.AlgorithmIdentifier
	kekLength             int
	ukm                   []byte // nil if absent
	ciphertext, key       []byte
}

func (encapsulated) takes(k Key) bool {
	_, ok := k.Private.(crypto.Decapsulator)
	return ok
}

func (e encapsulated) open(k Key, _ int, cek []byte) error {
	private := k.Private.(crypto.Decapsulator)
	if !e.kem.Algorithm.Equal(mlkemkey.OID(private.Encapsulator())) {
		return fmt.Errorf("%w: the key is not one of %v", ErrUnsupported, e.kem.Algorithm)
	}
	derivation, err := find(derivations, e.derivation.Algorithm)
	if err != nil {
		return err
	}
	size, err := wrapSize(e.wrap)
	if err != nil {
		return err
	}
	if size != e.kekLength { // RFC 9629 section 3: they must go together
		return fmt.Errorf("%w: key-encryption key of %d octets", ErrUnsupported, e.kekLength)
	}
	// From here on a failure is like a wrong key: cek stays random.
	shared, err := private.Decapsulate(e.ciphertext)
	if err != nil {
		return nil
	}
	kek, err := derivation.deriveKEM(shared, e.ukm, syntax.Algorithm(e.wrap.Algorithm, e.wrap.Parameters.FullBytes), size)
	if err != nil {
		return nil
	}
	_ = keywrap.Unwrap(kek, e.key, cek) // its errors are of sizes only
	return nil
}
