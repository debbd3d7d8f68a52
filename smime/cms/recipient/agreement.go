package recipient

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/keywrap"
	"mailseal/smime/cms/syntax"
)

// agree makes a KeyAgreeRecipientInfo with an ephemeral key of our own (RFC 5753 section 3.1, RFC 8418 section 3). There is no
// ukm: the ephemeral key is new for every recipient.
func (t To) agree(rand io.Reader, key *ecdh.PublicKey, cek []byte) ([]byte, error) {
	scheme, family, err := schemeFor(key.Curve())
	if err != nil {
		return nil, err
	}
	ephemeral, err := key.Curve().GenerateKey(rand)
	if err != nil {
		return nil, err
	}
	z, err := ephemeral.ECDH(key)
	if err != nil {
		return nil, fmt.Errorf("agree with the certificate's key: %w", err)
	}
	oid, size := wrapOf(len(cek))
	wrap := syntax.Algorithm(oid, nil) // RFC 3565 section 2.3.2: parameters are left out
	kek, err := scheme.derive(z, nil, nil, wrap, size)
	if err != nil {
		return nil, err
	}
	wrapped, err := keywrap.Wrap(kek, cek)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(syntax.Explicit(1), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(syntax.Explicit(1), func(b *cryptobyte.Builder) {
				b.AddBytes(syntax.Algorithm(family, nil)) // RFC 5753 section 3.1.1: the curve is that of the certificate
				b.AddASN1BitString(ephemeral.PublicKey().Bytes())
			})
		})
		b.AddBytes(syntax.Algorithm(scheme.oid, wrap))
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				t.addAgreementIdentifier(b)
				b.AddASN1OctetString(wrapped)
			})
		})
	})
	return b.Bytes()
}

// schemeFor returns the scheme whose digest is as strong as the curve (RFC 5753 section 8, RFC 8551 section 2.3), and the
// algorithm of an ephemeral key.
func schemeFor(c ecdh.Curve) (named, asn1.ObjectIdentifier, error) {
	switch c {
	case ecdh.P256():
		return schemeOf(crypto.SHA256, false), oidEC, nil
	case ecdh.P384():
		return schemeOf(crypto.SHA384, false), oidEC, nil
	case ecdh.P521():
		return schemeOf(crypto.SHA512, false), oidEC, nil
	case ecdh.X25519():
		return schemeOf(crypto.SHA256, true), oidX25519, nil
	}
	return named{}, nil, fmt.Errorf("%w: elliptic curve %v", ErrUnsupported, c)
}

// derive makes a key-encryption key of size octets for the algorithm wrap from the agreed secret z. Only HKDF has a salt.
func (n named) derive(z, salt, ukm, wrap []byte, size int) ([]byte, error) {
	info, err := sharedInfo(ukm, wrap, size)
	if err != nil {
		return nil, err
	}
	if n.hkdf {
		return hkdf.Key(n.hash.New, z, salt, string(info), size)
	}
	return x963(n.hash, z, info, size), nil
}

// sharedInfo is the ECC-CMS-SharedInfo (RFC 5753 section 7.2).
func sharedInfo(ukm, wrap []byte, size int) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(wrap)
		if ukm != nil {
			b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
		}
		b.AddASN1(syntax.Explicit(2), func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(binary.BigEndian.AppendUint32(nil, uint32(8*size)))
		})
	})
	return b.Bytes()
}

// x963 is the key derivation function of ANSI X9.63 (SEC 1 section 3.6.1).
func x963(hash crypto.Hash, z, info []byte, size int) []byte {
	var out []byte
	for counter := uint32(1); len(out) < size; counter++ {
		h := hash.New()
		h.Write(z)
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		h.Write(info)
		out = h.Sum(out)
	}
	return out[:size]
}

// agreed are the keys of a KeyAgreeRecipientInfo.
type agreed struct {
	algorithm pkix.AlgorithmIdentifier
	point     []byte // the originator's ephemeral key; nil if it is named instead
	ukm       []byte // nil if absent
	keys      [][]byte
}

