package x509key

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
)

var sets = map[string]mldsa.Parameters{"ML-DSA-44": mldsa.MLDSA44(), "ML-DSA-65": mldsa.MLDSA65(), "ML-DSA-87": mldsa.MLDSA87()}

// examples is the folder of RFC 9881's examples.
func examples(t *testing.T) string {
	t.Helper()
	root := os.Getenv("MAILSEAL_CORPORA")
	if root == "" {
		root = "../../../shared/corpora"
	}
	dir := filepath.Join(root, "lamps-pqc-mldsa-cert", "examples")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("corpus lamps-pqc-mldsa-cert is absent: set MAILSEAL_CORPORA")
	}
	return dir
}

func decode(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s: no PEM", path)
	}
	return block.Bytes
}

// The example certificates are self-signed by keys that are there in three forms.
func TestExamples(t *testing.T) {
	dir := examples(t)
	for name, set := range sets {
		cert, err := x509.ParseCertificate(decode(t, filepath.Join(dir, name+".crt")))
		if err != nil {
			t.Fatal(err)
		}
		public, ok := Public(cert).(*mldsa.PublicKey)
		if !ok || public.Parameters() != set {
			t.Fatalf("%s: public key %T", name, Public(cert))
		}
		if oid, _, _, _ := readSPKI(cert.RawSubjectPublicKeyInfo); !OIDMLDSA(public).Equal(oid) {
			t.Errorf("%s: identifier %v", name, OIDMLDSA(public))
		}
		if _, only := PSSOnly(cert); only {
			t.Errorf("%s: taken for an RSA key", name)
		}
		if err := CheckSignature(cert, cert); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		spoilt := *cert
		spoilt.RawTBSCertificate = append(bytes.Clone(cert.RawTBSCertificate[1:]), 0)
		if err := CheckSignature(cert, &spoilt); err == nil {
			t.Errorf("%s: a changed certificate passes", name)
		}
		for form, want := range map[string]string{"-seed": "", "-both": "", "-expanded": "without its seed"} {
			key, err := ParsePKCS8(decode(t, filepath.Join(dir, name+form+".priv")))
			if want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s%s: %v", name, form, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s%s: %v", name, form, err)
			} else if !Pairs(cert, key.(crypto.Signer)) {
				t.Errorf("%s%s: another key than the certificate's", name, form)
			}
		}
	}
	for _, name := range []string{"bad-ML-DSA-44-1.priv", "bad-ML-DSA-44-2.priv", "bad-ML-DSA-44-3.priv"} {
		if _, err := ParsePKCS8(decode(t, filepath.Join(dir, name))); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A signature counts for the parameter set that it names, with the issuer's key only.
func TestCheckSignatureRefuses(t *testing.T) {
	dir := examples(t)
	certs := map[string]*x509.Certificate{}
	for name := range sets {
		c, err := x509.ParseCertificate(decode(t, filepath.Join(dir, name+".crt")))
		if err != nil {
			t.Fatal(err)
		}
		certs[name] = c
	}
	for parent := range certs {
		for child := range certs {
			if err := CheckSignature(certs[parent], certs[child]); (err == nil) != (parent == child) {
				t.Errorf("%s by %s: %v", child, parent, err)
			}
		}
	}
	child := *certs["ML-DSA-44"]
	child.Raw = []byte{0x30, 0}
	if err := CheckSignature(certs["ML-DSA-44"], &child); err == nil {
		t.Error("no algorithm, and it passes")
	}
}

func TestMalformedKeys(t *testing.T) {
	key, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		t.Fatal(err)
	}
	der, err := mldsax509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := ParsePKCS8(der); err != nil || !key.Equal(k) {
		t.Fatalf("its own key: %v", err)
	}
	for i := range der { // never a panic, and never the same key with a byte changed before the seed
		for _, b := range [][]byte{der[:i], append(append(bytes.Clone(der[:i]), der[i]^1), der[i+1:]...)} {
			if k, err := ParsePKCS8(b); err == nil && key.Equal(k) && i > 4 {
				t.Errorf("taken with byte %d of %d changed", i, len(der))
			}
		}
	}
	for _, spki := range [][]byte{nil, {0x30, 0}, {0x30, 2, 0x30, 0}} {
		if k := Public(&x509.Certificate{RawSubjectPublicKeyInfo: spki}); k != nil {
			t.Errorf("%x: key %T", spki, k)
		}
	}
}

// A key for RSASSA-PSS alone is an RSA key, and what binds it is told.
func TestPSSOnly(t *testing.T) {
	exe, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	for name, bound := range map[string]string{"free": "", "bound": "-pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256 -pkeyopt rsa_pss_keygen_saltlen:32"} {
		dir := t.TempDir()
		for _, command := range []string{
			"genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out key " + bound,
			"req -x509 -new -key key -subj /CN=PSS -days 30 -sha256 -out cert",
		} {
			c := exec.Command(exe, strings.Fields(command)...)
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		cert, err := x509.ParseCertificate(decode(t, filepath.Join(dir, "cert")))
		if err != nil {
			t.Fatal(err)
		}
		key, err := ParsePKCS8(decode(t, filepath.Join(dir, "key")))
		if err != nil {
			t.Fatal(err)
		}
		if !Pairs(cert, key.(crypto.Signer)) {
			t.Errorf("%s: the key is not the certificate's", name)
		}
		if parameters, only := PSSOnly(cert); !only || (parameters != nil) != (bound != "") {
			t.Errorf("%s: %v, parameters %x", name, only, parameters)
		}
	}
}
