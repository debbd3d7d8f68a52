package capability_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/mlkemkey"
	"mailseal/smime/capability"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

func announced(c capability.Capability) bool {
	return slices.ContainsFunc(capability.Ours(), func(o capability.Capability) bool { return cmp.Equal(o, c) })
}

// In front are the ciphers that are written, all of them, and a peer that reads what is read here gets the best.
func TestOursCiphers(t *testing.T) {
	ours := capability.Ours()
	for i, c := range writable() {
		if !announced(capability.Capability{OID: c.OID()}) {
			t.Errorf("%v is written, and not told to be read", c)
		}
		if !slices.ContainsFunc(writable(), func(w content.Cipher) bool { return w.OID().Equal(ours[i].OID) }) {
			t.Errorf("%v stands before the ciphers", ours[i])
		}
	}
	der := must(capability.OursDER())
	if again := must(capability.Parse(der)); !cmp.Equal(again, ours) {
		t.Errorf("comes back as %v", again)
	}
	if len(der) > 512 {
		t.Errorf("%d octets in every mail that is signed", len(der))
	}
	g := capability.Choose(capability.Peer{Certificate: withRSA(2048), Capabilities: ours})
	if g[0].Cipher != content.AES256GCM || g[0].Members[0].Transport != recipient.OAEP(crypto.SHA256) {
		t.Errorf("we get %v from ourselves", g)
	}
}

// What is written for each sort of key is told to be read, and is read.
func TestOursKeyManagement(t *testing.T) {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	x25519 := must(ecdh.X25519().GenerateKey(rand.Reader))
	keys := map[string]recipient.Key{
		"RSA":    {Private: rsaKey, Certificate: &x509.Certificate{PublicKey: rsaKey.Public()}},
		"X25519": {Private: x25519, Certificate: &x509.Certificate{PublicKey: x25519.PublicKey()}},
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k := must(ecdsa.GenerateKey(curve, rand.Reader))
		keys[curve.Params().Name] = recipient.Key{Private: k, Certificate: &x509.Certificate{PublicKey: k.Public()}}
	}
	kem768, kem1024 := must(mlkem.GenerateKey768()), must(mlkem.GenerateKey1024())
	keys["ML-KEM-768"] = recipient.Key{Private: kem768, Certificate: &x509.Certificate{RawSubjectPublicKeyInfo: must(mlkemkey.MarshalPublicKey(kem768.Encapsulator()))}}
	keys["ML-KEM-1024"] = recipient.Key{Private: kem1024, Certificate: &x509.Certificate{RawSubjectPublicKeyInfo: must(mlkemkey.MarshalPublicKey(kem1024.Encapsulator()))}}
	kemOID := map[string][]int{"ML-KEM-768": {2, 16, 840, 1, 101, 3, 4, 4, 2}, "ML-KEM-1024": {2, 16, 840, 1, 101, 3, 4, 4, 3}}
	for name, key := range keys {
		key.Certificate.RawIssuer, key.Certificate.SerialNumber = []byte{0x30, 0}, big.NewInt(1)
		cek := bytes.Repeat([]byte{7}, 32)
		info := must(recipient.Parse(must(recipient.To{Certificate: key.Certificate, Transport: recipient.OAEP(crypto.SHA256)}.Wrap(rand.Reader, cek))))
		if got, err := info.Unwrap(key, len(cek)); err != nil || !bytes.Equal(got, cek) {
			t.Errorf("%s is not read: %v", name, err)
		}
		told := capability.Capability{OID: info.Algorithm.Algorithm, Parameters: info.Algorithm.Parameters.FullBytes}
		if oid, ok := kemOID[name]; ok {
			told = capability.Capability{OID: oid}
		}
		if !announced(told) {
			t.Errorf("%s is read as %v %x, and nobody is told", name, told.OID, told.Parameters)
		}
	}
}

// The entry of RSASSA-PSS is what such a signature is made with.
func TestOursPSS(t *testing.T) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))
	object := must(cms.SignDetached(bytes.NewReader(nil), cms.Signer{Certificate: cert, Key: key, PSS: true}))
	if got := attributeOf(t, object); !bytes.Equal(got, must(capability.OursDER())) {
		t.Errorf("a signature says %x", got)
	}
	sd := must(cms.ReadSignedData(bytes.NewReader(object), cms.ReadOptions{}))
	a := sd.Signers[0].SignatureAlgorithm
	if !announced(capability.Capability{OID: a.Algorithm, Parameters: a.Parameters.FullBytes}) {
		t.Errorf("%v %x is written, and not told to be read", a.Algorithm, a.Parameters.FullBytes)
	}
}
