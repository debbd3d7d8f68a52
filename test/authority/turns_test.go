package authority

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailseal/test/daemon"
)

// A workshop is a CA's folder in which the commands of mailseal and openssl ca
// work in turns.
type workshop struct {
	tool        // in the folder
	dir, secret string
	sequential  bool     // serials; otherwise both draw them
	want        []string // serials, as they are issued
}

const passphrase = "with a blank"

// mailseal runs `mailseal ca`.
func (w *workshop) mailseal(t *testing.T, command string, args ...string) string {
	t.Helper()
	return product(t, nil, append([]string{"ca", command, "-dir", w.dir}, args...)...)
}

// openssl runs `openssl ca`.
func (w *workshop) openssl(t *testing.T, args ...string) string {
	t.Helper()
	return w.must(t, "", append([]string{"openssl", "ca", "-config", filepath.Join(w.dir, "openssl.cnf"), "-batch", "-passin", "pass:" + passphrase}, args...)...)
}

// status is what openssl ca knows of a number. Its exit status says nothing.
func (w *workshop) status(serial string) string {
	out, _ := w.run("", "openssl", "ca", "-config", filepath.Join(w.dir, "openssl.cnf"), "-status", serial)
	return out
}

// The folder that mailseal makes, and the one that people have made by hand,
// with FreeBSD's openssl.cnf: whoever works there finds what the other did.
func TestTurns(t *testing.T) {
	need(t, "openssl")
	for name, start := range map[string]func(*testing.T, *workshop){"ours": ours, "the article's": article} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := &workshop{tool: tool{dir: dir}, dir: filepath.Join(dir, "CA"), secret: filepath.Join(dir, "secret")}
			w.write(t, "secret", []byte(passphrase+"\n"))
			start(t, w)
			w.turns(t)
		})
	}
}

func ours(t *testing.T, w *workshop) {
	w.sequential = true
	w.mailseal(t, "init", "-subject", "/C=JP/O=MyCorp/CN=Private CA", "-key", "p256", "-serials", "sequential", "-passphrase-file", w.secret)
}

