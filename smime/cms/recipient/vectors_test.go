package recipient

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// corpus returns a file of the corpora, which are beside the repository or where MAILSEAL_CORPORA says.
func corpus(t testing.TB, name string) string {
	t.Helper()
	base := os.Getenv("MAILSEAL_CORPORA")
	if base == "" {
		base = filepath.Join("..", "..", "..", "..", "shared", "corpora")
	}
	path := filepath.Join(base, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("corpus %s is not there: set MAILSEAL_CORPORA", name)
	}
	return path
}

func unhex(s string) []byte { return must(hex.DecodeString(s)) }

// vectors is what the files of Wycheproof have that are used here.
type vectors struct {
	TestGroups []struct {
		KeySize                      int
		Sha, MgfSha, PrivateKeyPkcs8 string
		Tests                        []struct {
			TcID                                            int
			Msg, Ct, Label, Result, Public, Private, Shared string
			Flags                                           []string
		}
	}
}

func wycheproof(t *testing.T, name string) (v vectors) {
	t.Helper()
	if err := json.Unmarshal(must(os.ReadFile(corpus(t, "wycheproof/"+name))), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// marked is a key that is not what any vector holds.
func marked(n int) []byte { return bytes.Repeat([]byte{0x5a}, n) }

func TestWycheproofPKCS1(t *testing.T) {
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}
	for _, name := range []string{"rsa_pkcs1_2048_test.json", "rsa_pkcs1_3072_test.json"} {
		counts := map[string]int{}
		for _, g := range wycheproof(t, name).TestGroups {
			k := Key{Private: must(x509.ParsePKCS8PrivateKey(unhex(g.PrivateKeyPkcs8)))}
			for _, test := range g.Tests {
				msg := unhex(test.Msg)
				if len(msg) == 0 || len(msg) > maxCEK {
					continue
				}
				cek := marked(len(msg))
				err := transported{algorithm, unhex(test.Ct)}.open(k, 0, cek)
				if err != nil || bytes.Equal(cek, msg) != (test.Result == "valid") {
					t.Errorf("%s %d is %s: got %x, %v", name, test.TcID, test.Result, cek, err)
				}
				cek = make([]byte, len(msg)+1)
				if err := (transported{algorithm, unhex(test.Ct)}).open(k, 0, cek); err != nil || bytes.HasPrefix(cek, msg) && len(msg) > 3 {
					t.Errorf("%s %d asked for another length: got %x, %v", name, test.TcID, cek, err)
				}
				counts[test.Result]++
			}
		}
		if counts["valid"] < 10 || counts["invalid"] < 20 {
			t.Errorf("%s: too few vectors: %v", name, counts)
		}
	}
}

// oaepParameters writes the parameters of any RSAES-OAEP. Those with defaults leave out what is default.
func oaepParameters(hash, mask crypto.Hash, label []byte, defaults bool) []byte {
	var b cryptobyte.Builder
	add := func(b *cryptobyte.Builder, n uint8, algorithm []byte) {
		b.AddASN1(syntax.Explicit(n), func(b *cryptobyte.Builder) { b.AddBytes(algorithm) })
	}
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		if !defaults || hash != crypto.SHA1 {
			add(b, 0, syntax.Algorithm(syntax.Digest(hash), nil))
		}
		if !defaults || mask != crypto.SHA1 {
			add(b, 1, syntax.Algorithm(oidMGF1, syntax.Algorithm(syntax.Digest(mask), asn1.NullBytes)))
		}
		if !defaults || len(label) > 0 {
			add(b, 2, syntax.Algorithm(oidPSpecified, must(asn1.Marshal(label))))
		}
	})
	return b.BytesOrPanic()
}

func hashNamed(name string) crypto.Hash {
	for h := crypto.SHA1; h <= crypto.SHA512; h++ {
		if h.String() == name {
			return h
		}
	}
	return 0
}

