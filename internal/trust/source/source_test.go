package source

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An authority is a CA with somebody whom it certified.
type authority struct {
	root, leaf *x509.Certificate
	key        *ecdsa.PrivateKey
}

var authorities = sync.OnceValue(func() map[string]authority {
	all := map[string]authority{}
	for i, name := range []string{"one", "two", "three"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		sign := func(c *x509.Certificate) *x509.Certificate {
			c.NotBefore, c.NotAfter, c.BasicConstraintsValid = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0), true
			der, err := x509.CreateCertificate(rand.Reader, c, &x509.Certificate{Subject: pkix.Name{CommonName: name}}, &key.PublicKey, key)
			if err != nil {
				panic(err)
			}
			made, err := x509.ParseCertificate(der)
			if err != nil {
				panic(err)
			}
			return made
		}
		all[name] = authority{
			root: sign(&x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, IsCA: true,
				KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}),
			leaf: sign(&x509.Certificate{SerialNumber: big.NewInt(100), Subject: pkix.Name{CommonName: "user of " + name},
				EmailAddresses: []string{"user@partner.example"}, KeyUsage: x509.KeyUsageDigitalSignature}),
			key: key,
		}
	}
	return all
})

// certs is a PEM file of the roots of authorities.
func certs(names ...string) (text string) {
	for _, n := range names {
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorities()[n].root.Raw}))
	}
	return text
}

// crl is one that an authority signed, in PEM.
func crl(t *testing.T, name string, number int64) string {
	t.Helper()
	a := authorities()[name]
	a.root.SubjectKeyId = []byte{1}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(100), RevocationTime: time.Now()}},
	}, a.root, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// A folder is where a test has its files.