// article makes /etc/mail/CA as the article does, and has `ca import` take it
// over.
func article(t *testing.T, w *workshop) {
	conf, err := os.ReadFile(filepath.Join("testdata", "article.cnf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{w.dir, w.dir + "/newcerts"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at := tool{dir: w.dir}
	at.write(t, "serial", []byte("01\n"))
	at.write(t, "index.txt", nil)
	at.write(t, "openssl.cnf", conf)
	in := func(command string) {
		t.Helper()
		at.must(t, "", append(strings.Fields(command), "-config", "openssl.cnf")...)
	}
	at.must(t, "", "openssl", "req", "-batch", "-new", "-x509", "-keyout", "cakey.pem", "-out", "cacert.pem", "-days", "3650", "-config", "openssl.cnf",
		"-newkey", "rsa:2048", "-passout", "pass:"+passphrase)
	for i, host := range []string{"krb5.home.example", "dhcp.home.example"} {
		at.write(t, "openssl.cnf", []byte(strings.Replace(string(conf), "krb5.home.example", host, 1)))
		in("openssl req -batch -nodes -new -x509 -keyout " + host + ".key -out newreq.pem -days 365 -newkey rsa:2048")
		at.must(t, "", "openssl", "x509", "-x509toreq", "-in", "newreq.pem", "-signkey", host+".key", "-out", "tmp.pem")
		at.must(t, "", "openssl", "ca", "-config", "openssl.cnf", "-batch", "-passin", "pass:"+passphrase, "-out", host+".cert", "-infiles", "tmp.pem")
		w.want = append(w.want, fmt.Sprintf("%02X", i+1))
	}
	w.mailseal(t, "import", "-passphrase-file", w.secret, "-yes")
	for _, name := range []string{".", "private", "private/cakey.pem", "krb5.home.example.key"} {
		if i, err := os.Stat(filepath.Join(w.dir, name)); err != nil || i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open: %v, %v", name, i, err)
		}
	}
}

// turns has both issue, revoke and make lists.
func (w *workshop) turns(t *testing.T) {
	for i := range 2 {
		w.issue(t, fmt.Sprintf("mx%d.corp.example", i))
		w.sign(t, fmt.Sprintf("www%d.corp.example", i))
	}
	w.listed(t)
	ours, theirs := w.want[len(w.want)-2], w.want[len(w.want)-1]
	// Each revokes what the other has issued.
	w.openssl(t, "-revoke", w.file(ours), "-crl_reason", "keyCompromise")
	w.mailseal(t, "revoke", "-serial", theirs, "-reason", "superseded", "-passphrase-file", w.secret, "-yes")
	if out := w.mailseal(t, "list", "-status", "revoked", "-json"); !strings.Contains(out, `"keyCompromise"`) || !strings.Contains(out, `"superseded"`) {
		t.Errorf("mailseal sees %s", out)
	}
	for _, serial := range []string{ours, theirs} {
		if out := w.status(serial); !strings.Contains(out, serial+"=Revoked") {
			t.Errorf("openssl sees %s: %s", serial, out)
		}
	}
	w.lists(t, ours, theirs)
	w.openssl(t, "-updatedb")
	w.issue(t, "last.corp.example")
	w.listed(t)
	// The audit file knows what openssl did, and that it was not mailseal.
	out, _, status := daemon.Run(t, nil, "ca", "audit", "-dir", w.dir)
	if status != 1 || !strings.Contains(out, ours) || !strings.Contains(out, theirs) {
		t.Errorf("audit: status %d\n%s", status, out)
	}
}

// file is where the folder has a certificate.
func (w *workshop) file(serial string) string { return filepath.Join(w.dir, "newcerts", serial+".pem") }

// issued notes a certificate that has just been issued, which OpenSSL takes for
// what it is for.
func (w *workshop) issued(t *testing.T, path, host string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	// Not -x509_strict: the article's own CA certificate would not pass.
	w.must(t, "", "openssl", "verify", "-purpose", "sslserver", "-verify_hostname", host, "-CAfile", filepath.Join(w.dir, "cacert.pem"), path)
	w.want = append(w.want, serialOf(c.SerialNumber))
}

func serialOf(n *big.Int) string {
	s := strings.ToUpper(n.Text(16))
	return strings.Repeat("0", len(s)%2) + s
}

func (w *workshop) issue(t *testing.T, host string) {
	t.Helper()
	base := filepath.Join(t.TempDir(), host)
	w.mailseal(t, "issue", "-profile", "host", "-cn", host, "-key", "p256", "-passphrase-file", w.secret, "-yes", "-out", base)
	w.issued(t, base+".crt", host)
}

func (w *workshop) sign(t *testing.T, host string) {
	t.Helper()
	w.must(t, "", "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", host+".key", "-out", host+".csr",
		"-subj", "/C=JP/O=MyCorp/CN="+host, "-addext", "subjectAltName=DNS:"+host)
	w.openssl(t, "-in", host+".csr", "-out", host+".pem", "-extensions", "host", "-notext")
	w.issued(t, filepath.Join(w.tool.dir, host+".pem"), host)
}

// listed: each number once, in the order of issue, for both.
func (w *workshop) listed(t *testing.T) {
	t.Helper()
	var records []struct{ Serial string }
	if err := json.Unmarshal([]byte(w.mailseal(t, "list", "-json")), &records); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, r := range records {
		if slices.Contains(got, r.Serial) {
			t.Errorf("%s twice", r.Serial)
		}
		got = append(got, r.Serial)
		if want := fmt.Sprintf("%02X", i+1); w.sequential && r.Serial != want {
			t.Errorf("number %s, want %s", r.Serial, want)
		}
		if out := w.status(r.Serial); !strings.Contains(out, r.Serial+"=") {
			t.Errorf("openssl does not know %s: %s", r.Serial, out)
		}
	}
	if !slices.Equal(got, w.want) {
		t.Errorf("listed are %v, want %v", got, w.want)
	}
}

// lists has both make lists, whose numbers grow; each has what is revoked, and
// OpenSSL goes by each.
func (w *workshop) lists(t *testing.T, revoked ...string) {
	t.Helper()
	last := big.NewInt(-1)
	for i, make := range []func(){
		func() { w.openssl(t, "-gencrl", "-out", filepath.Join(w.dir, "crl.pem")) },
		func() { w.mailseal(t, "crl", "-passphrase-file", w.secret) },
		func() { w.openssl(t, "-gencrl", "-out", filepath.Join(w.dir, "crl.pem")) },
		func() { w.mailseal(t, "crl", "-passphrase-file", w.secret) },
	} {
		make()
		b, err := os.ReadFile(filepath.Join(w.dir, "crl.pem"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(b)
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range list.RevokedCertificateEntries {
			got = append(got, serialOf(e.SerialNumber))
		}
		if !slices.Equal(got, revoked) || list.Number.Cmp(last) <= 0 {
			t.Errorf("list %d: number %v after %v, revoked %v, want %v", i, list.Number, last, got, revoked)
		}
		last = list.Number
		for serial, want := range map[string]string{w.want[len(w.want)-3]: ": OK", revoked[0]: "certificate revoked", revoked[1]: "certificate revoked"} {
			out, _ := w.run("", "openssl", "verify", "-crl_check", "-CRLfile", filepath.Join(w.dir, "crl.pem"), "-CAfile", filepath.Join(w.dir, "cacert.pem"), w.file(serial))
			if !strings.Contains(out, want) {
				t.Errorf("list %d, %s: %s, want %s", i, serial, out, want)
			}
		}
	}
}
