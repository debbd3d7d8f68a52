// Package fetching_test runs the product where certificates name who tells of
// their revocation: a web server with CRLs, and OpenSSL's OCSP responder.
package fetching_test

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/internal/verdict"
	"mailseal/test/daemon"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A world is a CA, and the web server that its certificates name.
type world struct {
	t    *testing.T
	key  crypto.Signer
	root *x509.Certificate
	web  *httptest.Server
	hits atomic.Int64
	list atomic.Pointer[[]byte] // what the server has
	next int64                  // serial number, and number of the next list
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	w := &world{t: t, key: key, next: 1000}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Far CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	w.root, err = testpki.Certificate(template, nil, key.Public(), key)
	ok(t, err)
	w.revoke()
	w.web = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hits.Add(1)
		rw.Write(*w.list.Load())
	}))
	t.Cleanup(w.web.Close)
	return w
}

// revoke issues a list of who is revoked.
func (w *world) revoke(ids ...pki.Identity) {
	w.t.Helper()
	w.next++
	list := &x509.RevocationList{Number: big.NewInt(w.next), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().AddDate(0, 0, 1)}
	for _, id := range ids {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: id.Certificate.SerialNumber, RevocationTime: list.ThisUpdate, ReasonCode: 1,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, w.root, w.key)
	ok(w.t, err)
	w.list.Store(&der)
}

// issue makes a certificate of Carol's, and names who tells of it.
func (w *world) issue(crl, ocsp string) pki.Identity {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(w.t, err)
	w.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(w.next), Subject: pkix.Name{CommonName: "Carol"}, EmailAddresses: []string{carol},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	if crl != "" {
		template.CRLDistributionPoints = []string{crl}
	}
	if ocsp != "" {
		template.OCSPServer = []string{ocsp}
	}
	c, err := testpki.Certificate(template, w.root, key.Public(), w.key)
	ok(w.t, err)
	return pki.Identity{Certificate: c, Key: key}
}

const carol = "carol@far.example.org"

// letter is a mail of Carol's, signed.
func letter(t *testing.T, id pki.Identity) []byte {
	t.Helper()
	const mail = "From: Carol <" + carol + ">\r\nTo: alice@example.test\r\nSubject: a letter\r\n" +
		"Date: Sat, 21 Nov 2026 12:00:00 +0900\r\nMessage-ID: <a@far.example.org>\r\n\r\nHello\r\n"
	file := testpki.Write(t, "carol.pem", testpki.PEM(t, id))
	out, text, status := daemon.Run(t, []byte(mail), "sign", "-identity", file)
	if status != 0 {
		t.Fatalf("mailseal sign: %d, %s", status, text)
	}
	return []byte(out)
}

// settings have Far CA as the only one that is trusted.
func (w *world) settings(lines ...string) daemon.Settings {
	return daemon.Settings{
		Socket: "unix:" + filepath.Join(w.t.TempDir(), "milter.sock"), Trust: []*x509.Certificate{w.root},
		SMIME: append([]string{"[fetch]", "crl = true", "ocsp = true", `wait = "60s"`, `timeout = "60s"`, `allow = ["127.0.0.1"]`}, lines...),
	}
}

// told is what filter says of a mail: the result, and of revocation.
func told(t *testing.T, d *daemon.Daemon, mail []byte) verdict.Result {
	t.Helper()
	_, text, status := daemon.Run(t, mail, "filter", "-config", d.File(), "-client", daemon.Outside, "-from", carol, "-rcpt", "alice@example.test", "-json")
	var said struct{ Result *verdict.Result }
	if err := json.Unmarshal([]byte(text), &said); err != nil || status != 0 || said.Result == nil {
		t.Fatalf("status %d, %v: %s", status, err, text)
	}
	return *said.Result
}

// want compares what is said of a mail.
func want(t *testing.T, d *daemon.Daemon, mail []byte, status verdict.Status, revocation string) {
	t.Helper()
	if r := told(t, d, mail); r.Status != status || r.Revocation != revocation {
		t.Errorf("%s, revocation %s (%s); want %s, %s", r.Status, r.Revocation, r.Reason, status, revocation)
	}
}

// kept are the daemon's files of what was fetched.
func kept(t *testing.T, d *daemon.Daemon) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(d.Folder(), "state", "fetch", "*"))
	ok(t, err)
	return all
}

// responder starts OpenSSL's OCSP responder, and returns its URL. The index has
// who is good and who revoked.
func (w *world) responder(index string) string {
	t := w.t
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"index.txt": []byte(index), "ca.pem": testpki.CertPEM(w.root), "ca.key": testpki.KeyPEM(t, w.key)} {
		ok(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	// It ends when its standard input does, whatever becomes of this process.
	cmd := exec.Command("/bin/sh", "-c", `"$0" ocsp -index index.txt -port 0 -CA ca.pem -rsigner ca.pem -rkey ca.key -nmin 60 </dev/null 2>errors &
		read word; kill $!; wait $!`, openssl)
	cmd.Dir = dir
	leash, err := cmd.StdinPipe()
	ok(t, err)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	t.Cleanup(func() { leash.Close(); cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := regexp.MustCompile(`^ACCEPT .*:(\d+) `).FindStringSubmatch(lines.Text()); m != nil {
			return "http://127.0.0.1:" + m[1]
		}
	}
	errors, _ := os.ReadFile(filepath.Join(dir, "errors"))
	t.Fatalf("openssl ocsp does not say on which port it answers: %s", errors)
	return ""
}

// entry is a line of openssl-ca's index.
func entry(id pki.Identity, revoked bool) string {
	state, when := "V", ""
	if revoked {
		state, when = "R", time.Now().Add(-time.Hour).UTC().Format("060102150405Z")+",keyCompromise"
	}
	serial := strings.ToUpper(id.Certificate.SerialNumber.Text(16))
	if len(serial)%2 == 1 {
		serial = "0" + serial
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\tunknown\t/CN=Carol\n", state, id.Certificate.NotAfter.UTC().Format("060102150405Z"), when, serial)
}
