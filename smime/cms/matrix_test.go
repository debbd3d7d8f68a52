package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha3"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"mailseal/internal/testpki"
	"mailseal/smime/cms/syntax"
)

// signedWith are the digests that we sign with, readWith those that others may besides.
var (
	signedWith = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}
	readWith   = []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512}
)

// Every kind of key signs with every digest, both ways of naming the signer, and is read again as what it was.
func TestWrittenMatrix(t *testing.T) {
	algorithms := map[string]string{
		"rsa": "RSA-SHA%d", "pss": "RSA-PSS-SHA%d", "p256": "ECDSA-SHA%d", "p384": "ECDSA-SHA%d", "p521": "ECDSA-SHA%d",
		"ed25519": "Ed25519", "mldsa44": "ML-DSA-44", "mldsa65": "ML-DSA-65", "mldsa87": "ML-DSA-87",
	}
	for name, algorithm := range algorithms {
		key := name
		if name == "pss" {
			key = "rsa"
		}
		for _, digest := range signedWith {
			for _, byKeyID := range []bool{false, true} {
				s := everyone[key]().signer()
				s.Digest, s.PSS, s.KeyID = digest, name == "pss", byKeyID
				what := fmt.Sprint(name, " ", digest, " key id ", byKeyID)
				for _, inside := range []bool{false, true} {
					object, content := detached(t, mail, s), mail
					if inside {
						object, content = opaque(t, mail, s), nil
					}
					sd, results := read(t, object, content)
					wantErr(t, what, results[0].Err, nil)
					want, wantDigest := algorithm, digest
					if name == "ed25519" {
						wantDigest = crypto.SHA512 // RFC 8419 section 3.1
					}
					if want[len(want)-1] == 'd' {
						want = fmt.Sprintf(want, digest.Size()*8)
					}
					if r := results[0]; r.Algorithm != want || r.Digest != wantDigest || !r.Certificate.Equal(s.Certificate) {
						t.Errorf("%s: %s with %v", what, r.Algorithm, r.Digest)
					}
					si := sd.Signers[0]
					if version := map[bool]int{false: 1, true: 3}[byKeyID]; sd.Version != version || si.Version != version || byKeyID != (si.SubjectKeyID != nil) {
						t.Errorf("%s: versions %d and %d, key identifier %x", what, sd.Version, si.Version, si.SubjectKeyID)
					}
				}
			}
		}
	}
	nameless := testpki.Certificate
	c, err := nameless(&x509.Certificate{SerialNumber: big.NewInt(1)}, root().cert, p256().key.Public(), root().key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SignDetached(bytes.NewReader(mail), Signer{Certificate: c, Key: p256().key, KeyID: true}); err == nil {
		t.Error("named by a key identifier that is not there")
	}
}

// Whatever digest a peer signs with, every kind of signature is read with it, under each of its names.
func TestReadMatrix(t *testing.T) {
	named := func(f family, h crypto.Hash) []byte {
		for _, s := range signatures {
			if s.family == f && s.hash == h {
				return syntax.Algorithm(s.oid, nil)
			}
		}
		t.Fatalf("no name for %v with %v", f, h)
		return nil
	}
	for _, h := range slices.Concat(signedWith, readWith) {
		pss := pssParameters{h, h, h.Size()}
		for _, test := range []struct {
			key       string
			algorithm []byte
			options   crypto.SignerOpts
		}{
			{"rsa", syntax.Algorithm(oidRSA, asn1.NullBytes), nil},
			{"rsa", named(rsaPKCS1, h), nil},
			{"rsa", pss.identifier(), &rsa.PSSOptions{SaltLength: h.Size(), Hash: h}},
			{"p256", named(ecdsaFamily, h), nil},
			{"p384", named(ecdsaFamily, h), nil},
			{"p521", named(ecdsaFamily, h), nil},
			{"ed25519", syntax.Algorithm(oidEd25519, nil), nil},
			{"mldsa44", nil, nil}, {"mldsa65", nil, nil}, {"mldsa87", nil, nil},
		} {
			f := forge("x")
			f.id, f.digest, f.hash, f.options = everyone[test.key](), syntax.Digest(h), h, test.options
			f.certs = [][]byte{f.id.cert.Raw}
			if f.algorithm = test.algorithm; f.algorithm == nil {
				f.algorithm = must(f.id.signer().method()).identifier
			}
			f.attributes = f.usual()
			var want error
			switch {
			case test.key == "ed25519" && h != crypto.SHA512: // RFC 8419 section 3.1: MUST
				want = ErrUnsupported
			case h == crypto.SHA1:
				want = ErrWeak
			}
			res := verdict(t, f)
			wantErr(t, fmt.Sprint(test.key, " ", h, " ", res.Algorithm), res.Err, want)
			f.content = []byte("y") // after the attributes were made
			if err := verdict(t, f).Err; want != ErrUnsupported && !errors.Is(err, ErrDigest) {
				t.Errorf("%s %v: other content: %v", test.key, h, err)
			}
		}
	}
}

// What never passes, each for its reason.
func TestRefused(t *testing.T) {
	md5 := asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
	shake := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 11}
	by := func(id identity) func(*forgery) {
		return func(f *forgery) {
			f.id, f.certs = id, [][]byte{id.cert.Raw}
			f.algorithm = must(id.signer().method()).identifier
			f.attributes = f.usual()
		}
	}
	algorithm := func(oid asn1.ObjectIdentifier, parameters []byte) func(*forgery) {
		return func(f *forgery) { f.algorithm = syntax.Algorithm(oid, parameters) }
	}
	pss := func(p pssParameters) func(*forgery) { return func(f *forgery) { f.algorithm = p.identifier() } }
	all := func(fs ...func(*forgery)) func(*forgery) {
		return func(f *forgery) {
			for _, g := range fs {
				g(f)
			}
		}
	}
	mldsaOID := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, n} }
	for _, test := range []struct {
		name   string
		change func(*forgery)
		want   error
	}{
		{"MD5", func(f *forgery) { f.digest = md5 }, ErrUnsupported},
		{"SHAKE128", func(f *forgery) { f.digest = shake }, ErrUnsupported},
		{"SHAKE256 with RSA", func(f *forgery) {
			f.digest, f.attributes = oidSHAKE256, [][]byte{f.typeAttribute(), shakeAttribute(f.content)}
		}, ErrUnsupported},
		{"MD5 in the signature's name", algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}, nil), ErrUnsupported},
		{"SHA-1 in the signature's name alone", algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, nil), ErrUnsupported},
		{"DSA with SHA-1 named alone", algorithm(asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 3}, nil), ErrUnsupported},
		{"DSA with SHA-256 by an RSA key", algorithm(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 2}, nil), ErrSignature},
		{"RSA of 1024 bits", func(f *forgery) { f.id = rsa1024(); f.certs = [][]byte{f.id.cert.Raw} }, ErrWeak},
		{"HashML-DSA-44 with SHA-512", algorithm(mldsaOID(32), nil), ErrUnsupported}, // RFC 9882 section 1: not in CMS
		{"ML-DSA of another set", all(by(mldsa44()), algorithm(mldsaOID(18), nil)), ErrSignature},
		{"ML-DSA with parameters", all(by(mldsa44()), algorithm(mldsaOID(17), []byte{4, 1, 'x'})), ErrUnsupported},
		{"ML-DSA by an RSA key", algorithm(mldsaOID(17), nil), ErrSignature},
		{"RSA by an ML-DSA key", all(by(mldsa44()), algorithm(oidRSA, nil)), ErrSignature},
		{"ML-DSA without signed attributes", all(by(mldsa44()), func(f *forgery) { f.attributes = nil }), ErrUnsupported},
		{"Ed25519 named, ML-DSA made", all(by(mldsa44()), func(f *forgery) { f.digest, f.hash = syntax.SHA512, crypto.SHA512; f.attributes = f.usual() },
			algorithm(oidEd25519, nil)), ErrSignature},
		{"PSS named with another salt length", pss(pssParameters{crypto.SHA256, crypto.SHA256, 20}), ErrSignature},
		{"PSS named with no salt", pss(pssParameters{crypto.SHA256, crypto.SHA256, 0}), ErrSignature},
		{"PSS with a salt larger than the key", pss(pssParameters{crypto.SHA256, crypto.SHA512, 1000}), ErrSignature},
		{"PSS with a salt larger than any key", pss(pssParameters{crypto.SHA256, crypto.SHA256, 5000}), ErrUnsupported},
		{"PSS with a negative salt", pss(pssParameters{crypto.SHA256, crypto.SHA256, -1}), ErrUnsupported},
		{"PSS of another hash than the digest", pss(pssParameters{crypto.SHA512, crypto.SHA256, 32}), ErrUnsupported},
		{"PSS with another mask", pss(pssParameters{crypto.SHA256, crypto.SHA512, 32}), ErrSignature},
		{"capabilities twice", func(f *forgery) {
			f.attributes = append(f.attributes, attr(oidCapabilities, addCapabilities), attr(oidCapabilities, addCapabilities))
		}, ErrAttributes},
		{"capabilities with two values", func(f *forgery) {
			f.attributes = append(f.attributes, attr(oidCapabilities, func(b *cryptobyte.Builder) { addCapabilities(b); addCapabilities(b) }))
		}, ErrAttributes},
	} {
		f := forge("x")
		test.change(f)
		res := verdict(t, f)
		wantErr(t, test.name, res.Err, test.want)
	}
}

