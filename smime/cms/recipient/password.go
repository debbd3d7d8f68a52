package recipient

import (
	"cmp"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/subtle"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// Rounds of PBKDF2: what we write, and the most that a sender may ask for, which takes from half a second to two by the digest.
const (
	rounds    = 600_000
	maxRounds = 1_000_000
)

// ciphers are those of RFC 3211's key wrap.
var ciphers = []struct {
	oid  asn1.ObjectIdentifier
	size int
	new  func([]byte) (cipher.Block, error)
}{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, aes.NewCipher},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, des.NewTripleDESCipher}, // read only
}

// wrapPassword makes a PasswordRecipientInfo (RFC 5652 section 6.2.4) with PBKDF2 by HMAC-SHA256 and AES-256-CBC.
func (t To) wrapPassword(rand io.Reader, cek []byte) ([]byte, error) {
	n := cmp.Or(t.Rounds, rounds)
	switch {
	case len(t.Password) == 0:
		return nil, errors.New("recipient has neither certificate nor password")
	case n < 1 || n > maxRounds:
		return nil, fmt.Errorf("%w: PBKDF2 with %d rounds; want at most %d", ErrUnsupported, n, maxRounds)
	}
	var random [16 + aes.BlockSize + aes.BlockSize]byte
	if _, err := io.ReadFull(rand, random[:]); err != nil {
		return nil, err
	}
	salt, iv, padding := random[:16], random[16:32], random[32:]
	c := ciphers[0]
	derivation := derivePBKDF2{salt: salt, rounds: n, mac: crypto.SHA256}
	kek, err := derivation.key(t.Password, c.size)
	if err != nil {
		return nil, err
	}
	block, err := c.new(kek)
	if err != nil {
		return nil, err
	}
	wrapped := wrapCBC(block, iv, cek, padding)

	var parameters, b cryptobyte.Builder
	parameters.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(salt)
		b.AddASN1Int64(int64(n))
		b.AddBytes(syntax.Algorithm(oidHMACSHA256, asn1.NullBytes))
	})
	iv = append([]byte{byte(der.OCTET_STRING), aes.BlockSize}, iv...)
	b.AddASN1(syntax.Explicit(3), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(syntax.Explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidPBKDF2)
			b.AddBytes(parameters.BytesOrPanic())
		})
		b.AddBytes(syntax.Algorithm(oidPWRI, syntax.Algorithm(c.oid, iv)))
		b.AddASN1OctetString(wrapped)
	})
	return b.Bytes()
}

// derivePBKDF2 is PBKDF2 with its parameters (RFC 8018 section 5.2).
type derivePBKDF2 struct {
	salt   []byte
	rounds int
	size   int // 0 for any
	mac    crypto.Hash
}

func (d derivePBKDF2) key(password []byte, size int) ([]byte, error) {
	return pbkdf2.Key(d.mac.New, string(password), d.salt, d.rounds, size)
}

// readPBKDF2 reads PBKDF2-params (RFC 8018 appendix A.2) and bounds what they may cost.
func readPBKDF2(a pkix.AlgorithmIdentifier) (d derivePBKDF2, err error) {
	if !a.Algorithm.Equal(oidPBKDF2) {
		return d, unsupported(a.Algorithm)
	}
	s := input(a.Parameters.FullBytes)
	var body, salt input
	if !s.ReadASN1(&body, der.SEQUENCE) || !body.ReadASN1(&salt, der.OCTET_STRING) || !body.ReadASN1Integer(&d.rounds) {
		return d, fmt.Errorf("%w: parameters of PBKDF2", ErrUnsupported)
	}
	if body.PeekASN1Tag(der.INTEGER) && (!body.ReadASN1Integer(&d.size) || d.size < 1) {
		return d, fmt.Errorf("%w: key length of PBKDF2", ErrUnsupported)
	}
	mac := named{hash: crypto.SHA1} // the default
	if !body.Empty() {
		prf, ok := syntax.ReadAlgorithm(&body, der.SEQUENCE)
		if !ok || !body.Empty() {
			return d, fmt.Errorf("%w: parameters of PBKDF2", ErrUnsupported)
		}
		if mac, err = find(macs, prf.Algorithm); err != nil {
			return d, err
		}
	}
	if d.rounds < 1 || d.rounds > maxRounds {
		return d, fmt.Errorf("%w: PBKDF2 with %d rounds; want at most %d", ErrUnsupported, d.rounds, maxRounds)
	}
	d.salt, d.mac = salt, mac.hash
	return d, nil
}

