package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// corpus returns a folder of the corpora, which are beside the repository or where MAILSEAL_CORPORA says.
func corpus(t testing.TB, name string) string {
	t.Helper()
	base := os.Getenv("MAILSEAL_CORPORA")
	if base == "" {
		base = filepath.Join("..", "..", "..", "shared", "corpora")
	}
	dir := filepath.Join(base, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("corpus %s is not there: set MAILSEAL_CORPORA", name)
	}
	return dir
}

// corpusObject reads a file that is DER or BER, PEM or base64.
func corpusObject(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := pem.Decode(b); p != nil {
		return p.Bytes
	}
	if plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(b))); err == nil {
		return plain
	}
	return b
}

func TestCorporaSigned(t *testing.T) {
	rfc4134 := func(name string) []byte { return must(os.ReadFile(filepath.Join(corpus(t, "rfc4134"), name))) }
	for _, test := range []struct {
		folder, name string
		read         error
		certificates int
		unparsed     int
		signers      []error
	}{
		// RFC 4134: DSA throughout, but where RSA of 1024 bits with SHA-1.
		{"rfc4134", "4.1.bin", nil, 1, 0, []error{ErrWeak}},
		{"rfc4134", "4.2.bin", nil, 1, 0, []error{ErrWeak}},
		{"rfc4134", "4.3.bin", nil, 1, 0, []error{ErrWeak}},                          // detached
		{"rfc4134", "4.4.bin", nil, 3, 0, []error{ErrWeak}},                          // attributes, countersignature
		{"rfc4134", "4.5.bin", nil, 2, 0, []error{ErrWeak}},                          // all RSA
		{"rfc4134", "4.6.bin", nil, 1, 1, []error{ErrWeak, ErrNoCertificate}},        // DSA parameters inherited
		{"rfc4134", "4.7.bin", nil, 1, 0, []error{ErrWeak}},                          // subject key identifier
		{"rfc4134", "4.10.bin", nil, 1, 0, []error{ErrWeak}},                         // receipt request
		{"rfc4134", "4.11.bin", nil, 2, 0, nil},                                      // certificates and a CRL only
		{"asn1crypto", "cms-signed.der", nil, 1, 0, []error{nil}},                    //
		{"asn1crypto", "cms-signed.pem", nil, 1, 0, []error{nil}},                    //
		{"asn1crypto", "cms-signed-digested.der", nil, 1, 0, []error{ErrAttributes}}, // content is not data, no attributes
		{"asn1crypto", "cms-signed-digested.pem", nil, 1, 0, []error{ErrAttributes}}, //
		{"asn1crypto", "cms-signed-indefinite-length.der", ErrMalformed, 0, 0, nil},  // a line end behind
		{"asn1crypto", "pkcs7-signed.der", nil, 1, 0, []error{nil}},                  //
		{"asn1crypto", "pkcs7-signed.pem", nil, 1, 0, []error{nil}},                  //
		{"asn1crypto", "pkcs7-signed-digested.der", ErrUnsupported, 0, 0, nil},       // PKCS #7: not an OCTET STRING
		{"asn1crypto", "pkcs7-signed-digested.pem", ErrUnsupported, 0, 0, nil},       //
		{"asn1crypto", "cms-enveloped.der", ErrUnsupported, 0, 0, nil},               //
		{"asn1crypto", "mozilla-generated-by-openssl.pkcs7.der", nil, 2, 0, []error{ErrDigest}},
		{"asn1crypto", "smime-signature-generated-by-thunderbird.p7s", nil, 1, 0, []error{ErrDigest}},
		{"rustcrypto-cms", "cms_ber.bin", nil, 1, 0, []error{nil}},
		{"rustcrypto-cms", "cms_der.bin", nil, 1, 0, []error{nil}},
		{"rustcrypto-cms", "scep_der.bin", nil, 1, 0, []error{nil}},
		{"rustcrypto-cms", "sd.cms", nil, 1, 0, []error{nil}},
		{"rustcrypto-cms", "pkits.p7b", nil, 2, 0, nil},
		{"rustcrypto-cms", "pkits_ee.p7b", nil, 1, 0, nil},
		{"rustcrypto-cms", "apple_mdm_signature_der.bin", ErrUnsupported, 0, 0, nil}, // PKCS #7: a certificate as the content
		{"rustcrypto-cms", "authroot.stl", ErrUnsupported, 0, 0, nil},
		{"rustcrypto-cms", "signer_info_explicit_attrs.bin", ErrMalformed, 0, 0, nil},
		{"rustcrypto-cms", "signer_info_sequence_not_set.bin", ErrMalformed, 0, 0, nil},
		{"lamps-pqc-mldsa-cms/examples", "mldsa44-signed-attrs.pem", nil, 0, 0, []error{ErrNoCertificate}},
		{"lamps-pqc-mldsa-cms/examples", "mldsa65-signed-attrs.pem", nil, 0, 0, []error{ErrNoCertificate}},
		{"lamps-pqc-mldsa-cms/examples", "mldsa87-signed-attrs.pem", nil, 0, 0, []error{ErrNoCertificate}},
	} {
		name := test.folder + "/" + test.name
		s, err := ReadSignedData(bytes.NewReader(corpusObject(t, corpus(t, test.folder), test.name)), ReadOptions{})
		wantErr(t, name, err, test.read)
		if err != nil {
			continue
		}
		if len(s.Certificates) != test.certificates || len(s.Unparsed) != test.unparsed {
			t.Errorf("%s: %d certificates, %d unparsed; want %d and %d", name, len(s.Certificates), len(s.Unparsed), test.certificates, test.unparsed)
		}
		if !s.HasContent {
			if err := s.DigestContent(bytes.NewReader(rfc4134("ExContent.bin"))); err != nil {
				t.Fatal(err)
			}
		}
		results := s.Verify()
		if len(results) != len(test.signers) {
			t.Errorf("%s: %d signers, want %d", name, len(results), len(test.signers))
			continue
		}
		for i, r := range results {
			wantErr(t, name, r.Err, test.signers[i])
		}
	}
	b := corpusObject(t, corpus(t, "asn1crypto"), "cms-signed-indefinite-length.der")
	_, results := read(t, bytes.TrimSuffix(b, []byte("\n")), nil)
	wantErr(t, "indefinite length, without the line end behind; its content was changed", results[0].Err, ErrDigest)
}

