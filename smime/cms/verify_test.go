package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
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

		{"digest not announced", func(f *forgery) { f.announced = []asn1.ObjectIdentifier{oidSHA512} }, ErrUnsupported},
		{"no digest announced", func(f *forgery) { f.announced = []asn1.ObjectIdentifier{} }, ErrUnsupported},
		{"unknown digests announced besides", func(f *forgery) { f.announced = []asn1.ObjectIdentifier{receipt, oidSHA256, receipt} }, nil},
		{"unknown digest", func(f *forgery) { f.digest = receipt }, ErrUnsupported},
		{"MD5", func(f *forgery) { f.digest = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5} }, ErrUnsupported},
		{"digest is not that of the signature", func(f *forgery) { f.digest = oidSHA512 }, ErrDigest},

		{"no certificate", func(f *forgery) { f.certs = nil }, ErrNoCertificate},
		{"another's certificate", func(f *forgery) { f.certs = [][]byte{p256().cert.Raw} }, ErrNoCertificate},
		{"certificates in any order", func(f *forgery) { f.certs = [][]byte{root().cert.Raw, p256().cert.Raw, f.id.cert.Raw} }, nil},
		{"garbage among the certificates", func(f *forgery) { f.certs = [][]byte{tlv(der.SEQUENCE, octets([]byte("x"))), f.id.cert.Raw} }, nil},
		{"attribute certificates", func(f *forgery) {
			f.certs = [][]byte{tlv(explicit(1)), tlv(explicit(2), octets(nil)), tlv(explicit(3)), f.id.cert.Raw}
		}, nil},
		{"subject key identifier", func(f *forgery) { f.sid = tlv(context0, f.id.cert.SubjectKeyId) }, nil},
		{"subject key identifier, wrapped", func(f *forgery) { f.sid = tlv(context0, octets(f.id.cert.SubjectKeyId)) }, ErrNoCertificate},
		{"unknown subject key identifier", func(f *forgery) { f.sid = tlv(context0, []byte("nobody")) }, ErrNoCertificate},

		{"signature by another key", func(f *forgery) { f.id.key = must(rsa.GenerateKey(rand.Reader, 2048)) }, ErrSignature},
		{"signature of another algorithm", func(f *forgery) { f.algorithm = algorithm(ecdsaWith(crypto.SHA256), nil) }, ErrSignature},
		{"signature algorithm with the digest", func(f *forgery) { f.algorithm = algorithm(signatures[1].oid, asn1.NullBytes) }, nil},
		{"signature algorithm without parameters", func(f *forgery) { f.algorithm = algorithm(oidRSA, nil) }, nil},
		{"signature algorithm with another digest", func(f *forgery) { f.algorithm = algorithm(signatures[2].oid, asn1.NullBytes) }, ErrUnsupported},
		{"signature algorithm with parameters", func(f *forgery) { f.algorithm = algorithm(oidRSA, octets([]byte("x"))) }, ErrUnsupported},
		{"unknown signature algorithm", func(f *forgery) { f.algorithm = algorithm(receipt, nil) }, ErrUnsupported},
		{"PSS without parameters", func(f *forgery) { f.algorithm = algorithm(oidPSS, nil) }, ErrUnsupported},
		{"PSS named, PKCS #1 made", func(f *forgery) { f.algorithm = pssAlgorithm(crypto.SHA256) }, ErrSignature},
		{"PSS of another hash", func(f *forgery) { f.algorithm = pssAlgorithm(crypto.SHA512) }, ErrUnsupported},
		{"PSS", func(f *forgery) {
			f.algorithm, f.options = pssAlgorithm(crypto.SHA256), &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
		}, nil},
		{"PSS with a salt of another length", func(f *forgery) {
			f.algorithm, f.options = pssAlgorithm(crypto.SHA256), &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}
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
			f.algorithm = algorithm(victim.Signers[0].SignatureAlgorithm.Algorithm, victim.Signers[0].SignatureAlgorithm.Parameters.FullBytes)
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

// signingCertificate and signingCertificateV2 bind the signature to a certificate (RFC 5035).
func TestSigningCertificate(t *testing.T) {
	cert := rsa2048().cert
	twin := reissue(t, rsa2048()) // the same name, number and key
	id := func(h crypto.Hash, named bool, c *x509.Certificate, rest ...[]byte) []byte {
		var parts [][]byte
		if named {
			parts = append(parts, algorithm(oidOf(h), nil))
		}
		return tlv(der.SEQUENCE, append(append(parts, tlv(der.OCTET_STRING, sum(h, c.Raw))), rest...)...)
	}
	issuerSerial := func(issuer []byte, serial *big.Int) []byte {
		var b cryptobyte.Builder
		b.AddASN1BigInt(serial)
		return tlv(der.SEQUENCE, tlv(der.SEQUENCE, tlv(explicit(4), issuer)), b.BytesOrPanic())
	}
	value := func(ids ...[]byte) []byte { return tlv(der.SEQUENCE, tlv(der.SEQUENCE, ids...)) }
	v1, v2 := oidSigningCertificate, oidSigningCertificateV2
	for _, test := range []struct {
		name   string
		oid    asn1.ObjectIdentifier
		values [][]byte
		want   error
	}{
		{"v1", v1, [][]byte{value(id(crypto.SHA1, false, cert))}, nil},
		{"v1 of another", v1, [][]byte{value(id(crypto.SHA1, false, twin))}, ErrAttributes},
		{"v2", v2, [][]byte{value(id(crypto.SHA256, false, cert))}, nil},
		{"v2, SHA-512", v2, [][]byte{value(id(crypto.SHA512, true, cert))}, nil},
		{"v2, SHA-256 said", v2, [][]byte{value(id(crypto.SHA256, true, cert))}, nil},
		{"v2 of another", v2, [][]byte{value(id(crypto.SHA256, false, twin))}, ErrAttributes},
		{"v2, the second only", v2, [][]byte{value(id(crypto.SHA256, false, twin), id(crypto.SHA256, false, cert))}, ErrAttributes},
		{"v2 and the chain", v2, [][]byte{value(id(crypto.SHA256, false, cert), id(crypto.SHA256, false, root().cert))}, nil},
		{"v2 with issuer", v2, [][]byte{value(id(crypto.SHA256, false, cert, issuerSerial(cert.RawIssuer, cert.SerialNumber)))}, nil},
		{"v2 with another issuer", v2, [][]byte{value(id(crypto.SHA256, false, cert, issuerSerial(cert.RawSubject, cert.SerialNumber)))}, ErrAttributes},
		{"v2 with another serial", v2, [][]byte{value(id(crypto.SHA256, false, cert, issuerSerial(cert.RawIssuer, big.NewInt(1))))}, ErrAttributes},
		{"v2 with an issuer of another form", v2, [][]byte{value(id(crypto.SHA256, false, cert, tlv(der.SEQUENCE)))}, ErrAttributes},
		{"v2 with an unknown digest", v2, [][]byte{value(tlv(der.SEQUENCE, algorithm(oidRSA, nil), tlv(der.OCTET_STRING, []byte("x"))))}, ErrUnsupported},
		{"v2 without certificates", v2, [][]byte{value()}, ErrAttributes},
		{"v2 of another type", v2, [][]byte{{5, 0}}, ErrAttributes},
		{"v2 without value", v2, nil, ErrAttributes},
		{"v2 twice", v2, [][]byte{value(id(crypto.SHA256, false, cert)), value(id(crypto.SHA256, false, cert))}, ErrAttributes},
	} {
		f := forge("x")
		f.attributes = append(f.attributes, attr(test.oid, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(test.values, nil)) }))
		wantErr(t, test.name, verdict(t, f).Err, test.want)
	}
	// The attribute chooses among certificates that the signer identifier cannot tell apart.
	f := forge("x")
	f.certs = [][]byte{twin.Raw, cert.Raw}
	f.attributes = append(f.attributes, attr(v2, func(b *cryptobyte.Builder) { b.AddBytes(value(id(crypto.SHA256, false, cert))) }))
	res := verdict(t, f)
	wantErr(t, "choice", res.Err, nil)
	if !res.Certificate.Equal(cert) {
		t.Error("took another certificate than the attribute says")
	}
}