// Rounds is how many rounds of PBKDF2 Unwrap takes for a Password, 0 if it takes none.
func (i *Info) Rounds() int {
	p, ok := i.way.(passworded)
	if !ok {
		return 0
	}
	d, err := readPBKDF2(p.derivation)
	if err != nil {
		return 0
	}
	return d.rounds
}

// passworded is the key of a PasswordRecipientInfo.
type passworded struct {
	derivation pkix.AlgorithmIdentifier // empty if absent
	algorithm  pkix.AlgorithmIdentifier
	key        []byte
}

func (passworded) takes(k Key) bool { return len(k.Password) > 0 }

func (p passworded) open(k Key, _ int, cek []byte) error {
	if !p.algorithm.Algorithm.Equal(oidPWRI) {
		return unsupported(p.algorithm.Algorithm)
	}
	parameters := input(p.algorithm.Parameters.FullBytes)
	inner, ok := syntax.ReadAlgorithm(&parameters, der.SEQUENCE)
	if !ok {
		return fmt.Errorf("%w: password recipient without cipher", ErrUnsupported)
	}
	derivation, err := readPBKDF2(p.derivation)
	if err != nil {
		return err
	}
	for _, c := range ciphers {
		if !c.oid.Equal(inner.Algorithm) {
			continue
		}
		s := input(inner.Parameters.FullBytes)
		var iv input
		if !s.ReadASN1(&iv, der.OCTET_STRING) || !s.Empty() || derivation.size != 0 && derivation.size != c.size {
			return fmt.Errorf("%w: parameters of a password recipient", ErrUnsupported)
		}
		kek, err := derivation.key(k.Password, c.size)
		if err != nil {
			return err
		}
		block, err := c.new(kek)
		if err != nil {
			return err
		}
		if len(iv) != block.BlockSize() {
			return fmt.Errorf("%w: parameters of a password recipient", ErrUnsupported)
		}
		unwrapCBC(block, iv, p.key, cek)
		return nil
	}
	return unsupported(inner.Algorithm)
}

// wrapCBC encrypts cek twice (RFC 3211 section 2.3.1), the second time with the last block of the first as IV, so that every
// octet depends on every other. There must be enough random octets to fill two blocks.
func wrapCBC(block cipher.Block, iv, cek, random []byte) []byte {
	size := block.BlockSize()
	out := append([]byte{byte(len(cek)), ^cek[0], ^cek[1], ^cek[2]}, cek...)
	fill := max((size-len(out)%size)%size, 2*size-len(out))
	out = append(out, random[:fill]...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, out)
	cipher.NewCBCEncrypter(block, out[len(out)-size:]).CryptBlocks(out, out)
	return out
}

// unwrapCBC undoes wrapCBC into cek, which stays as it is if the check octets or the length are wrong. Which of both
// happened shows in neither result nor time.
func unwrapCBC(block cipher.Block, iv, wrapped, cek []byte) {
	size, n := block.BlockSize(), len(wrapped)
	if n%size != 0 || n < 2*size || n < 4+len(cek) || n > 4+255+size {
		return
	}
	out := append([]byte(nil), wrapped...)
	last := make([]byte, size)
	cipher.NewCBCDecrypter(block, wrapped[n-2*size:n-size]).CryptBlocks(last, wrapped[n-size:])
	cipher.NewCBCDecrypter(block, last).CryptBlocks(out, out)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, out)
	right := subtle.ConstantTimeByteEq(out[0], byte(len(cek)))
	for j := range 3 {
		right &= subtle.ConstantTimeByteEq(out[1+j]^out[4+j], 0xff)
	}
	subtle.ConstantTimeCopy(right, cek, out[4:4+len(cek)])
}