var boundary = regexp.MustCompile(`boundary="([^"]+)"`)

// splitSigned takes a multipart/signed apart whose lines end in LF or CRLF.
func splitSigned(t testing.TB, mail []byte) (content, signature []byte) {
	t.Helper()
	mail = bytes.ReplaceAll(bytes.ReplaceAll(mail, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	m := boundary.FindSubmatch(mail)
	if m == nil {
		t.Fatal("no boundary")
	}
	parts := bytes.Split(mail, append([]byte("\r\n--"), m[1]...))
	if len(parts) != 4 {
		t.Fatalf("%d parts", len(parts))
	}
	content = bytes.TrimPrefix(parts[1], []byte("\r\n"))
	_, armor, _ := bytes.Cut(parts[2], []byte("\r\n\r\n"))
	return content, must(base64.StdEncoding.DecodeString(strings.ReplaceAll(string(armor), "\r\n", "")))
}

// The signatures of all PKITS mails are good; what is wrong with them is wrong with their certificates. Whose certificate
// crypto/x509 does not read is kept.
func TestCorporaPKITS(t *testing.T) {
	dir := corpus(t, "pkits/smime")
	mails, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(mails) < 100 {
		t.Fatalf("%d mails, %v", len(mails), err)
	}
	others := map[string]error{
		"SignedValidDSASignaturesTest4.eml":       ErrWeak,
		"SignedInvalidDSASignatureTest6.eml":      ErrWeak,
		"SignedValiddistributionPointTest4.eml":   ErrNoCertificate,
		"SignedInvaliddistributionPointTest6.eml": ErrNoCertificate,
	}
	for _, file := range mails {
		content, signature := splitSigned(t, must(os.ReadFile(file)))
		s, results := read(t, signature, content)
		if len(results) != 1 || len(s.CRLs) == 0 && len(s.Certificates) == 0 {
			t.Errorf("%s: %d signers, %d CRLs", file, len(results), len(s.CRLs))
			continue
		}
		want := others[filepath.Base(file)]
		wantErr(t, file, results[0].Err, want)
		if want == ErrNoCertificate && len(s.Unparsed) == 0 {
			t.Errorf("%s: the certificate is not kept", file)
		}
		content[len(content)-1] ^= 1
		_, results = read(t, signature, content)
		if err := results[0].Err; !errors.Is(err, ErrDigest) {
			t.Errorf("%s: changed content is told as %v", file, err)
		}
	}
}

// Description of everything else.
func TestCorporaDescribe(t *testing.T) {
	for _, test := range []struct {
		folder, name             string
		kind, content, algorithm string
		size                     int64
		recipients               string
	}{
		{"rfc4134", "3.1.bin", "data", "data", "", 28, ""},
		{"rfc4134", "5.1.bin", "enveloped-data", "data", "3DES-CBC", 32, "ktri RSA CN=CarlRSA"},
		{"rfc4134", "5.2.bin", "enveloped-data", "data", "RC2-CBC", 32, "ktri RSA CN=CarlRSA, kekri RC2-wrap "},
		{"rfc4134", "6.0.bin", "digested-data", "data", "SHA-1", 28, ""},
		{"rfc4134", "7.1.bin", "encrypted-data", "data", "3DES-CBC", 32, ""},
		{"rfc4134", "4.2.bin", "signed-data", "data", "", 28, ""},
		{"rfc4134", "4.3.bin", "signed-data", "data", "", -1, ""},
		{"asn1crypto", "cms-compressed.der", "compressed-data", "data", "zlib", 55, ""},
		{"asn1crypto", "cms-digested.der", "digested-data", "data", "SHA-1", 49, ""},
		{"asn1crypto", "cms-encrypted.der", "encrypted-data", "data", "AES128-CBC", 64, ""},
		{"rustcrypto-cms", "enveloped_data_ktri.bin", "enveloped-data", "data", "AES256-CBC", 448, "ktri RSA emailAddress=test@example.com,CN=Test Cert,OU=Testing,O=Example\\, Inc.,L=Arlington,ST=VA,C=US"},
		{"rustcrypto-cms", "enveloped_data_kari.bin", "enveloped-data", "data", "AES256-CBC", 448, "kari ECDH-SHA1KDF CN=End Entity,OU=Testing,O=Red Hound,L=Arlington,ST=VA,C=US"},
		{"rustcrypto-cms", "enveloped_data_kekri.bin", "enveloped-data", "data", "AES128-CBC", 448, "kekri AES128-wrap "},
		{"rustcrypto-cms", "enveloped_data_pwri.bin", "enveloped-data", "data", "AES128-CBC", 448, "pwri PWRI-KEK "},
		{"rustcrypto-cms", "kms_ciphertext_for_recipient_4.ber", "enveloped-data", "data", "AES256-CBC", 4112, "ktri RSA-OAEP "},
		{"lamps-pqc-kemri/example", "ML-KEM-512.cms", "auth-enveloped-data", "data", "AES128-GCM", 13, "kemri ML-KEM-512 "},
	} {
		d, err := Describe(bytes.NewReader(corpusObject(t, corpus(t, test.folder), test.name)))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var recipients []string
		for _, r := range d.Recipients {
			recipients = append(recipients, r.Kind+" "+r.Algorithm+" "+r.Issuer)
			if r.Issuer == "" && r.SubjectKeyID == nil && (r.Kind == "ktri" || r.Kind == "kekri") {
				t.Errorf("%s: %s without identifier", test.name, r.Kind)
			}
		}
		got := []any{d.TypeName, d.ContentTypeName, d.ContentAlgorithm, d.ContentSize, strings.Join(recipients, ", ")}
		want := []any{test.kind, test.content, test.algorithm, test.size, test.recipients}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: got %v, want %v", test.name, got, want)
				break
			}
		}
	}
}

