package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/testpki"
	"mailseal/smime/cms"
)

// verifyMail runs the command.
func verifyMail(t *testing.T, mail []byte, args ...string) (status int, out string) {
	t.Helper()
	stdout, stderr, status := call(string(mail), append([]string{"verify", "-authserv-id", "mx.example.test"}, args...)...)
	if (status == verifyCannot) != (stderr != "") {
		t.Errorf("status %d, %s", status, stderr)
	}
	return status, stdout + stderr
}

// pkitsCodes are OpenSSL's verdicts in ours: result, and what is said of it.
var pkitsCodes = map[string]struct{ result, says string }{
	"0":  {"pass", `revocation good`},
	"3":  {"temperror", `there is no CRL of `},
	"7":  {"fail", `is not signed by the key of`},
	"8":  {"temperror", `CRL .* is not signed by .* does not verify`},
	"9":  {"fail", `certificate is not valid yet`},
	"10": {"fail", `certificate has expired`},
	"12": {"temperror", `CRL .* expired at`},
	"20": {"fail", `no path to a trust anchor`},
	"23": {"fail", `reason="(a CA )?certificate (above it )?is revoked".*(?s:.*) was revoked on 20`},
	"24": {"fail", `not-a-ca: `},
	"25": {"fail", `more CA certificates above it than one of them allows`},
	"34": {"fail", `unknown critical extension`},
	"35": {"temperror", `key usage does not allow to sign CRLs`},
	"36": {"temperror", `critical extension that is not known here`},
	"42": {"fail", `policy-mapping: `},
	"43": {"fail", `no acceptable certificate policy`},
	"44": {"temperror", `not about this certificate|there is no CRL of`},
	"47": {"fail", `outside its issuer's name constraints`},
	"48": {"fail", `outside its issuer's name constraints`},
	"54": {"temperror", `depends on a CRL that it signs itself`},
}

// Every mail of PKITS, with the arguments that OpenSSL got for it.
func TestVerifyPKITS(t *testing.T) {
	corpora := os.Getenv("MAILSEAL_CORPORA")
	if corpora == "" {
		corpora = "../../../shared/corpora"
	}
	dir := filepath.Join(corpora, "pkits")
	table, err := os.ReadFile(filepath.Join(dir, "expected.tsv"))
	if os.IsNotExist(err) {
		t.Skip("corpus pkits is absent: set MAILSEAL_CORPORA")
	} else if err != nil {
		t.Fatal(err)
	}
	ours := strings.NewReplacer("-explicit_policy", "-explicit-policy", "-inhibit_map", "-inhibit-mapping", "-inhibit_any", "-inhibit-any-policy")
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")[1:]
	if len(lines) < 100 {
		t.Fatalf("%d cases", len(lines))
	}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		t.Run(f[0], func(t *testing.T) {
			mail, err := os.ReadFile(filepath.Join(dir, "smime", f[1]))
			if err != nil {
				t.Fatal(err)
			}
			args := append([]string{"-ca", filepath.Join(dir, "certs", "TrustAnchorRootCertificate.crt"), "-at", "2026-11-22T00:00:00Z", "-no-address-check"},
				strings.Fields(ours.Replace(f[2]))...)
			want, known := pkitsCodes[f[3]]
			if !known {
				t.Fatalf("code %s", f[3])
			}
			if f[0] == "4.1.4" { // valid, by DSA
				want.result, want.says = "temperror", "too weak"
			}
			status, out := verifyMail(t, mail, append(args, "-revocation", "hard")...)
			if !strings.HasPrefix(out, "mx.example.test; smime="+want.result+" ") || (status == verifyPass) != (want.result == "pass") || !regexp.MustCompile(want.says).MatchString(out) {
				t.Errorf("%s, status %d; want %s, %s:\n%s", f[1], status, want.result, want.says, out)
			}
			// What only revocation says is told and changes nothing, or is not asked; that
			// a certificate is revoked counts if anybody asks.
			dsa := f[0] == "4.1.4"
			soft := want.result == "pass" || want.result == "temperror" && !dsa
			status, out = verifyMail(t, mail, append(args, "-revocation", "soft")...)
			if (status == verifyPass) != soft || want.result == "temperror" && soft && !strings.Contains(out, `smime=pass reason="revocation status is unknown"`) {
				t.Errorf("%s, soft, status %d:\n%s", f[1], status, out)
			}
			if status, _ = verifyMail(t, mail, append(args, "-revocation", "off")...); (status == verifyPass) != (soft || f[3] == "23") {
				t.Errorf("%s, off, status %d", f[1], status)
			}
		})
	}
}

