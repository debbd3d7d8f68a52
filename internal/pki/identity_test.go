package pki

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/youmark/pkcs8"
	"pgregory.net/rapid"
	"software.sslmate.com/src/go-pkcs12"
)

// TestForms reads every kind of key in every form that it is kept in.
func TestForms(t *testing.T) {
	forms := map[string]func(*testing.T, person) []byte{
		"PKCS #8": func(t *testing.T, p person) []byte {
			return append(pkcs8PEM(t, p.key), pemCerts(p.cert, p.above[0], p.above[1])...)
		},
		"PKCS #8 encrypted": func(t *testing.T, p person) []byte {
			der, err := pkcs8.MarshalPrivateKey(p.key, []byte("geheim"), nil)
			if err != nil {
				t.Fatal(err)
			}
			return append(block("ENCRYPTED PRIVATE KEY", der), pemCerts(p.cert, p.above[0], p.above[1])...)
		},
		"PKCS #8 encrypted by scrypt": func(t *testing.T, p person) []byte {
			der, err := pkcs8.MarshalPrivateKey(p.key, []byte("geheim"), &pkcs8.Opts{
				Cipher:  pkcs8.AES128CBC,
				KDFOpts: pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 1 << 4, BlockSize: 8, ParallelizationParameter: 1},
			})
			if err != nil {
				t.Fatal(err)
			}
			return append(block("ENCRYPTED PRIVATE KEY", der), pemCerts(p.cert, p.above[0])...)
		},
		"PKCS #12 LegacyDES": func(t *testing.T, p person) []byte {
			der, err := pkcs12.LegacyDES.Encode(p.key, p.cert, p.above, "geheim")
			if err != nil {
				t.Fatal(err)
			}
			return der
		},
		"PKCS #12 LegacyRC2": func(t *testing.T, p person) []byte {
			der, err := pkcs12.LegacyRC2.Encode(p.key, p.cert, p.above, "geheim")
			if err != nil {
				t.Fatal(err)
			}
			return der
		},
		"PKCS #12 Modern2023": func(t *testing.T, p person) []byte {
			der, err := pkcs12.Modern2023.Encode(p.key, p.cert, p.above, "geheim")
			if err != nil {
				t.Fatal(err)
			}
			return der
		},
		"PKCS #12 Modern2026 in PEM": func(t *testing.T, p person) []byte {
			der, err := pkcs12.Modern2026.Encode(p.key, p.cert, p.above, "geheim")
			if err != nil {
				t.Fatal(err)
			}
			return block("PKCS12", der)
		},
		"openssl pkcs12": func(t *testing.T, p person) []byte {
			dir := t.TempDir()
			in := write(t, filepath.Join(dir, "in.pem"), append(pkcs8PEM(t, p.key), pemCerts(p.cert, p.above[0], p.above[1])...))
			out := filepath.Join(dir, "out.p12")
			openssl(t, "pkcs12", "-export", "-in", in, "-out", out, "-passout", "pass:geheim")
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			return data
		},
		"openssl pkey -aes256": func(t *testing.T, p person) []byte {
			dir := t.TempDir()
			in := write(t, filepath.Join(dir, "in.pem"), pkcs8PEM(t, p.key))
			out := filepath.Join(dir, "out.pem")
			openssl(t, "pkey", "-in", in, "-aes256", "-out", out, "-passout", "pass:geheim")
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			return append(pemCerts(p.above[1], p.above[0], p.cert), data...)
		},
	}
	for kind := range keys {
		p := newPerson(t, kind)
		for form, encode := range forms {
			t.Run(kind+"/"+form, func(t *testing.T) {
				data := encode(t, p)
				id, err := ParseIdentity(data, []byte("geheim"))
				if err != nil {
					t.Fatal(err)
				}
				check(t, id, p, p.above[0])
				if form == "PKCS #8" {
					return
				}
				if _, err := ParseIdentity(data, []byte("falsch")); !errors.Is(err, ErrPassphrase) {
					t.Errorf("with a wrong passphrase: %v", err)
				}
				if _, err := ParseIdentity(data, nil); !errors.Is(err, ErrNoPassphrase) {
					t.Errorf("without a passphrase: %v", err)
				}
			})
		}
	}
}

