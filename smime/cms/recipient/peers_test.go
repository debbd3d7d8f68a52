package recipient

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/internal/mlkemkey"
)

// A peer has a certificate of his own and its key in files.
type peer struct {
	Key
	cert, key string
}

func newPeer(t *testing.T, name string, private crypto.Signer) peer {
	t.Helper()
	dir := t.TempDir()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1<<40 + 7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(1.7e9, 0), NotAfter: time.Unix(4e9, 0),
		SubjectKeyId: []byte(name + "'s key"),
	}
	raw := must(x509.CreateCertificate(rand.Reader, template, template, private.Public(), private))
	p := peer{Key{Certificate: must(x509.ParseCertificate(raw)), Private: private}, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	write := func(path, kind string, der []byte) {
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(p.cert, "CERTIFICATE", raw)
	write(p.key, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(private)))
	return p
}

const content = "Content-Type: text/plain\r\n\r\nof the peers\r\n"

// openssl runs the command with input and returns what it writes.
func openssl(t *testing.T, in []byte, arguments ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command(path, arguments...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(arguments, " "), err, stderr.Bytes())
	}
	return out
}

// TestOpenSSL: what either side wraps the other unwraps.
func TestOpenSSL(t *testing.T) {
	alice := newPeer(t, "Alice", must(rsa.GenerateKey(rand.Reader, 2048)))
	p256 := newPeer(t, "Bob", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	p384 := newPeer(t, "Carl", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))
	p521 := newPeer(t, "Diane", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)))
	oaep := "-keyopt rsa_padding_mode:oaep"
	for _, test := range []struct {
		name      string
		peer      peer
		options   string // of openssl cms -encrypt
		transport Transport
		byKeyID   bool
	}{
		{"RSA", alice, "", Transport{}, false},
		{"RSA by key", alice, "-keyid", Transport{}, true},
		{"OAEP SHA-1", alice, oaep, OAEP(crypto.SHA1), false},
		{"OAEP SHA-256", alice, oaep + " -keyopt rsa_oaep_md:sha256 -keyopt rsa_mgf1_md:sha256", OAEP(crypto.SHA256), false},
		{"OAEP SHA-384", alice, oaep + " -keyopt rsa_oaep_md:sha384 -keyopt rsa_mgf1_md:sha384", OAEP(crypto.SHA384), false},
		{"OAEP SHA-512", alice, oaep + " -keyopt rsa_oaep_md:sha512 -keyopt rsa_mgf1_md:sha512", OAEP(crypto.SHA512), false},
		{"OAEP SHA-256, mask SHA-1", alice, oaep + " -keyopt rsa_oaep_md:sha256 -keyopt rsa_mgf1_md:sha1", Transport{crypto.SHA256, crypto.SHA1}, false},
		{"OAEP SHA-1, mask SHA-512, label", alice, oaep + " -keyopt rsa_mgf1_md:sha512 -keyopt rsa_oaep_label:0102", Transport{crypto.SHA1, crypto.SHA512}, false},
		{"P-256", p256, "", Transport{}, false},
		{"P-256 by key", p256, "-keyid", Transport{}, true},
		{"P-256, SHA-256", p256, "-keyopt ecdh_kdf_md:sha256", Transport{}, false},
		{"P-256, SHA-224", p256, "-keyopt ecdh_kdf_md:sha224", Transport{}, false},
		{"P-256 with cofactor", p256, "-keyopt ecdh_kdf_md:sha512 -keyopt ecdh_cofactor_mode:1", Transport{}, false},
		{"P-384, SHA-384", p384, "-keyopt ecdh_kdf_md:sha384", Transport{}, false},
		{"P-521, SHA-512", p521, "-keyopt ecdh_kdf_md:sha512", Transport{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			for cipher, size := range map[string]int{"-aes-128-cbc": 16, "-aes-192-cbc": 24, "-aes-256-cbc": 32, "-des3": 24} {
				arguments := []string{"cms", "-encrypt", "-binary", "-outform", "DER", cipher}
				recipient := append([]string{"-recip", test.peer.cert}, strings.Fields(test.options)...)
				if strings.HasPrefix(test.options, "-keyid") {
					recipient = []string{"-keyid", "-recip", test.peer.cert}
				}
				e := parseEnveloped(t, openssl(t, []byte(content), append(arguments, recipient...)...))
				if got := e.open(t, test.peer.Key, size); string(got) != content {
					t.Errorf("%s: read %q", cipher, got)
				}
			}
			cek := make([]byte, 32)
			rand.Read(cek)
			info := must(To{Certificate: test.peer.Certificate, ByKeyID: test.byKeyID, Transport: test.transport}.Wrap(rand.Reader, cek))
			arguments := []string{"cms", "-decrypt", "-binary", "-inform", "DER", "-recip", test.peer.cert, "-inkey", test.peer.key}
			if got := openssl(t, envelop(t, []byte(content), cek, info), arguments...); string(got) != content {
				t.Errorf("openssl read %q", got)
			}
		})
	}
}

