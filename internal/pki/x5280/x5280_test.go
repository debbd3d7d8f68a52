package x5280

import (
	"crypto/x509"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/text/unicode/norm"

	"mailseal/internal/testpki/forge"
)

// corpora is the folder of what others made.
func corpora(t testing.TB) string {
	t.Helper()
	root := os.Getenv("MAILSEAL_CORPORA")
	if root == "" {
		root = "../../../../shared/corpora"
	}
	if _, err := os.Stat(root); err != nil {
		t.Skip("the corpora are absent: set MAILSEAL_CORPORA")
	}
	return root
}

// refused are the certificates of PKITS that crypto/x509 does not read.
var refused = map[string]string{
	"DSAParametersInheritedCACert.crt":        "DSA key without parameters",
	"ValidDSAParameterInheritanceTest5EE.crt": "DSA key without parameters",
	"InvalidNegativeSerialNumberTest15EE.crt": "negative serial number",
	"InvaliddistributionPointTest6EE.crt":     "distribution point relative to its CRL's issuer",
	"ValiddistributionPointTest4EE.crt":       "distribution point relative to its CRL's issuer",
	"ValiddistributionPointTest5EE.crt":       "distribution point relative to its CRL's issuer",
	"ValidcRLIssuerTest29EE.crt":              "distribution point relative to its CRL's issuer",
}

// shown is what both readers make of a certificate. What the stand-in leaves out is
// taken out of the other.
func shown(c *x509.Certificate) x509.Certificate {
	return x509.Certificate{
		Raw: c.Raw, RawTBSCertificate: c.RawTBSCertificate, RawSubjectPublicKeyInfo: c.RawSubjectPublicKeyInfo,
		RawSubject: c.RawSubject, RawIssuer: c.RawIssuer, SignatureAlgorithm: c.SignatureAlgorithm,
		PublicKeyAlgorithm: c.PublicKeyAlgorithm, PublicKey: c.PublicKey, Version: c.Version, SerialNumber: c.SerialNumber,
		Issuer: c.Issuer, Subject: c.Subject, NotBefore: c.NotBefore, NotAfter: c.NotAfter, KeyUsage: c.KeyUsage,
		Extensions: c.Extensions, ExtKeyUsage: c.ExtKeyUsage, UnknownExtKeyUsage: c.UnknownExtKeyUsage,
		BasicConstraintsValid: c.BasicConstraintsValid, IsCA: c.IsCA, MaxPathLen: c.MaxPathLen, MaxPathLenZero: c.MaxPathLenZero,
		SubjectKeyId: c.SubjectKeyId, AuthorityKeyId: c.AuthorityKeyId, DNSNames: c.DNSNames, EmailAddresses: c.EmailAddresses,
	}
}

// Of what crypto/x509 reads, the stand-in for what it does not is the same.
func TestStandIn(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpora(t), "pkits", "certs", "*.crt"))
	if err != nil || len(files) < 400 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		der, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		own, err := read(der, nil)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
			continue
		}
		theirs, err := x509.ParseCertificate(der)
		if why := refused[filepath.Base(f)]; (err == nil) != (why == "") {
			t.Errorf("%s: crypto/x509 says %v; %s", filepath.Base(f), err, why)
		}
		if err != nil {
			continue
		}
		if want, got := shown(theirs), shown(own.X509); reflect.DeepEqual(want, got) {
			continue
		} else if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
			t.Errorf("%s: (-crypto/x509 +ours)\n%s", filepath.Base(f), diff)
		}
	}
}

