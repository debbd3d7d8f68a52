package content

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
	"pgregory.net/rapid"
)

// The library's ciphers in one piece say what ours in pieces must be.
func TestLikeLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]Cipher{AES128GCM, AES192GCM, AES256GCM, ChaCha20Poly1305}).Draw(t, "cipher")
		a, key := algorithm(c), randomKey(c)
		var aead cipher.AEAD
		if c == ChaCha20Poly1305 {
			aead = must(chacha20poly1305.New(key))
		} else {
			a.nonce = rapid.SliceOfN(rapid.Byte(), 1, maxNonce).Draw(t, "nonce")
			if rapid.Bool().Draw(t, "usual nonce") {
				a.nonce = make([]byte, 12)
			}
			aead = must(cipher.NewGCMWithNonceSize(must(aes.NewCipher(key)), len(a.nonce)))
		}
		content := make([]byte, rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 5*chunkSize)).Draw(t, "size"))
		rand.Read(content)
		aad := rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "aad")
		sealed := aead.Seal(nil, a.nonce, content, aad)
		ciphertext, tag := sealed[:len(content)], sealed[len(content):]
		if c.Writable() {
			gotText, gotTag := encrypt(t, a, key, aad, drawPieces(t, "piece", content)...)
			if !bytes.Equal(gotText, ciphertext) || !bytes.Equal(gotTag, tag) {
				t.Fatalf("%v: %d octets are encrypted otherwise: tag %x, want %x", c, len(content), gotTag, tag)
			}
		}
		plaintext, ok := decrypt(t, a, key, tag, [][]byte{aad}, drawPieces(t, "cut", ciphertext)...)
		if !ok || !bytes.Equal(plaintext, content) {
			t.Fatalf("%v: %d octets are not read: %v", c, len(content), ok)
		}
	})
}

// The counter's 32 bits begin again in the middle of a message. A nonce that makes the first counter what one wants is found by
// dividing by H.
func TestCounterOverflow(t *testing.T) {
	key := randomKey(AES128GCM)
	b := must(aes.NewCipher(key))
	h := must(newGHASH(b)).h
	inverse := h.inverse()
	if one := (element{hi: 1 << 63}); h.times(inverse) != one {
		t.Fatalf("H * 1/H = %x", h.times(inverse))
	}
	first := element{0x0123456789abcdef, 0x01234567_fffffffd}
	nonce := first.times(inverse).plus(element{lo: 128}).times(inverse)
	a := Algorithm{cipher: AES128GCM, tag: 16}
	a.nonce = make([]byte, 16)
	nonce.store(a.nonce)
	for _, size := range []int{15, 16, 31, 32, 33, 48, 100, directSize, 3 * chunkSize} {
		content := bytes.Repeat([]byte("0123456789"), size)[:size]
		want := must(cipher.NewGCMWithNonceSize(b, 16)).Seal(nil, a.nonce, content, nil)
		ciphertext, tag := encrypt(t, a, key, nil, content[:size/3], content[size/3:])
		if got := append(ciphertext, tag...); !bytes.Equal(got, want) {
			t.Errorf("%d octets: %x, want %x", size, got[:16], want[:16])
		}
	}
}

