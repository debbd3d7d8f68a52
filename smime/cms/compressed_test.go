package cms

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"go.mozilla.org/pkcs7"
	der "golang.org/x/crypto/cryptobyte/asn1"
	"pgregory.net/rapid"

	"mailseal/smime/cms/syntax"
)

func compressed(t failer, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Compress(&b, bytes.NewReader(content)); err != nil {
		t.Fatalf("compress: %v", err)
	}
	return b.Bytes()
}

func TestCompressed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "content")
		content = bytes.Repeat(content, rapid.IntRange(1, 1000).Draw(t, "times"))
		var out bytes.Buffer
		c, err := ReadCompressed(bytes.NewReader(compressed(t, content)), ReadOptions{Content: &out})
		if err != nil || !bytes.Equal(out.Bytes(), content) || c.Size != int64(len(content)) || !c.ContentType.Equal(OIDData) {
			t.Fatalf("%d octets are read as %d: %+v, %v", len(content), out.Len(), c, err)
		}
	})
}

// compressedObject puts zlib's octets into a CompressedData.
func compressedObject(z []byte) []byte {
	return tlv(der.SEQUENCE, oidDER(OIDCompressedData), tlv(syntax.Explicit(0), tlv(der.SEQUENCE, []byte{2, 1, 0},
		syntax.Algorithm(oidZlib, nil), tlv(der.SEQUENCE, oidDER(OIDData), tlv(syntax.Explicit(0), tlv(der.OCTET_STRING, z))))))
}

// deflated compresses as well as it can be done.
func deflated(content []byte) []byte {
	var b bytes.Buffer
	z := must(zlib.NewWriterLevel(&b, flate.BestCompression))
	z.Write(content)
	z.Close()
	return b.Bytes()
}

func TestCompressedRefuses(t *testing.T) {
	good := deflated(mail)
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	bomb := deflated(make([]byte, 2<<20))
	absent := tlv(der.SEQUENCE, oidDER(OIDCompressedData), tlv(syntax.Explicit(0), tlv(der.SEQUENCE, []byte{2, 1, 0},
		syntax.Algorithm(oidZlib, nil), tlv(der.SEQUENCE, oidDER(OIDData)))))
	other := bytes.Replace(compressedObject(good), encodedOID(oidZlib), encodedOID(oidTest), 1)
	for _, test := range []struct {
		what   string
		object []byte
		limits Limits
		want   error
	}{
		{"good", compressedObject(good), Limits{}, nil},
		{"as large as may be", compressedObject(good), Limits{Inflated: int64(len(mail))}, nil},
		{"larger", compressedObject(good), Limits{Inflated: int64(len(mail)) - 1}, ErrLimit},
		{"a bomb", compressedObject(bomb), Limits{}, ErrLimit},
		{"a bomb that is allowed", compressedObject(bomb), Limits{Ratio: 2000}, nil},
		{"a bomb within a megabyte", compressedObject(deflated(make([]byte, 1<<20))), Limits{}, nil},
		{"wrong check sum", compressedObject(broken), Limits{}, ErrMalformed},
		{"cut off", compressedObject(good[:len(good)-5]), Limits{}, ErrMalformed},
		{"nothing", compressedObject(nil), Limits{}, ErrMalformed},
		{"noise", compressedObject(mail), Limits{}, ErrMalformed},
		{"something behind", compressedObject(append(bytes.Clone(good), 0)), Limits{}, ErrMalformed},
		{"no content", absent, Limits{}, ErrMalformed},
		{"cut off object", compressedObject(good)[:60], Limits{}, ErrMalformed},
		{"another compression", other, Limits{}, ErrUnsupported},
		{"another type", opaque(t, mail, rsa2048().signer()), Limits{}, ErrUnsupported},
	} {
		cheaply(t, test.what, 9<<20, func() {
			_, err := ReadCompressed(bytes.NewReader(test.object), ReadOptions{Limits: test.limits})
			wantErr(t, test.what, err, test.want)
		})
	}
	want := errors.New("broken")
	_, err := ReadCompressed(bytes.NewReader(compressedObject(good)), ReadOptions{Content: &breaking{0, want}})
	wantErr(t, "broken writer", err, want)
	_, err = ReadCompressed(io.MultiReader(bytes.NewReader(compressedObject(good)[:50]), iotest.ErrReader(want)), ReadOptions{})
	wantErr(t, "broken reader", err, want)
	wantErr(t, "broken writer of Compress", Compress(&breaking{2, want}, bytes.NewReader(mail)), want)
	wantErr(t, "broken reader of Compress", Compress(io.Discard, iotest.ErrReader(want)), want)
}

