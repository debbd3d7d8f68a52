package content

import (
	"bytes"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
	"pgregory.net/rapid"

	"mailseal/smime/cms/syntax"
)

var everyCipher = []Cipher{
	AES128CBC, AES192CBC, AES256CBC, TripleDESCBC, AES128GCM, AES192GCM, AES256GCM, AES128CCM, AES192CCM, AES256CCM, ChaCha20Poly1305,
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// failer is a testing.T or a rapid.T.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// decrypt decrypts pieces, read in others, and returns what is said to be plaintext, and the verdict.
func decrypt(t failer, a Algorithm, key, tag []byte, aads [][]byte, pieces ...[]byte) (plaintext []byte, ok bool) {
	t.Helper()
	var readers []io.Reader
	for _, p := range pieces {
		readers = append(readers, bytes.NewReader(p))
	}
	d, err := a.Decrypter(io.MultiReader(readers...), key)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for size := 1; ; size = (size*5 + 3) % 70_000 {
		p := make([]byte, size)
		n, err := d.Read(p)
		if out = append(out, p[:n]...); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	size, ok, err := d.Finish(tag, aads, bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(bytes.Join(pieces, nil)); len(out) != n {
		t.Fatalf("%d octets of ciphertext make %d", n, len(out))
	}
	return out[:size], ok
}

func encrypt(t failer, a Algorithm, key, aad []byte, pieces ...[]byte) (ciphertext, tag []byte) {
	t.Helper()
	var out bytes.Buffer
	e, err := a.Encrypter(&out, key, aad)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		before := bytes.Clone(p)
		if _, err := e.Write(p); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, before) {
			t.Fatal("plaintext was altered")
		}
	}
	if tag, err = e.Finish(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), tag
}

// algorithm returns any cipher's algorithm with a random nonce, also of one that is only read.
func algorithm(c Cipher) Algorithm {
	a := Algorithm{cipher: c, nonce: make([]byte, 12), tag: 16}
	if c.mode() == cbc {
		a.nonce, a.tag = make([]byte, a.block()), 0
	}
	rand.Read(a.nonce)
	return a
}

func randomKey(c Cipher) []byte {
	key := make([]byte, c.KeySize())
	rand.Read(key)
	return key
}

// drawPieces cuts content that may be longer than every buffer into pieces of all lengths.
func drawPieces(t *rapid.T, label string, content []byte) (pieces [][]byte) {
	for len(content) > 0 {
		n := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 2*chunkSize), rapid.SampledFrom([]int{directSize - 1, directSize, chunkSize})).Draw(t, label)
		n = min(n, len(content))
		pieces = append(pieces, content[:n])
		content = content[n:]
	}
	return pieces
}

// What is encrypted in pieces and decrypted in others is what it was; with an octet, the tag or the additional data changed it is
// not taken, nor with one octet less.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(everyCipher).Draw(t, "cipher")
		if !c.Writable() {
			t.Skip("only read")
		}
		a, key := must(New(rand.Reader, c)), randomKey(c)
		aad := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "aad")
		content := make([]byte, rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 4*chunkSize)).Draw(t, "size"))
		rand.Read(content)
		ciphertext, tag := encrypt(t, a, key, aad, drawPieces(t, "piece", content)...)
		if int64(len(ciphertext)) != a.CiphertextSize(int64(len(content))) || len(tag) != a.TagSize() || c.Authenticated() != (len(tag) > 0) {
			t.Fatalf("%d octets of %v make %d and a tag of %d", len(content), c, len(ciphertext), len(tag))
		}
		plaintext, ok := decrypt(t, a, key, tag, [][]byte{[]byte("another"), aad}, drawPieces(t, "cut", ciphertext)...)
		if !ok || !bytes.Equal(plaintext, content) {
			t.Fatalf("%v: read back as %d octets, %v", c, len(plaintext), ok)
		}
		if len(ciphertext) > 0 {
			if _, ok = decrypt(t, a, key, tag, [][]byte{aad}, ciphertext[:len(ciphertext)-1]); ok {
				t.Fatalf("%v: passes with an octet less", c)
			}
		}
		if !c.Authenticated() {
			return
		}
		for what, refused := range map[string]func() bool{
			"other data": func() bool {
				_, ok := decrypt(t, a, key, tag, [][]byte{append([]byte("x"), aad...)}, ciphertext)
				return !ok
			},
			"other tag": func() bool {
				other := bytes.Clone(tag)
				other[len(other)-1] ^= 1
				_, ok := decrypt(t, a, key, other, [][]byte{aad}, ciphertext)
				return !ok
			},
			"shorter tag": func() bool {
				_, ok := decrypt(t, a, key, tag[:12], [][]byte{aad}, ciphertext)
				return !ok
			},
			"other key": func() bool {
				_, ok := decrypt(t, a, randomKey(c), tag, [][]byte{aad}, ciphertext)
				return !ok
			},
			"other text": func() bool {
				other := append(bytes.Clone(ciphertext), 0)
				other[len(content)/2] ^= 1
				_, ok := decrypt(t, a, key, tag, [][]byte{aad}, other)
				return !ok
			},
		} {
			if !refused() {
				t.Fatalf("%v: passes with %s", c, what)
			}
		}
	})
}