// The keys of RFC 9216 sign, with the certificates that are the Internet's example.
func TestCorporaRFC9216(t *testing.T) {
	dir := corpus(t, "rfc9216")
	for cert, key := range map[string]string{
		"17-Carlos_s_Signature_Verification_End_Entity_Certificate.pem": "18-Carlos_s_Signing_Private_Key_Material.pem",
		"09-Bob_s_Signature_Verification_End_Entity_Certificate.pem":    "10-Bob_s_Signing_Private_Key_Material.pem",
		"04-Alice_s_Signature_Verification_End_Entity_Certificate.pem":  "05-Alice_s_Signing_Private_Key_Material.pem",
		"22-Dana_s_Signature_Verification_End_Entity_Certificate.pem":   "23-Dana_s_Signing_Private_Key_Material.pem",
	} {
		k := must(x509.ParsePKCS8PrivateKey(corpusObject(t, dir, key)))
		s := Signer{Certificate: must(x509.ParseCertificate(corpusObject(t, dir, cert))), Key: k.(crypto.Signer)}
		_, results := read(t, detached(t, mail, s), mail)
		wantErr(t, cert, results[0].Err, nil)
	}
}

// The examples of RFC 9882 carry no certificate. Those of RFC 9881 that belong to them all have one issuer and one serial number:
// the key decides.
func TestCorporaMLDSA(t *testing.T) {
	var certs []*x509.Certificate
	for _, n := range []string{"44", "65", "87"} {
		certs = append(certs, must(x509.ParseCertificate(corpusObject(t, corpus(t, "lamps-pqc-mldsa-cert/examples"), "ML-DSA-"+n+".crt"))))
	}
	for i, n := range []string{"44", "65", "87"} {
		object := corpusObject(t, corpus(t, "lamps-pqc-mldsa-cms/examples"), "mldsa"+n+"-signed-attrs.pem")
		s, results := read(t, object, nil, certs...)
		wantErr(t, n, results[0].Err, nil)
		if r := results[0]; !r.Certificate.Equal(certs[i]) || r.Algorithm != "ML-DSA-"+n || r.Digest != crypto.SHA512 {
			t.Errorf("%s: %s with %v, certificate %d", n, r.Algorithm, r.Digest, slices.IndexFunc(certs, r.Certificate.Equal))
		}
		wantErr(t, n+" without its certificate", s.Verify(append(certs[:i:i], certs[i+1:]...)...)[0].Err, ErrSignature)
		signature := s.Signers[0].Signature
		signature[len(signature)/2] ^= 1
		wantErr(t, n+" spoilt", s.Verify(certs...)[0].Err, ErrSignature)
	}
}

