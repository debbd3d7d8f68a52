package ca

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"
)

// openssl and x/crypto read our answers, with every kind of key.
func TestOCSP(t *testing.T) {
	for _, kind := range []KeyKind{RSA2048, P256, P384, Ed25519} {
		c := newCA(t, func(o *InitOptions) { o.Key = kind })
		good, bad := issue(t, c, alice), issue(t, c, alice)
		revoke(t, c, bad.Serial(), KeyCompromise)
		for _, i := range []*Issued{good, bad} {
			answer, err := c.OCSP(i.Serial())
			if err != nil {
				t.Fatal(err)
			}
			want := "good"
			if i == bad {
				want = "revoked"
			}
			if kind != Ed25519 { // which x/crypto/ocsp does not know
				r, err := ocsp.ParseResponseForCert(answer.DER, i.Certificate, c.Certificate())
				if err != nil || (r.Status == ocsp.Good) != (i == good) || !r.NextUpdate.Equal(answer.NextUpdate) {
					t.Errorf("%v: %+v, %v", kind, r, err)
				}
				if i == bad && r.RevocationReason != ocsp.KeyCompromise {
					t.Errorf("%v: reason %d", kind, r.RevocationReason)
				}
			}
			file := filepath.Join(t.TempDir(), "answer.der")
			if err := os.WriteFile(file, answer.DER, 0o600); err != nil {
				t.Fatal(err)
			}
			out := openssl(t, "ocsp", "-respin", file, "-issuer", c.path(certFile), "-cert", c.newCert(i.Certificate.SerialNumber, "pem"), "-CAfile", c.path(certFile), "-no_nonce")
			if !strings.Contains(out, "Response verify OK") || !strings.Contains(out, ".pem: "+want) {
				t.Errorf("%v: openssl says\n%s", kind, out)
			}
		}
		if _, err := c.OCSP("ff"); !errors.Is(err, ErrNotFound) {
			t.Errorf("OCSP: %v", err)
		}
	}
}