// A shelf is a CA of the tests' own, with whatever certificates and CRLs it makes.
type shelf struct {
	t    *testing.T
	dir  string
	root *x509.Certificate
	key  crypto.Signer
	next int64
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, dir: t.TempDir()}
	s.key = s.newKey()
	s.root = s.certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Shelf CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil, s.key)
	s.write("ca.pem", testpki.CertPEM(s.root))
	return s
}

func (s *shelf) newKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

func (s *shelf) certify(c, parent *x509.Certificate, key crypto.Signer) *x509.Certificate {
	s.t.Helper()
	s.next++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(s.next), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	x, err := testpki.Certificate(c, parent, key.Public(), s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return x
}

func (s *shelf) write(name string, data []byte) string {
	s.t.Helper()
	name = filepath.Join(s.dir, name)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// signed is a mail from bob@partner.example.
func (s *shelf) signed(c *x509.Certificate, header string) []byte {
	s.t.Helper()
	key := s.newKey()
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	*c = *s.certify(c, s.root, key)
	return s.mail(c, key, header)
}

// selfSigned is such a mail whose signer certified himself, and the file of that.
func (s *shelf) selfSigned(name string, isCA bool) (mail []byte, file string) {
	s.t.Helper()
	by := s.key
	s.key = s.newKey()
	c := s.certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{"bob@partner.example"}, IsCA: isCA, BasicConstraintsValid: true,
	}, nil, s.key)
	mail = s.mail(c, s.key, "From: bob@partner.example")
	s.key = by
	return mail, s.write(name, testpki.CertPEM(c))
}

func (s *shelf) mail(c *x509.Certificate, key crypto.Signer, header string) []byte {
	s.t.Helper()
	content := "Content-Type: text/plain\r\n\r\nHello\r\n"
	prefix, suffix, err := cms.SignOpaque(strings.NewReader(content), int64(len(content)), cms.Signer{Certificate: c, Key: key, SigningTime: time.Now(), Digest: crypto.SHA256})
	if err != nil {
		s.t.Fatal(err)
	}
	body := pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte(string(prefix) + content + string(suffix))})
	lines := strings.Split(string(body), "\n")
	return []byte(header + "\nMIME-Version: 1.0\nContent-Type: application/pkcs7-mime; smime-type=signed-data\nContent-Transfer-Encoding: base64\n\n" +
		strings.Join(lines[1:len(lines)-2], "\n") + "\n")
}

func TestVerifyRevocation(t *testing.T) {
	s := newShelf(t)
	bob := &x509.Certificate{EmailAddresses: []string{"bob@partner.example"}}
	mail := s.signed(bob, "From: bob@partner.example")
	list := func(name string, revoked ...x509.RevocationListEntry) string {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour), RevokedCertificateEntries: revoked,
		}, s.root, s.key)
		if err != nil {
			t.Fatal(err)
		}
		return s.write(name, der)
	}
	ca := filepath.Join(s.dir, "ca.pem")
	folder := filepath.Join(s.dir, "lists")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	empty := list("lists/empty.crl")
	revoked := list("revoked.crl", x509.RevocationListEntry{SerialNumber: bob.SerialNumber, RevocationTime: time.Now().Add(-time.Minute), ReasonCode: 1})
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		field  string
		json   string
	}{
		{"soft, nobody knows", nil, 0, `smime=pass reason="revocation status is unknown" body`, `"revocation": "unknown"`},
		{"soft, by word", []string{"-revocation", "soft"}, 0, `smime=pass reason="revocation status is unknown" body`, `"revocation": "unknown"`},
		{"off", []string{"-revocation", "off"}, 0, `smime=pass body`, `"revocation": "off"`},
		{"off, revoked", []string{"-revocation", "off", "-crl", revoked}, 0, `smime=pass body`, `"revocation": "off"`},
		{"hard, nobody knows", []string{"-revocation", "hard"}, 1, `smime=temperror reason="revocation status is unknown" body`, `"revocation": "unknown"`},
		{"hard, good", []string{"-revocation", "hard", "-crl", empty}, 0, `smime=pass body`, `"revocation": "good"`},
		{"soft, good", []string{"-crl", empty}, 0, `smime=pass body`, `"revocation": "good"`},
		{"soft, revoked", []string{"-crl", revoked}, 1, `smime=fail reason="certificate is revoked" body`, `"reason": "keyCompromise"`},
		{"a folder", []string{"-revocation", "hard", "-crl", folder}, 0, `smime=pass body`, `"revocation": "good"`},
		{"a folder of something else", []string{"-crl", s.dir}, 2, ": no CRL", ""},
		{"none of it", []string{"-crl", s.write("bad.crl", []byte("x"))}, 2, "bad.crl", ""},
		{"absent", []string{"-crl", "/absent"}, 2, "/absent", ""},
		{"another mode", []string{"-revocation", "medium"}, 2, "want soft, hard or off", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"-ca", ca}, tt.args...)
			if status, out := verifyMail(t, mail, args...); status != tt.status || !strings.Contains(out, tt.field) {
				t.Errorf("status %d: %s", status, out)
			}
			if tt.status == verifyCannot {
				return
			}
			status, out := verifyMail(t, mail, append(args, "-json")...)
			if status != tt.status || !strings.Contains(out, tt.json) || !json.Valid([]byte(out)) {
				t.Errorf("status %d: %s", status, out)
			}
		})
	}
}

