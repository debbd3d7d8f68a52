package pki

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/scrypt"
)

// Bounds on the work that a file may ask for before its passphrase is known.
// OpenSSL uses 2048 rounds, careful people 1,000,000.
const (
	maxRounds = 5_000_000
	maxScrypt = 1 << 21 // N*r: 256 MiB
	maxLanes  = 16      // scrypt's p
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidPBMAC1 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}

	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}

	oidPKCS12PBE = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1} // and one more arc
)

// schemes are the ciphers that PBES2 is used with, in CBC mode.
var schemes = map[string]struct {
	block, key int
	cipher     func([]byte) (cipher.Block, error)
}{
	"2.16.840.1.101.3.4.1.2":  {16, 16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {16, 24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {16, 32, aes.NewCipher},
	"1.2.840.113549.3.7":      {8, 24, des.NewTripleDESCipher},
}

// privateKeyInfo is an unencrypted key of whatever kind (RFC 5958 section 2).
type privateKeyInfo struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	Key        []byte
	Attributes asn1.RawValue `asn1:"optional,tag:0"`
	Public     asn1.RawValue `asn1:"optional,tag:1"`
}

type encryptedPrivateKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2 struct {
	KDF, Scheme pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt   asn1.RawValue
	Rounds int
	Length int                      `asn1:"optional"`
	PRF    pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParams struct {
	Salt    []byte
	N, R, P int
}

type pkcs12PBE struct {
	Salt   []byte
	Rounds int
}

var (
	errRounds  = fmt.Errorf("asks for more than %d rounds to open it", maxRounds)
	errDamaged = errors.New("damaged")
)

// unmarshal is asn1.Unmarshal that takes no data behind the value.
func unmarshal(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err != nil || len(rest) > 0 {
		return errDamaged
	}
	return nil
}

// A budget is the rounds that a file has asked for so far, in all its parts.
type budget struct{ rounds int }

func (b *budget) spend(n int) error {
	switch {
	case n < 1:
		return errDamaged
	case n > maxRounds-b.rounds:
		return errRounds
	}
	b.rounds += n
	return nil
}

// pkcs8 looks at all parameters of an encrypted key before any work is
// done with them: the library that opens it trusts them.
func (b *budget) pkcs8(der []byte) error {
	var k encryptedPrivateKeyInfo
	if err := unmarshal(der, &k); err != nil {
		return err
	}
	if !k.Algorithm.Algorithm.Equal(oidPBES2) {
		return fmt.Errorf("encrypted in an old way (%v, not PBES2); convert it: openssl pkey -in OLD -aes256 -out NEW", k.Algorithm.Algorithm)
	}
	var p pbes2
	if err := unmarshal(k.Algorithm.Parameters.FullBytes, &p); err != nil {
		return err
	}
	scheme, ok := schemes[p.Scheme.Algorithm.String()]
	if !ok {
		return fmt.Errorf("encrypted with a cipher (%v) that is not AES-CBC; convert it: openssl pkey -in OLD -aes256 -out NEW", p.Scheme.Algorithm)
	}
	var iv []byte
	if err := unmarshal(p.Scheme.Parameters.FullBytes, &iv); err != nil {
		return err
	}
	if len(iv) != scheme.block || len(k.Data) == 0 || len(k.Data)%scheme.block != 0 {
		return errDamaged
	}
	prf, err := b.kdf(p.KDF)
	if err != nil {
		return err
	}
	if prf != nil && !prf.Equal(oidHMACSHA1) && !prf.Equal(oidHMACSHA256) {
		return fmt.Errorf("encrypted with a function (%v) that is not HMAC with SHA-256; convert it: openssl pkey -in OLD -aes256 -out NEW", prf)
	}
	return nil
}

// openPBES2 decrypts a key (RFC 8018 section 6.2.2) whose parameters pkcs8 has
// looked at. Whatever does not come out right is a wrong passphrase.
func openPBES2(der, passphrase []byte) ([]byte, error) {
	var k encryptedPrivateKeyInfo
	var p pbes2
	var iv []byte
	if unmarshal(der, &k) != nil || unmarshal(k.Algorithm.Parameters.FullBytes, &p) != nil || unmarshal(p.Scheme.Parameters.FullBytes, &iv) != nil {
		return nil, errDamaged
	}
	scheme := schemes[p.Scheme.Algorithm.String()]
	key, err := derive(p.KDF, passphrase, scheme.key)
	if err != nil {
		return nil, err
	}
	block, err := scheme.cipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(k.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, k.Data)
	n := int(plain[len(plain)-1])
	if n == 0 || n > scheme.block || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, ErrPassphrase
	}
	return plain[:len(plain)-n], nil
}

// derive makes a key of so many octets, by PBKDF2 or scrypt.
func derive(kdf pkix.AlgorithmIdentifier, passphrase []byte, size int) ([]byte, error) {
	if kdf.Algorithm.Equal(oidScrypt) {
		var p scryptParams
		if err := unmarshal(kdf.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		return scrypt.Key(passphrase, p.Salt, p.N, p.R, p.P, size)
	}
	var p pbkdf2Params
	if err := unmarshal(kdf.Parameters.FullBytes, &p); err != nil {
		return nil, err
	}
	h := sha1.New // RFC 8018 appendix A.2: the default
	if p.PRF.Algorithm.Equal(oidHMACSHA256) {
		h = sha256.New
	}
	return pbkdf2.Key(h, string(passphrase), p.Salt.Bytes, p.Rounds, size)
}

// kdf bounds a key derivation (RFC 8018 appendix A.2, RFC 7914 section 7) and
// returns PBKDF2's pseudo-random function, nil for the default.
func (b *budget) kdf(kdf pkix.AlgorithmIdentifier) (asn1.ObjectIdentifier, error) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		var p pbkdf2Params
		if err := unmarshal(kdf.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		if p.Salt.Class != asn1.ClassUniversal || p.Salt.Tag != asn1.TagOctetString {
			return nil, errDamaged
		}
		return p.PRF.Algorithm, b.spend(p.Rounds)
	case kdf.Algorithm.Equal(oidScrypt):
		var p scryptParams
		if err := unmarshal(kdf.Parameters.FullBytes, &p); err != nil {
			return nil, err
		}
		if p.N < 2 || p.R < 1 || p.P < 1 {
			return nil, errDamaged
		}
		if p.P > maxLanes || p.N > maxScrypt || p.R > maxScrypt/p.N {
			return nil, errors.New("asks for more memory than 256 MiB to open it")
		}
		return nil, nil
	}
	return nil, fmt.Errorf("encrypted with a key derivation (%v) that is not known", kdf.Algorithm)
}

// pbe bounds an encryption scheme of PKCS #12: PBES2, or one of the
// scheme's own (RFC 7292 appendix C).
func (b *budget) pbe(a pkix.AlgorithmIdentifier) error {
	if a.Algorithm.Equal(oidPBES2) {
		var p pbes2
		if err := unmarshal(a.Parameters.FullBytes, &p); err != nil {
			return err
		}
		_, err := b.kdf(p.KDF)
		return err
	}
	if len(a.Algorithm) == len(oidPKCS12PBE)+1 && a.Algorithm[:len(oidPKCS12PBE)].Equal(oidPKCS12PBE) {
		var p pkcs12PBE
		if err := unmarshal(a.Parameters.FullBytes, &p); err != nil {
			return err
		}
		return b.spend(p.Rounds)
	}
	return fmt.Errorf("encrypted with a scheme (%v) that is not known", a.Algorithm)
}