// TestTripleDESWrap: openssl wraps with the cipher of the content. Whatever a forger makes of that there is a random key and no
// error.
func TestTripleDESWrap(t *testing.T) {
	bob := newPeer(t, "Bob", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	e := parseEnveloped(t, openssl(t, []byte(content), "cms", "-encrypt", "-binary", "-outform", "DER", "-des3", "-recip", bob.cert))
	good := e.infos[0]
	if !bytes.Contains(good, oid(oidDESWrap)) {
		t.Fatalf("openssl has wrapped by something else: %x", good)
	}
	cek := must(must(Parse(good)).Unwrap(bob.Key, 24))
	if got := e.decrypt(t, cek); string(got) != content {
		t.Fatalf("read %q", got)
	}
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	for name, c := range map[string]struct {
		info []byte
		key  Key
		size int
	}{"broken": {broken, bob.Key, 24}, "wrong key": {good, stranger(bob.Key), 24}, "a key of AES": {good, bob.Key, 32}, "a short one": {good, bob.Key, 16}} {
		i := must(Parse(c.info))
		a, errA := i.Unwrap(c.key, c.size)
		b, errB := i.Unwrap(c.key, c.size)
		if errA != nil || errB != nil || len(a) != c.size || bytes.Equal(a, b) || bytes.HasPrefix(cek, a[:8]) {
			t.Errorf("%s: got %x, %v and %x, %v", name, a, errA, b, errB)
		}
	}
}

// TestOpenSSLPassword: as above, and all together in one object.
func TestOpenSSLPassword(t *testing.T) {
	for _, cipher := range []string{"-aes-128-cbc", "-aes-256-cbc", "-des3"} {
		size := map[string]int{"-aes-128-cbc": 16, "-aes-256-cbc": 32, "-des3": 24}[cipher]
		e := parseEnveloped(t, openssl(t, []byte(content), "cms", "-encrypt", "-binary", "-outform", "DER", cipher, "-pwri_password", "geheim"))
		if got := e.open(t, Key{Password: []byte("geheim")}, size); string(got) != content {
			t.Errorf("%s: read %q", cipher, got)
		}
	}
	alice := newPeer(t, "Alice", must(rsa.GenerateKey(rand.Reader, 2048)))
	bob := newPeer(t, "Bob", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	x25519 := person(30, must(ecdh.X25519().GenerateKey(rand.Reader)))
	cek := make([]byte, 32)
	rand.Read(cek)
	var infos [][]byte
	for _, to := range []To{{Certificate: x25519.Certificate}, {Password: []byte("geheim")}, {Certificate: bob.Certificate}, {Certificate: alice.Certificate}} {
		infos = append(infos, must(to.Wrap(rand.Reader, cek)))
	}
	object := envelop(t, []byte(content), cek, infos...)
	for name, key := range map[string][]string{
		"password": {"-pwri_password", "geheim"}, "RSA": {"-recip", alice.cert, "-inkey", alice.key}, "EC": {"-recip", bob.cert, "-inkey", bob.key},
	} {
		if got := openssl(t, object, append([]string{"cms", "-decrypt", "-binary", "-inform", "DER"}, key...)...); string(got) != content {
			t.Errorf("%s: openssl read %q", name, got)
		}
	}
	for _, k := range []Key{x25519, {Password: []byte("geheim")}, bob.Key, alice.Key} {
		if got := parseEnveloped(t, object).open(t, k, 32); string(got) != content {
			t.Errorf("read %q", got)
		}
	}
}

// TestCorpora opens what others made long ago, and reads what is for nobody here.
func TestCorpora(t *testing.T) {
	key := func(name string) crypto.PrivateKey {
		b := must(os.ReadFile(corpus(t, name)))
		if p, _ := pem.Decode(b); p != nil {
			b = p.Bytes
		}
		if k, err := x509.ParsePKCS1PrivateKey(b); err == nil {
			return k
		}
		return must(x509.ParsePKCS8PrivateKey(b))
	}
	cert := func(name string) *x509.Certificate {
		b := must(os.ReadFile(corpus(t, name)))
		if p, _ := pem.Decode(b); p != nil {
			b = p.Bytes
		}
		return must(x509.ParseCertificate(b))
	}
	will := Key{Certificate: cert("asn1crypto/keys/test.crt"), Private: key("asn1crypto/keys/test.key")}
	bob := Key{Certificate: cert("rfc4134/BobRSASignByCarl.cer"), Private: key("rfc4134/BobPrivRSAEncrypt.pri")}
	password := Key{Password: []byte("password")}
	for _, test := range []struct {
		name  string
		kinds string
		key   Key
		size  int
		want  string
	}{
		{"asn1crypto/cms-enveloped.der", "ktri", will, 24, "This is the message to encapsulate in PKCS#7/CMS"},
		{"rfc4134/5.1.bin", "ktri", bob, 24, "This is some sample content."},
		{"rustcrypto-cms/enveloped_data_pwri.bin", "pwri", password, 16, "Lorem ipsum dolor sit amet"},
		{"rustcrypto-cms/enveloped_data_multi.bin", "ktri kari kekri pwri", password, 32, "Lorem ipsum dolor sit amet"},
		{"rfc4134/5.2.bin", "ktri kekri", Key{}, 0, ""},
		{"rustcrypto-cms/enveloped_data_kari.bin", "kari", Key{}, 0, ""},
		{"rustcrypto-cms/enveloped_data_kekri.bin", "kekri", Key{}, 0, ""},
		{"rustcrypto-cms/kms_ciphertext_for_recipient_1.ber", "ktri", Key{}, 0, ""},
		{"rustcrypto-cms/kms_ciphertext_for_recipient_4.ber", "ktri", Key{}, 0, ""},
		{"rustcrypto-cms/1.3.6.1.4.1.22554.5.6.1_ML-KEM-512-ipd_kemri_auth.der", "kemri", Key{}, 0, ""},
		{"rustcrypto-cms/1.3.6.1.4.1.22554.5.6.1_ML-KEM-512-ipd_kemri_ukm.der", "kemri", Key{}, 0, ""},
	} {
		e := read(t, corpus(t, test.name))
		var kinds []string
		for _, raw := range e.infos {
			i, err := Parse(raw)
			if err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			kinds = append(kinds, string(i.Kind))
			if i.For(Key{Private: will.Private}) {
				t.Errorf("%s: for a key without a certificate", test.name)
			}
		}
		if got := strings.Join(kinds, " "); got != test.kinds {
			t.Errorf("%s: got %s, want %s", test.name, got, test.kinds)
		}
		if test.want != "" {
			if got := e.open(t, test.key, test.size); !strings.HasPrefix(string(got), test.want) {
				t.Errorf("%s: got %.40q", test.name, got)
			}
		}
	}
}

// TestRealCertificates wraps for those of the RFCs, among them some whose keys crypto/x509 does not know.
func TestRealCertificates(t *testing.T) {
	cek := []byte("0123456789abcdef")
	for _, test := range []struct{ cert, key string }{
		{"rfc9216/11-Bob_s_Encryption_End_Entity_Certificate.pem", "rfc9216/12-Bob_s_Decryption_Private_Key_Material.pem"},
		{"rfc9216/24-Dana_s_Encryption_End_Entity_Certificate.pem", "rfc9216/25-Dana_s_Decryption_Private_Key_Material.pem"},
		{"lamps-pqc-mlkem-cert/example/ML-KEM-768.crt", "lamps-pqc-mlkem-cert/example/ML-KEM-768-both.priv"},
		{"lamps-pqc-mlkem-cert/example/ML-KEM-1024.crt", "lamps-pqc-mlkem-cert/example/ML-KEM-1024-seed.priv"},
	} {
		c, _ := pem.Decode(must(os.ReadFile(corpus(t, test.cert))))
		p, _ := pem.Decode(must(os.ReadFile(corpus(t, test.key))))
		k := Key{Certificate: must(x509.ParseCertificate(c.Bytes))}
		var err error
		if k.Private, err = x509.ParsePKCS8PrivateKey(p.Bytes); err != nil {
			k.Private = must(mlkemkey.ParsePrivateKey(p.Bytes))
		}
		for _, byKeyID := range []bool{false, len(k.Certificate.SubjectKeyId) > 0} {
			i := must(Parse(must(To{Certificate: k.Certificate, ByKeyID: byKeyID}.Wrap(rand.Reader, cek))))
			if got, err := i.Unwrap(k, len(cek)); err != nil || !bytes.Equal(got, cek) {
				t.Errorf("%s: got %x, %v", test.cert, got, err)
			}
		}
	}
}
