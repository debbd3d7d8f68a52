package cause

import (
	"os"
	"strings"
	"testing"
)

// TestWords: every word leads to a cause, and none stands behind one that is
// part of it.
func TestWords(t *testing.T) {
	for i, w := range words {
		if Find(w.id) == nil {
			t.Errorf("%q: no cause %q", w.text, w.id)
		}
		if w.text != strings.ToLower(w.text) {
			t.Errorf("%q is never met", w.text)
		}
		for _, before := range words[:i] {
			if strings.Contains(w.text, before.text) && w.id != before.id {
				t.Errorf("%q is %s before it is %s", w.text, before.id, w.id)
			}
		}
	}
}

func TestOf(t *testing.T) {
	for reason, want := range map[string]string{
		"":      "-",
		"weird": "-",
		"self signed certificate in certificate chain":      "unknown-ca", // OpenSSL 1.1
		"self-signed certificate in certificate chain":      "unknown-ca",
		"self-signed certificate":                           "self-signed",
		"untrusted issuer /C=XX/CN=certificate has expired": "unknown-ca",
		"sslv3 alert certificate expired":                   "refused-expired",
		"certificate has expired":                           "expired",
		"CRL has expired":                                   "crl-expired",
		"unsuitable certificate purpose":                    "purpose",
		"num=62:hostname mismatch":                          "name",
		"EE certificate key too weak":                       "weak",
		"dh key too small":                                  "dh",
		"tlsv1 alert unknown ca":                            "refused-ca",
		"tlsv13 alert certificate required":                 "wanted",
		"Certificate is bad":                                "refused", // GnuTLS
		"unexpected eof while reading":                      "broken-off",
	} {
		got := "-"
		if c := Of(reason); c != nil {
			got = c.ID
		}
		if got != want {
			t.Errorf("%q: %s, want %s", reason, got, want)
		}
	}
}

// TestTable: causes are told apart, and written for people.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.ID] || c.ID == "" || c.What == "" || !strings.HasSuffix(c.Do, ".") || strings.HasSuffix(c.What, ".") || len(c.What) > 110 {
			t.Errorf("%+v", c)
		}
		seen[c.ID] = true
	}
}

// TestDocumented: doc/starttls.md has every cause, in both languages.
func TestDocumented(t *testing.T) {
	for _, name := range []string{"../../../doc/starttls.md", "../../../doc/ja/starttls.md"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range All() {
			if !strings.Contains(string(b), "| `"+c.ID+"` |") {
				t.Errorf("%s does not have %s", name, c.ID)
			}
		}
	}
}
