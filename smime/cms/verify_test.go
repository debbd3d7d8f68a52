package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// verdict reads and verifies an object with one signer.
func verdict(t *testing.T, f *forgery, extra ...*x509.Certificate) SignerResult {
	t.Helper()
	var content []byte
	if f.outside {
		content = f.content
	}
	_, results := read(t, f.build(), content, extra...)
	if len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	return results[0]
}

// What libraries are known to take wrongly, and what they must take.
func TestVerifySemantics(t *testing.T) {
	receipt := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 1}
	raw := func(parts ...[]byte) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(parts, nil)) }
	}
	octets := func(b []byte) []byte { return tlv(der.OCTET_STRING, b) }
	for _, test := range []struct {
		name   string
		change func(*forgery)
		want   error
	}{
		{"nothing changed", func(f *forgery) {}, nil},
		{"detached", func(f *forgery) { f.outside = true }, nil},
		{"no signed attributes", func(f *forgery) { f.attributes = nil }, nil},
		{"no signed attributes, detached", func(f *forgery) { f.attributes, f.outside = nil, true }, nil},
		{"other content type", func(f *forgery) { f.contentType = receipt; f.attributes = f.usual() }, nil},
		{"other content type without signed attributes", func(f *forgery) { f.contentType, f.attributes = receipt, nil }, ErrAttributes},

		{"no content type attribute", func(f *forgery) { f.attributes = f.attributes[1:] }, ErrAttributes},
		{"content type attribute differs", func(f *forgery) { f.contentType = receipt }, ErrAttributes},
		{"two content type attributes", func(f *forgery) { f.attributes = append(f.attributes, f.typeAttribute()) }, ErrAttributes},
		{"content type attribute without value", func(f *forgery) { f.attributes[0] = attr(oidContentType, raw()) }, ErrAttributes},
		{"content type attribute with two values", func(f *forgery) {
			f.attributes[0] = attr(oidContentType, raw(oidDER(OIDData), oidDER(OIDData)))
		}, ErrAttributes},
		{"content type attribute of another type", func(f *forgery) { f.attributes[0] = attr(oidContentType, raw(octets(nil))) }, ErrAttributes},

		{"no message digest attribute", func(f *forgery) { f.attributes = f.attributes[:1] }, ErrAttributes},
		{"two message digest attributes", func(f *forgery) { f.attributes = append(f.attributes, f.digestAttribute()) }, ErrAttributes},
		{"two message digest attributes, one wrong", func(f *forgery) {
			f.attributes = append(f.attributes, attr(oidMessageDigest, raw(octets(make([]byte, 32)))))
		}, ErrAttributes},
		{"two message digest values", func(f *forgery) {
			d := sum(crypto.SHA256, f.content)
			f.attributes[1] = attr(oidMessageDigest, raw(octets(d), octets(d)))
		}, ErrAttributes},
		{"message digest of another type", func(f *forgery) { f.attributes[1] = attr(oidMessageDigest, raw(oidDER(OIDData))) }, ErrAttributes},
		{"message digest of other content", func(f *forgery) { f.content = []byte("forged") }, ErrDigest},
		{"message digest cut short", func(f *forgery) {
			f.attributes[1] = attr(oidMessageDigest, raw(octets(sum(crypto.SHA256, f.content)[:31])))
		}, ErrDigest},
		{"empty message digest", func(f *forgery) { f.attributes[1] = attr(oidMessageDigest, raw(octets(nil))) }, ErrDigest},
		{"no attributes, but the set is there", func(f *forgery) { f.attributes = [][]byte{} }, ErrAttributes},

		{"two signing times", func(f *forgery) { f.attributes = append(f.attributes, f.attributes[2]) }, ErrAttributes},
		{"malformed signing time", func(f *forgery) { f.attributes[2] = attr(oidSigningTime, raw([]byte("\x17\x0d2613010000000"))) }, ErrAttributes},
		{"unsigned content type", func(f *forgery) { f.unsigned = [][]byte{f.attributes[0]} }, ErrAttributes},
		{"unsigned message digest", func(f *forgery) { f.unsigned = [][]byte{f.attributes[1]} }, ErrAttributes},
		{"unsigned signing time", func(f *forgery) { f.unsigned = [][]byte{f.attributes[2]} }, ErrAttributes},
		{"unsigned attribute of another kind", func(f *forgery) { f.unsigned = [][]byte{attr(receipt, raw(octets(nil)))} }, nil},
		{"unsorted attributes, signed as they stand", func(f *forgery) {
			f.unsorted = true
			f.attributes = append([][]byte{attr(receipt, raw(octets(bytes.Repeat([]byte{1}, 100))))}, f.attributes...)
		}, nil},
		{"attribute of an unknown type with huge arcs", func(f *forgery) {
			f.attributes = append(f.attributes, tlv(der.SEQUENCE, []byte{6, 7, 0x69, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, tlv(der.SET)))
		}, nil},

		{"digest not announced", func(f *forgery) { f.announced = []asn1.ObjectIdentifier{syntax.SHA512} }, ErrUnsupported},
		{"no digest announced", func(f *forgery) { f.announced = []asn1.ObjectIdentifier{} }, ErrUnsupported},
		{"unknown digests announced besides", func(f *forgery) { f.announced = []asn1.ObjectIdentifier{receipt, syntax.SHA256, receipt} }, nil},
		{"unknown digest", func(f *forgery) { f.digest = receipt }, ErrUnsupported},
		{"MD5", func(f *forgery) { f.digest = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5} }, ErrUnsupported},
		{"digest is not that of the signature", func(f *forgery) { f.digest = syntax.SHA512 }, ErrDigest},

		{"no certificate", func(f *forgery) { f.certs = nil }, ErrNoCertificate},
		{"another's certificate", func(f *forgery) { f.certs = [][]byte{p256().cert.Raw} }, ErrNoCertificate},
		{"certificates in any order", func(f *forgery) { f.certs = [][]byte{root().cert.Raw, p256().cert.Raw, f.id.cert.Raw} }, nil},
		{"garbage among the certificates", func(f *forgery) { f.certs = [][]byte{tlv(der.SEQUENCE, octets([]byte("x"))), f.id.cert.Raw} }, nil},
		{"attribute certificates", func(f *forgery) {
			f.certs = [][]byte{tlv(syntax.Explicit(1)), tlv(syntax.Explicit(2), octets(nil)), tlv(syntax.Explicit(3)), f.id.cert.Raw}
		}, nil},
		{"subject key identifier", func(f *forgery) { f.sid = tlv(syntax.Context0, f.id.cert.SubjectKeyId) }, nil},
		{"subject key identifier, wrapped", func(f *forgery) { f.sid = tlv(syntax.Context0, octets(f.id.cert.SubjectKeyId)) }, ErrNoCertificate},
		{"unknown subject key identifier", func(f *forgery) { f.sid = tlv(syntax.Context0, []byte("nobody")) }, ErrNoCertificate},

		{"signature by another key", func(f *forgery) { f.id.key = must(rsa.GenerateKey(rand.Reader, 2048)) }, ErrSignature},
		{"signature of another algorithm", func(f *forgery) { f.algorithm = syntax.Algorithm(ecdsaWith(crypto.SHA256), nil) }, ErrSignature},
		{"signature algorithm with the digest", func(f *forgery) { f.algorithm = syntax.Algorithm(signatures[1].oid, asn1.NullBytes) }, nil},
		{"signature algorithm without parameters", func(f *forgery) { f.algorithm = syntax.Algorithm(oidRSA, nil) }, nil},
		{"signature algorithm with another digest", func(f *forgery) { f.algorithm = syntax.Algorithm(signatures[2].oid, asn1.NullBytes) }, ErrUnsupported},
		{"signature algorithm with parameters", func(f *forgery) { f.algorithm = syntax.Algorithm(oidRSA, octets([]byte("x"))) }, ErrUnsupported},
		{"unknown signature algorithm", func(f *forgery) { f.algorithm = syntax.Algorithm(receipt, nil) }, ErrUnsupported},
		{"PSS without parameters", func(f *forgery) { f.algorithm = syntax.Algorithm(oidPSS, nil) }, ErrUnsupported},
		{"PSS named, PKCS #1 made", func(f *forgery) {
			f.algorithm = pssParameters{crypto.SHA256, crypto.SHA256, crypto.SHA256.Size()}.identifier()
		}, ErrSignature},
		{"PSS of another hash", func(f *forgery) {
			f.algorithm = pssParameters{crypto.SHA512, crypto.SHA512, crypto.SHA512.Size()}.identifier()
		}, ErrUnsupported},
		{"PSS", func(f *forgery) {
			f.algorithm, f.options = pssParameters{crypto.SHA256, crypto.SHA256, crypto.SHA256.Size()}.identifier(), &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
		}, nil},
		{"PSS with a salt of another length", func(f *forgery) {
			f.algorithm, f.options = pssParameters{crypto.SHA256, crypto.SHA256, crypto.SHA256.Size()}.identifier(), &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}
		}, ErrSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := forge("Content-Type: text/plain\r\n\r\nhello\r\n")
			test.change(f)
			res := verdict(t, f)
			wantErr(t, "Err", res.Err, test.want)
			if test.want == nil && (res.Certificate == nil || !res.Certificate.Equal(f.id.cert)) {
				t.Errorf("certificate is %v", res.Certificate)
			}
		})
	}
}

