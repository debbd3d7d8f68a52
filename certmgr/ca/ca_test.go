package ca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/internal/pki"
)

var subject = Subject{Country: "JP", State: "Osaka", Locality: "Kita-ku", Organization: "MyCorp", CommonName: "Private CA"}

// newCA makes a CA with a fast key and no passphrase.
func newCA(t testing.TB, change ...func(*InitOptions)) *CA {
	t.Helper()
	o := InitOptions{Subject: subject, Key: P256, Unencrypted: true}
	for _, f := range change {
		f(&o)
	}
	c, err := Init(filepath.Join(t.TempDir(), "CA"), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func issue(t testing.TB, c *CA, r Request) *Issued {
	t.Helper()
	i, err := c.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// alice is a request that every CA grants.
var alice = Request{Profile: User, Subject: Subject{CommonName: "Alice"}, Emails: []string{"alice@corp.example"}, Key: P256}

func TestInitLeavesTheFolderOfOpenSSL(t *testing.T) {
	c := newCA(t)
	issue(t, c, alice)
	want := map[string]fs.FileMode{
		".": 0o700, "private": 0o700, "private/cakey.pem": 0o600, "newcerts": 0o700, "lock": 0o600,
		"cacert.pem": 0o644, "serial": 0o644, "crlnumber": 0o644, "index.txt": 0o644, "index.txt.attr": 0o644, "openssl.cnf": 0o644,
		"ca.toml": 0o644, "audit.log": 0o600, "audit.head": 0o600,
	}
	err := filepath.WalkDir(c.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(c.Dir(), path)
		if filepath.Dir(name) == "newcerts" {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if mode, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
		delete(want, name)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("missing: %v, %v", want, err)
	}
	wantFile(t, c, "serial", "01\n")
	wantFile(t, c, "crlnumber", "01\n")
	wantFile(t, c, "index.txt.attr", "unique_subject = no\n")
}

func TestInitRefusesToOverwrite(t *testing.T) {
	c := newCA(t)
	before := snapshot(t, c.Dir())
	if _, err := Init(c.Dir(), InitOptions{Subject: subject, Key: P256, Unencrypted: true}); err == nil || !strings.Contains(err.Error(), "nothing is overwritten") {
		t.Errorf("second Init: %v", err)
	}
	if after := snapshot(t, c.Dir()); after != before {
		t.Errorf("the folder was changed:\n%s\nwas\n%s", after, before)
	}
	// Nor a folder in which only the key is left.
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Init(dir, InitOptions{Subject: subject, Key: P256, Unencrypted: true}); err == nil {
		t.Error("Init in a folder with private/")
	}
}

// An Init that was killed has left its mark: Open refuses what it left, and
// the next Init begins again.
func TestInitThatWasKilled(t *testing.T) {
	whole := newCA(t)
	for _, keep := range []string{"", keyFile, indexFile, certFile} {
		dir := filepath.Join(t.TempDir(), "CA")
		if err := os.MkdirAll(filepath.Join(dir, "private"), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, initFile), "")
		if keep != "" {
			b, err := os.ReadFile(whole.path(keep))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, keep), string(b))
		}
		if _, err := Open(dir, OpenOptions{}); err == nil || !strings.Contains(err.Error(), "never finished") {
			t.Errorf("Open with %q: %v", keep, err)
		}
		if _, err := Init(dir, InitOptions{Subject: subject, Key: P256, Unencrypted: true}); err != nil {
			t.Fatalf("Init again with %q: %v", keep, err)
		}
		c, err := Open(dir, OpenOptions{})
		if err != nil {
			t.Fatalf("Open after Init again: %v", err)
		}
		issue(t, c, alice)
	}
}

func TestInitErrorsNameTheField(t *testing.T) {
	with := func(f func(*Subject)) InitOptions {
		s := subject
		f(&s)
		return InitOptions{Subject: s, Unencrypted: true, Key: P256}
	}
	tests := []struct {
		want string
		o    InitOptions
	}{
		{"no passphrase", InitOptions{Subject: subject}},
		{"common name: empty", with(func(s *Subject) { s.CommonName = "" })},
		{`country "jp": want two capital letters`, with(func(s *Subject) { s.Country = "jp" })},
		{`country "J\xff"`, with(func(s *Subject) { s.Country = "J\xff" })},
		{`country "JPN"`, with(func(s *Subject) { s.Country = "JPN" })},
		{`state "a\nb"`, with(func(s *Subject) { s.State = "a\nb" })},
		{`state "a\x00b"`, with(func(s *Subject) { s.State = "a\x00b" })},
		{`locality " Kita-ku"`, with(func(s *Subject) { s.Locality = " Kita-ku" })},
		{"organization", with(func(s *Subject) { s.Organization = strings.Repeat("o", 65) })},
		{"organizational unit", with(func(s *Subject) { s.OrganizationalUnit = "\xff" })},
		{"e-mail address", with(func(s *Subject) { s.Email = "nobody" })},
		{"write its domain as ca@xn--wgv71a119e.jp", with(func(s *Subject) { s.Email = "ca@日本語.jp" })},
		{"days -1", InitOptions{Subject: subject, Unencrypted: true, Days: -1}},
		{"days 40000", InitOptions{Subject: subject, Unencrypted: true, Days: 40000}},
		{"key(77)", InitOptions{Subject: subject, Unencrypted: true, Key: 77}},
	}
	for _, tt := range tests {
		dir := filepath.Join(t.TempDir(), "CA")
		if _, err := Init(dir, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Init: %v, want %q", err, tt.want)
		}
		if _, err := os.Stat(filepath.Join(dir, certFile)); err == nil {
			t.Errorf("%s: a CA was made", tt.want)
		}
	}
	// Japanese names are names like others.
	s := Subject{Country: "JP", Organization: "株式会社例", CommonName: "私的認証局"}
	if _, err := Init(filepath.Join(t.TempDir(), "CA"), InitOptions{Subject: s, Key: P256, Unencrypted: true}); err != nil {
		t.Error(err)
	}
}

// Init's own encryption is in TestOpenSSLInTurns: it takes long on purpose,
// which that of openssl need not.
func TestEncryptedKey(t *testing.T) {
	secret := "long and 秘密"
	c := newCA(t)
	opensslIn(t, c.path(keyFolder), "pkcs8", "-topk8", "-v2", "aes256", "-iter", "1000", "-in", "cakey.pem", "-out", "encrypted.pem", "-passout", "pass:"+secret)
	if err := os.Rename(c.path("private/encrypted.pem"), c.path(keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c.Dir(), OpenOptions{}); !errors.Is(err, pki.ErrNoPassphrase) {
		t.Errorf("Open without a passphrase: %v", err)
	}
	if _, err := Open(c.Dir(), OpenOptions{Passphrase: []byte("wrong")}); !errors.Is(err, pki.ErrPassphrase) {
		t.Errorf("Open with a wrong one: %v", err)
	}
	again, err := Open(c.Dir(), OpenOptions{Passphrase: []byte(secret)})
	if err != nil {
		t.Fatal(err)
	}
	issue(t, again, alice)
}

func TestOpenRefusesWhatIsNoCA(t *testing.T) {
	c, other := newCA(t), newCA(t)
	leaf := issue(t, c, alice)
	key, err := EncodeKey(leaf.Key, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string
		spoil      func(c *CA)
	}{
		{"no folder", "no such file", func(c *CA) { os.RemoveAll(c.Dir()) }},
		{"another CA's certificate", "does not belong", func(c *CA) { writeFile(t, c.path(certFile), string(EncodeCertificates(other.Certificate()))) }},
		{"a user's certificate and key", "not a CA's certificate", func(c *CA) {
			writeFile(t, c.path(certFile), string(EncodeCertificates(leaf.Certificate)))
			writeFile(t, c.path(keyFile), string(key))
		}},
		{"broken chain.pem", "chain.pem", func(c *CA) { writeFile(t, c.path(chainFile), "rubbish") }},
	}
	for _, tt := range tests {
		c := newCA(t)
		tt.spoil(c)
		if _, err := Open(c.Dir(), OpenOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), c.Dir()) {
			t.Errorf("%s: %v, want the folder and %q", tt.name, err, tt.want)
		}
	}
}

func TestIssuedCertificate(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 5e8, time.UTC)
	c := newCA(t, func(o *InitOptions) { o.Now = func() time.Time { return now } })
	now = now.Add(48 * time.Hour)
	cert := issue(t, c, Request{
		Profile: User, Subject: Subject{CommonName: "alice@corp.example", Organization: "Sales & Co"},
		Emails: []string{"a.other@corp.example", "alice@corp.example", "taro@日本語.jp"},
	}).Certificate
	if got, want := strings.Join(cert.EmailAddresses, " "), "alice@corp.example a.other@corp.example taro@xn--wgv71a119e.jp"; got != want {
		t.Errorf("addresses %q, want %q: the common name is among them once", got, want)
	}
	if got, want := cert.Subject.String(), "CN=alice@corp.example,O=Sales & Co,L=Kita-ku,ST=Osaka,C=JP"; got != want {
		t.Errorf("subject %q, want %q: what is not given is the CA's", got, want)
	}
	if !bytes.Equal(cert.RawIssuer, c.Certificate().RawSubject) {
		t.Error("issuer and the CA's subject differ in bytes")
	}
	if got, want := cert.KeyUsage, x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment|x509.KeyUsageKeyEncipherment; got != want {
		t.Errorf("key usage %b, want %b", got, want)
	}
	if len(cert.SerialNumber.Bytes()) != 16 {
		t.Errorf("serial %X: want 128 bits", cert.SerialNumber)
	}
	if got := cert.NotBefore; !got.Equal(now.Truncate(time.Second).Add(-time.Hour)) {
		t.Errorf("from %v", got)
	}
	if got := cert.NotAfter.Sub(cert.NotBefore); got != 730*24*time.Hour-time.Second {
		t.Errorf("good for %v, want 730 days, both ends included", got)
	}
}