// Every last block that there can be: only correct padding passes, and the length is what it says.
func TestPadding(t *testing.T) {
	for _, c := range []Cipher{AES128CBC, TripleDESCBC} {
		e := must(newCBC(algorithm(c), randomKey(c), false))
		block := e.BlockSize()
		for n := range 256 {
			for wrong := range block + 1 { // this octet from the end is wrong; none if 0
				if wrong == 1 { // then it is another padding
					continue
				}
				var last [unit]byte
				for i := 1; i <= block; i++ {
					last[unit-i] = byte(n)
				}
				if wrong > 0 {
					last[unit-wrong] ^= 0x80
				}
				want := n >= 1 && n <= block && (wrong == 0 || wrong > n)
				size, ok := e.unpad(int64(4*block), last)
				if ok != want || ok && size != int64(4*block-n) {
					t.Fatalf("%v: padding of %d with octet %d wrong: %d, %v", c, n, wrong, size, ok)
				}
			}
		}
		good := [unit]byte{unit - 1: 1}
		for total, want := range map[int64]bool{0: false, 1: false, int64(block) - 1: false, int64(block): true, int64(block) + 1: false} {
			if _, ok := e.unpad(total, good); ok != want {
				t.Errorf("%v: %d octets: %v", c, total, ok)
			}
		}
	}
}

// id makes an AlgorithmIdentifier of parameters in DER.
func id(c Cipher, parameters []byte) pkix.AlgorithmIdentifier {
	in := cryptobyte.String(syntax.Algorithm(c.OID(), parameters))
	a, _ := syntax.ReadAlgorithm(&in, der.SEQUENCE)
	return a
}

func TestParse(t *testing.T) {
	octets := func(n int) []byte { return must(asn1.Marshal(make([]byte, n))) }
	pair := func(nonce int, more ...any) []byte {
		b := octets(nonce)
		for _, m := range more {
			b = append(b, must(asn1.Marshal(m))...)
		}
		return must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: b}))
	}
	for _, test := range []struct {
		what       string
		cipher     Cipher
		parameters []byte
		tag        int
		want       error
	}{
		{"CBC", AES256CBC, octets(16), 0, nil},
		{"CBC, short vector", AES256CBC, octets(8), 0, ErrParameters},
		{"CBC, long vector", AES256CBC, octets(17), 0, ErrParameters},
		{"CBC, no vector", AES256CBC, nil, 0, ErrParameters},
		{"CBC, NULL", AES128CBC, asn1.NullBytes, 0, ErrParameters},
		{"CBC, with GCM's", AES128CBC, pair(16), 0, ErrParameters},
		{"3DES", TripleDESCBC, octets(8), 0, nil},
		{"3DES, long vector", TripleDESCBC, octets(16), 0, ErrParameters},
		{"GCM", AES128GCM, pair(12, 16), 16, nil},
		{"GCM, tag left out", AES192GCM, pair(12), 12, nil},
		{"GCM, short tag", AES256GCM, pair(12, 11), 0, ErrParameters},
		{"GCM, long tag", AES256GCM, pair(12, 17), 0, ErrParameters},
		{"GCM, tag of no size", AES256GCM, pair(12, -1), 0, ErrParameters},
		{"GCM, no nonce", AES256GCM, pair(0, 16), 0, ErrParameters},
		{"GCM, long nonce", AES256GCM, pair(64, 16), 16, nil},
		{"GCM, too long a nonce", AES256GCM, pair(65, 16), 0, ErrParameters},
		{"GCM, something more", AES256GCM, pair(12, 16, 16), 0, ErrParameters},
		{"GCM, only a nonce", AES256GCM, octets(12), 0, ErrParameters},
		{"GCM, nothing", AES256GCM, nil, 0, ErrParameters},
		{"CCM", AES128CCM, pair(7, 8), 8, nil},
		{"CCM, tag left out", AES256CCM, pair(13), 12, nil},
		{"CCM, weak tag", AES256CCM, pair(13, 4), 0, ErrUnsupported},
		{"CCM, odd tag", AES256CCM, pair(13, 9), 0, ErrParameters},
		{"CCM, short nonce", AES192CCM, pair(6, 16), 0, ErrParameters},
		{"CCM, long nonce", AES192CCM, pair(14, 16), 0, ErrParameters},
		{"ChaCha20-Poly1305", ChaCha20Poly1305, octets(12), 16, nil},
		{"ChaCha20-Poly1305, extended nonce", ChaCha20Poly1305, octets(24), 0, ErrParameters},
	} {
		a, err := Parse(id(test.cipher, test.parameters))
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.what, err, test.want)
		}
		if err != nil {
			continue
		}
		if a.Cipher() != test.cipher || a.TagSize() != test.tag {
			t.Errorf("%s: read as %v with a tag of %d octets", test.what, a.Cipher(), a.TagSize())
		}
		if got := must(a.DER()); !bytes.Equal(got, syntax.Algorithm(test.cipher.OID(), test.parameters)) {
			t.Errorf("%s: written as %x", test.what, got)
		}
	}
	for _, oid := range []asn1.ObjectIdentifier{nil, {}, {1, 2, 840, 113549, 3, 2}, {1, 2, 840, 113549, 1, 7, 1}} {
		if _, err := Parse(pkix.AlgorithmIdentifier{Algorithm: oid}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: %v", oid, err)
		}
	}
}