// The milter's settings have flags.
func TestVerifySettings(t *testing.T) {
	s := newShelf(t)
	ca := filepath.Join(s.dir, "ca.pem")
	from := "From: bob@partner.example"
	domain := &x509.Certificate{DNSNames: []string{"partner.example"}}
	byDomain := s.signed(domain, from)
	pinned := s.write("pinned.pem", testpki.CertPEM(domain))
	bare := &x509.Certificate{Subject: pkix.Name{CommonName: "Bob"}}
	byBare := s.signed(bare, from)
	secretary := s.signed(&x509.Certificate{EmailAddresses: []string{"amy@partner.example"}}, from+"\nSender: amy@partner.example")
	capital := s.signed(&x509.Certificate{EmailAddresses: []string{"Bob@partner.example"}}, from)
	bySelf, self := s.selfSigned("self.pem", false)
	byOwnCA, ownCA := s.selfSigned("own.pem", true)
	signers := s.write("signers", fmt.Appendf(nil, "serial:%X issuer:%q bob@partner.example\n", bare.SerialNumber, bare.Issuer))
	for _, tt := range []struct {
		name   string
		mail   []byte
		args   []string
		status int
		says   string
	}{
		{"domain, general CA", byDomain, []string{"-ca", ca}, 1, `smime=policy reason="domain certificate of a CA that is not trusted for the domain" body.smime-identifier=@partner.example`},
		{"domain, its CA", byDomain, []string{"-domain-ca", "Partner.example=" + ca}, 0, `smime=pass reason="domain signature" body.smime-identifier=@partner.example`},
		{"domain, another's CA", byDomain, []string{"-domain-ca", ".partner.example=" + ca}, 1, `no path to a trust anchor`},
		{"domain, pinned", byDomain, []string{"-pinned", pinned}, 0, `smime=pass reason="domain signature" body.smime-identifier=@partner.example`},
		{"no address", byBare, []string{"-ca", ca}, 1, `smime=policy reason="certificate has no e-mail address" body.smime-serial`},
		{"mapped", byBare, []string{"-ca", ca, "-signers", signers}, 0, `smime=pass reason="signer is named in smime.signers" body.smime-identifier=bob@partner.example`},
		{"Sender", secretary, []string{"-ca", ca}, 1, "address: certificate is not for the From address"},
		{"Sender by flag", secretary, []string{"-ca", ca, "-use-sender"}, 0, `smime=pass reason="signer is the address in Sender, not that in From" body.smime-identifier=amy@partner.example`},
		{"case", capital, []string{"-ca", ca}, 1, "smime=policy"},
		{"case by flag", capital, []string{"-ca", ca, "-ignore-local-case"}, 0, "smime=pass"},
		{"policies", capital, []string{"-ca", ca, "-no-address-check", "-policy", "2.5.29.32.0"}, 0, "smime=pass"},
		{"explicit policy", capital, []string{"-ca", ca, "-no-address-check", "-explicit-policy"}, 1, `smime=fail reason="no acceptable certificate policy"`},
		{"self-signed, as a trust anchor", bySelf, []string{"-ca", self}, 0, "smime=pass body.smime-identifier=bob@partner.example"},
		{"self-signed, pinned", bySelf, []string{"-pinned", self}, 0, "smime=pass body.smime-identifier=bob@partner.example"},
		{"self-signed, unknown", bySelf, []string{"-ca", ca}, 1, "no path to a trust anchor"},
		{"self-signed, says that it is a CA", byOwnCA, []string{"-ca", ownCA}, 0, "smime=pass body.smime-identifier=bob@partner.example"},
		{"no policy", capital, []string{"-policy", "x"}, 2, `-policy "x": want an object identifier`},
		{"no domain", capital, []string{"-domain-ca", ca}, 2, "want a domain and the file of its CA"},
		{"no such weakness", capital, []string{"-weak", "pass"}, 2, "want policy or fail"},
		{"no such signers", capital, []string{"-signers", ca}, 2, "ca.pem:1: "},
		{"as OpenSSL has it", capital, []string{"-explicit_policy"}, 2, "it is -explicit-policy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.status != verifyCannot {
				tt.args = append(tt.args, "-revocation", "off")
			}
			status, out := verifyMail(t, tt.mail, tt.args...)
			if status != tt.status || !strings.Contains(out, tt.says) {
				t.Errorf("status %d: %s", status, out)
			}
		})
	}
}

