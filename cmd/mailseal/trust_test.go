package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// An issuer is a CA that was valid for a day, with a CRL of its own.
type issuer struct{ certificate, crl string }

func newIssuer(t *testing.T, name string, begins, ends time.Time) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: begins, NotAfter: ends,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: begins, NextUpdate: ends,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: begins}},
	}, c, key)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return issuer{text("CERTIFICATE", der), text("X509 CRL", crl)}
}

// TestTrustIsFollowed: files of trust count when they change, without a signal and
// after one.
func TestTrustIsFollowed(t *testing.T) {
	defer goleak.VerifyNone(t)
	name := house(t)
	dir := filepath.Dir(name)
	other := newIssuer(t, "other", time.Now(), time.Now().AddDate(1, 0, 0))
	rewrite(t, name, `trust = ["ca.pem"]`, `trust = ["ca.pem"]`+"\ncrls = [\"crl.d\"]")
	r := start(t, name, nil)
	r.log.await("kept the old files", "what=crls", "no such file")
	before := r.trust
	put(t, filepath.Join(dir, "new/other.crl"), other.crl)
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "crl.d")); err != nil {
		t.Fatal(err)
	}
	r.log.await("reloaded", "what=crls", "count=1")
	if before.Anchors() == nil {
		t.Error("nothing in force")
	}

	// The next configuration has files of its own.
	put(t, filepath.Join(dir, "more.pem"), other.certificate)
	rewrite(t, name, `trust = ["ca.pem"]`, `trust = ["ca.pem", "more.pem"]`)
	r.again <- syscall.SIGHUP
	r.log.await("reloaded", "anchors=2")
	put(t, filepath.Join(dir, "more.pem"), other.certificate+other.certificate)
	r.log.await("reloaded", "what=trust", "count=3")

	// What is broken then is told, and what was there stays.
	put(t, filepath.Join(dir, "more.pem"), "nothing")
	r.log.await("kept the old files", "more.pem")
	r.again <- syscall.SIGHUP
	r.log.await("kept the old configuration", "more.pem")
	put(t, filepath.Join(dir, "more.pem"), other.certificate)
	r.log.await("reloaded", "what=trust", "count=2")
	if err := r.end(); err != nil {
		t.Errorf("run: %v", err)
	}
}

// TestCheckTrust: check tells who is trusted, and what will not do.
func TestCheckTrust(t *testing.T) {
	name := house(t)
	dir := filepath.Dir(name)
	now := time.Now()
	partner, old := newIssuer(t, "partner", now, now.AddDate(1, 0, 0)), newIssuer(t, "old", now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0))
	put(t, filepath.Join(dir, "partner.pem"), partner.certificate)
	put(t, filepath.Join(dir, "crl.d/a.crl"), partner.crl+old.crl)
	put(t, filepath.Join(dir, "pinned.pem"), old.certificate)
	rewrite(t, name, `trust = ["ca.pem"]`, `trust = ["ca.pem"]
crls = ["crl.d", "none.crl"]
pinned = ["pinned.pem"]
revocation = "hard"
[domain_cas]
".partner.example" = ["partner.pem"]`)
	text, warnings, status := call("", "check", "-config", name)
	if status != 0 {
		t.Fatalf("status %d: %s", status, warnings)
	}
	year := partner.until(t)
	for _, want := range []string{
		"anchors       1\n", "domain_cas    1\n", `.partner.example: "CN=partner" until ` + year, "pinned        1\n", `"CN=old" until `,
		"revocation    hard\n", "crls          2\n", `"CN=partner" until ` + year + ", 1 revoked\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, want := range []string{
		`smime.pinned: certificate "CN=old" expired on `, `smime.crls: CRL of "CN=old" expired on `,
		"warning: smime.crls: no " + dir + "/none.crl yet; it counts as soon as it is there\n",
	} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no %q in\n%s", want, warnings)
		}
	}
	if out, _, _ := call("", "check", "-json", "-config", name); !strings.Contains(out, `"next_update": "`+year) || !strings.Contains(out, `"revocation": "hard"`) {
		t.Error(out)
	}

	for change, want := range map[[2]string]string{
		{`"partner.pem"`, `"partner.pem", "none.pem"`}: `domain_cas.".partner.example": stat ` + dir + "/none.pem: no such file",
		{`"pinned.pem"`, `"crl.d/a.crl"`}:              "smime.pinned: " + dir + "/crl.d/a.crl: holds no certificate",
		{`"crl.d", "none.crl"`, `"pinned.pem"`}:        "smime.crls: " + dir + "/pinned.pem: ",
	} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rewrite(t, name, change[0], change[1])
		if _, errs, status := call("", "check", "-config", name); status != exConfig || !strings.Contains(errs, want) {
			t.Errorf("status %d, no %q in\n%s", status, want, errs)
		}
		put(t, name, string(data))
	}

	rewrite(t, name, `revocation = "hard"`, `revocation = "off"`)
	if _, warnings, _ := call("", "check", "-config", name); !strings.Contains(warnings, "smime.crls: of no use as long as revocation is off\n") {
		t.Error(warnings)
	}
	rewrite(t, name, `revocation = "off"`, `revocation = "hard"`)
	rewrite(t, name, `crls = ["crl.d", "none.crl"]`, "")
	if _, warnings, _ := call("", "check", "-config", name); !strings.Contains(warnings, "smime.revocation: without crls") {
		t.Error(warnings)
	}
}

// until is when the CA ends, as a day.
func (i issuer) until(t *testing.T) string {
	t.Helper()
	b, _ := pem.Decode([]byte(i.certificate))
	c, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c.NotAfter.Format(time.DateOnly)
}