// Only what every reader can read is written, each with a nonce of its own.
func TestNew(t *testing.T) {
	for _, c := range append(everyCipher, None, -1, 100) {
		a, err := New(rand.Reader, c)
		if c.Writable() != (err == nil) {
			t.Errorf("%v: %v", c, err)
		}
		if err != nil {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("%v: %v", c, err)
			}
			if _, err := algorithm(c).Encrypter(io.Discard, make([]byte, c.KeySize()), nil); !errors.Is(err, ErrUnsupported) {
				t.Errorf("%v encrypts: %v", c, err)
			}
			continue
		}
		if b := must(New(rand.Reader, c)); bytes.Equal(a.nonce, b.nonce) {
			t.Errorf("%v: the same nonce twice", c)
		}
		for _, size := range []int{0, c.KeySize() - 1, c.KeySize() + 1} {
			if _, err := a.Decrypter(nothing{}, make([]byte, size)); err == nil {
				t.Errorf("%v takes a key of %d octets", c, size)
			}
		}
	}
	if _, err := New(bytes.NewReader(make([]byte, 11)), AES256GCM); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without randomness: %v", err)
	}
	if _, err := (Algorithm{}).Decrypter(nothing{}, nil); err == nil {
		t.Error("the zero Algorithm decrypts")
	}
}

var errBroken = errors.New("broken")

type broken struct{ after int }

func (b *broken) Write(p []byte) (int, error) {
	if b.after -= len(p); b.after < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

// An error of the writer stays, wherever it comes up, and so does a text that is too long for the cipher.
func TestErrors(t *testing.T) {
	for _, c := range []Cipher{AES128CBC, AES256GCM, ChaCha20Poly1305} {
		for _, size := range []int{100, 20_000, 200_000} {
			e := must(must(New(rand.Reader, c)).Encrypter(&broken{size - 1}, randomKey(c), nil))
			io.Copy(e, bytes.NewReader(make([]byte, size)))
			if _, err := e.Finish(); err != errBroken {
				t.Errorf("%v, %d octets: %v", c, size, err)
			}
			d := must(must(New(rand.Reader, c)).Decrypter(io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(errBroken)), randomKey(c)))
			if _, err := io.Copy(io.Discard, d); err != errBroken {
				t.Errorf("%v, %d octets, decrypting: %v", c, size, err)
			}
			if _, ok, err := d.Finish(nil, nil, nil); err != errBroken || ok {
				t.Errorf("%v, %d octets, decrypting: %v, %v", c, size, ok, err)
			}
		}
	}
	a := Algorithm{cipher: AES128CCM, nonce: make([]byte, 13), tag: 8}
	for size, want := range map[int64]error{1<<16 - 1: nil, 1 << 16: ErrTooLong} {
		d := must(a.Decrypter(io.LimitReader(nothing{}, size), make([]byte, 16)))
		if n, err := io.Copy(io.Discard, d); err != want || err == nil && n != size {
			t.Errorf("CCM with a length of two octets takes %d: %d, %v", size, n, err)
		}
	}
}

func TestMemory(t *testing.T) {
	for _, c := range everyCipher {
		var before, after runtime.MemStats
		a, key := algorithm(c), randomKey(c)
		runtime.ReadMemStats(&before)
		if c.Writable() {
			e := must(a.Encrypter(io.Discard, key, nil))
			must(io.Copy(e, io.LimitReader(nothing{}, 8<<20)))
			must(e.Finish())
		}
		d := must(a.Decrypter(io.LimitReader(nothing{}, 8<<20), key))
		must(io.Copy(io.Discard, d))
		d.Finish(nil, [][]byte{nil}, nothing{})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 512<<10 {
			t.Errorf("%v: allocates %d octets", c, n)
		}
	}
}

// nothing is as many zeros as are asked for.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (n nothing) ReadAt(p []byte, _ int64) (int, error) { return n.Read(p) }