// The same signature in BER, everything of indefinite length and in pieces, means the same. Certificates stay as they are.
func TestVerifyBER(t *testing.T) {
	f := forge("hello")
	f.certs = nil
	f.unsigned = [][]byte{attr(oidCapabilities, addCapabilities)}
	for _, outside := range []bool{false, true} {
		f.outside = outside
		var content []byte
		if outside {
			content = f.content
		}
		_, results := read(t, berEncode(f.build()), content, f.id.cert)
		wantErr(t, "BER", results[0].Err, nil)
	}
	f.outside, f.unsorted = false, true
	f.attributes = append([][]byte{attr(oidCapabilities, addCapabilities)}, f.attributes...)
	_, results := read(t, berEncode(f.build()), nil, f.id.cert)
	wantErr(t, "BER, unsorted: the order that was signed is kept", results[0].Err, nil)
}

// Attributes in BER of definite length that were signed as they stand, which no standard wants but OpenSSL takes.
func TestVerifyAsReceived(t *testing.T) {
	f := forge("hello")
	long := append([]byte{0x30, 0x81}, f.attributes[0][1:]...) // a length in two octets where one does
	f.attributes[0], f.unsorted = long, true
	wantErr(t, "lengths not minimal", verdict(t, f).Err, nil)
}

// "Johnny, you are fired!", class C1: the victim's signed attributes become the content of a signature without attributes.
func TestAttributesAsContent(t *testing.T) {
	for _, name := range []string{"rsa", "p256"} {
		s := everyone[name]().signer()
		victim, results := read(t, detached(t, []byte("I owe you nothing"), s), []byte("I owe you nothing"))
		wantErr(t, "victim", results[0].Err, nil)
		set := victim.Signers[0].signed[0]
		for _, outside := range []bool{false, true} {
			f := forge("")
			f.id, f.content, f.outside, f.attributes = everyone[name](), set, outside, nil
			f.certs = [][]byte{f.id.cert.Raw}
			f.algorithm = syntax.Algorithm(victim.Signers[0].SignatureAlgorithm.Algorithm, victim.Signers[0].SignatureAlgorithm.Parameters.FullBytes)
			res := verdict(t, f)
			wantErr(t, name, res.Err, ErrAttributes)
			if res.Err != nil && !strings.Contains(res.Err.Error(), "in the place of the content") {
				t.Errorf("%s: refused for another reason: %v", name, res.Err)
			}
			f.attributes = f.usual()
			if f.hash == crypto.SHA256 && name == "rsa" {
				wantErr(t, "the same content with signed attributes", verdict(t, f).Err, nil)
			}
		}
	}
	for _, content := range []string{"", "1", "10 lines", "\x31", "\x31\x00", "\x31\x02\x30\x00", "\x31\x80\x30\x03", strings.Repeat("1", 100_000)} {
		f := forge(content)
		f.attributes = nil
		wantErr(t, content[:min(9, len(content))], verdict(t, f).Err, nil)
	}
}

