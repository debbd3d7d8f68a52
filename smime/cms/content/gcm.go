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

// gcmEngine is Galois/counter mode as a stream: the standard library's counter mode for the text, and ghash for the tag. The
// library's own GCM takes and gives a message in one piece only.
type gcmEngine struct {
	hash *ghash
	text counter
	mask [16]byte // the encrypted first counter, which hides the hash
	tag  int
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
	e := &gcmEngine{hash: hash, tag: a.tag}
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
	e.text = counter{block: b, next: first}
	e.text.skip()
	return e, nil
}

func (e *gcmEngine) begin([]byte) {}

func (e *gcmEngine) encrypt(dst, src []byte) {
	e.text.crypt(dst, src)
	e.hash.update(dst)
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
	stream cipher.Stream
	next   [16]byte
	left   int64 // octets until the 32 bits begin again
}

// skip goes to the next block's counter.
func (c *counter) skip() {
	n := binary.BigEndian.Uint32(c.next[12:])
	binary.BigEndian.PutUint32(c.next[12:], n+1)
}

func (c *counter) crypt(dst, src []byte) {
	for len(src) > 0 {
		if c.left == 0 {
			n := binary.BigEndian.Uint32(c.next[12:])
			c.stream = cipher.NewCTR(c.block, c.next[:])
			c.left = (math.MaxUint32 - int64(n) + 1) * aesBlock
			clear(c.next[12:])
		}
		m := int(min(int64(len(src)), c.left))
		c.stream.XORKeyStream(dst[:m], src[:m])
		c.left -= int64(m)
		dst, src = dst[m:], src[m:]
	}
}