func TestRefusedByOthers(t *testing.T) {
	for name, c := range map[string]forge.Certificate{
		"negative serial number": {Serial: []byte{0x80}},
		"relative distribution point": {Extensions: [][]byte{forge.Extension("2.5.29.31", false,
			[]byte{0x30, 0x11, 0x30, 0x0f, 0xa0, 0x0d, 0xa1, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x02, 'c', 'r'})}},
		"underscore in a PrintableString": {Subject: forge.RDNs(forge.Attribute("2.5.4.3", asn1.PrintableString, "a_b"))},
		"policy constraint of no address": {Extensions: [][]byte{forge.Constraints([][]byte{forge.IP(1, 2, 3, 4, 255, 0, 255, 0)}, nil)}},
		"URI that is none":                {Extensions: [][]byte{forge.AltNames(forge.URI("http://[x"), forge.Mail("a@b.example"))}},
	} {
		if c.Subject == nil {
			c.Subject = forge.Name("Alice")
		}
		der := c.Sign(nil).DER
		if _, err := x509.ParseCertificate(der); err == nil {
			t.Errorf("%s: crypto/x509 reads it now", name)
		}
		got, err := ParseX509(der)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := got.CheckSignature(got.SignatureAlgorithm, got.RawTBSCertificate, got.Signature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if own, err := Parse(der); err != nil || len(own.Faults) > 0 || own.X509.SerialNumber.Cmp(got.SerialNumber) != 0 {
			t.Errorf("%s: %v %v", name, err, own.Faults)
		}
	}
	got, err := ParseX509(forge.Certificate{Subject: forge.Name("A"), Serial: []byte{0xff, 0x7f}}.Sign(nil).DER)
	if err != nil || got.SerialNumber.Int64() != -129 {
		t.Errorf("serial number %v, %v", got, err)
	}
}

// What is no certificate is refused by the words of crypto/x509.
func TestMalformed(t *testing.T) {
	der := forge.Certificate{Subject: forge.Name("Alice"), Extensions: forge.CA}.Sign(nil).DER
	for i := range der {
		if _, err := Parse(der[:i]); err == nil {
			t.Errorf("taken with %d of %d bytes", i, len(der))
		}
	}
	if _, err := Parse(append(slices.Clone(der), 0)); err == nil {
		t.Error("taken with a byte behind it")
	}
	if _, err := Parse(make([]byte, maxSize+1)); err == nil {
		t.Error("a large one is taken")
	}
}

// Extensions that cannot be understood are told, and the certificate is read.
func TestFaults(t *testing.T) {
	bad := func(id string, value ...byte) []byte { return forge.Extension(id, false, value) }
	for name, extension := range map[string][]byte{
		"basicConstraints, negative":   bad("2.5.29.19", 0x30, 6, 1, 1, 0xff, 2, 1, 0xff),
		"basicConstraints, boolean 1":  bad("2.5.29.19", 0x30, 3, 1, 1, 1),
		"keyUsage, no bit string":      bad("2.5.29.15", 4, 1, 0),
		"keyUsage, nine unused bits":   bad("2.5.29.15", 3, 2, 9, 0),
		"extKeyUsage, empty":           bad("2.5.29.37", 0x30, 0),
		"policies, empty":              bad("2.5.29.32", 0x30, 0),
		"policies, twice":              forge.Policies("1.2.3", "1.2.3"),
		"mappings, empty":              bad("2.5.29.33", 0x30, 0),
		"mappings, half":               bad("2.5.29.33", 0x30, 6, 0x30, 4, 6, 2, 0x2a, 3),
		"policyConstraints, empty":     bad("2.5.29.36", 0x30, 0),
		"inhibitAnyPolicy, negative":   bad("2.5.29.54", 2, 1, 0x80),
		"nameConstraints, empty":       bad("2.5.29.30", 0x30, 0),
		"nameConstraints, minimum 1":   bad("2.5.29.30", 0x30, 10, 0xa0, 8, 0x30, 6, 0x82, 1, 'a', 0x80, 1, 1),
		"nameConstraints, maximum":     bad("2.5.29.30", 0x30, 10, 0xa0, 8, 0x30, 6, 0x82, 1, 'a', 0x81, 1, 1),
		"nameConstraints, short mask":  bad("2.5.29.30", 0x30, 9, 0xa0, 7, 0x30, 5, 0x87, 3, 1, 2, 3),
		"subjectAltName, empty":        bad("2.5.29.17", 0x30, 0),
		"subjectAltName, not IA5":      forge.AltNames(forge.Mail("ä@b.example")),
		"subjectAltName, unknown form": bad("2.5.29.17", 0x30, 2, 0x89, 0),
		"subjectKeyIdentifier":         bad("2.5.29.14", 5, 0),
		"authorityKeyIdentifier":       bad("2.5.29.35", 5, 0),
		"a value and more":             bad("2.5.29.54", 2, 1, 0, 0),
	} {
		c, err := Parse(forge.Certificate{Subject: forge.Name("A"), Extensions: [][]byte{extension}, NoKeyIDs: true}.Sign(nil).DER)
		if err != nil || len(c.Faults) != 1 {
			t.Errorf("%s: %v, %v", name, err, c)
		}
	}
	if c, err := Parse(forge.Certificate{Subject: forge.Name("A"), NoKeyIDs: true, Extensions: [][]byte{
		bad("2.5.29.30", 0x30, 10, 0xa0, 8, 0x30, 6, 0x82, 1, 'a', 0x80, 1, 0),
	}}.Sign(nil).DER); err != nil || len(c.Faults) > 0 {
		t.Errorf("a minimum of 0: %v, %v", err, c.Faults)
	}
}

// Of what is wrong a bounded number is told, however much there is.
func TestMuchWrong(t *testing.T) {
	var extensions [][]byte
	for range 100 {
		extensions = append(extensions, forge.Extension("1.2.3.4", true, nil))
	}
	c, err := Parse(forge.Certificate{Subject: forge.Name("A"), Extensions: extensions}.Sign(nil).DER)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Unknown) != maxTold || len(c.Faults) != maxTold {
		t.Errorf("%d unknown, %d faults", len(c.Unknown), len(c.Faults))
	}
}