func shakeAttribute(content []byte) []byte {
	return attr(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sha3.SumSHAKE256(content, 64)) })
}

// SHAKE256 digests content that ML-DSA signs (RFC 9882 section 3.3), long content in pieces too.
func TestSHAKE256(t *testing.T) {
	for _, content := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("0123456789"), 100000)} {
		f := forge("")
		f.content, f.id = content, mldsa65()
		f.certs, f.algorithm = [][]byte{f.id.cert.Raw}, must(f.id.signer().method()).identifier
		f.digest, f.attributes = oidSHAKE256, [][]byte{f.typeAttribute(), shakeAttribute(content)}
		res := verdict(t, f)
		wantErr(t, "SHAKE256", res.Err, nil)
		if DigestName(res.Digest) != "SHAKE256" || res.Algorithm != "ML-DSA-65" {
			t.Errorf("%s with %s", res.Algorithm, DigestName(res.Digest))
		}
		f.content = append(content, 'y')
		wantErr(t, "other content", verdict(t, f).Err, ErrDigest)
	}
}

// RFC 9882 section 5: what ML-DSA signs names its algorithms.
func TestMLDSAProtectsItsAlgorithms(t *testing.T) {
	for name, want := range map[string]bool{"mldsa44": true, "mldsa87": true, "rsa": false} {
		sd, _ := read(t, detached(t, mail, everyone[name]().signer()), mail)
		v, err := attribute(sd.Signers[0].SignedAttributes, oidAlgorithmProtection)
		if err != nil || (v != nil) != want {
			t.Errorf("%s: %x, %v", name, v, err)
		}
	}
}