type folder struct {
	*testing.T
	dir string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (f folder) in(name string) string { return filepath.Join(f.dir, name) }

// write writes a file as editors do not: in place.
func (f folder) write(name, text string) string {
	f.Helper()
	if err := os.MkdirAll(filepath.Dir(f.in(name)), 0o700); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(f.in(name), []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
	return f.in(name)
}

// replace writes a file as it should be done.
func (f folder) replace(name, text string) {
	f.Helper()
	f.write(name+".new", text)
	f.must(os.Rename(f.in(name+".new"), f.in(name)))
}

func (f folder) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// trusted lists whose users are trusted, for mail of a domain.
func trusted(w interface{ Anchors() *trust.Anchors }, domain string) string {
	search := w.Anchors().Among(context.Background(), trust.Came{}, time.Now())
	var names []string
	for _, n := range []string{"one", "two", "three"} {
		if search.Find(authorities()[n].leaf, domain).Err == nil {
			names = append(names, n)
		}
	}
	return strings.Join(names, " ")
}

func off(c Config) Config {
	c.Options.Revocation = revocation.Off
	return c
}

func TestOpen(t *testing.T) {
	f := newFolder(t)
	one := f.write("one.pem", certs("one"))
	dir := filepath.Dir(f.write("ca.d/two.crt", certs("two")))
	f.write("ca.d/.hidden.pem", "not for us")
	f.write("ca.d/README", "neither")
	f.must(os.Mkdir(f.in("ca.d/folder.pem"), 0o700))
	three := f.write("three.der", string(authorities()["three"].root.Raw))
	leaf := f.write("leaf.der", string(authorities()["two"].leaf.Raw))
	lists := filepath.Dir(f.write("crl.d/one.crl", crl(t, "one", 1)+crl(t, "two", 1)))
	for _, tt := range []struct {
		name          string
		c             Config
		all, partners string
		crls          int
	}{
		{"nothing", Config{}, "", "", 0},
		{"a file", Config{Mail: []string{one}}, "one", "one", 0},
		{"a file and a folder", Config{Mail: []string{one, dir}}, "one two", "one two", 0},
		{"one domain's", Config{Mail: []string{one}, Domains: map[string][]string{"partner.example": {dir, three}}}, "one", "one two three", 0},
		{"pinned", Config{Pinned: []string{leaf}}, "two", "two", 0},
		{"a CA that is pinned", Config{Pinned: []string{one}}, "", "", 0},
		{"the system's", Config{System: true, SystemFiles: []string{f.in("none"), three, one}}, "three", "three", 0},
		{"CRLs", Config{CRLs: []string{lists}}, "", "", 2},
		{"optional", Config{Mail: []string{f.in("none"), one}, Optional: []Kind{Mail}}, "one", "one", 0},
	} {
		w, err := Open(off(tt.c))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := trusted(w, ""); got != tt.all {
			t.Errorf("%s: %q are trusted; want %q", tt.name, got, tt.all)
		}
		if got := trusted(w, "partner.example"); got != tt.partners {
			t.Errorf("%s: of the domain %q are trusted; want %q", tt.name, got, tt.partners)
		}
		crls := 0
		for _, h := range w.Holdings() {
			crls += len(h.CRLs)
		}
		if crls != tt.crls {
			t.Errorf("%s: %d CRLs", tt.name, crls)
		}
	}
}

func TestOpenTellsAll(t *testing.T) {
	f := newFolder(t)
	good := f.write("ca.d/one.pem", certs("one"))
	bad := f.write("ca.d/bad.pem", certs("two")[:200])
	empty := f.write("empty.pem", "")
	f.must(os.Symlink("nowhere", f.in("ca.d/dangling.pem")))
	w, err := Open(off(Config{
		Mail: []string{f.in("ca.d"), f.in("none")}, Domains: map[string][]string{"b.example": {good, empty}},
		Pinned: []string{empty}, CRLs: []string{good, f.in("none")}, Optional: []Kind{CRLs},
		System: true, SystemFiles: []string{f.in("none"), f.in("neither")},
	}))
	var got []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		p := new(Problem)
		if !errors.As(e, &p) {
			t.Fatalf("%v is no Problem", e)
		}
		got = append(got, fmt.Sprint(p.Kind, " ", p.Domain, " ", p.Index))
	}
	if got, want := strings.Join(got, ", "), "trust  0, trust  0, trust  1, system_trust  0, domain_cas b.example 1, pinned  0, crls  0"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	for _, want := range []string{bad + ": ", "dangling.pem: no such file", "none: no such file", empty + ": ", "neither"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told in %v", want, err)
		}
	}
	if got := trusted(w, ""); got != "one" {
		t.Errorf("%q are trusted", got)
	}
}

// A pipe would be read for ever.
func TestNoRegularFile(t *testing.T) {
	if _, err := Open(Config{Mail: []string{"/dev/null"}}); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Error(err)
	}
	f := newFolder(t)
	f.must(os.Symlink("/dev/zero", f.in("ca.pem")))
	if _, err := Open(Config{Mail: []string{f.in("ca.pem")}}); err == nil {
		t.Error("endless")
	}
	f.must(syscall.Mkfifo(f.in("pipe.pem"), 0o600))
	if _, err := Open(Config{Mail: []string{f.in("pipe.pem")}}); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Error(err)
	}
	if _, err := Open(Config{Mail: []string{f.in("none")}}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A journal is a log that can be waited for.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newJournal() *journal { return &journal{more: make(chan struct{}, 1000)} }

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.more <- struct{}{}
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Writer(j), &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// next waits for a line that has all of the words, and forgets it and those before.
func (j *journal) next(t *testing.T, words ...string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		j.mu.Lock()
		lines := strings.SplitAfter(j.text.String(), "\n")
		for i, line := range lines {
			found := true
			for _, w := range words {
				found = found && strings.Contains(line, w)
			}
			if found {
				j.text.Reset()
				j.text.WriteString(strings.Join(lines[i+1:], ""))
				j.mu.Unlock()
				return
			}
		}
		j.mu.Unlock()
		select {
		case <-j.more:
		case <-late:
			t.Fatalf("no line with %q in\n%s", words, j)
		}
	}
}