func TestIssueErrorsWriteNothing(t *testing.T) {
	c := newCA(t)
	weak := weakKey(t)
	tests := []struct {
		want string
		r    Request
	}{
		{"no profile", Request{Subject: Subject{CommonName: "x"}}},
		{"no name that a user certificate could be for: want an e-mail address", Request{Profile: User, Subject: Subject{CommonName: "Alice"}}},
		{"no name that a gateway certificate could be for: want an e-mail address or a host or domain name", Request{Profile: Gateway, Subject: Subject{CommonName: "Gateway"}}},
		{`common name "Mail Server": a host certificate's`, Request{Profile: Host, Subject: Subject{CommonName: "Mail Server"}}},
		{`e-mail address "a@b.example": a host`, Request{Profile: Host, Subject: Subject{CommonName: "mx.example"}, Emails: []string{"a@b.example"}}},
		{`host name "mx.example": a user`, Request{Profile: User, Emails: []string{"a@b.example"}, Hosts: []string{"mx.example"}}},
		{`address 192.0.2.1: a user`, Request{Profile: User, Emails: []string{"a@b.example"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}},
		{`address "fe80::1%eth0"`, Request{Profile: Host, Addresses: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}}},
		{`e-mail address "a"`, Request{Profile: User, Emails: []string{"a"}}},
		{`e-mail address "a@*.example"`, Request{Profile: User, Emails: []string{"a@*.example"}}},
		{`only ASCII`, Request{Profile: User, Emails: []string{"太郎@example.jp"}}},
		{`e-mail address "a b@example.jp"`, Request{Profile: User, Emails: []string{"a b@example.jp"}}},
		{`e-mail address "A <a@example.jp>"`, Request{Profile: User, Emails: []string{"A <a@example.jp>"}}},
		{`host name "a_b.example"`, Request{Profile: Host, Hosts: []string{"a_b.example"}}},
		{`host name "a..example"`, Request{Profile: Host, Hosts: []string{"a..example"}}},
		{`host name "mx.example."`, Request{Profile: Host, Hosts: []string{"mx.example."}}},
		{`host name "*."`, Request{Profile: Host, Hosts: []string{"*."}}},
		{"days 826: want 1 to 825", Request{Profile: Host, Hosts: []string{"mx.example"}, Days: 826}},
		{"days -1", Request{Profile: Host, Hosts: []string{"mx.example"}, Days: -1}},
		{"RSA key of 1024 bits", Request{Profile: Host, Hosts: []string{"mx.example"}, PublicKey: weak}},
		{"public key of type", Request{Profile: Host, Hosts: []string{"mx.example"}, PublicKey: "none"}},
		{"common name: empty", Request{Profile: Client}},
		{"days 20000: the CA itself ends", Request{Profile: SubCA, Subject: Subject{CommonName: "Sub"}, Days: 20000}},
	}
	before := snapshot(t, c.Dir())
	for _, tt := range tests {
		if _, err := c.Issue(tt.r); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Issue: %v, want %q", err, tt.want)
		}
	}
	if after := snapshot(t, c.Dir()); after != before {
		t.Errorf("the folder was changed:\n%s\nwas\n%s", after, before)
	}
}

