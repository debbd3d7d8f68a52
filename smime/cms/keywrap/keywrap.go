// Package keywrap encrypts one key with another: AES Key Wrap, by which every key
// agreement and encapsulation of CMS ends, and Triple DES key wrap, which is read only.
//
// Whether an unwrapped key is the right one is not for the sender of a mail to
// learn, so Unwrap has the shape of rsa.DecryptPKCS1v15SessionKey: it fills a key
// that is random already, or leaves it, and says nothing.
//
// RFC 3394 section 2.2, RFC 3565 section 2.3, RFC 3217 section 3.
package keywrap

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// Overhead is by how many octets a wrapped key is longer.
const Overhead = 8

// initial is the integrity check value of RFC 3394 section 2.2.3.1.
const initial = 0xA6A6A6A6A6A6A6A6

// maxKey bounds keys; none of CMS is longer.
const maxKey = 1024

// ErrSize is a key that has no whole number of 64-bit blocks, or fewer than two, or is not what was asked for.
var ErrSize = errors.New("key has a wrong size for key wrap")

func fits(n int) bool { return n >= 16 && n <= maxKey && n%8 == 0 }

// Wrap encrypts key with kek, of 16, 24 or 32 octets.
func Wrap(kek, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, ErrSize
	}
	if !fits(len(key)) {
		return nil, ErrSize
	}
	n := len(key) / 8
	out := make([]byte, Overhead+len(key))
	copy(out[Overhead:], key)
	var b [aes.BlockSize]byte
	a := uint64(initial)
	for t := range 6 * n {
		r := out[Overhead+8*(t%n):][:8]
		binary.BigEndian.PutUint64(b[:8], a)
		copy(b[8:], r)
		block.Encrypt(b[:], b[:])
		a = binary.BigEndian.Uint64(b[:8]) ^ uint64(t+1)
		copy(r, b[8:])
	}
	binary.BigEndian.PutUint64(out, a)
	return out, nil
}

// Unwrap decrypts wrapped with kek and copies what it holds into key, if it was wrapped with kek and has key's size;
// otherwise key stays as it is. Which of both happened shows in neither result nor time. Errors tell of sizes only.
func Unwrap(kek, wrapped, key []byte) error {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return ErrSize
	}
	if !fits(len(key)) || len(wrapped) != len(key)+Overhead {
		return ErrSize
	}
	n := len(key) / 8
	out := append([]byte(nil), wrapped[Overhead:]...)
	var b [aes.BlockSize]byte
	a := binary.BigEndian.Uint64(wrapped)
	for t := 6*n - 1; t >= 0; t-- {
		r := out[8*(t%n):][:8]
		binary.BigEndian.PutUint64(b[:8], a^uint64(t+1))
		copy(b[8:], r)
		block.Decrypt(b[:], b[:])
		a = binary.BigEndian.Uint64(b[:8])
		copy(r, b[8:])
	}
	var got, want [8]byte
	binary.BigEndian.PutUint64(got[:], a)
	binary.BigEndian.PutUint64(want[:], initial)
	subtle.ConstantTimeCopy(subtle.ConstantTimeCompare(got[:], want[:]), key, out)
	return nil
}
