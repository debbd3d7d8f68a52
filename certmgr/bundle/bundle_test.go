package bundle_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mailseal/certmgr/bundle"
	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// of is what a CA gives out with an identity.
func of(p *testpki.PKI, id pki.Identity) bundle.Bundle {
	return bundle.Bundle{Certificate: id.Certificate, Key: id.Key, Chain: id.Chain, Root: p.Root()}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every option makes its files, those with a key for their owner alone.
func TestWrite(t *testing.T) {
	p := testpki.New(t).Below()
	id := p.Host("mx.corp.example", ca.P256)
	for _, tt := range []struct {
		name string
		o    bundle.Options
		bare bool // somebody else has the key
		want []string
	}{
		{"plain", bundle.Options{}, false, []string{"mx-chain.pem 644", "mx.crt 644", "mx.key 600"}},
		{"without a key", bundle.Options{}, true, []string{"mx-chain.pem 644", "mx.crt 644"}},
		{"one file without a key", bundle.Options{Single: true}, true, []string{"mx-chain.pem 644", "mx.crt 644"}},
		{"one file", bundle.Options{Single: true}, false, []string{"mx.pem 600"}},
		{"all", bundle.Options{PKCS12: bundle.LegacyDES, Mobile: &bundle.Profile{}}, false,
			[]string{"mx-chain.pem 644", "mx.crt 644", "mx.key 600", "mx.mobileconfig 600", "mx.p12 600"}},
	} {
		dir := t.TempDir()
		b := of(p, id)
		if tt.bare {
			b.Key = nil
		}
		w, err := bundle.Write(filepath.Join(dir, "mx"), b, tt.o)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []string
		for _, name := range files(t, dir) {
			fi, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name+" "+regexp.MustCompile(`^0`).ReplaceAllString(strings.TrimPrefix(fi.Mode().String(), "-"), ""))
		}
		for i, w := range tt.want {
			tt.want[i] = strings.NewReplacer(" 644", " rw-r--r--", " 600", " rw-------").Replace(w)
		}
		if !slices.Equal(got, tt.want) || len(w.Files) != len(got) || (w.Passphrase != "") != (tt.o.PKCS12 != 0) {
			t.Errorf("%s: got %q, told %q", tt.name, got, w.Files)
		}
		if tt.bare || tt.o.Single {
			continue
		}
		if _, err := tls.X509KeyPair(readFile(t, filepath.Join(dir, "mx.crt")), readFile(t, filepath.Join(dir, "mx.key"))); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		above, err := pki.ReadCertificates(filepath.Join(dir, "mx-chain.pem"))
		if err != nil || len(above) != 2 || !above[0].Equal(id.Chain[0]) || !above[1].Equal(p.Root()) {
			t.Errorf("%s: chain of %d, %v", tt.name, len(above), err)
		}
	}
}

