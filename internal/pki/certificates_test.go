package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadCertificates(t *testing.T) {
	p := newPerson(t, "P-256")
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		data []byte
		want []string
	}{
		{"pem", pemCerts(p.cert, p.above[0]), []string{"Anna", "Issuer"}},
		{"der", p.above[1].Raw, []string{"Root"}},
		{"pem below text", append([]byte("# the root\n"), pemCerts(p.above[1])...), []string{"Root"}},
		{"der behind der", append(p.cert.Raw, p.above[0].Raw...), []string{"Anna", "Issuer"}},
	} {
		cs, err := ReadCertificates(write(t, filepath.Join(dir, tt.name), tt.data))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range cs {
			got = append(got, c.Subject.CommonName)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Error(tt.name, d)
		}
	}

	bad := write(t, filepath.Join(dir, "bad"), []byte("nothing"))
	if _, err := ReadCertificates(bad); err == nil || !strings.HasPrefix(err.Error(), bad+": neither PEM nor a DER certificate") {
		t.Errorf("got %v", err)
	}
	if _, err := ReadCertificates(filepath.Join(dir, "absent")); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

func TestParseCertificates(t *testing.T) {
	p := newPerson(t, "P-256")
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":   {nil, "empty"},
		"key":     {pkcs8PEM(t, p.key), "holds no certificate"},
		"trusted": {block("TRUSTED CERTIFICATE", p.cert.Raw), "openssl x509 -in OLD"},
		"damaged": {bytes.Replace(pemCerts(p.cert, p.cert), []byte("-----END"), []byte("----END"), 1), "PEM block 1 is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseCertificates(tt.data)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	k := newKey(t, "P-256")
	c := template("Anna", false)
	c.EmailAddresses = []string{"Anna@Example.JP", "a@example.jp"}
	for _, s := range []string{" b@example.jp ", "a@example.jp"} {
		c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{
			Type: oidEmailAddress, Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(s)},
		})
	}
	cert := issue(t, c, nil, k, k)
	if d := cmp.Diff([]string{"Anna@Example.JP", "a@example.jp", " b@example.jp "}, Addresses(cert)); d != "" {
		t.Error(d)
	}
	if as := Addresses(&x509.Certificate{}); len(as) != 0 {
		t.Errorf("got %q of nothing", as)
	}
}
