package cms

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
	"mailseal/test/hostile"
)

// cheaply runs f and fails when it takes long or allocates much. Two seconds only tell a hang from work.
func cheaply(t *testing.T, what string, bytes uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if took > 2*time.Second*slowness {
		t.Errorf("%s: took %v", what, took)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > bytes {
		t.Errorf("%s: allocated %d octets, want at most %d", what, n, bytes)
	}
}

// everything reads in every way there is. The errors are those of SignedData and Describe.
func everything(in []byte) (signed, described error) {
	Identify(bytes.NewReader(in))
	s, signed := ReadSignedData(bytes.NewReader(in), ReadOptions{})
	if signed == nil {
		s.DigestContent(strings.NewReader("x"))
		s.Verify()
		s.Describe()
	}
	_, described = Describe(bytes.NewReader(in))
	ber.DER(in, ber.Limits{})
	return signed, described
}

// shell is a SignedData up to somewhere, everything open and of indefinite length.
var shell = struct{ content, certificates, crls, signers []byte }{
	content:      berShell(slices.Concat(encapHead, []byte{0xa0, 0x80})),
	certificates: berShell(slices.Concat(encapHead, []byte{0, 0, 0xa0, 0x80})),
	crls:         berShell(slices.Concat(encapHead, []byte{0, 0, 0xa1, 0x80})),
	signers:      berShell(slices.Concat(encapHead, []byte{0, 0, 0x31, 0x80})),
}

var encapHead = slices.Concat([]byte{0x30, 0x80}, oidDER(OIDData))

func berShell(rest []byte) []byte {
	return slices.Concat([]byte{0x30, 0x80}, oidDER(OIDSignedData), []byte{0xa0, 0x80, 0x30, 0x80, 2, 1, 1},
		tlv(der.SET, syntax.Algorithm(syntax.SHA256, nil)), rest)
}

// Whatever the answer is, it comes at once.
func TestHostile(t *testing.T) {
	for _, shape := range hostile.Shapes(slowness) {
		name, in := shape.Name, shape.Bytes
		// Buffers, what a limit allows to be kept, and the nodes of ber.DER: all of it constant.
		cheaply(t, name, 16<<20, func() {
			signed, described := everything(in)
			if signed == nil || described == nil {
				t.Errorf("%s: taken for an object", name)
			}
		})
		for part, prefix := range map[string][]byte{
			"content": shell.content, "certificates": shell.certificates, "CRLs": shell.crls, "signers": shell.signers,
		} {
			in := slices.Concat(prefix, in)
			cheaply(t, name+" as "+part, 16<<20, func() {
				if signed, _ := everything(in); signed == nil {
					t.Errorf("%s as %s: taken for an object", name, part)
				}
			})
		}
	}
}

// Certificates that are all names are the dearest way to use what may be kept.
func TestHostileCertificates(t *testing.T) {
	name := tlv(der.SEQUENCE, bytes.Repeat(tlv(der.SET, tlv(der.SEQUENCE, []byte{6, 3, 0x55, 4, 3}, []byte{0x0c, 0})), 70_000))
	template := *p256().cert
	template.RawSubject = name
	r := root()
	cert := must(x509.CreateCertificate(rand.Reader, &template, r.cert, p256().key.Public(), r.key))
	f := forge("x")
	f.certs = [][]byte{cert, cert}
	in := f.build()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var s *SignedData
	cheaply(t, "certificates", 200<<20, func() {
		var err error
		if s, err = ReadSignedData(bytes.NewReader(in), ReadOptions{}); err != nil {
			t.Fatal(err)
		}
		s.Verify()
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > 24<<20 {
		t.Errorf("%d octets take %d in memory", len(in), n)
	}
	runtime.KeepAlive(s)
	f.certs = append(f.certs, cert)
	_, err := ReadSignedData(bytes.NewReader(f.build()), ReadOptions{})
	wantErr(t, "three megabytes of certificates", err, ErrLimit)
}

// Two to four octets of anything, as crash the readers of some.
func TestTinyGarbage(t *testing.T) {
	cheaply(t, "tiny garbage", 1<<30, func() {
		for i := 0; i < 1<<16; i += 5 {
			in := []byte{byte(i >> 8), byte(i)}
			if i%16 == 0 {
				in = append(in, byte(i>>4), 0x80)
			}
			if s, err := ReadSignedData(bytes.NewReader(in), ReadOptions{}); err == nil {
				t.Fatalf("%x: taken for %+v", in, s)
			}
		}
	})
}

// No prefix of an object is an object, and none is anything but malformed. One octet more is none either.
func TestTruncated(t *testing.T) {
	s := rsa2048().signer()
	for name, object := range map[string][]byte{
		"detached": detached(t, []byte("content"), s, p256().signer()),
		"opaque":   opaque(t, []byte("content"), s),
		"BER":      streamed([]byte("content"), opaque(t, []byte("content"), s), 3),
	} {
		if signed, described := everything(object); signed != nil || described != nil {
			t.Fatalf("%s: %v, %v", name, signed, described)
		}
		for n := range object {
			signed, described := everything(object[:n])
			if !errors.Is(signed, ErrMalformed) || !errors.Is(described, ErrMalformed) {
				t.Fatalf("%s: %d of %d octets: %v, %v", name, n, len(object), signed, described)
			}
		}
		signed, described := everything(append(slices.Clone(object), 0))
		if !errors.Is(signed, ErrMalformed) || !errors.Is(described, ErrMalformed) {
			t.Errorf("%s: one octet more: %v, %v", name, signed, described)
		}
	}
}

// Errors of reader and writer are theirs, wherever they come.
func TestForeignErrors(t *testing.T) {
	content := bytes.Repeat([]byte("content "), 200_000)
	object := streamed(content, opaque(t, content, rsa2048().signer()), 5000)
	broken := errors.New("disk on fire")
	for _, n := range []int{0, 1, 30, 100, 20_000, 600_000, 1_500_000, len(object) - 1} {
		_, err := ReadSignedData(io.MultiReader(bytes.NewReader(object[:n]), badReader{broken}), ReadOptions{})
		wantErr(t, "reader", err, broken)
		if errors.Is(err, ErrMalformed) {
			t.Errorf("reader that breaks after %d octets is told as %v", n, err)
		}
	}
	for _, n := range []int{0, 20_000, 600_000} {
		_, err := ReadSignedData(bytes.NewReader(object), ReadOptions{Content: &badWriter{n, broken}})
		wantErr(t, "writer", err, broken)
	}
}

// badWriter takes left octets.
type badWriter struct {
	left int
	err  error
}

func (w *badWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, w.err
	}
	return len(b), nil
}

// Each limit holds, and what lies just within it is read.
func TestLimits(t *testing.T) {
	cert := p256().cert.Raw
	f := forge("x")
	f.certs = slices.Repeat([][]byte{cert}, 20)
	f.attributes = nil
	info := int64(len(f.signerInfo()))
	for _, test := range []struct {
		name string
		l    Limits
		want error
	}{
		{"default", Limits{}, nil},
		{"certificates", Limits{Certificates: 20}, nil},
		{"certificates", Limits{Certificates: 19}, ErrLimit},
		{"kept", Limits{Kept: int64(20*len(cert)) + info}, nil},
		{"kept", Limits{Kept: int64(20*len(cert)) + info - 1}, ErrLimit},
		{"object", Limits{Object: max(int64(len(cert)), info)}, nil},
		{"object", Limits{Object: max(int64(len(cert)), info) - 1}, ErrLimit},
		{"depth", Limits{Depth: 8}, nil},
		{"depth", Limits{Depth: 2}, ErrLimit},
		{"elements", Limits{Elements: 100}, nil},
		{"elements", Limits{Elements: 30}, ErrLimit},
	} {
		_, err := ReadSignedData(bytes.NewReader(f.build()), ReadOptions{Limits: test.l})
		wantErr(t, test.name, err, test.want)
	}
	f = forge("x")
	for len(f.attributes) < 64 {
		f.attributes = append(f.attributes, attr(oidCapabilities, addCapabilities))
	}
	_, err := ReadSignedData(bytes.NewReader(f.build()), ReadOptions{})
	wantErr(t, "64 attributes", err, nil)
	f.attributes = append(f.attributes, f.attributes[63])
	_, err = ReadSignedData(bytes.NewReader(f.build()), ReadOptions{})
	wantErr(t, "65 attributes", err, ErrLimit)
	f = forge("x")
	f.unsigned = slices.Repeat([][]byte{attr(oidCapabilities, addCapabilities)}, 65)
	_, err = ReadSignedData(bytes.NewReader(f.build()), ReadOptions{})
	wantErr(t, "65 unsigned attributes", err, ErrLimit)
	f = forge("x")
	for range 17 {
		f.announced = append(f.announced, syntax.SHA256)
	}
	_, err = ReadSignedData(bytes.NewReader(f.build()), ReadOptions{})
	wantErr(t, "17 digest algorithms", err, ErrLimit)
}

// 25 MB as OpenSSL streams text: benign, and for some 4 seconds of work and 400 MB.
func TestLongContent(t *testing.T) {
	content := make([]byte, 25<<20)
	rand.Read(content[:1<<20])
	s := p256().signer()
	object := opaque(t, content, s)
	for name, in := range map[string][]byte{
		"DER": object, "pieces of 4096": streamed(content, object, 4096), "pieces of 76": streamed(content, object, 76),
	} {
		cheaply(t, name, 2<<20, func() {
			counted := &counter{}
			sd, err := ReadSignedData(bytes.NewReader(in), ReadOptions{Content: counted})
			if err != nil {
				t.Fatal(err)
			}
			if counted.n != int64(len(content)) || sd.ContentSize != counted.n {
				t.Errorf("%s: %d octets passed on, %d counted", name, counted.n, sd.ContentSize)
			}
			wantErr(t, name, sd.Verify()[0].Err, nil)
		})
	}
	signature := detached(t, content, s)
	cheaply(t, "detached", 2<<20, func() {
		_, results := read(t, signature, content)
		wantErr(t, "detached", results[0].Err, nil)
	})
	cheaply(t, "signing", 2<<20, func() { detached(t, content, s) })
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

// Where reading is slow, as out of base64, hashing goes on beside it; the result is the same.
func TestSideBySide(t *testing.T) {
	content := make([]byte, 3<<20)
	rand.Read(content)
	for _, size := range []int{0, 1, 32 << 10, trial - 1, trial, trial + 1, trial + blockSize, trial + 2*blockSize + 1, len(content)} {
		var out bytes.Buffer
		d, err := digestContent(&slowReader{bytes.NewReader(content[:size])}, &out, hashesAll)
		if err != nil {
			t.Fatal(err)
		}
		if d.size != int64(size) || !bytes.Equal(out.Bytes(), content[:size]) {
			t.Errorf("%d octets: %d hashed, %d passed on", size, d.size, out.Len())
		}
		for _, h := range hashesAll {
			if !bytes.Equal(d.sums[h], sum(h, content[:size])) {
				t.Errorf("%d octets: wrong %v", size, h)
			}
		}
	}
	broken := errors.New("disk on fire")
	_, err := digestContent(io.MultiReader(&slowReader{bytes.NewReader(content)}, badReader{broken}), nil, hashesAll[:1])
	wantErr(t, "reader", err, broken)
	_, err = digestContent(&slowReader{bytes.NewReader(content)}, &badWriter{2 << 20, broken}, hashesAll[:1])
	wantErr(t, "writer", err, broken)
}

// slowReader spins so that reading takes longer than hashing, on any machine.
type slowReader struct{ r io.Reader }

func (s *slowReader) Read(b []byte) (int, error) {
	n, err := s.r.Read(b[:min(len(b), 8<<10)])
	for _, h := range hashesAll {
		sum(h, b[:n])
		sum(h, b[:n])
	}
	return n, err
}