// oidTest is as long as that of zlib.
var oidTest = []int{1, 2, 840, 113549, 1, 9, 16, 3, 100}

func digestedObject(algorithm, content, sum []byte) []byte {
	return tlv(der.SEQUENCE, oidDER(OIDDigestedData), tlv(syntax.Explicit(0), tlv(der.SEQUENCE, []byte{2, 1, 0},
		algorithm, tlv(der.SEQUENCE, oidDER(OIDData), content), tlv(der.OCTET_STRING, sum))))
}

func TestDigested(t *testing.T) {
	content := tlv(syntax.Explicit(0), tlv(der.OCTET_STRING, mail))
	sha256 := syntax.Algorithm(syntax.SHA256, nil)
	good := digestedObject(sha256, content, sum(crypto.SHA256, mail))
	for _, test := range []struct {
		what   string
		object []byte
		want   error
	}{
		{"good", good, nil},
		{"BER", berEncode(good), nil},
		{"SHA-1", digestedObject(syntax.Algorithm(syntax.SHA1, nil), content, sum(crypto.SHA1, mail)), nil},
		{"other digest", digestedObject(sha256, content, sum(crypto.SHA256, mail[1:])), ErrDigest},
		{"short digest", digestedObject(sha256, content, sum(crypto.SHA256, mail)[:31]), ErrDigest},
		{"no digest", digestedObject(sha256, content, nil), ErrDigest},
		{"no content", digestedObject(sha256, nil, sum(crypto.SHA256, nil)), ErrMalformed},
		{"MD5", digestedObject(syntax.Algorithm([]int{1, 2, 840, 113549, 2, 5}, nil), content, make([]byte, 16)), ErrUnsupported},
		{"cut off", good[:len(good)-1], ErrMalformed},
		{"something behind", append(bytes.Clone(good), 0), ErrMalformed},
		{"another type", compressedObject(mail), ErrUnsupported},
	} {
		var out bytes.Buffer
		d, err := ReadDigested(bytes.NewReader(test.object), ReadOptions{Content: &out})
		wantErr(t, test.what, err, test.want)
		if err == nil && (!bytes.Equal(out.Bytes(), mail) || d.Size != int64(len(mail)) || d.Digest == 0) {
			t.Errorf("%s: %q, %+v", test.what, out.Bytes(), d)
		}
	}
}

// What the library writes of our certificates our reader reads, and the library's too.
func TestCertsOnly(t *testing.T) {
	want := []*x509.Certificate{rsa2048().cert, p256().cert, root().cert, ed().cert}
	object, err := CertsOnly(append(want, p256().cert)...)
	if err != nil {
		t.Fatal(err)
	}
	s, results := read(t, object, nil)
	if len(results) != 0 || s.HasContent || len(s.Certificates) != len(want) {
		t.Errorf("%d signers, %d certificates", len(results), len(s.Certificates))
	}
	theirs := must(pkcs7.Parse(object))
	for i, c := range want {
		found := func(list []*x509.Certificate) (n int) {
			for _, l := range list {
				if l.Equal(c) {
					n++
				}
			}
			return n
		}
		if found(s.Certificates) != 1 || found(theirs.Certificates) != 1 {
			t.Errorf("certificate %d is there %d times, for the library %d", i, found(s.Certificates), found(theirs.Certificates))
		}
	}
	if again, err := CertsOnly(ed().cert, root().cert, p256().cert, rsa2048().cert); err != nil || !bytes.Equal(again, object) {
		t.Errorf("the order matters: %v", err)
	}
	if _, err := CertsOnly(); err == nil {
		t.Error("no certificates make an object")
	}
}
