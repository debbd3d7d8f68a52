package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"
	"pgregory.net/rapid"

	"mailseal/smime/cms/ber"
)

// What is signed verifies, with every key, digest and format; the same with one byte changed does not.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"rsa", "p256", "p384", "p521", "ed25519", "mldsa44", "mldsa65", "mldsa87"}), 1, 3, rapid.ID).Draw(t, "keys")
		content := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "content")
		content = bytes.Repeat(content, rapid.SampledFrom([]int{1, 100, 1000}).Draw(t, "times"))
		var signers []Signer
		for _, n := range names {
			s := everyone[n]().signer()
			s.Digest = rapid.SampledFrom([]crypto.Hash{0, crypto.SHA256, crypto.SHA384, crypto.SHA512}).Draw(t, "digest")
			s.PSS, s.KeyID = rapid.Bool().Draw(t, "pss"), rapid.Bool().Draw(t, "key identifier")
			signers = append(signers, s)
		}
		var der, outside []byte
		if rapid.Bool().Draw(t, "opaque") {
			prefix, suffix, err := SignOpaque(bytes.NewReader(content), int64(len(content)), signers...)
			if err != nil {
				t.Fatal(err)
			}
			der = bytes.Join([][]byte{prefix, content, suffix}, nil)
		} else {
			var err error
			if der, err = SignDetached(bytes.NewReader(content), signers...); err != nil {
				t.Fatal(err)
			}
			outside = content
		}
		if canonical, err := ber.DER(der, ber.Limits{}); err != nil || &canonical[0] != &der[0] {
			t.Fatalf("not DER: %v", err)
		}
		var streamed bytes.Buffer
		s, err := ReadSignedData(bytes.NewReader(der), ReadOptions{Content: &streamed})
		if err != nil {
			t.Fatal(err)
		}
		if s.HasContent != (outside == nil) || s.HasContent && !bytes.Equal(streamed.Bytes(), content) {
			t.Fatalf("content of %d octets came out as %d", len(content), streamed.Len())
		}
		if !s.HasContent {
			if err := s.DigestContent(bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}
		if results := s.Verify(); len(results) != len(signers) {
			t.Fatalf("%d results for %d signers", len(results), len(signers))
		}
		for _, r := range s.Verify() {
			if r.Err != nil || r.Certificate == nil || !r.SigningTime.Equal(signers[0].SigningTime) {
				t.Fatalf("%s: %v, time %v", r.Algorithm, r.Err, r.SigningTime)
			}
		}
		if len(content) == 0 || s.HasContent {
			return
		}
		forged := bytes.Clone(content)
		forged[rapid.IntRange(0, len(content)-1).Draw(t, "at")] ^= 1
		if err := s.DigestContent(bytes.NewReader(forged)); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Verify() {
			if !errors.Is(r.Err, ErrDigest) {
				t.Fatalf("changed content: %v", r.Err)
			}
		}
	})
}

// An independent reader agrees with ours. It knows no Ed25519 and no RSA-PSS.
func TestMozillaReadsOurs(t *testing.T) {
	content := []byte("Content-Type: text/plain\r\n\r\nhello\r\n")
	for _, name := range []string{"rsa", "p256", "p384", "p521"} {
		for _, digest := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			s := everyone[name]().signer()
			s.Digest, s.Chain = digest, []*x509.Certificate{root().cert}
			inside, err := pkcs7.Parse(opaque(t, content, s))
			if err != nil {
				t.Fatalf("%s %v: %v", name, digest, err)
			}
			outside, err := pkcs7.Parse(detached(t, content, s, rsa2048().signer()))
			if err != nil {
				t.Fatalf("%s %v: %v", name, digest, err)
			}
			outside.Content = content
			for _, p := range []*pkcs7.PKCS7{inside, outside} {
				if err := p.Verify(); err != nil {
					t.Errorf("%s %v: %v", name, digest, err)
				}
			}
			if len(inside.Certificates) != 1 {
				t.Errorf("%s: %d certificates, want the leaf only: the root is not sent", name, len(inside.Certificates))
			}
		}
	}
}