func TestOldKeyForms(t *testing.T) {
	r := newPerson(t, "RSA")
	e := newPerson(t, "P-384")
	sec1, err := x509.MarshalECPrivateKey(e.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(r.key.(*rsa.PrivateKey))
	for name, tt := range map[string]struct {
		key []byte
		p   person
	}{
		"PKCS #1":              {block("RSA PRIVATE KEY", pkcs1), r},
		"SEC 1":                {block("EC PRIVATE KEY", sec1), e},
		"SEC 1 and parameters": {append(block("EC PARAMETERS", []byte{6, 5, 43, 129, 4, 0, 34}), block("EC PRIVATE KEY", sec1)...), e},
	} {
		t.Run(name, func(t *testing.T) {
			text := []byte("Bag Attributes\n    friendlyName: anna\nsubject=CN = Anna\n")
			id, err := ParseIdentity(bytes.Join([][]byte{text, pemCerts(tt.p.cert), text, tt.key}, nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			check(t, id, tt.p)
		})
	}
}

// TestOrder: whatever the order in the file, the chain goes up and ends below
// the root; what does not belong to it is left out.
func TestOrder(t *testing.T) {
	p, stranger := newPerson(t, "P-256"), newPerson(t, "P-256")
	parts := [][]byte{pkcs8PEM(t, p.key), pemCerts(p.cert), pemCerts(p.above[0]), pemCerts(p.above[1]), pemCerts(stranger.cert), pemCerts(stranger.above[0])}
	rapid.Check(t, func(rt *rapid.T) {
		order := rapid.Permutation(parts).Draw(rt, "order")
		id, err := ParseIdentity(bytes.Join(order, nil), nil)
		if err != nil {
			rt.Fatal(err)
		}
		check(t, id, p, p.above[0])
	})
}

// TestCrossSigned: of an issuer that is there self-signed and cross-signed,
// the cross-signed one goes along.
func TestCrossSigned(t *testing.T) {
	rootKey, otherKey, key := newKey(t, "P-256"), newKey(t, "P-256"), newKey(t, "P-256")
	root := issue(t, template("Root", true), nil, rootKey, rootKey)
	other := issue(t, template("Other root", true), nil, otherKey, otherKey)
	cross := issue(t, template("Root", true), other, rootKey, otherKey)
	back := issue(t, template("Other root", true), root, otherKey, rootKey) // a loop
	leaf := issue(t, template("Anna", false), root, key, rootKey)
	data := append(pkcs8PEM(t, key), pemCerts(leaf, root, back, cross, other)...)
	id, err := ParseIdentity(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, id, person{cert: leaf, key: key}, cross, back)
}

// TestChoice: a file may hold more than one pair.
func TestChoice(t *testing.T) {
	rootKey, signKey, openKey := newKey(t, "P-256"), newKey(t, "P-256"), newKey(t, "RSA")
	root := issue(t, template("Root", true), nil, rootKey, rootKey)
	opens := template("Anna", false)
	opens.KeyUsage = x509.KeyUsageKeyEncipherment
	opener := issue(t, opens, root, openKey, rootKey)
	old := issue(t, template("Anna", false), root, signKey, rootKey)
	renewed := template("Anna", false)
	renewed.NotAfter = renewed.NotAfter.AddDate(1, 0, 0)
	fresh := issue(t, renewed, root, signKey, rootKey)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x, err := x509.MarshalPKCS8PrivateKey(x25519)
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Join([][]byte{block("PRIVATE KEY", x), pkcs8PEM(t, openKey), pemCerts(opener, old, fresh), pkcs8PEM(t, signKey)}, nil)
	id, err := ParseIdentity(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, id, person{cert: fresh, key: signKey})

	_, err = ParseIdentity(append(block("PRIVATE KEY", x), pemCerts(old)...), nil)
	if err == nil || !strings.Contains(err.Error(), "does not belong to any certificate") {
		t.Errorf("X25519 alone: %v", err)
	}
}

func TestBadIdentity(t *testing.T) {
	p, other := newPerson(t, "P-256"), newPerson(t, "P-256")
	key := pkcs8PEM(t, p.key)
	legacy := []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\nAAAA\n-----END RSA PRIVATE KEY-----\n")
	dsa := []byte("-----BEGIN DSA PRIVATE KEY-----\nMAA=\n-----END DSA PRIVATE KEY-----\n")
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":             {nil, "neither PEM nor PKCS #12"},
		"DER certificate":   {p.cert.Raw, "neither PEM nor PKCS #12"},
		"no key":            {pemCerts(p.cert), "no private key"},
		"no certificate":    {key, "no certificate"},
		"neither":           {block("X509 CRL", []byte("x")), "neither certificate nor key"},
		"foreign key":       {append(pemCerts(other.cert), key...), "does not belong to any certificate"},
		"OpenSSL's old way": {append(pemCerts(p.cert), legacy...), "openssl pkey -in OLD -aes256"},
		"DSA":               {append(pemCerts(p.cert), dsa...), `kind "DSA PRIVATE KEY" is not known`},
		"damaged block":     {bytes.Join([][]byte{pemCerts(p.cert), bytes.Replace(pemCerts(p.above[0]), []byte("MII"), []byte("M*I"), 1), key}, nil), "PEM block 2 is damaged"},
		"damaged last":      {append(pemCerts(p.cert), key[:len(key)-20]...), "PEM block 2 is damaged"},
		"no certificate in": {append(block("CERTIFICATE", []byte("x")), key...), "certificate in PEM block 1"},
		"large":             {make([]byte, maxIdentity+1), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseIdentity(tt.data, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReadIdentities(t *testing.T) {
	dir := t.TempDir()
	p := newPerson(t, "P-256")
	plain := append(pkcs8PEM(t, p.key), pemCerts(p.cert)...)
	der, err := pkcs12.Modern2023.Encode(p.key, p.cert, nil, "geheim")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "zoe.pem"), plain)
	write(t, filepath.Join(dir, "anna.p12"), der)
	write(t, filepath.Join(dir, "anna.pass"), []byte("geheim\r\nnot this\n"))
	write(t, filepath.Join(dir, ".hidden.pem"), nil)
	write(t, filepath.Join(dir, "README"), nil)
	if err := os.Mkdir(filepath.Join(dir, "old.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	ids, err := ReadIdentities(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) != 2 || ids[0].Name != "anna" || ids[1].Name != "zoe" {
		t.Fatalf("got %d identities", len(ids))
	}
	if len(ids[0].Files) != 2 || ids[0].Files[1] != filepath.Join(dir, "anna.pass") {
		t.Errorf("files %q", ids[0].Files)
	}

	write(t, filepath.Join(dir, "bob.p12"), der)
	write(t, filepath.Join(dir, "zoe.pfx"), der)
	write(t, filepath.Join(dir, "eve.pfx"), der)
	write(t, filepath.Join(dir, "eve.pass"), []byte("falsch"))
	ids, err = ReadIdentities(dir)
	if len(ids) != 2 {
		t.Errorf("got %d identities, want those that can be read", len(ids))
	}
	want := strings.Join([]string{
		filepath.Join(dir, "bob.p12") + ": the key is encrypted and needs its passphrase; put it into bob.pass",
		filepath.Join(dir, "eve.pfx") + ": wrong passphrase",
		filepath.Join(dir, "zoe.pfx") + ": zoe.pem is the same name; keep one of them",
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, err := ReadIdentities(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent folder: %v", err)
	}
}

func TestCheckKeyMode(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "k.pem"), nil)
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o620: false, 0o602: false, 0o644: false, 0o711: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		err := CheckKeyMode(path)
		if (err == nil) != ok {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if !ok && !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: %v does not say what to do", mode, err)
		}
	}
	if err := CheckKeyMode(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}
