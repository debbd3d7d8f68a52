package corpora

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/internal/mlkemkey"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/internal/x509key"
)

// A shelf has all that the corpora hold to open and to verify with.
type shelf struct {
	dir          string
	spool        *spool.Store
	content      map[string][]byte // of every file
	certificates map[string][]*x509.Certificate
	keys         []key // each once
}

// A key is a private key and where it was found.
type key struct {
	file    string
	private crypto.PrivateKey
}

// passwords are those that the folders' own notes name.
var passwords = []string{"", "password", "password123", "no.secret", "hunter42", "alice", "bob", "carlos", "dana"}

func collect(t *testing.T, dir string, all []string) *shelf {
	t.Helper()
	s := &shelf{dir: dir, content: map[string][]byte{}, certificates: map[string][]*x509.Certificate{}}
	var err error
	if s.spool, err = spool.New(spool.Config{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		s.content[name] = data
		for _, b := range blocks(data) {
			if id, err := opened(b.Bytes); err == nil && isPKCS12(b.Bytes) {
				for _, p := range id.Pairs {
					s.certificates[name] = append(s.certificates[name], p.Certificate)
					s.addKey(name, p.Key)
				}
				s.certificates[name] = append(s.certificates[name], id.Chain...)
				continue
			}
			if c, err := x509.ParseCertificate(b.Bytes); err == nil {
				s.certificates[name] = append(s.certificates[name], c)
			} else if k, err := privateKey(b.Bytes); err == nil {
				s.addKey(name, k)
			}
		}
	}
	return s
}

func (s *shelf) addKey(name string, private crypto.PrivateKey) {
	for _, k := range s.keys {
		if e, ok := k.private.(interface{ Equal(crypto.PrivateKey) bool }); ok && e.Equal(private) {
			return
		}
	}
	s.keys = append(s.keys, key{name, private})
}

// everybody are all certificates of a corpus and those of its sisters.
func (s *shelf) everybody(name string) (list []*x509.Certificate) {
	first, _, _ := strings.Cut(name, "/")
	if strings.HasPrefix(first, "lamps-") {
		first = "lamps-"
	}
	for file, certs := range s.certificates {
		if strings.HasPrefix(file, first) {
			list = append(list, certs...)
		}
	}
	return list
}

// beside are the files that a detached signature may be over.
func (s *shelf) beside(name string) (list [][]byte) {
	for other, data := range s.content {
		if path.Dir(other) == path.Dir(name) && len(data) < 1<<16 {
			list = append(list, data)
		}
	}
	return list
}

// blocks are what a file is made of: PEM, or all of it.
func blocks(data []byte) (list []*pem.Block) {
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		list = append(list, b)
	}
	if list == nil {
		list = []*pem.Block{{Bytes: data}}
	}
	return list
}

// isPKCS12 looks for the version, which comes first. Both certificates and keys have something else there.
func isPKCS12(data []byte) bool {
	at := bytes.Index(data[:min(len(data), 8)], []byte{2, 1, 3})
	return at == 2 || at > 2 && at <= 2+int(data[1]&0x7f)
}

// opened reads an identity with the first password that opens it.
func opened(data []byte) (id pki.Identity, err error) {
	for _, password := range passwords {
		id, err = pki.ParseIdentity(data, []byte(password))
		if !errors.Is(err, pki.ErrPassphrase) && !errors.Is(err, pki.ErrNoPassphrase) {
			break
		}
	}
	return id, err
}

// privateKey reads an unencrypted one.
func privateKey(der []byte) (crypto.PrivateKey, error) {
	if k, err := x509key.ParsePKCS8(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return mlkemkey.ParsePrivateKey(der)
}

// identity reads a private key as the gateway does, with each certificate of
// its corpus until one fits.
func (s *shelf) identity(name string, b *pem.Block) string {
	key := pem.EncodeToMemory(b)
	for _, c := range s.everybody(name) {
		if _, err := opened(append(bytes.Clone(key), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)); err == nil {
			return "key read, with its certificate"
		}
	}
	_, err := opened(key)
	why, _, _ := strings.Cut(err.Error(), ": tags don't match") // what follows is for whoever debugs encoding/asn1
	return "key: " + why
}