func TestAttributesWritten(t *testing.T) {
	for _, test := range []struct {
		at   time.Time
		want string // leading octets of the time
	}{
		{time.Date(2026, 11, 21, 12, 0, 0, 999, time.FixedZone("", 9*3600)), "\x17\x0d261121030000Z"},
		{time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), "\x17\x0d491231235959Z"},
		{time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC), "\x18\x0f20500101000000Z"},
	} {
		s := p256().signer()
		s.SigningTime = test.at
		sd, results := read(t, detached(t, []byte("x"), s), []byte("x"))
		got := map[string]string{}
		for _, a := range sd.Signers[0].SignedAttributes {
			got[nameOf(a.Type)] = string(a.Values[0])
		}
		if got["signingTime"] != test.want {
			t.Errorf("signing time %v: got %q, want %q", test.at, got["signingTime"], test.want)
		}
		if !results[0].SigningTime.Equal(test.at.Truncate(time.Second)) {
			t.Errorf("signing time %v came back as %v", test.at, results[0].SigningTime)
		}
		for _, name := range []string{"contentType", "messageDigest", "smimeCapabilities", "signingCertificateV2"} {
			if got[name] == "" {
				t.Errorf("attribute %s is missing", name)
			}
		}
		if sd.Version != 1 || sd.Signers[0].Version != 1 {
			t.Errorf("versions %d and %d, want 1 and 1", sd.Version, sd.Signers[0].Version)
		}
	}
	s := p256().signer()
	s.SigningTime = time.Time{}
	if _, results := read(t, detached(t, nil, s), []byte{}); results[0].Err != nil || !results[0].SigningTime.IsZero() {
		t.Errorf("without signing time: %v, %v", results[0].Err, results[0].SigningTime)
	}
}

func TestHash(t *testing.T) {
	for _, test := range []struct {
		name string
		set  crypto.Hash
		want crypto.Hash
	}{
		{"rsa", 0, crypto.SHA256}, {"rsa", crypto.SHA384, crypto.SHA384},
		{"p256", 0, crypto.SHA256}, {"p384", 0, crypto.SHA384}, {"p521", 0, crypto.SHA512},
		{"p384", crypto.SHA256, crypto.SHA256},
		{"ed25519", 0, crypto.SHA512}, {"ed25519", crypto.SHA256, crypto.SHA512},
		{"mldsa44", 0, crypto.SHA512}, {"mldsa87", crypto.SHA256, crypto.SHA256},
	} {
		s := everyone[test.name]().signer()
		s.Digest = test.set
		got, err := s.Hash()
		if err != nil || got != test.want {
			t.Errorf("%s with %v: got %v, %v; want %v", test.name, test.set, got, err, test.want)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	good := rsa2048()
	for _, test := range []struct {
		name   string
		signer Signer
		want   string
	}{
		{"nothing", Signer{}, "without certificate or key"},
		{"no key", Signer{Certificate: good.cert}, "without certificate or key"},
		{"other key", Signer{Certificate: good.cert, Key: must(rsa.GenerateKey(rand.Reader, 2048))}, "does not belong"},
		{"other kind of key", Signer{Certificate: good.cert, Key: ed().key}, "does not belong"},
		{"short key", rsa1024().signer(), "1024 bits"},
		{"SHA-1", Signer{Certificate: good.cert, Key: good.key, Digest: crypto.SHA1}, "SHA-1"},
		{"MD5 and PSS", Signer{Certificate: good.cert, Key: good.key, Digest: crypto.MD5, PSS: true}, "MD5"},
		{"unknown digest", Signer{Certificate: p256().cert, Key: p256().key, Digest: 99}, "digest"},
	} {
		_, err := SignDetached(strings.NewReader("x"), test.signer)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error about %q", test.name, err, test.want)
		}
	}
	if _, err := SignDetached(strings.NewReader("x")); err == nil {
		t.Error("signed without signer")
	}
	if _, _, err := SignOpaque(strings.NewReader("12345"), 4, good.signer()); err == nil {
		t.Error("signed content of another size than announced")
	}
	if _, _, err := SignOpaque(strings.NewReader(""), -1, good.signer()); err == nil {
		t.Error("signed content of negative size")
	}
	broken := errors.New("disk on fire")
	if _, err := SignDetached(io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), badReader{broken}), good.signer()); !errors.Is(err, broken) {
		t.Errorf("error of the content's reader: got %v", err)
	}
}

// badReader fails.
type badReader struct{ err error }

func (r badReader) Read([]byte) (int, error) { return 0, r.err }

// The chain goes along without its root, but with a certificate of a CA for its own new key.
func TestChain(t *testing.T) {
	old := root()
	rollover := issue("Root", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), &old)
	s := p256().signer()
	s.Chain = []*x509.Certificate{rollover.cert, old.cert, rollover.cert}
	sd, _ := read(t, detached(t, nil, s), []byte{})
	if len(sd.Certificates) != 2 {
		t.Errorf("%d certificates, want the leaf and the cross certificate", len(sd.Certificates))
	}
	for _, c := range sd.Certificates {
		if c.Equal(old.cert) {
			t.Error("the root is sent")
		}
	}
}
