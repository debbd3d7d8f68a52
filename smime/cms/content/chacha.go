package content

import (
	"encoding/binary"
	"io"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/poly1305" //lint:ignore SA1019 chacha20poly1305 takes a message in one piece only
)

// maxChaCha is the longest plaintext (RFC 8439 section 2.8).
const maxChaCha = (1<<32 - 1) * 64

// chachaEngine is ChaCha20-Poly1305 (RFC 8439 section 2.8) as a stream.
type chachaEngine struct {
	key, nonce []byte
	text       *chacha20.Cipher
	mac        *poly1305.MAC
	spent      bool // mac has made its sum, which it does once
}

func newChaCha(a Algorithm, key []byte) (*chachaEngine, error) {
	e := &chachaEngine{key: key, nonce: a.nonce}
	return e, e.start()
}

// start goes to the beginning of the message.
func (e *chachaEngine) start() (err error) {
	if e.text, err = chacha20.NewUnauthenticatedCipher(e.key, e.nonce); err != nil {
		return err
	}
	var once [32]byte // RFC 8439 section 2.6
	e.text.XORKeyStream(once[:], once[:])
	e.mac = poly1305.New(&once)
	e.text.SetCounter(1)
	return nil
}

func (e *chachaEngine) begin(aad []byte) {
	e.mac.Write(aad)
	e.mac.Write(make([]byte, -len(aad)&15))
}

func (e *chachaEngine) encrypt(dst, src []byte) {
	e.text.XORKeyStream(dst, src)
	e.mac.Write(dst)
}

func (e *chachaEngine) decrypt(dst, src []byte) {
	e.mac.Write(src)
	e.text.XORKeyStream(dst, src)
}

func (e *chachaEngine) pad(int64) []byte { return nil }

func (e *chachaEngine) unpad(total int64, _ [unit]byte) (int64, bool) { return total, true }

// sum makes the MAC. Additional data stand before the text in it, and in an AuthEnvelopedData behind the text: where there are
// any, which is rare, the plaintext is encrypted once more for the MAC.
func (e *chachaEngine) sum(aad []byte, total int64, plaintext io.ReaderAt) ([]byte, error) {
	if plaintext != nil && (len(aad) > 0 || e.spent) {
		if err := e.start(); err != nil {
			return nil, err
		}
		e.begin(aad)
		if err := again(plaintext, total, func(p []byte) { e.encrypt(p, p) }); err != nil {
			return nil, err
		}
	}
	e.mac.Write(make([]byte, -total&15))
	var sizes [16]byte
	binary.LittleEndian.PutUint64(sizes[:8], uint64(len(aad)))
	binary.LittleEndian.PutUint64(sizes[8:], uint64(total))
	e.mac.Write(sizes[:])
	e.spent = true
	return e.mac.Sum(nil), nil
}