func TestIssueOutsideTheCAsTime(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	c := newCA(t, func(o *InitOptions) { o.Days, o.Now = 100, func() time.Time { return now } })
	if got := issue(t, c, alice).Certificate; !got.NotAfter.Equal(c.Certificate().NotAfter) || !got.NotBefore.Equal(begin) {
		t.Errorf("good from %v to %v: by default a certificate stays within the CA's %v to %v", got.NotBefore, got.NotAfter, begin, c.Certificate().NotAfter)
	}
	now = begin.Add(-time.Minute)
	if _, err := c.Issue(alice); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("before its begin: %v", err)
	}
	now = begin.AddDate(0, 0, 101)
	if _, err := c.Issue(alice); err == nil || !strings.Contains(err.Error(), "renew it") {
		t.Errorf("after its end: %v", err)
	}
}

func TestCABelowAnother(t *testing.T) {
	root := newCA(t)
	sub := newCA(t, func(o *InitOptions) { o.Parent, o.Subject.CommonName = root, "Issuing CA" })
	sub, err := Open(sub.Dir(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i := issue(t, sub, alice)
	if len(i.Chain) != 1 || !i.Chain[0].Equal(sub.Certificate()) {
		t.Errorf("chain of %d, want the intermediate without the root", len(i.Chain))
	}
	if all := sub.Chain(); len(all) != 2 || !all[1].Equal(root.Certificate()) {
		t.Errorf("the CA's own chain has %d certificates, want 2 with the root", len(all))
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root.Certificate())
	between.AddCert(sub.Certificate())
	if _, err := i.Certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}); err != nil {
		t.Error(err)
	}
	if _, err := sub.Issue(Request{Profile: SubCA, Subject: Subject{CommonName: "Deeper"}}); err == nil || !strings.Contains(err.Error(), "no CA below") {
		t.Errorf("a CA below the CA below: %v", err)
	}
}

func wantFile(t *testing.T, c *CA, name, want string) {
	t.Helper()
	b, err := os.ReadFile(c.path(name))
	if err != nil || string(b) != want {
		t.Errorf("%s holds %q, %v; want %q", name, b, err, want)
	}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// snapshot is every file of a folder and its content, but for the audit file,
// which tells of refusals too.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), "audit.") {
			return err
		}
		content, err := os.ReadFile(path)
		b.WriteString(path + "\n" + string(content) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
