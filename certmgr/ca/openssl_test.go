package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/certmgr/ca/index"
)

// openssl runs the command, in a folder of its own.
func openssl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := tryOpenSSL(t, args...)
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// opensslIn runs it in a folder that matters.
func opensslIn(t testing.TB, dir string, args ...string) {
	t.Helper()
	if out, err := runOpenSSL(t, dir, args...); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// tryOpenSSL is for what it may refuse.
func tryOpenSSL(t testing.TB, args ...string) (string, error) {
	t.Helper()
	return runOpenSSL(t, t.TempDir(), args...)
}

func runOpenSSL(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl command")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// purposes are what openssl must find a certificate of a profile good for.
var purposes = map[Profile][]string{
	User:    {"smimesign"},
	Gateway: {"smimesign"},
	Host:    {"sslserver", "sslclient"},
	Client:  {"sslclient"},
	SubCA:   {"any"},
}

var requests = map[Profile]Request{
	User:    alice,
	Gateway: {Profile: Gateway, Subject: Subject{CommonName: "corp.example"}, Hosts: []string{"*.corp.example"}},
	Host:    {Profile: Host, Subject: Subject{CommonName: "mx.corp.example"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}},
	Client:  {Profile: Client, Subject: Subject{CommonName: "backup"}},
	SubCA:   {Profile: SubCA, Subject: Subject{CommonName: "Issuing CA"}},
}

// slowKey reports whether it takes seconds to find a key's primes, and nobody
// said that there is time.
func slowKey(k KeyKind) bool {
	return (k == RSA3072 || k == RSA4096) && os.Getenv("MAILSEAL_SLOW") == ""
}

func TestOpenSSLAcceptsEveryProfileAndKey(t *testing.T) {
	c := newCA(t)
	for key := range keyKinds {
		kind := KeyKind(key)
		if slowKey(kind) {
			continue
		}
		// One key of the kind serves all profiles.
		k, err := GenerateKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		for profile, r := range requests {
			r.PublicKey = k.Public()
			i := issue(t, c, r)
			for _, purpose := range purposes[profile] {
				verify(t, c, i, purpose)
				if kind <= RSA4096 && purpose == "smimesign" {
					verify(t, c, i, "smimeencrypt")
				}
			}
		}
	}
}

func TestOpenSSLAcceptsEveryCAKey(t *testing.T) {
	for key := range keyKinds {
		if slowKey(KeyKind(key)) {
			continue
		}
		c := newCA(t, func(o *InitOptions) { o.Key = KeyKind(key) })
		verify(t, c, issue(t, c, alice), "smimesign")
	}
	root := newCA(t)
	sub := newCA(t, func(o *InitOptions) { o.Parent, o.Subject.CommonName = root, "Issuing CA" })
	verify(t, sub, issue(t, sub, alice), "smimesign")
}

// verify has openssl check a certificate up to the root.
func verify(t *testing.T, c *CA, i *Issued, purpose string) {
	t.Helper()
	dir := t.TempDir()
	chain := c.Chain()
	args := []string{"verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose}
	for name, certs := range map[string][]*x509.Certificate{
		"-CAfile": chain[len(chain)-1:], "-untrusted": chain[:len(chain)-1], "": {i.Certificate},
	} {
		if len(certs) == 0 {
			continue
		}
		file := filepath.Join(dir, strings.TrimPrefix(name, "-")+".pem")
		writeFile(t, file, string(EncodeCertificates(certs...)))
		if name != "" {
			args = append(args, name, file)
		}
	}
	openssl(t, append(args, filepath.Join(dir, ".pem"))...)
}

// openssl ca and this package work on one folder in turns.
func TestOpenSSLInTurns(t *testing.T) {
	const secret = "with a blank"
	tests := []struct {
		name   string
		folder string
		change func(*InitOptions)
	}{
		{"rsa, encrypted", "CA", func(o *InitOptions) { o.Key, o.Passphrase, o.Unencrypted = RSA2048, []byte(secret), false }},
		{"p384", "a folder # $with \"odd\" 'signs' \\", func(o *InitOptions) { o.Key = P384 }},
		{"ed25519", "株式会社", func(o *InitOptions) { o.Key = Ed25519 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := InitOptions{Subject: subject, Unencrypted: true}
			tt.change(&o)
			c, err := Init(filepath.Join(t.TempDir(), tt.folder), o)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(c.path(keyFile)); err != nil || bytes.HasPrefix(b, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----")) != (o.Passphrase != nil) {
				t.Errorf("the key is encrypted or not, as was not asked for: %v", err)
			}
			run := func(args ...string) string {
				t.Helper()
				args = append([]string{"ca", "-config", c.path(confFile), "-batch"}, args...)
				return openssl(t, append(args, "-passin", "pass:"+secret)...)
			}
			ours := issue(t, c, alice).Certificate

			work := t.TempDir()
			csr, out := filepath.Join(work, "csr.pem"), filepath.Join(work, "cert.pem")
			openssl(t, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", filepath.Join(work, "key.pem"), "-out", csr,
				"-subj", "/C=JP/O=MyCorp/CN=mx.corp.example", "-addext", "subjectAltName=DNS:mx.corp.example")
			run("-in", csr, "-out", out, "-extensions", "host", "-notext")
			theirs := readCert(t, out)
			verify(t, c, &Issued{Certificate: theirs}, "sslserver")

			again := issue(t, c, requests[Host]).Certificate
			wantCertificates(t, c, []string{index.Serial(ours.SerialNumber), index.Serial(theirs.SerialNumber), index.Serial(again.SerialNumber)})

			run("-revoke", c.newCert(ours.SerialNumber, "pem"), "-crl_reason", "keyCompromise")
			run("-updatedb")
			crl := filepath.Join(work, "crl.pem")
			run("-gencrl", "-out", crl)
			last := issue(t, c, requests[Gateway]).Certificate
			wantCertificates(t, c, []string{
				index.Serial(ours.SerialNumber), index.Serial(theirs.SerialNumber), index.Serial(again.SerialNumber), index.Serial(last.SerialNumber),
			})
			b, err := os.ReadFile(crl)
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(b)
			list, err := x509.ParseRevocationList(block.Bytes)
			if err != nil || len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(ours.SerialNumber) != 0 {
				t.Errorf("the list that openssl made: %v, %v", list, err)
			}
		})
	}
}

// Our lines of index.txt are those that openssl writes for the certificate.
func TestIndexLineIsOpenSSLs(t *testing.T) {
	subjects := []Subject{
		{CommonName: "plain"},
		{CommonName: "a/b+c=d\\e,f;g\"h<i>#j"},
		{CommonName: "日本語", Organization: "株式会社例", OrganizationalUnit: "é ü"},
		{CommonName: "Smile 🙂", Email: "smile@corp.example"},
		{Country: "US", State: "CA", Locality: "L.A.", Organization: "O", OrganizationalUnit: "OU", CommonName: "all", Email: "x@y.example"},
	}
	c := newCA(t)
	for _, s := range subjects {
		for _, r := range []Request{
			{Profile: Client, Subject: s, Key: P256},
			{Profile: SubCA, Subject: s, Key: P256, Days: 9900}, // beyond 2049
		} {
			writeFile(t, c.path(indexFile), "")
			cert := issue(t, c, r).Certificate
			ours, err := os.ReadFile(c.path(indexFile))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, c.path(indexFile), "")
			openssl(t, "ca", "-config", c.path(confFile), "-valid", c.newCert(cert.SerialNumber, "pem"))
			theirs, err := os.ReadFile(c.path(indexFile))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(ours, theirs) {
				t.Errorf("index line %q,\nopenssl's %q", ours, theirs)
			}
		}
	}
}

func readCert(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s: no PEM: %q", path, b)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
