package certfile_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/certfile"
	"mailseal/internal/testpki"
	"mailseal/smime/cms"
)

func equal(a, b []*x509.Certificate) bool {
	return slices.EqualFunc(a, b, func(a, b *x509.Certificate) bool { return a.Equal(b) })
}

func sorted(cs ...*x509.Certificate) []*x509.Certificate {
	slices.SortFunc(cs, func(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) })
	return cs
}

// Every form of a file gives the same certificates.
func TestRead(t *testing.T) {
	p := testpki.New(t)
	bob := p.User("bob@partner.example", ca.P256).Certificate
	want := sorted(bob, p.Root())
	object, err := cms.CertsOnly(want...)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"pem":      testpki.CertPEM(want...),
		"der":      slices.Concat(want[0].Raw, want[1].Raw),
		"p7c":      object,
		"PKCS7":    pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: object}),
		"CMS text": append([]byte("bob\n"), pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: object})...),
	} {
		got, err := certfile.Read(testpki.Write(t, "bob", data))
		if err != nil || !equal(got, want) {
			t.Errorf("%s: got %d certificates, %v", name, len(got), err)
		}
	}
}

// Of a folder every file is read that looks like one, in order.
func TestReadFolder(t *testing.T) {
	p := testpki.New(t)
	bob := p.User("bob@partner.example", ca.P256).Certificate
	object, err := cms.CertsOnly(bob)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"a.pem": testpki.CertPEM(p.Root()), "b.P7C": object, ".c.p7c": object, "d.p7b": object, "README": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "e.p7c"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := certfile.Read(dir)
	if want := []*x509.Certificate{p.Root(), bob, bob}; err != nil || !equal(got, want) {
		t.Errorf("got %d certificates, %v", len(got), err)
	}
}

// What cannot be read says why, with the name of the file.
func TestReadRefuses(t *testing.T) {
	p := testpki.New(t)
	object, err := cms.CertsOnly(p.Root())
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.Clone(object)
	broken[bytes.Index(broken, p.Root().Raw)+6] = 0x55 // TBSCertificate's tag
	for _, tt := range []struct {
		name, want string
		data       []byte
	}{
		{"cut off", "certs-only object: malformed", object[:len(object)-3]},
		{"a broken certificate", "certs-only object: ", broken},
		{"noise", "neither PEM nor a DER certificate", []byte("0noise")},
		{"another type", "neither PEM nor a DER certificate", []byte{0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03}},
	} {
		path := testpki.Write(t, "bob.p7c", tt.data)
		if _, err := certfile.Read(path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := certfile.Read(filepath.Join(t.TempDir(), "absent")); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

// Nothing that a peer sends takes the reader down, and what is read is there.
func FuzzParse(f *testing.F) {
	p := testpki.New(f)
	object, err := cms.CertsOnly(p.Root())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(object)
	f.Fuzz(func(t *testing.T, data []byte) {
		cs, err := certfile.Parse(data)
		if (err == nil) != (len(cs) > 0) {
			t.Errorf("%d certificates, %v", len(cs), err)
		}
	})
}
