package content

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"io"
)

const aesBlock = aes.BlockSize

// block is the size of the cipher's blocks.
func (a Algorithm) block() int {
	if a.cipher == TripleDESCBC {
		return des.BlockSize
	}
	return aesBlock
}

// cbcEngine is cipher block chaining with the padding of RFC 5652 section 6.3.
type cbcEngine struct {
	cipher.BlockMode
}

func newCBC(a Algorithm, key []byte, encrypting bool) (e cbcEngine, err error) {
	var b cipher.Block
	if a.cipher == TripleDESCBC {
		b, err = des.NewTripleDESCipher(key)
	} else {
		b, err = aes.NewCipher(key)
	}
	switch {
	case err != nil:
		return e, err
	case encrypting:
		return cbcEngine{cipher.NewCBCEncrypter(b, a.nonce)}, nil
	}
	return cbcEngine{cipher.NewCBCDecrypter(b, a.nonce)}, nil
}

func (e cbcEngine) begin([]byte) {}

func (e cbcEngine) encrypt(dst, src []byte) { e.CryptBlocks(dst, src) }

// decrypt leaves out what is no whole block at the end of a ciphertext that was cut off.
func (e cbcEngine) decrypt(dst, src []byte) {
	whole := len(src) - len(src)%e.BlockSize()
	e.CryptBlocks(dst[:whole], src[:whole])
}

func (e cbcEngine) pad(total int64) []byte {
	n := e.BlockSize() - int(total%int64(e.BlockSize()))
	return bytes.Repeat([]byte{byte(n)}, n)
}

func (e cbcEngine) sum([]byte, int64, io.ReaderAt) ([]byte, error) { return nil, nil }

// unpad looks at all octets that may be padding, whatever the last one says.
func (e cbcEngine) unpad(total int64, last [unit]byte) (int64, bool) {
	block := e.BlockSize()
	if total == 0 || total%int64(block) != 0 {
		return 0, false
	}
	n := int(last[unit-1])
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, block)
	for i := 1; i <= block; i++ {
		outside := 1 ^ subtle.ConstantTimeLessOrEq(i, n)
		good &= outside | subtle.ConstantTimeByteEq(last[unit-i], byte(n))
	}
	return total - int64(n*good), good == 1
}