// One file is what ReadIdentity takes, with its chain.
func TestSingle(t *testing.T) {
	p := testpki.New(t).Below()
	id := p.User("bob@corp.example", ca.P256)
	base := filepath.Join(t.TempDir(), "bob")
	if _, err := bundle.Write(base, of(p, id), bundle.Options{Single: true}); err != nil {
		t.Fatal(err)
	}
	got, err := pki.ReadIdentity(base+".pem", nil)
	if err != nil || !got.Certificate.Equal(id.Certificate) || len(got.Chain) != 1 || !got.Chain[0].Equal(id.Chain[0]) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// No file is replaced unless that is asked for, and then nothing is written.
func TestNothingIsReplaced(t *testing.T) {
	p := testpki.New(t)
	b := of(p, p.Host("mx.corp.example", ca.P256))
	for _, name := range []string{"mx.key", "mx.crt", "mx-chain.pem", "mx.p12", "mx.mobileconfig"} {
		dir := t.TempDir()
		base := filepath.Join(dir, "mx")
		o := bundle.Options{PKCS12: bundle.LegacyDES, Mobile: &bundle.Profile{}}
		if err := bundle.Free(base, true, o); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("nowhere", filepath.Join(dir, name)); err != nil { // a dangling link too
			t.Fatal(err)
		}
		for _, err := range []error{bundle.Free(base, true, o), func() error { _, err := bundle.Write(base, b, o); return err }()} {
			if !errors.Is(err, bundle.ErrExists) || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if got := files(t, dir); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: there is %q", name, got)
		}
		o.Replace = true
		if _, err := bundle.Write(base, b, o); err != nil || len(files(t, dir)) != 5 {
			t.Errorf("%s: replaced: %v", name, err)
		}
	}
}

// What replaces a file is its owner's, as it was: a daemon that is not root
// goes on reading its key. Where others can make files, it is ours.
func TestOwnerStays(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	p := testpki.New(t)
	dir := t.TempDir()
	base := filepath.Join(dir, "mx")
	owners := func(want int) {
		t.Helper()
		for _, ending := range []string{".key", ".crt", "-chain.pem"} {
			info, err := os.Stat(base + ending)
			if err != nil {
				t.Fatal(err)
			}
			if s := info.Sys().(*syscall.Stat_t); int(s.Uid) != want || int(s.Gid) != want {
				t.Errorf("%s belongs to %d:%d, want %d", ending, s.Uid, s.Gid, want)
			}
		}
	}
	replace := func() {
		t.Helper()
		if _, err := bundle.Write(base, of(p, p.Host("mx.corp.example", ca.P256)), bundle.Options{Replace: true}); err != nil {
			t.Fatal(err)
		}
	}
	replace()
	for _, ending := range []string{".key", ".crt", "-chain.pem"} {
		if err := os.Chown(base+ending, 4711, 4711); err != nil {
			t.Fatal(err)
		}
	}
	replace()
	owners(4711)
	place, err := bundle.FindPlace(base)
	if err != nil {
		t.Fatal(err)
	}
	if err := place.Put(p.Issue(ca.Request{Profile: ca.Host, Hosts: []string{"mx.corp.example"}, PublicKey: place.Public}).Certificate); err != nil {
		t.Fatal(err)
	}
	owners(4711)
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	replace()
	owners(0)
}

// Of what is replaced nothing is left unsaid.
func TestStale(t *testing.T) {
	p := testpki.New(t)
	base := filepath.Join(t.TempDir(), "mx")
	id := p.Host("mx.corp.example", ca.P256)
	for _, tt := range []struct {
		o    bundle.Options
		key  bool
		want []string
	}{
		{bundle.Options{PKCS12: bundle.LegacyDES, Mobile: &bundle.Profile{}}, true, nil},
		{bundle.Options{}, true, []string{".p12", ".mobileconfig"}},
		{bundle.Options{}, false, []string{".p12", ".mobileconfig"}},
		{bundle.Options{Single: true, PKCS12: bundle.LegacyDES}, true, []string{".key", ".crt", "-chain.pem", ".mobileconfig"}},
	} {
		b := of(p, id)
		if !tt.key {
			b.Key = nil
		}
		tt.o.Replace = true
		w, err := bundle.Write(base, b, tt.o)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, ending := range tt.want {
			want = append(want, base+ending)
		}
		if !slices.Equal(w.Stale, want) {
			t.Errorf("%+v: %q, want %q", tt.o, w.Stale, want)
		}
	}
}

// Before anything is issued it is known that there is no place for it.
func TestNoFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "mx.crt"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		base string
		o    bundle.Options
		want string
	}{
		{filepath.Join(dir, "absent", "mx"), bundle.Options{}, "files cannot be made in " + filepath.Join(dir, "absent") + ": no such file"},
		{filepath.Join(dir, "absent", "mx"), bundle.Options{Replace: true}, "files cannot be made in"},
		{filepath.Join(dir, "mx"), bundle.Options{Replace: true}, "mx.crt: not a file, and not replaced"},
	} {
		if err := bundle.Free(tt.base, true, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, bundle.ErrExists) {
			t.Errorf("Free(%s): %v, want %q", tt.base, err, tt.want)
		}
	}
	if got := files(t, dir); !slices.Equal(got, []string{"mx.crt"}) {
		t.Errorf("there is %q", got)
	}
}