// Names are compared by what they say, but for those that are dear to normalise.
func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"ACME  Ltd ", "acme ltd", true},
		{"Stra\u00dfe", "STRASSE", true},
		{"\u3231 Foo", "(\u682a) foo", true},
		{"A\u030a", "\u00e5", true},
		{"\ufdfa", "\ufdfa", true},
		{"\ufdfa", norm.NFKC.String("\ufdfa"), false}, // eleven times as long
	} {
		is := func(text string) string { return compared("", asn1.UTF8String, []byte(text), text, true) }
		if got := is(c.a) == is(c.b); got != c.want {
			t.Errorf("%q and %q: %t", c.a, c.b, got)
		}
	}
	if s, ok := prepare(strings.Repeat("\ufdfa", 1000)); ok {
		t.Errorf("%d bytes", len(s))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(forge.Certificate{Subject: forge.Name("Alice"), Extensions: forge.CA}.Sign(nil).DER)
	f.Add(forge.Certificate{Subject: forge.Name("Alice", "mail=a@b.example"), Serial: []byte{0xff}, Extensions: [][]byte{
		forge.AltNames(forge.Mail("a@b.example"), forge.UTF8Mail("ä@b.example"), forge.URI("x:y")), forge.Policies("1.2.3"),
		forge.Mappings("1.2.3", "1.2.4"), forge.Constraints([][]byte{forge.DNS("a")}, [][]byte{forge.IP(make([]byte, 8)...)}),
	}}.Sign(nil).DER)
	for tag, mail := range map[asn1.Tag]string{
		asn1.UTF8String: "ä@b.example", asn1.IA5String: "a@b.example", asn1.T61String: "\xe4@b.example", tagNumeric: "1", tagVisible: "a@b.example",
		tagBMP: "\x00a\x00@\x00b\x00\x00", tagUniversal: "\x00\x00\x00a\x00\x00\x00@\x00\x00\x00b", 4: "a@b.example",
	} {
		f.Add(forge.Certificate{Subject: forge.RDNs(forge.Attribute("1.2.840.113549.1.9.1", tag, mail))}.Sign(nil).DER)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := Parse(der)
		if err != nil {
			return
		}
		x, err := ParseX509(der)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.Raw, der) || !slices.Equal(c.X509.Raw, der) {
			t.Error("another certificate")
		}
		if !c.Subject.Equal(c.Subject) || !c.Subject.Within(c.Subject) || c.SelfIssued() != (c.Subject.Key() == c.Issuer.Key()) {
			t.Error("names that are not equal to themselves")
		}
		if x.NotAfter.Unix() != c.NotAfter.Unix() {
			t.Errorf("until %v or %v", x.NotAfter, c.NotAfter)
		}
		for _, attribute := range x.Subject.Names { // whom it names there the rules must know
			if mail, ok := attribute.Value.(string); ok && attribute.Type.String() == "1.2.840.113549.1.9.1" && !slices.Contains(c.Subject.Mails, mail) {
				t.Errorf("the address %q is not among %q", mail, c.Subject.Mails)
			}
		}
		for form, names := range map[Form][]string{Mail: x.EmailAddresses, DNS: x.DNSNames} {
			for _, name := range names {
				if !slices.ContainsFunc(c.AltNames, func(g GeneralName) bool { return g.Form == form && g.Text == name }) {
					t.Errorf("the name %q is not among %v", name, c.AltNames)
				}
			}
		}
		if len(c.String()) > 2000 {
			t.Errorf("%d bytes of a name", len(c.String()))
		}
	})
}
