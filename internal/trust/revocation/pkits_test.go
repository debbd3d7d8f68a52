package revocation

import (
	"context"
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
	"mailseal/internal/trust/path"
)

// at is when PKITS is looked at: its certificates and CRLs are of 2010 to 2030.
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

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func explicit(n int) asn1.Tag { return asn1.Tag(n).Constructed().ContextSpecific() }

type failer interface {
	Helper()
	Fatal(args ...any)
}

func parse(t failer, der []byte) *x5280.Certificate {
	t.Helper()
	c, err := x5280.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parseCRL(t failer, der []byte) *x5280.CRL {
	t.Helper()
	c, err := x5280.ParseCRL(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func anchors(t testing.TB, dir string) *path.Store {
	return path.NewStore([]*x5280.Certificate{parse(t, readFile(t, filepath.Join(dir, "certs", "TrustAnchorRootCertificate.crt")))})
}

// A letter is a PKITS mail: its certificates and CRLs in their order, and the signer's.
type letter struct {
	leaf  *x5280.Certificate
	certs []*x5280.Certificate
	crls  [][]byte
}

func open(t testing.TB, name string) (l letter) {
	t.Helper()
	part := regexp.MustCompile(`(?s)filename="smime.p7s"\s+([A-Za-z0-9+/=\s]+)`).FindSubmatch(readFile(t, name))
	if part == nil {
		t.Fatalf("%s: no signature", name)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(part[1])), ""))
	if err != nil {
		t.Fatal(err)
	}
	s := cryptobyte.String(der)
	var certs, crls, signers, issuer, serial cryptobyte.String
	if !s.ReadASN1(&s, asn1.SEQUENCE) || !s.SkipASN1(asn1.OBJECT_IDENTIFIER) || !s.ReadASN1(&s, explicit(0)) || !s.ReadASN1(&s, asn1.SEQUENCE) ||
		!s.SkipASN1(asn1.INTEGER) || !s.SkipASN1(asn1.SET) || !s.SkipASN1(asn1.SEQUENCE) || !s.ReadASN1(&certs, explicit(0)) ||
		!s.ReadOptionalASN1(&crls, nil, explicit(1)) || !s.ReadASN1(&signers, asn1.SET) ||
		!signers.ReadASN1(&signers, asn1.SEQUENCE) || !signers.SkipASN1(asn1.INTEGER) || !signers.ReadASN1(&signers, asn1.SEQUENCE) ||
		!signers.ReadASN1Element(&issuer, asn1.SEQUENCE) || !signers.ReadASN1(&serial, asn1.INTEGER) {
		t.Fatalf("%s: no SignedData", name)
	}
	for one := (cryptobyte.String)(nil); !certs.Empty() && certs.ReadASN1Element(&one, asn1.SEQUENCE); {
		c := parse(t, one)
		l.certs = append(l.certs, c)
		if string(c.Serial) == string(serial) && string(c.Issuer.Raw) == string(issuer) {
			l.leaf = c
		}
	}
	for one := (cryptobyte.String)(nil); !crls.Empty() && crls.ReadASN1Element(&one, asn1.SEQUENCE); {
		l.crls = append(l.crls, one)
	}
	if l.leaf == nil {
		t.Fatalf("%s: the signer's certificate is not there", name)
	}
	return l
}

// options reads OpenSSL's arguments.
func options(t testing.TB, args string) path.Options {
	t.Helper()
	o := path.Options{At: at}
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

// rules are OpenSSL's verdicts on paths in our words.
var rules = map[string][]path.Rule{
	"7": {path.Signature, path.Weak}, "9": {path.NotYetValid}, "10": {path.Expired}, "20": {path.NoIssuer, path.CAKeyUsage},
	"24": {path.NotCA}, "25": {path.PathLength}, "34": {path.Critical}, "42": {path.PolicyMapping}, "43": {path.Policies},
	"47": {path.Names}, "48": {path.Names},
}

// answers are its verdicts on revocation: the status, and what the reason says.
var answers = map[string]struct {
	status Status
	says   string
}{
	"3": {Unknown, "there is no CRL"}, "8": {Unknown, "is not signed by"}, "12": {Unknown, "expired at"}, "23": {Revoked, "keyCompromise|certificateHold"},
	"35": {Unknown, "key usage does not allow to sign CRLs"}, "36": {Unknown, "critical extension"},
	"44": {Unknown, "not about this certificate|there is no CRL"}, "54": {Unknown, "depends on a CRL that it signs itself"},
}

// holds reports whether a report says what is wanted, for whichever certificate.
func holds(r Report, status Status, says string) bool {
	if r.Status != status {
		return false
	}
	return status == Good || slices.ContainsFunc(r.Answers, func(a Answer) bool {
		return a.Status == status && regexp.MustCompile(says).MatchString(a.Reason)
	})
}

func told(r Report) string {
	var b strings.Builder
	b.WriteString(string(r.Status))
	for _, a := range r.Answers {
		b.WriteString("\n  " + a.Certificate.String() + ": " + string(a.Status) + " " + a.Reason + " " + a.Source)
	}
	return b.String()
}

// The even-numbered tests of PKITS, as mails: what is not in a mail is not there.
func TestPKITSMails(t *testing.T) {
	dir := pkits(t)
	store := anchors(t, dir)
	counts := map[string]int{}
	lines := strings.Split(strings.TrimSpace(string(readFile(t, filepath.Join(dir, "expected.tsv")))), "\n")[1:]
	for _, line := range lines {
		f := strings.Split(line, "\t")
		t.Run(f[0], func(t *testing.T) {
			l := open(t, filepath.Join(dir, "smime", f[1]))
			r := store.Among(l.certs, options(t, f[2])).Path(l.leaf)
			want := rules[f[3]]
			if f[0] == "4.1.4" { // a valid DSA signature
				want = []path.Rule{path.Weak}
			}
			if want != nil {
				if !slices.ContainsFunc(r.Failures, func(f path.Failure) bool { return slices.Contains(want, f.Rule) }) {
					t.Errorf("%s: %v; want %v", f[1], r.Failures, want)
				}
				counts[f[3]+" "+string(want[0])]++
				return
			}
			if !r.Good() {
				t.Fatalf("%s: %s", f[1], r.Text())
			}
			report := Check(context.Background(), r, Question{At: at, Mail: l.crls, Extra: l.certs})
			answer, bad := answers[f[3]]
			if !bad {
				answer.status = Good
			}
			if !holds(report, answer.status, answer.says) {
				t.Errorf("%s, want %s %s: %s", f[1], answer.status, answer.says, told(report))
			}
			counts[f[3]+" "+string(answer.status)]++
		})
	}
	for verdict, n := range counts {
		t.Logf("%3d of %s", n, verdict)
	}
	if n := counts["0 good"]; n < 40 {
		t.Errorf("only %d are good", n)
	}
}