// readOriginator reads an OriginatorIdentifierOrKey. Those that name a certificate are read over: they need static keys of the
// originator, which nobody uses.
func (a *agreed) readOriginator(s *input) bool {
	var choice, body, bits input
	var tag der.Tag
	if !s.ReadASN1(&choice, syntax.Explicit(0)) || !choice.ReadAnyASN1(&body, &tag) || !choice.Empty() {
		return false
	}
	if tag != syntax.Explicit(1) {
		return true
	}
	// The algorithm says what the recipient's key says already (RFC 5753 section 3.1.1).
	if _, ok := syntax.ReadAlgorithm(&body, der.SEQUENCE); !ok || !body.ReadASN1(&bits, der.BIT_STRING) || !body.Empty() {
		return false
	}
	if len(bits) < 2 || bits[0] != 0 {
		return false
	}
	a.point = bits[1:]
	return true
}

// takes looks at the kind of k only. To convert the key here would cost a multiplication on its curve for every key and every
// recipient, of whom a forger may name thousands.
func (agreed) takes(k Key) bool {
	switch key := k.Private.(type) {
	case ecdh.KeyExchanger:
		return true
	case *ecdsa.PrivateKey:
		return slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve)
	}
	return false
}

// exchanger returns k's private key as one for key agreement. Only what is wrong with the key itself is an error.
func exchanger(k Key) (ecdh.KeyExchanger, error) {
	if key, ok := k.Private.(*ecdsa.PrivateKey); ok {
		return key.ECDH()
	}
	return k.Private.(ecdh.KeyExchanger), nil
}

func (a agreed) open(k Key, n int, cek []byte) error {
	scheme, err := find(schemes, a.algorithm.Algorithm)
	if err != nil {
		return err
	}
	parameters := input(a.algorithm.Parameters.FullBytes)
	wrap, ok := syntax.ReadAlgorithm(&parameters, der.SEQUENCE)
	if !ok {
		return fmt.Errorf("%w: key agreement without key wrap", ErrUnsupported)
	}
	unwrap, size, err := unwrapping(wrap)
	if err != nil {
		return err
	}
	if a.point == nil {
		return fmt.Errorf("%w: key agreement with a static key of the sender", ErrUnsupported)
	}
	// From here on a failure is like a wrong key: cek stays random.
	private, err := exchanger(k)
	if err != nil {
		return nil
	}
	public, err := parsePoint(private.Curve(), a.point)
	if err != nil {
		return nil
	}
	z, err := private.ECDH(public)
	if err != nil {
		return nil
	}
	salts := [][]byte{a.ukm} // RFC 8418 section 2.2
	if scheme.hkdf && a.ukm != nil {
		salts = append(salts, nil) // Bouncy Castle's reading of it
	}
	for _, salt := range salts {
		kek, err := scheme.derive(z, salt, a.ukm, a.algorithm.Parameters.FullBytes, size)
		if err != nil {
			return nil
		}
		_ = unwrap(kek, a.keys[n], cek) // its errors are of sizes only
	}
	return nil
}

// parsePoint reads a public key, of NIST's curves also compressed (RFC 5753 section 7.1.1 and 7.1.5, RFC 5480 section 2.2).
func parsePoint(c ecdh.Curve, point []byte) (*ecdh.PublicKey, error) {
	var curve elliptic.Curve
	switch c {
	case ecdh.P256():
		curve = elliptic.P256()
	case ecdh.P384():
		curve = elliptic.P384()
	case ecdh.P521():
		curve = elliptic.P521()
	}
	if curve != nil && point[0] != 4 {
		if x, y := elliptic.UnmarshalCompressed(curve, point); x != nil {
			size := len(point) - 1
			point = make([]byte, 1+2*size)
			point[0] = 4
			x.FillBytes(point[1 : 1+size])
			y.FillBytes(point[1+size:])
		}
	}
	return c.NewPublicKey(point)
}