// reissue makes another certificate with the same issuer, number, key identifier and key.
func reissue(t *testing.T, id identity) *x509.Certificate {
	t.Helper()
	c := *id.cert
	c.NotAfter = c.NotAfter.AddDate(1, 0, 0)
	r := root()
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, &c, r.cert, id.key.Public(), r.key))))
}

// Several certificates may have the name of the signer; the one whose key fits is taken, after a bounded number of tries.
func TestCandidates(t *testing.T) {
	stranger := identity{key: must(rsa.GenerateKey(rand.Reader, 2048))}
	for _, bySKI := range []bool{false, true} {
		f := forge("x")
		stranger.cert = f.id.cert
		if bySKI {
			f.sid = tlv(context0, f.id.cert.SubjectKeyId)
		}
		wrong := reissue(t, stranger)
		f.certs = [][]byte{wrong.Raw, f.id.cert.Raw}
		res := verdict(t, f)
		wantErr(t, "the second fits", res.Err, nil)
		if !res.Certificate.Equal(f.id.cert) {
			t.Error("took the certificate whose key does not fit")
		}
		f.certs = f.certs[:1]
		wantErr(t, "none fits", verdict(t, f).Err, ErrSignature)
		wantErr(t, "the one that fits is given besides", verdict(t, f, f.id.cert).Err, nil)
	}
}

