package content

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"io"
)

// ccmEngine is counter mode with CBC-MAC (SP 800-38C), which puts the length of the plaintext first in its MAC: the MAC is
// made when all is decrypted.
type ccmEngine struct {
	block cipher.Block
	text  cipher.Stream
	nonce []byte
	mask  [16]byte // the encrypted counter 0, which hides the MAC
	tag   int
}

func newCCM(a Algorithm, key []byte) (*ccmEngine, error) {
	b, err := aes.NewCipher(key)
	e := &ccmEngine{block: b, nonce: a.nonce, tag: a.tag}
	if err != nil {
		return e, err
	}
	// SP 800-38C appendix A.3: flags, nonce, and a counter in what octets are left.
	var first [16]byte
	first[0] = byte(e.lengthSize() - 1)
	copy(first[1:], a.nonce)
	b.Encrypt(e.mask[:], first[:])
	first[15] = 1
	e.text = cipher.NewCTR(b, first[:])
	return e, nil
}

// lengthSize is the number of octets of the field with the plaintext's length.
func (e *ccmEngine) lengthSize() int { return 15 - len(e.nonce) }

// max is the longest plaintext.
func (e *ccmEngine) max() int64 { return 1<<min(8*e.lengthSize(), 48) - 1 }

func (e *ccmEngine) begin([]byte) {}

func (e *ccmEngine) encrypt(dst, src []byte) { e.text.XORKeyStream(dst, src) }
func (e *ccmEngine) decrypt(dst, src []byte) { e.text.XORKeyStream(dst, src) }

func (e *ccmEngine) pad(int64) []byte                              { return nil }
func (e *ccmEngine) unpad(total int64, _ [unit]byte) (int64, bool) { return total, true }

// sum is SP 800-38C section 6.1 with the formatting of its appendix A.
func (e *ccmEngine) sum(aad []byte, total int64, plaintext io.ReaderAt) ([]byte, error) {
	start := make([]byte, 16, 32+len(aad))
	binary.BigEndian.PutUint64(start[8:], uint64(total))
	start[0] = byte(8*((e.tag-2)/2) + e.lengthSize() - 1)
	copy(start[1:], e.nonce)
	switch n := len(aad); {
	case n == 0:
	case n < 0xff00:
		start = binary.BigEndian.AppendUint16(start, uint16(n))
	default:
		start = binary.BigEndian.AppendUint32(append(start, 0xff, 0xfe), uint32(n))
	}
	if len(aad) > 0 {
		start[0] |= 0x40
		start = append(start, aad...)
		start = append(start, make([]byte, -len(start)&15)...)
	}
	mac := cipher.NewCBCEncrypter(e.block, make([]byte, 16))
	mac.CryptBlocks(start, start)
	tag := [16]byte(start[len(start)-16:])
	err := again(plaintext, total, func(p []byte) {
		for len(p)%aesBlock != 0 {
			p = append(p, 0)
		}
		mac.CryptBlocks(p, p)
		copy(tag[:], p[len(p)-16:])
	})
	for i := range tag {
		tag[i] ^= e.mask[i]
	}
	return tag[:e.tag], err
}

// again reads size octets once more; f may change them.
func again(r io.ReaderAt, size int64, f func([]byte)) error {
	buf := make([]byte, min(size, chunkSize), chunkSize)
	for off := int64(0); off < size; off += int64(len(buf)) {
		buf = buf[:min(size-off, chunkSize)]
		if _, err := io.ReadFull(io.NewSectionReader(r, off, int64(len(buf))), buf); err != nil {
			return err
		}
		f(buf)
	}
	return nil
}
