package content

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"io"
	"math"
)

// maxGCM is the longest plaintext (SP 800-38D section 5.2.1.1).
const maxGCM = 1<<36 - 32

// gcmEngine is Galois/counter mode as a stream, which the standard library's GCM is not: it takes and gives a message in one
// piece. The library's counter mode makes the text and ghash the tag, but for long pieces to encrypt: see seal.
type gcmEngine struct {
	block   cipher.Block
	hash    *ghash
	text    counter
	whole   cipher.AEAD // with a nonce of 16 octets
	inverse element     // of H, once it is needed
	mask    [16]byte    // the encrypted first counter, which hides the hash
	tag     int

	nonce, first [16]byte // of seal
}

func newGCM(a Algorithm, key []byte) (*gcmEngine, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	hash, err := newGHASH(b)
	if err != nil {
		return nil, err
	}
	whole, err := cipher.NewGCMWithNonceSize(b, 16)
	if err != nil {
		return nil, err
	}
	e := &gcmEngine{block: b, hash: hash, whole: whole, tag: a.tag}
	var first [16]byte // SP 800-38D section 7.1, step 2
	if len(a.nonce) == gcmNonce {
		copy(first[:], a.nonce)
		first[15] = 1
	} else {
		hash.update(a.nonce)
		first = hash.sum(nil, int64(len(a.nonce)))
		hash.reset()
	}
	b.Encrypt(e.mask[:], first[:])
	e.text = counter{block: b, last: first}
	return e, nil
}

func (e *gcmEngine) begin([]byte) {}

func (e *gcmEngine) encrypt(dst, src []byte) {
	if len(src) >= directSize && len(src)%unit == 0 && cap(dst)-len(dst) >= fullTag {
		e.seal(dst, src)
		return
	}
	e.text.crypt(dst, src)
	e.hash.update(dst)
}

// seal lets the library's GCM encrypt a piece as if it were a message, which takes less time than counter mode and GHASH
// one after the other: with the nonce that makes its first counter the one before the piece, J = (N * H + L) * H, L the block with
// the nonce's length. Its tag, which goes behind dst for a moment, gives the piece's hash.
func (e *gcmEngine) seal(dst, src []byte) {
	if e.inverse == (element{}) {
		e.inverse = e.hash.h.inverse()
	}
	length := element{lo: 8 * uint64(len(e.nonce))}
	load(e.text.last[:]).times(e.inverse).plus(length).times(e.inverse).store(e.nonce[:])
	sealed := e.whole.Seal(dst[:0], e.nonce[:], src, nil)
	e.block.Encrypt(e.first[:], e.text.last[:])
	e.hash.sealed(len(src), load(sealed[len(src):]).plus(load(e.first[:])))
	e.text.skip(len(src) / aesBlock)
}

func (e *gcmEngine) decrypt(dst, src []byte) {
	e.hash.update(src)
	e.text.crypt(dst, src)
}

func (e *gcmEngine) pad(int64) []byte { return nil }

func (e *gcmEngine) unpad(total int64, _ [unit]byte) (int64, bool) { return total, true }

// sum brings in aad after the ciphertext, although it stands before it: in an AuthEnvelopedData it comes behind.
func (e *gcmEngine) sum(aad []byte, total int64, _ io.ReaderAt) ([]byte, error) {
	tag := e.hash.sum(aad, total)
	for i := range tag {
		tag[i] ^= e.mask[i]
	}
	return tag[:e.tag], nil
}

// counter is counter mode as GCM has it: only the last 32 bits of the block count.
type counter struct {
	block  cipher.Block
	last   [16]byte // that was used
	stream cipher.Stream
	left   int64 // octets of stream until the 32 bits begin again
}

// forward returns the counter n blocks on.
func forward(b [16]byte, n int) [16]byte {
	binary.BigEndian.PutUint32(b[12:], binary.BigEndian.Uint32(b[12:])+uint32(n))
	return b
}

// skip passes over n blocks.
func (c *counter) skip(n int) { c.last, c.left = forward(c.last, n), 0 }

func (c *counter) crypt(dst, src []byte) {
	for len(src) > 0 {
		if c.left == 0 {
			first := forward(c.last, 1)
			c.stream = cipher.NewCTR(c.block, first[:])
			c.left = (math.MaxUint32 - int64(binary.BigEndian.Uint32(first[12:])) + 1) * aesBlock
		}
		m := int(min(int64(len(src)), c.left))
		c.stream.XORKeyStream(dst[:m], src[:m])
		c.left -= int64(m)
		c.last = forward(c.last, (m+aesBlock-1)/aesBlock)
		dst, src = dst[m:], src[m:]
	}
}
