package authority

import (
	"strings"
	"testing"

	"mailseal/certmgr/ca"
)

// learning is how programs learn what is revoked, from a list or from an
// answer, and what they say of a certificate NAME that is and of one that is
// not.
var learning = []struct{ command, good, bad string }{
	{"openssl verify -x509_strict -crl_check -CRLfile crl.pem -CAfile good.root NAME.pem", "NAME.pem: OK", "certificate revoked"},
	{"openssl ocsp -respin NAME.ocsp -issuer good.root -cert NAME.pem -CAfile good.root -no_nonce", "Response verify OK\nNAME.pem: good", "Response verify OK\nNAME.pem: revoked"},
	{"certtool --verify --load-ca-certificate good.root --infile NAME.pem --load-crl crl.pem", "output: Verified.", "is revoked."},
	{"ocsptool --verify-response --load-response NAME.ocsp --load-trust good.root --load-issuer good.root --load-cert NAME.pem", "Status: good", "Status: revoked"},
	{"certutil -V -d sql:. -n NAME -u S -e", "certificate is valid", "has been revoked"},
}

// Everybody who knows the CA's kind of key learns from its list, and from its
// OCSP answers, which certificate is revoked.
func TestRevocation(t *testing.T) {
	need(t, "openssl", "certtool", "ocsptool", "certutil", "crlutil")
	for _, kind := range kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			p := revoked(t, kind)
			for _, l := range learning {
				if kind == ca.Ed25519 && strings.HasPrefix(l.command, "certutil") {
					continue // TestAccepted has the words by which it takes no such CA
				}
				for name, want := range map[string]string{"good": l.good, "bad": l.bad} {
					named := func(s string) string { return strings.ReplaceAll(s, "NAME", name) }
					out, err := p.run("", strings.Fields(named(l.command))...)
					verified := !strings.HasPrefix(l.command, "ocsptool") || strings.Contains(out, "Verifying OCSP Response: Success.")
					if !strings.Contains(out, named(want)) || !verified {
						t.Errorf("%s: %v, want %q\n%s", named(l.command), err, named(want), out)
					}
				}
			}
		})
	}
}

// revoked makes a folder with a CA's certificates good and bad, its list and its
// answers, and a database of NSS that has them.
func revoked(t *testing.T, kind ca.KeyKind) tool {
	t.Helper()
	c := newCA(t, func(o *ca.InitOptions) { o.Key, o.Settings.URL = kind, web })
	good, bad := issue(t, c, "good", requests[0], ca.P256), issue(t, c, "bad", requests[0], ca.P256)
	if _, err := c.Revoke(ca.Revocation{Serial: serialOf(bad.cert.SerialNumber), Reason: ca.KeyCompromise}); err != nil {
		t.Fatal(err)
	}
	list, err := c.IssueCRL(ca.CRLOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := folder(t, []*certificate{good, bad})
	p.write(t, "crl.der", list.DER)
	p.must(t, "", "openssl", "crl", "-inform", "DER", "-in", "crl.der", "-out", "crl.pem")
	for _, one := range []*certificate{good, bad} {
		answer, err := c.OCSP(serialOf(one.cert.SerialNumber))
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, one.name+".ocsp", answer.DER)
	}
	if kind != ca.Ed25519 {
		p.write(t, "batch", []byte("-A -n root -t C,C,C -i good.root\n-A -n good -t ,, -i good.pem\n-A -n bad -t ,, -i bad.pem\n"))
		p.must(t, "", "certutil", "-N", "-d", "sql:.", "--empty-password")
		p.must(t, "", "certutil", "-B", "-d", "sql:.", "-i", "batch")
		p.must(t, "", "crlutil", "-I", "-d", "sql:.", "-i", "crl.der", "-t", "1")
	}
	return p
}