// RSA-PSS with all combinations of parameters, and signatures that are almost right.
func TestCorporaWycheproofPSS(t *testing.T) {
	for _, name := range []string{"rsa_pss_2048_sha256_mgf1_32_params_test.json", "rsa_pss_misc_params_test.json"} {
		var file struct {
			TestGroups []struct {
				Sha, MgfSha  string
				SLen         int
				PublicKeyDer string
				Tests        []struct {
					TcID             int
					Msg, Sig, Result string
				}
			}
		}
		if err := json.Unmarshal(must(os.ReadFile(filepath.Join(corpus(t, "wycheproof"), name))), &file); err != nil {
			t.Fatal(err)
		}
		verdicts := map[string]int{}
		for _, g := range file.TestGroups {
			spki := must(hex.DecodeString(g.PublicKeyDer))
			var inner cryptobyte.String
			in := input(spki)
			in.ReadASN1(&inner, der.SEQUENCE)
			algorithm, ok := syntax.ReadAlgorithm(&inner, der.SEQUENCE)
			if !ok {
				t.Fatal("unreadable key")
			}
			si := &SignerInfo{SignatureAlgorithm: algorithm}
			for h := crypto.SHA1; h <= crypto.SHA512; h++ {
				if h.String() == g.Sha {
					si.DigestAlgorithm.Algorithm = syntax.Digest(h)
				}
			}
			for _, test := range g.Tests {
				message, signature := must(hex.DecodeString(test.Msg)), must(hex.DecodeString(test.Sig))
				v, err := newVerifier(&x509.Certificate{RawSubjectPublicKeyInfo: spki}, si)
				if err == nil {
					err = v.verify(message, signature)
					v.pss.checkOurs(t, v.key.(*rsa.PublicKey), sum(v.hash, message), signature, test.Result == "valid")
				}
				var want error
				switch {
				case len(si.DigestAlgorithm.Algorithm) == 0 || strings.Contains(g.MgfSha, "/"): // SHA-512/256
					want = ErrUnsupported
				case test.Result != "valid":
					want = ErrSignature
				case g.Sha == "SHA-1":
					want = ErrWeak
				}
				wantErr(t, fmt.Sprint(name, " ", test.TcID, " ", g.Sha, " ", g.MgfSha, " ", g.SLen), err, want)
				verdicts[fmt.Sprint(want)]++
			}
		}
		t.Log(verdicts)
	}
}

// checkOurs has our own verification, for what crypto/rsa does not do, decide in all cases.
func (p pssParameters) checkOurs(t *testing.T, k *rsa.PublicKey, sum, signature []byte, want bool) {
	t.Helper()
	if got := p.verifyWithoutRSA(k, sum, signature); got != want {
		t.Errorf("%v, %v, %d: %v", p.hash, p.mgf, p.salt, got)
	}
}