func TestWycheproofOAEP(t *testing.T) {
	tested := 0
	for _, name := range []string{
		"rsa_oaep_2048_sha1_mgf1sha1_test.json", "rsa_oaep_2048_sha256_mgf1sha1_test.json",
		"rsa_oaep_2048_sha256_mgf1sha256_test.json", "rsa_oaep_misc_test.json",
	} {
		for _, g := range wycheproof(t, name).TestGroups {
			if g.KeySize > 4096 {
				continue // slow, and nothing is different
			}
			k := Key{Private: must(x509.ParsePKCS8PrivateKey(unhex(g.PrivateKeyPkcs8)))}
			for _, test := range g.Tests {
				msg, label := unhex(test.Msg), unhex(test.Label)
				if len(msg) == 0 {
					continue
				}
				parameters := oaepParameters(hashNamed(g.Sha), hashNamed(g.MgfSha), label, tested%2 == 0)
				algorithm := pkix.AlgorithmIdentifier{Algorithm: oidOAEP, Parameters: asn1.RawValue{FullBytes: parameters}}
				cek := marked(len(msg))
				err := transported{algorithm, unhex(test.Ct)}.open(k, 0, cek)
				if valid := bytes.Equal(cek, msg); err != nil || valid != (test.Result != "invalid") && test.Result != "acceptable" {
					t.Errorf("%s %d is %s: got %x, %v", name, test.TcID, test.Result, cek, err)
				}
				tested++
			}
		}
	}
	if tested < 300 {
		t.Errorf("only %d vectors", tested)
	}
}

// TestReadOAEP: parameters that are not RSAES-OAEP's are refused and never taken for those of something else.
func TestReadOAEP(t *testing.T) {
	good := oaepParameters(crypto.SHA256, crypto.SHA1, []byte("label"), false)
	if o, ok := readOAEP(good); !ok || o.Hash != crypto.SHA256 || o.MGFHash != crypto.SHA1 || string(o.Label) != "label" {
		t.Fatalf("got %v", o)
	}
	if o, ok := readOAEP([]byte{0x30, 0}); !ok || o.Hash != crypto.SHA1 || o.MGFHash != crypto.SHA1 || len(o.Label) > 0 {
		t.Errorf("defaults: got %v", o)
	}
	md5 := syntax.Algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}, asn1.NullBytes)
	sequence := func(parts ...[]byte) []byte {
		body := bytes.Join(parts, nil)
		return append([]byte{0x30, byte(len(body))}, body...)
	}
	tagged := func(n byte, body []byte) []byte { return append([]byte{0xa0 | n, byte(len(body))}, body...) }
	sha1 := syntax.Algorithm(syntax.SHA1, asn1.NullBytes)
	for name, parameters := range map[string][]byte{
		"absent":            nil,
		"NULL":              asn1.NullBytes,
		"more behind":       append(bytes.Clone(good), 0),
		"MD5":               sequence(tagged(0, md5)),
		"mask of MD5":       sequence(tagged(1, syntax.Algorithm(oidMGF1, md5))),
		"other mask":        sequence(tagged(1, syntax.Algorithm(oidRSA, sha1))),
		"mask without hash": sequence(tagged(1, syntax.Algorithm(oidMGF1, nil))),
		"other label":       sequence(tagged(2, syntax.Algorithm(oidMGF1, sha1))),
		"wrong order":       sequence(tagged(1, syntax.Algorithm(oidMGF1, sha1)), tagged(0, sha1)),
		"twice":             sequence(tagged(0, sha1), tagged(0, sha1)),
		"fourth":            sequence(tagged(3, sha1)),
		"empty element":     sequence(tagged(0, nil)),
		"parameters of SHA": sequence(tagged(0, syntax.Algorithm(syntax.SHA1, []byte{4, 0}))),
	} {
		if o, ok := readOAEP(parameters); ok {
			t.Errorf("%s: read as %v", name, o)
		}
	}
}

func TestWycheproofECDH(t *testing.T) {
	for name, curve := range map[string]ecdh.Curve{
		"ecdh_secp256r1_ecpoint_test.json": ecdh.P256(), "ecdh_secp384r1_ecpoint_test.json": ecdh.P384(), "x25519_test.json": ecdh.X25519(),
	} {
		tested := 0
		for _, g := range wycheproof(t, name).TestGroups {
			for n, test := range g.Tests {
				if curve == ecdh.P384() && test.Result == "valid" && n%4 > 0 {
					continue // slow under the race detector
				}
				want, size := test.Shared, map[ecdh.Curve]int{ecdh.P256(): 32, ecdh.P384(): 48, ecdh.X25519(): 32}[curve]
				scalar := unhex(test.Private)
				scalar = append(make([]byte, size), scalar...)[len(scalar):]
				private, err := curve.NewPrivateKey(scalar)
				if err != nil {
					t.Fatal(name, test.TcID, err)
				}
				var z []byte
				if point := unhex(test.Public); len(point) > 0 {
					public, err := parsePoint(curve, point)
					if err == nil {
						z, _ = private.ECDH(public)
					}
				}
				if test.Result == "invalid" || curve == ecdh.X25519() && strings.Trim(want, "0") == "" {
					want = "" // RFC 8418 section 5: a shared secret of zeros is refused
				}
				if hex.EncodeToString(z) != want {
					t.Errorf("%s %d is %s: got %x, want %s", name, test.TcID, test.Result, z, want)
				}
				tested++
			}
		}
		if tested < 200 {
			t.Errorf("%s: only %d vectors", name, tested)
		}
	}
}