// The report explains the chain and what does not hold; nothing in it is broken by
// what a stranger wrote into a certificate.
func TestVerifyReport(t *testing.T) {
	s := newShelf(t)
	mail := s.signed(&x509.Certificate{
		Subject: pkix.Name{CommonName: "x\nsigner 9: \"forged\u202e"}, EmailAddresses: []string{"eve@evil.example"},
	}, "From: bob@partner.example")
	_, out := verifyMail(t, mail, "-ca", filepath.Join(s.dir, "ca.pem"))
	for _, want := range []string{
		"\n  chain 0: \"CN=x\\nsigner 9", "key ECDSA P-256, revocation unknown (there is no CRL of \"CN=Shelf CA\"",
		"\n  chain 1: \"CN=Shelf CA\"", ", trust anchor\n", "\n  address: certificate is not for the From address\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if strings.Count(out, "\n") != 5 || strings.Contains(out, "\u202e") {
		t.Errorf("%q", out)
	}
	_, out = verifyMail(t, mail, "-ca", filepath.Join(s.dir, "ca.pem"), "-json")
	var report struct {
		Smime   string
		Signers []signerReport
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Signers) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	r := report.Signers[0]
	if !r.Good || !r.Trusted || r.Basis != "ca" || r.Revocation != "unknown" || len(r.Chain) != 2 || r.Chain[0].Revocation == nil || !r.Chain[1].Anchor ||
		len(r.Failures) != 1 || r.Failures[0].Rule != "address" || report.Smime != "policy" {
		t.Errorf("%+v", r)
	}
}

// Who sees none for mail that may be signed inside reads why.
func TestVerifyEncrypted(t *testing.T) {
	to := testpki.Write(t, "to.pem", testpki.CertPEM(testpki.New(t).User("bob@partner.example", ca.P256).Certificate))
	mail, stderr, status := call("From: eve@evil.example\n\nhello\n", "encrypt", "-to", to, "-cipher", "aes256-cbc")
	if status != exOK {
		t.Fatal(stderr)
	}
	if status, out := verifyMail(t, []byte(mail)); status != verifyOther || !strings.Contains(out, "smime=none\nenveloped: whether there is a signature inside") {
		t.Errorf("status %d: %s", status, out)
	}
}

// A part's signature is told below, and is no pass.
func TestVerifyParts(t *testing.T) {
	s := newShelf(t)
	inner := s.signed(&x509.Certificate{EmailAddresses: []string{"bob@partner.example"}}, "From: bob@partner.example")
	mail := "From: eve@evil.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nlook:\n--b\nContent-Type: message/rfc822\n\n" + string(inner) + "--b--\n"
	status, out := verifyMail(t, []byte(mail), "-ca", filepath.Join(s.dir, "ca.pem"), "-revocation", "off")
	want := "mx.example.test; smime=none reason=\"only part 2.1 is signed, not the mail\" body.smime-part=2.1\n" +
		"part 2.1: signed-opaque, good, by \"bob@partner.example\"\nsigner 1: "
	if status != verifyOther || !strings.HasPrefix(out, want) || !strings.Contains(out, ": signature is good\n  chain 0: ") {
		t.Errorf("status %d, %s", status, out)
	}
	_, out = verifyMail(t, []byte(mail), "-ca", filepath.Join(s.dir, "ca.pem"), "-revocation", "off", "-json")
	if strings.Contains(out, "pass") || !strings.Contains(out, `"result": "good"`) || strings.Count(out, `"trust_anchor": true`) != 1 {
		t.Errorf("%s", out)
	}
}