// Certificates with one key are all given, in their order, unless the signer says which he means, however many others there are.
func TestTwins(t *testing.T) {
	id := rsa2048()
	var twins []*x509.Certificate
	for range 12 {
		twins = append(twins, reissue(t, id))
	}
	f := forge("x")
	f.sid = tlv(syntax.Context0, id.cert.SubjectKeyId)
	f.certs = [][]byte{twins[0].Raw, id.cert.Raw, twins[1].Raw}
	res := verdict(t, f, twins[1], twins[2])
	wantErr(t, "twins", res.Err, nil)
	if got := append([]*x509.Certificate{res.Certificate}, res.Twins...); !slices.EqualFunc(got, []*x509.Certificate{twins[0], id.cert, twins[1], twins[2]}, (*x509.Certificate).Equal) {
		t.Errorf("%d certificates", len(got))
	}
	// RFC 8550 section 4.2: it SHALL be used to identify the certificate.
	s := id.signer()
	s.KeyID = true
	sd, _ := read(t, detached(t, mail, s), mail)
	sd.Certificates = append(twins, id.cert)
	if r := sd.Verify()[0]; r.Err != nil || !r.Certificate.Equal(id.cert) || len(r.Twins) != 0 {
		t.Errorf("the one that is named: %v, %d others", r.Err, len(r.Twins))
	}
}

// Signers with large keys in many certificates of one name are not tried for ever.
func TestVerifyWorkIsBounded(t *testing.T) {
	f := forge("x")
	f.signers = 16
	s, err := ReadSignedData(bytes.NewReader(f.build()), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Certificates = nil
	for i := range 2 * maxCandidates {
		c := *f.id.cert
		n := new(big.Int).Lsh(big.NewInt(1), maxRSA-1)
		c.PublicKey = &rsa.PublicKey{N: n.Add(n, big.NewInt(int64(2*i+1))), E: 1<<31 - 1}
		c.Raw, c.RawSubjectPublicKeyInfo = fmt.Append(nil, i), fmt.Append(nil, i)
		s.Certificates = append(s.Certificates, &c)
	}
	for _, si := range s.Signers {
		si.Signature = make([]byte, maxRSA/8)
	}
	start := time.Now()
	over := 0
	for _, r := range s.Verify() {
		if errors.Is(r.Err, ErrLimit) {
			over++
		} else if !errors.Is(r.Err, ErrSignature) {
			t.Errorf("got %v", r.Err)
		}
	}
	t.Logf("16 signers, %d keys: %v, %d not looked at", len(s.Certificates), time.Since(start), over)
	if over == 0 {
		t.Error("no bound")
	}
}

// The same key signs for several signers at once, and each kind beside each other.
func TestManySigners(t *testing.T) {
	var signers []Signer
	for _, name := range []string{"rsa", "p256", "p384", "p521", "ed25519", "mldsa44", "mldsa65", "mldsa87", "rsa"} {
		s := everyone[name]().signer()
		s.KeyID = len(signers)%2 == 1
		s.PSS = len(signers) > 7
		signers = append(signers, s)
	}
	sd, results := read(t, opaque(t, mail, signers...), nil)
	if len(results) != len(signers) || sd.Version != 3 || len(sd.Certificates) != len(signers)-1 {
		t.Errorf("%d signers, version %d, %d certificates", len(results), sd.Version, len(sd.Certificates))
	}
	for _, r := range results {
		wantErr(t, r.Algorithm, r.Err, nil)
	}
	// Whatever order certificates come in, and where they are only with the reader.
	certs := sd.Certificates
	slices.Reverse(sd.Certificates)
	for _, r := range sd.Verify() {
		wantErr(t, r.Algorithm+", the other way round", r.Err, nil)
	}
	sd.Certificates = nil
	for _, r := range sd.Verify(certs...) {
		wantErr(t, r.Algorithm+", known before", r.Err, nil)
	}
	for _, r := range sd.Verify(certs[0]) {
		if !errors.Is(r.Err, ErrNoCertificate) && !r.Certificate.Equal(certs[0]) {
			t.Errorf("%s: %v", r.Algorithm, r.Err)
		}
	}
}