// TestKEMStandard follows the example of RFC 9936 through its intermediate values. It is one of ML-KEM-512, which is not
// supported, so that it begins behind decapsulation.
func TestKEMStandard(t *testing.T) {
	dir := corpus(t, "lamps-pqc-kemri/example")
	value := func(name string) []byte {
		return unhex(strings.Join(strings.Fields(string(must(os.ReadFile(filepath.Join(dir, name))))), ""))
	}
	e := read(t, filepath.Join(dir, "ML-KEM-512.cms"))
	if len(e.infos) != 1 {
		t.Fatalf("%d recipients", len(e.infos))
	}
	i := must(Parse(e.infos[0]))
	if i.Kind != KEM || i.Version != 0 || !bytes.Equal(i.Recipients[0].SubjectKeyID, value("ML-KEM-512.keyid")) {
		t.Errorf("got %v", i)
	}
	w := i.way.(encapsulated)
	if !bytes.Equal(w.ciphertext, value("ciphertext.txt")) || !bytes.Equal(w.key, value("encrypted_cek.txt")) {
		t.Error("another ciphertext or key")
	}
	kek, err := derivations[0].deriveKEM(value("shared_secret.txt"), w.ukm, syntax.Algorithm(w.wrap.Algorithm, nil), w.kekLength)
	if err != nil || !bytes.Equal(kek, value("kek.txt")) {
		t.Errorf("got %x, %v", kek, err)
	}
	w.kem.Algorithm = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}
	cek := make([]byte, 16)
	if err := w.open(Key{Private: known(value("shared_secret.txt"))}, 0, cek); err != nil || !bytes.Equal(cek, value("cek.txt")) {
		t.Errorf("got %x, %v; want %x", cek, err, value("cek.txt"))
	}
}

// known is a key that every ciphertext is for. It looks like one of ML-KEM-768.
type known []byte

func (k known) Encapsulator() crypto.Encapsulator        { return k }
func (k known) Decapsulate([]byte) ([]byte, error)       { return k, nil }
func (k known) Encapsulate() (shared, ciphertext []byte) { return k, nil }
func (k known) Bytes() []byte                            { return make([]byte, mlkem.EncapsulationKeySize768) }

// TestPWRI has the example of RFC 3211 section 2.3.3 that has a cipher of today: 3DES with PBKDF2 of 500 rounds.
func TestPWRI(t *testing.T) {
	d := derivePBKDF2{salt: unhex("1234567878563412"), rounds: 500, mac: crypto.SHA1}
	kek := must(d.key([]byte("All n-entities must communicate with other n-entities via n-1 entiteeheehees"), 24))
	if want := "6a8970bf68c92caea84a8df28510858607126380cc47ab2d"; hex.EncodeToString(kek) != want {
		t.Fatalf("got %x, want %s", kek, want)
	}
	block := must(ciphers[3].new(kek))
	cek, random := unhex("8c637d887223a2f965b566eb014b0fa5d52300a3f7ea40fffc577203c71baf3b"), unhex("fa060a45")
	iv := unhex("baf1ca7931213c4e")
	wrapped := wrapCBC(block, iv, cek, random)
	if want := "c03c514abdb9e2c5aac038572b5e24553876b377aafb82eca5a9d73f8ab143d9ec74e6cad7db260c"; hex.EncodeToString(wrapped) != want {
		t.Errorf("got %x, want %s", wrapped, want)
	}
	got := marked(len(cek))
	if unwrapCBC(block, iv, wrapped, got); !bytes.Equal(got, cek) {
		t.Errorf("got %x, want %x", got, cek)
	}
	for at := range wrapped {
		forged := bytes.Clone(wrapped)
		forged[at] ^= 1
		got := marked(len(cek))
		unwrapCBC(block, iv, forged, got)
		// The check octets see the first block and the last, on which everything depends. What is between makes a wrong key.
		if checked := at < 8 || at >= len(wrapped)-16; checked && !bytes.Equal(got, marked(len(cek))) || bytes.Equal(got, cek) {
			t.Errorf("octet %d is another: got %x", at, got)
		}
	}
}
