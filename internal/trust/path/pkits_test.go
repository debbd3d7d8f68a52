package path

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/pki/x5280"
)

// at is when PKITS is looked at: its certificates are of 2010 to 2030.
var at = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// pkits is the folder of the corpus.
func pkits(t testing.TB) string {
	t.Helper()
	root := os.Getenv("MAILSEAL_CORPORA")
	if root == "" {
		root = "../../../../shared/corpora"
	}
	dir := filepath.Join(root, "pkits")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("corpus pkits is absent: set MAILSEAL_CORPORA")
	}
	return dir
}

func parse(t failer, der []byte) *x5280.Certificate {
	t.Helper()
	c, err := x5280.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readCert(t testing.TB, path string) *x5280.Certificate {
	t.Helper()
	der, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, der)
}

func pkitsStore(t testing.TB, dir string) *Store {
	return NewStore([]*x5280.Certificate{readCert(t, filepath.Join(dir, "certs", "TrustAnchorRootCertificate.crt"))})
}

// mailed are the certificates of a PKITS mail in its order, and the signer's.
func mailed(t testing.TB, path string) (leaf *x5280.Certificate, all []*x5280.Certificate) {
	t.Helper()
	mail, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	part := regexp.MustCompile(`(?s)filename="smime.p7s"\s+([A-Za-z0-9+/=\s]+)`).FindSubmatch(mail)
	if part == nil {
		t.Fatalf("%s: no signature", path)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(part[1])), ""))
	if err != nil {
		t.Fatal(err)
	}
	explicit := asn1.Tag(0).Constructed().ContextSpecific()
	s := cryptobyte.String(der)
	var certs, signers, serial cryptobyte.String
	if !s.ReadASN1(&s, asn1.SEQUENCE) || !s.SkipASN1(asn1.OBJECT_IDENTIFIER) || !s.ReadASN1(&s, explicit) || !s.ReadASN1(&s, asn1.SEQUENCE) ||
		!s.SkipASN1(asn1.INTEGER) || !s.SkipASN1(asn1.SET) || !s.SkipASN1(asn1.SEQUENCE) || !s.ReadASN1(&certs, explicit) ||
		!s.SkipOptionalASN1(asn1.Tag(1).Constructed().ContextSpecific()) || !s.ReadASN1(&signers, asn1.SET) ||
		!signers.ReadASN1(&signers, asn1.SEQUENCE) || !signers.SkipASN1(asn1.INTEGER) || !signers.ReadASN1(&signers, asn1.SEQUENCE) {
		t.Fatalf("%s: no SignedData", path)
	}
	var issuer cryptobyte.String
	if !signers.ReadASN1Element(&issuer, asn1.SEQUENCE) || !signers.ReadASN1(&serial, asn1.INTEGER) {
		t.Fatalf("%s: no signer", path)
	}
	for !certs.Empty() {
		var one cryptobyte.String
		if !certs.ReadASN1Element(&one, asn1.SEQUENCE) {
			t.Fatalf("%s: malformed certificates", path)
		}
		c := parse(t, one)
		all = append(all, c)
		if string(c.Serial) == string(serial) && string(c.Issuer.Raw) == string(issuer) {
			leaf = c
		}
	}
	if leaf == nil {
		t.Fatalf("%s: the signer's certificate is not there", path)
	}
	return leaf, all
}

// options reads OpenSSL's arguments.
func options(t testing.TB, args string) Options {
	t.Helper()
	o := Options{At: at}
	words := strings.Fields(args)
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "-policy":
			i++
			id, err := x5280.AnyPolicy, error(nil)
			if words[i] != "anyPolicy" {
				id, err = x5280.NewOID(words[i])
			}
			if err != nil {
				t.Fatal(err)
			}
			o.Acceptable = append(o.Acceptable, id)
		case "-explicit_policy":
			o.Explicit = true
		case "-inhibit_map":
			o.InhibitMapping = true
		case "-inhibit_any":
			o.InhibitAny = true
		default:
			t.Fatalf("argument %q", words[i])
		}
	}
	return o
}

// codes are OpenSSL's verdicts in our words. Those of revocation are other code's.
var codes = map[string][]Rule{
	"7": {Signature}, "9": {NotYetValid}, "10": {Expired}, "20": {NoIssuer, CAKeyUsage}, "24": {NotCA}, "25": {PathLength},
	"34": {Critical}, "42": {PolicyMapping}, "43": {Policies}, "47": {Names}, "48": {Names},
}

// ofRevocation are verdicts that need CRLs: without, the path is good.
var ofRevocation = map[string]string{
	"3": "no CRL", "8": "CRL's signature", "12": "CRL has expired", "23": "revoked", "35": "key usage of the CRL's issuer",
	"36": "critical extension of a CRL", "44": "scope of a CRL", "54": "path of the CRL's issuer",
}

// The even-numbered tests, as mails.
func TestPKITSMails(t *testing.T) {
	dir := pkits(t)
	table, err := os.ReadFile(filepath.Join(dir, "expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	store := pkitsStore(t, dir)
	revocation, good, bad := 0, 0, 0
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		f := strings.Split(line, "\t")
		t.Run(f[0], func(t *testing.T) {
			leaf, all := mailed(t, filepath.Join(dir, "smime", f[1]))
			r := store.Among(all, options(t, f[2])).Path(leaf)
			want := codes[f[3]]
			switch why := ofRevocation[f[3]]; {
			case f[0] == "4.1.4": // a valid DSA signature, which is weak
				want = []Rule{Weak}
			case why != "":
				revocation++
				if !r.Good() {
					t.Errorf("%s: %s; want a good path, as the verdict is one of revocation: %s", f[1], r.Text(), why)
				}
				return
			}
			check(t, f[1], r, want)
			if want == nil {
				good++
			} else {
				bad++
			}
		})
	}
	t.Logf("valid %d, invalid %d, good without revocation %d", good, bad, revocation)
}

// check: no rule is broken, or one of those that are wanted.
func check(t *testing.T, name string, r Result, want []Rule) {
	t.Helper()
	switch {
	case len(want) == 0 && !r.Good():
		t.Errorf("%s: %s; want it valid", name, r.Text())
	case len(want) > 0 && r.Good():
		t.Errorf("%s is taken; want %v", name, want)
	case len(want) > 0:
		if !slices.ContainsFunc(r.Failures, func(f Failure) bool { return slices.Contains(want, f.Rule) }) {
			t.Errorf("%s: %v; want %v", name, r.Failures, want)
		}
	}
}