// What does not belong together is not written.
func TestWriteRefuses(t *testing.T) {
	p := testpki.New(t)
	id, other := p.Host("mx.corp.example", ca.P256), p.Host("mail.corp.example", ca.P256)
	for _, tt := range []struct {
		name string
		b    bundle.Bundle
		o    bundle.Options
		want string
	}{
		{"another's key", bundle.Bundle{Certificate: id.Certificate, Key: other.Key}, bundle.Options{}, "the key is not that of the certificate"},
		{"PKCS #12 without a key", bundle.Bundle{Certificate: id.Certificate}, bundle.Options{PKCS12: bundle.Modern2023}, "the key is not here"},
		{"a profile without a key", bundle.Bundle{Certificate: id.Certificate}, bundle.Options{Mobile: &bundle.Profile{}}, "the key is not here"},
		{"an account without hosts", of(p, id), bundle.Options{Mobile: &bundle.Profile{Account: &bundle.Account{Address: "a@corp.example"}}}, "needs the host"},
		{"an account without an address", of(p, id), bundle.Options{Mobile: &bundle.Profile{Account: &bundle.Account{Incoming: "mx", Outgoing: "mx"}}}, "needs an address"},
	} {
		dir := t.TempDir()
		if _, err := bundle.Write(filepath.Join(dir, "mx"), tt.b, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", tt.name, err)
		}
		if got := files(t, dir); got != nil {
			t.Errorf("%s: there is %q", tt.name, got)
		}
	}
	if _, err := bundle.Write(filepath.Join(t.TempDir(), "absent", "mx"), of(p, id), bundle.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// A new certificate for a server's key goes first in its file.
func TestPlace(t *testing.T) {
	p := testpki.New(t).Below()
	for _, ending := range []string{".crt", ".cert", ".pem"} {
		old := p.Issue(ca.Request{Profile: ca.Host, Hosts: []string{"mx.corp.example"}, Key: ca.P256})
		base := filepath.Join(t.TempDir(), "server")
		was := append([]byte("# the server's\n"), testpki.CertPEM(old.Certificate, old.Chain[0])...)
		if ending == ".pem" { // the key is in the file
			was = append(was, testpki.KeyPEM(t, old.Key)...)
		} else if err := os.WriteFile(base+".key", testpki.KeyPEM(t, old.Key), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(base+ending, was, 0o640); err != nil {
			t.Fatal(err)
		}
		place, err := bundle.FindPlace(base)
		if err != nil {
			t.Fatal(err)
		}
		renewed := p.Issue(ca.Request{Profile: ca.Host, Hosts: []string{"mx.corp.example"}, PublicKey: place.Public})
		if err := place.Put(renewed.Certificate, renewed.Chain...); err != nil {
			t.Fatal(err)
		}
		now := readFile(t, base+ending)
		if want := append(testpki.CertPEM(renewed.Certificate), was...); !bytes.Equal(now, want) {
			t.Errorf("%s: got\n%s", ending, now)
		}
		if fi, err := os.Stat(base + ending); err != nil || fi.Mode().Perm() != 0o640 {
			t.Errorf("%s: mode %v, %v", ending, fi.Mode(), err)
		}
		again, err := bundle.FindPlace(base)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Put(renewed.Certificate); !errors.Is(err, bundle.ErrExists) {
			t.Errorf("%s: twice: %v", ending, err)
		}
		if err := again.Put(p.Host("other.corp.example", ca.P256).Certificate); err == nil || !strings.Contains(err.Error(), "key is not that of the certificate") {
			t.Errorf("%s: another key: %v", ending, err)
		}
		if got := readFile(t, base+ending); !bytes.Equal(got, now) {
			t.Errorf("%s: a refusal changed the file", ending)
		}
	}
}

// A certificate behind a link is written where it is; the link stays.
func TestPlaceBehindALink(t *testing.T) {
	p := testpki.New(t)
	id := p.Host("mx.corp.example", ca.P256)
	dir := t.TempDir()
	live, link := filepath.Join(dir, "live.crt"), filepath.Join(dir, "mx.crt")
	for name, content := range map[string][]byte{live: testpki.CertPEM(id.Certificate), filepath.Join(dir, "mx.key"): testpki.KeyPEM(t, id.Key)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("live.crt", link); err != nil {
		t.Fatal(err)
	}
	place, err := bundle.FindPlace(filepath.Join(dir, "mx"))
	if err != nil {
		t.Fatal(err)
	}
	if err := place.Put(p.Issue(ca.Request{Profile: ca.Host, Hosts: []string{"mx.corp.example"}, PublicKey: place.Public}).Certificate); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != "live.crt" || bytes.Count(readFile(t, live), []byte("BEGIN CERTIFICATE")) != 2 {
		t.Errorf("link to %q, %v; live.crt has\n%s", to, err, readFile(t, live))
	}
}

// Without a file, or a key, there is no place.
func TestNoPlace(t *testing.T) {
	p := testpki.New(t)
	id := p.Host("mx.corp.example", ca.P256)
	dir := t.TempDir()
	base := filepath.Join(dir, "server")
	find := func(want string) {
		t.Helper()
		if _, err := bundle.FindPlace(base); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	write := func(ending string, data []byte) {
		t.Helper()
		if err := os.WriteFile(base+ending, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	find("want the file to put the certificate into")
	write(".crt", testpki.CertPEM(id.Certificate))
	find("server.crt: holds no private key in PEM")
	write(".crt", id.Certificate.Raw)
	find("server.crt: not in PEM; convert it")
	write(".crt", testpki.CertPEM(id.Certificate))
	write(".key", []byte("broken"))
	find("server.key: holds no private key in PEM")
	write(".crt", make([]byte, 1<<20+1))
	find("larger than 1 MiB")
}

func TestCertificate(t *testing.T) {
	c := testpki.New(t).Root()
	for name, want := range map[string][]byte{"ca.cer": c.Raw, "ca.der": c.Raw, "ca.PEM": testpki.CertPEM(c)} {
		if got := bundle.Certificate(name, c); !bytes.Equal(got, want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
