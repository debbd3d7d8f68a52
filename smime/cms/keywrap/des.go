package keywrap

import (
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/subtle"
	"slices"
)

// Sizes of Triple DES key wrap, whose key-encryption key has the size of the key that it encrypts.
const (
	DESKey  = 24
	desHash = 8 // octets of the key's SHA-1 digest
)

// desIV is the initialization vector of the outer encryption.
var desIV = []byte{0x4a, 0xdd, 0xa2, 0x2c, 0x79, 0xe8, 0x21, 0x05}

// UnwrapDES does what Unwrap does for a Triple DES key that was wrapped by another (RFC 3217 section 3.2), as OpenSSL does for
// elliptic curves and this cipher. Parity is not looked at: the cipher itself does not, and not everybody sets it. There is no
// way to write it.
func UnwrapDES(kek, wrapped, key []byte) error {
	block, err := des.NewTripleDESCipher(kek)
	if err != nil || len(key) != DESKey || len(wrapped) != des.BlockSize+DESKey+desHash {
		return ErrSize
	}
	out := make([]byte, len(wrapped))
	cipher.NewCBCDecrypter(block, desIV).CryptBlocks(out, wrapped)
	slices.Reverse(out)
	iv, out := out[:des.BlockSize], out[des.BlockSize:]
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, out)
	digest := sha1.Sum(out[:DESKey])
	subtle.ConstantTimeCopy(subtle.ConstantTimeCompare(digest[:desHash], out[DESKey:]), key, out[:DESKey])
	return nil
}
