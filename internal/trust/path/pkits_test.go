package path

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