// CMSAlgorithmProtection (RFC 6211) names the algorithms once more, signed.
func TestAlgorithmProtection(t *testing.T) {
	protect := func(parts ...[]byte) []byte {
		return attr(oidAlgorithmProtection, func(b *cryptobyte.Builder) { b.AddBytes(tlv(der.SEQUENCE, parts...)) })
	}
	signature := func(oid asn1.ObjectIdentifier) []byte { return tlv(explicit(1), algorithm(oid, asn1.NullBytes)[2:]) }
	for _, test := range []struct {
		name string
		attr []byte
		want error
	}{
		{"same", protect(algorithm(oidSHA256, nil), signature(oidRSA)), nil},
		{"same with NULL", protect(algorithm(oidSHA256, asn1.NullBytes), signature(oidRSA)), nil},
		{"another digest", protect(algorithm(oidSHA512, nil), signature(oidRSA)), ErrAttributes},
		{"another signature", protect(algorithm(oidSHA256, nil), signature(oidPSS)), ErrAttributes},
		{"a MAC", protect(algorithm(oidSHA256, nil), tlv(explicit(2), algorithm(oidRSA, nil)[2:])), ErrAttributes},
		{"nothing", protect(), ErrAttributes},
	} {
		f := forge("x")
		f.attributes = append(f.attributes, test.attr)
		wantErr(t, test.name, verdict(t, f).Err, test.want)
	}
}

func TestWeak(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*forgery)
		reason string
	}{
		{"SHA-1", func(f *forgery) { f.digest, f.hash = oidSHA1, crypto.SHA1 }, "SHA-1"},
		{"RSA 1024", func(f *forgery) { f.id = rsa1024(); f.certs = [][]byte{f.id.cert.Raw} }, "1024"},
	} {
		f := forge("x")
		test.change(f)
		f.attributes = f.usual()
		res := verdict(t, f)
		wantErr(t, test.name, res.Err, ErrWeak)
		if res.Err != nil && !strings.Contains(res.Err.Error(), test.reason) {
			t.Errorf("%s: %v", test.name, res.Err)
		}
		f.id.key = must(rsa.GenerateKey(rand.Reader, 2048))
		if err := verdict(t, f).Err; errors.Is(err, ErrWeak) || !errors.Is(err, ErrSignature) {
			t.Errorf("%s: bad signature is told as %v", test.name, err)
		}
	}
}

// Keys nobody should have must neither pass nor panic nor take long.
func TestKeys(t *testing.T) {
	si := &SignerInfo{}
	si.DigestAlgorithm.Algorithm = oidSHA256
	huge := new(big.Int).Lsh(big.NewInt(1), 16384)
	odd := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 2047), big.NewInt(1))
	rsaKey := func(n *big.Int, e int) crypto.PublicKey { return &rsa.PublicKey{N: n, E: e} }
	for _, test := range []struct {
		name string
		key  crypto.PublicKey
	}{
		{"none", nil},
		{"unknown", "key"},
		{"RSA without modulus", rsaKey(nil, 65537)},
		{"RSA of 512 bits", rsaKey(big.NewInt(1).Lsh(big.NewInt(1), 511), 65537)},
		{"RSA of 16384 bits", rsaKey(huge, 65537)},
		{"RSA of negative modulus", rsaKey(new(big.Int).Neg(big.NewInt(35)), 3)},
		{"RSA with even modulus", rsaKey(new(big.Int).Lsh(big.NewInt(1), 2047), 65537)},
		{"RSA with exponent 1", rsaKey(odd, 1)},
		{"RSA with exponent 0", rsaKey(odd, 0)},
		{"RSA with negative exponent", rsaKey(odd, -3)},
		{"RSA with even exponent", rsaKey(odd, 4)},
		{"RSA with huge exponent", rsaKey(odd, math.MaxInt)},
		{"ECDSA P-224", &ecdsa.PublicKey{Curve: elliptic.P224()}},
		{"ECDSA without curve", &ecdsa.PublicKey{}},
		{"Ed25519 cut short", ed25519.PublicKey{1, 2, 3}},
	} {
		for name, algorithm := range map[string][]byte{
			"PKCS #1": algorithm(oidRSA, nil), "PSS": pssAlgorithm(crypto.SHA256), "ECDSA": algorithm(ecdsaWith(crypto.SHA256), nil),
			"Ed25519": algorithm(oidEd25519, nil),
		} {
			in := input(algorithm)
			si.SignatureAlgorithm, _ = readAlgorithm(&in, der.SEQUENCE)
			_, err := newVerifier(&x509.Certificate{PublicKey: test.key}, si)
			if !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrSignature) {
				t.Errorf("%s for %s: got %v", test.name, name, err)
			}
		}
	}
}

// Ed25519 goes with SHA-512 and with signed attributes only (RFC 8419).
func TestEd25519(t *testing.T) {
	f := forge("x")
	f.id = ed()
	f.certs, f.algorithm = [][]byte{f.id.cert.Raw}, algorithm(oidEd25519, nil)
	wantErr(t, "SHA-256", verdict(t, f).Err, ErrUnsupported)
	f.digest, f.hash = oidSHA512, crypto.SHA512
	f.attributes = f.usual()
	wantErr(t, "SHA-512", verdict(t, f).Err, nil)
	f.attributes = nil
	wantErr(t, "no signed attributes", verdict(t, f).Err, ErrUnsupported)
}
