// Package lint asks zlint, by which public CAs check what they issue, about the
// certificates and lists of a private one. What it says of them that is not
// meant to be different is a mistake.
package lint

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// An authority is a private CA, worked by the commands of the product.
type authority struct {
	binary, dir string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{filepath.Join(t.TempDir(), "mailseal"), filepath.Join(t.TempDir(), "CA")}
	build := exec.Command("go", "build", "-o", a.binary, "./cmd/mailseal")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a.run(t, "init", "-subject", "/C=JP/ST=Osaka/L=Kita-ku/O=MyCorp/CN=Private CA", "-no-passphrase", "-url", "http://ca.example.jp", "-permit-email", "example.jp")
	return a
}

func (a authority) run(t *testing.T, command string, args ...string) {
	t.Helper()
	out, err := exec.Command(a.binary, append([]string{"ca", command, "-dir", a.dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ca %s %s: %v\n%s", command, args, err, out)
	}
}

// issue makes a certificate.
func (a authority) issue(t *testing.T, args ...string) *x509.Certificate {
	t.Helper()
	base := filepath.Join(t.TempDir(), "one")
	a.run(t, "issue", append(args, "-yes", "-out", base)...)
	return certificate(t, base+".crt")
}

func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s: no PEM", name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var kinds = []string{"rsa2048", "p256", "p384", "ed25519"}

// profiles are what is issued, and the policies that a public CA would put into
// such a certificate: zlint applies the baseline requirements of the
// CA/Browser Forum by them alone.
var profiles = []struct {
	name     string
	issue    []string
	policies []string
}{
	{"user", []string{"-profile", "user", "-cn", "alice@example.jp", "-email", "taro@example.jp"},
		[]string{sponsor + multipurpose, sponsor + strict}},
	{"gateway", []string{"-profile", "gateway", "-authority", "domain-signing-authority", "-dns", "example.jp"},
		[]string{organization + multipurpose, organization + strict}},
	{"host", []string{"-profile", "host", "-cn", "mx.example.jp", "-ip", "192.0.2.1"}, []string{"2.23.140.1.2.2"}},
	{"client", []string{"-profile", "client", "-cn", "backup"}, nil},
	{"sub-ca", []string{"-profile", "sub-ca", "-cn", "Issuing CA"}, nil},
}

// CA/Browser Forum, S/MIME baseline section 7.1.6.1: whose name stands in the
// certificate, and which generation of the profile.
const (
	organization = "2.23.140.1.5.2"
	sponsor      = "2.23.140.1.5.3"
	multipurpose = ".2"
	strict       = ".3"
)

// meant are the lints that do not hold for a private CA, with the reason.
var meant = map[string]string{
	"e_exactly_one_smime_policy":              noPolicy,
	"e_sub_cert_cert_policy_empty":            noPolicy,
	"e_sub_cert_certificate_policies_missing": noPolicy,
	"e_sub_ca_certificate_policies_missing":   noPolicy,
	"e_invalid_ca_certificate_policies":       noPolicy,

	"e_server_cert_valid_time_longer_than_200_days": longer,
	"w_server_cert_valid_time_longer_than_199_days": longer,
	"e_crl_next_update_invalid":                     "a list is good for a month, so that a CA that is off for some days stops no mail",
	"e_crl_revocation_time_after_this_update":       "a list begins an hour before it is made, for those whose clocks are slow",

	"e_invalid_individual_identity": "a person has one name here, as openssl ca knows it, and no given name beside",
	"e_org_validated_invalid_cn":    "RFC 3183 section 3.1.1 fixes the name",

	"e_ext_san_contains_reserved_ip":                          "a private CA is for private addresses, too",
	"w_subject_common_name_included":                          "people, openssl ca and sendmail's logs go by the common name",
	"w_ext_subject_key_identifier_not_recommended_subscriber": "RFC 5280 section 4.2.1.2 wants it; S/MIME names certificates by it",
	"e_algorithm_identifier_improper_encoding":                "browsers' root programs know no Ed25519; who asks for it gets it",

	"n_ct_sct_policy_count_unsatisfied": "no public log takes certificates of a private CA",
	"n_sub_ca_eku_missing":              "a CA below issues for mail and TLS",
	"n_mp_allowed_eku":                  "a CA below issues for mail and TLS",
}

const (
	noPolicy = "a private CA has no business with the policies of public ones"
	longer   = "clients take 825 days of a private CA, and who runs it says how long"
)

func TestLint(t *testing.T) {
	a := newAuthority(t)
	root := certificate(t, filepath.Join(a.dir, "cacert.pem"))
	met := map[string]bool{}
	look(t, "root", root.Raw, met)
	for _, p := range profiles {
		for _, kind := range kinds {
			c := a.issue(t, append(p.issue, "-key", kind)...)
			look(t, p.name+" "+kind, c.Raw, met)
			for _, policy := range p.policies {
				look(t, p.name+" "+kind+" "+policy, claim(t, c, root, policy), met)
			}
		}
	}
	lookAtList(t, a, met)
	met["e_crl_revocation_time_after_this_update"] = true // unless all was in one second
	for name := range meant {
		if !met[name] {
			t.Errorf("%s is listed and holds", name)
		}
	}
}

// look has zlint look at a certificate. With a policy the lack of one is no
// excuse.
func look(t *testing.T, what string, der []byte, met map[string]bool) {
	t.Helper()
	c, err := zx509.ParseCertificate(der)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	report(t, what, zlint.LintCertificate(c), met, len(c.PolicyIdentifiers) > 0)
}

func report(t *testing.T, what string, r *zlint.ResultSet, met map[string]bool, policy bool) {
	t.Helper()
	applied := 0
	for name, one := range r.Results {
		if one.Status == lint.NA || one.Status == lint.NE {
			continue
		}
		if applied++; one.Status == lint.Pass {
			continue
		}
		met[name] = true
		if reason := meant[name]; reason == "" || policy && reason == noPolicy {
			t.Errorf("%s: %v %s %s", what, one.Status, name, one.Details)
		}
	}
	if applied < 5 {
		t.Errorf("%s: %d lints looked at it", what, applied)
	}
}

// claim is a certificate with a policy, and otherwise the same but for the
// signature, which zlint does not look at.
func claim(t *testing.T, c, issuer *x509.Certificate, policy string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template, parent := *c, *issuer
	template.SignatureAlgorithm, parent.PublicKey = 0, key.Public()
	template.ExtraExtensions = append(slices.Clone(c.Extensions), policies(t, policy))
	der, err := x509.CreateCertificate(rand.Reader, &template, &parent, c.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// policies is certificatePolicies (RFC 5280 section 4.2.1.4).
func policies(t *testing.T, id string) pkix.Extension {
	t.Helper()
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(id, ".") {
		var n int
		if _, err := fmt.Sscan(part, &n); err != nil {
			t.Fatal(err)
		}
		oid = append(oid, n)
	}
	value, err := asn1.Marshal([]struct{ ID asn1.ObjectIdentifier }{{oid}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 32}, Value: value}
}

// lookAtList has zlint look at the CA's list, with a certificate on it.
func lookAtList(t *testing.T, a authority, met map[string]bool) {
	t.Helper()
	c := a.issue(t, "-profile", "user", "-cn", "alice@example.jp", "-key", "p256")
	a.run(t, "revoke", "-serial", c.SerialNumber.Text(16), "-reason", "keyCompromise")
	a.run(t, "crl")
	b, err := os.ReadFile(filepath.Join(a.dir, "crl.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	list, err := zx509.ParseRevocationList(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.RevokedCertificates) != 1 || !bytes.Equal(list.RawIssuer, c.RawIssuer) {
		t.Fatalf("another list: %+v", list)
	}
	report(t, "list", zlint.LintRevocationList(list), met, false)
}