// A content whose first piece alone was digested must not pass (a difference between parsers).
func TestSecondPieceCounts(t *testing.T) {
	f := forge("first")
	der := f.build()
	whole := tlv(der0octets, []byte("first"))
	two := tlv(der0constructed, whole, tlv(der0octets, []byte("second")))
	i := bytes.Index(der, whole)
	// Everything around keeps its place if it is of indefinite length.
	forged := slices.Concat(berHead(der[:i]), two, []byte{0, 0, 0, 0}, der[i+len(whole):], make([]byte, 6))
	s, err := ReadSignedData(bytes.NewReader(forged), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s.ContentSize != int64(len("firstsecond")) {
		t.Errorf("content of %d octets", s.ContentSize)
	}
	wantErr(t, "second piece", s.Verify()[0].Err, ErrDigest)
}

const (
	der0octets      = der.OCTET_STRING
	der0constructed = der.OCTET_STRING | 0x20
)

// berHead makes the elements that b opens and does not close indefinite.
func berHead(b []byte) []byte {
	var out []byte
	in := b
	for len(in) > 0 {
		size := 2
		if in[1] > 0x80 {
			size += int(in[1] & 0x7f)
		}
		length := 0
		for _, c := range in[2:size] {
			length = length<<8 | int(c)
		}
		if size == 2 {
			length = int(in[1])
		}
		if len(in) >= size+length { // a whole element
			out = append(out, in[:size+length]...)
			in = in[size+length:]
			continue
		}
		out = append(out, in[0], 0x80)
		in = in[size:]
	}
	return out
}

func TestDetachedWithContent(t *testing.T) {
	s, err := ReadSignedData(bytes.NewReader(opaque(t, []byte("inside"), rsa2048().signer())), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "eContent in a detached signature", s.DigestContent(strings.NewReader("outside")), ErrContent)
	wantErr(t, "what was inside", s.Verify()[0].Err, nil)
}

func TestNoContent(t *testing.T) {
	_, results := read(t, detached(t, []byte("x"), rsa2048().signer()), nil)
	wantErr(t, "detached without content", results[0].Err, ErrDigest)
	f := forge("x")
	f.outside, f.attributes = true, nil
	_, results = read(t, f.build(), nil)
	wantErr(t, "detached without content and attributes", results[0].Err, ErrDigest)
}

func TestSignersCount(t *testing.T) {
	f := forge("x")
	f.signers = 0
	s, results := read(t, f.build(), nil)
	if len(results) != 0 || len(s.Signers) != 0 {
		t.Errorf("no signers: %d results", len(results))
	}
	f.signers = 16
	if _, results = read(t, f.build(), nil); len(results) != 16 {
		t.Errorf("16 signers: %d results", len(results))
	}
	f.signers = 17
	_, err := ReadSignedData(bytes.NewReader(f.build()), ReadOptions{})
	wantErr(t, "17 signers", err, ErrLimit)

	// One good, one bad: each is told for itself.
	good, bad := rsa2048().signer(), p256().signer()
	der := detached(t, []byte("x"), good, bad)
	_, results = read(t, der, []byte("x"))
	i := bytes.Index(der, results[0].Info.Signature)
	der[i+len(results[0].Info.Signature)-1] ^= 1
	_, results = read(t, der, []byte("x"))
	wantErr(t, "spoilt", results[0].Err, ErrSignature)
	wantErr(t, "beside it", results[1].Err, nil)
}