// Squares, powers and inverses are what multiplying says.
func TestElement(t *testing.T) {
	one := element{hi: 1 << 63}
	rapid.Check(t, func(t *rapid.T) {
		x := element{rapid.Uint64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")}
		if got, want := x.square(), x.times(x); got != want {
			t.Fatalf("%x squared is %x, want %x", x, got, want)
		}
		if got, want := x.power(7), x.times(x).times(x).times(x).times(x).times(x).times(x); got != want {
			t.Fatalf("%x to the 7th is %x, want %x", x, got, want)
		}
		if x != (element{}) && x.inverse().times(x) != one {
			t.Fatalf("%x times %x is not one", x, x.inverse())
		}
	})
}

func unhex(s string) []byte { return must(hex.DecodeString(s)) }

func count(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

// SP 800-38C appendix C, examples 1 to 4. The tags of the first two are shorter than what Parse takes.
func TestCCMExamples(t *testing.T) {
	long := bytes.Repeat(count(0, 256), 256)
	for i, test := range []struct {
		nonce, aad, plaintext []byte
		ciphertext, tag       string
	}{
		{count(0x10, 7), count(0, 8), count(0x20, 4), "7162015b", "4dac255d"},
		{count(0x10, 8), count(0, 16), count(0x20, 16), "d2a1f0e051ea5f62081a7792073d593d", "1fc64fbfaccd"},
		{count(0x10, 12), count(0, 20), count(0x20, 24), "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5", "484392fbc1b09951"},
		{count(0x10, 13), long, count(0x20, 32), "69915dad1e84c6376a68c2967e4dab615ae0fd1faec44cc484828529463ccf72", "b4ac6bec93e8598e7f0dadbcea5b"},
	} {
		a := Algorithm{cipher: AES128CCM, nonce: test.nonce, tag: len(test.tag) / 2}
		plaintext, ok := decrypt(t, a, count(0x40, 16), unhex(test.tag), [][]byte{test.aad}, unhex(test.ciphertext))
		if !ok || !bytes.Equal(plaintext, test.plaintext) {
			t.Errorf("example %d: %x, %v", i+1, plaintext, ok)
		}
	}
}

// sealCCM is SP 800-38C in one piece.
func sealCCM(key, nonce, plaintext, aad []byte, tag int) []byte {
	b := must(aes.NewCipher(key))
	pad := func(p []byte) []byte { return append(p, make([]byte, (16-len(p)%16)%16)...) }
	q := 15 - len(nonce)
	flags := byte((tag-2)/2*8 + q - 1)
	if len(aad) > 0 {
		flags += 64
	}
	blocks := append([]byte{flags}, nonce...)
	for i := q - 1; i >= 0; i-- {
		blocks = append(blocks, byte(uint64(len(plaintext))>>min(8*i, 63)))
	}
	if len(aad) > 0 {
		blocks = pad(append(append(blocks, byte(len(aad)>>8), byte(len(aad))), aad...))
	}
	blocks = pad(append(blocks, plaintext...))
	mac := make([]byte, 16)
	for ; len(blocks) > 0; blocks = blocks[16:] {
		for i := range mac {
			mac[i] ^= blocks[i]
		}
		b.Encrypt(mac, mac)
	}
	counter := append(append([]byte{byte(q - 1)}, nonce...), make([]byte, q)...)
	out := append(mac, plaintext...)
	cipher.NewCTR(b, counter).XORKeyStream(out[:16], out[:16])
	counter[15] = 1
	cipher.NewCTR(b, counter).XORKeyStream(out[16:], out[16:])
	return append(out[16:], out[:tag]...)
}

func TestCCM(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]Cipher{AES128CCM, AES192CCM, AES256CCM}).Draw(t, "cipher")
		a := Algorithm{c, rapid.SliceOfN(rapid.Byte(), 7, 12).Draw(t, "nonce"), 2 * rapid.IntRange(4, 8).Draw(t, "tag")}
		key, aad := randomKey(c), rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "aad")
		content := make([]byte, rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 3*chunkSize)).Draw(t, "size"))
		rand.Read(content)
		sealed := sealCCM(key, a.nonce, content, aad, a.tag)
		ciphertext, tag := sealed[:len(content)], sealed[len(content):]
		plaintext, ok := decrypt(t, a, key, tag, [][]byte{aad}, drawPieces(t, "cut", ciphertext)...)
		if !ok || !bytes.Equal(plaintext, content) {
			t.Fatalf("%d octets are not read: %v", len(content), ok)
		}
		tag[0] ^= 1
		if _, ok = decrypt(t, a, key, tag, [][]byte{aad}, ciphertext); ok {
			t.Fatal("passes with another tag")
		}
	})
}

// wycheproof reads a file of test vectors.
func wycheproof(t *testing.T, name string, f func(ivSize int, v vector)) {
	t.Helper()
	base := os.Getenv("MAILSEAL_CORPORA")
	if base == "" {
		base = filepath.Join("..", "..", "..", "..", "shared", "corpora")
	}
	if _, err := os.Stat(base); err != nil {
		t.Skip("corpus wycheproof is not there: set MAILSEAL_CORPORA")
	}
	var file struct {
		TestGroups []struct {
			IvSize int
			Tests  []vector
		}
	}
	if err := json.Unmarshal(must(os.ReadFile(filepath.Join(base, "wycheproof", name))), &file); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			n++
			f(g.IvSize, v)
		}
	}
	if n < 100 {
		t.Fatalf("only %d vectors", n)
	}
}

type vector struct {
	TcID                               int
	Comment                            string
	Key, Iv, Aad, Msg, Ct, Tag, Result string
}

// check decrypts a vector, and encrypts it if that is ours to do.
func (v vector) check(t *testing.T, c Cipher) {
	a := Algorithm{c, unhex(v.Iv), len(v.Tag) / 2}
	aads := [][]byte{unhex(v.Aad)}
	plaintext, ok := decrypt(t, a, unhex(v.Key), unhex(v.Tag), aads, unhex(v.Ct))
	if ok != (v.Result == "valid") || ok && hex.EncodeToString(plaintext) != v.Msg {
		t.Errorf("%v %d (%s, %s): %x, %v", c, v.TcID, v.Comment, v.Result, plaintext, ok)
	}
	if !c.Writable() || v.Result != "valid" {
		return
	}
	ciphertext, tag := encrypt(t, a, unhex(v.Key), aads[0], unhex(v.Msg))
	if hex.EncodeToString(ciphertext) != v.Ct || hex.EncodeToString(tag) != v.Tag {
		t.Errorf("%v %d (%s): encrypted as %x %x", c, v.TcID, v.Comment, ciphertext, tag)
	}
}

func TestWycheproof(t *testing.T) {
	bySize := func(ciphers ...Cipher) func(key string) Cipher {
		return func(key string) Cipher { return ciphers[len(key)/16-2] }
	}
	wycheproof(t, "aes_cbc_pkcs5_test.json", func(_ int, v vector) {
		v.check(t, bySize(AES128CBC, AES192CBC, AES256CBC)(v.Key))
	})
	wycheproof(t, "aes_gcm_test.json", func(ivSize int, v vector) {
		if ivSize == 0 { // Parse does not take it
			return
		}
		v.check(t, bySize(AES128GCM, AES192GCM, AES256GCM)(v.Key))
	})
	wycheproof(t, "chacha20_poly1305_test.json", func(ivSize int, v vector) {
		if ivSize == 96 {
			v.check(t, ChaCha20Poly1305)
		}
	})
}
