package content

import (
	"fmt"
	"io"
	"math"
)

// unit is a multiple of every block size.
const unit = 16

// engine is a cipher at work on one message.
type engine interface {
	// begin is told additional data that are known before the text.
	begin(aad []byte)
	encrypt(dst, src []byte)
	decrypt(dst, src []byte)
	// pad returns what is encrypted behind total octets of plaintext.
	pad(total int64) []byte
	// sum returns the tag over aad and total octets of ciphertext, nil if there is none. When decrypting, aad is not what begin was
	// told; an engine that needs it earlier reads the plaintext again.
	sum(aad []byte, total int64, plaintext io.ReaderAt) ([]byte, error)
	// unpad returns how many of total octets, of which last are the last, are plaintext: in the same time whatever they are.
	unpad(total int64, last [unit]byte) (size int64, ok bool)
}

// engine makes what works on one message. Only its kind and the length of the key can be wrong.
func (a Algorithm) engine(key []byte, encrypting bool) (engine, int64, error) {
	if len(key) != a.cipher.KeySize() || len(key) == 0 {
		return nil, 0, fmt.Errorf("key of %d octets for %v", len(key), a.cipher)
	}
	switch a.cipher.mode() {
	case gcm:
		e, err := newGCM(a, key)
		return e, maxGCM, err
	case ccm:
		e, err := newCCM(a, key)
		return e, e.max(), err
	case chacha:
		e, err := newChaCha(a, key)
		return e, maxChaCha, err
	}
	e, err := newCBC(a, key, encrypting)
	return e, math.MaxInt64, err
}
