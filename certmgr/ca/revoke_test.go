package ca

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca/index"
)

func revoke(t testing.TB, c *CA, serial string, reason Reason) Record {
	t.Helper()
	r, err := c.Revoke(Revocation{Serial: serial, Reason: reason, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newList(t testing.TB, c *CA) *CRL {
	t.Helper()
	list, err := c.IssueCRL(CRLOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// refusedWithoutATrace runs what must be refused: the error says why, and
// nothing was written but in the audit file.
func refusedWithoutATrace(t *testing.T, c *CA, want string, do func() error) {
	t.Helper()
	before := snapshot(t, c.Dir())
	err := do()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	if !errors.Is(err, ErrRefused) {
		t.Errorf("%v is not ErrRefused", err)
	}
	if after := snapshot(t, c.Dir()); after != before {
		t.Errorf("%s: the folder was changed:\n%s", want, cmp.Diff(before, after))
	}
}

func TestRevokeRefusals(t *testing.T) {
	c := newCA(t)
	first := issue(t, c, alice).Serial()
	second := issue(t, c, alice).Serial()
	revoke(t, c, first, KeyCompromise)
	for want, r := range map[string]Revocation{
		"revoked already":        {Serial: first},
		"no certificate FF":      {Serial: "ff"},
		`serial number "xyz"`:    {Serial: "xyz"},
		"want keyCompromise or":  {Serial: second, Since: time.Now()},
		"that is to come":        {Serial: second, Reason: KeyCompromise, Since: time.Now().Add(time.Hour)},
		`reason "removeFromCRL"`: {Serial: second, Reason: index.RemoveFromCRL},
	} {
		refusedWithoutATrace(t, c, want, func() error { _, err := c.Revoke(r); return err })
	}
	if _, err := c.Show("ff"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Show: %v", err)
	}
}

// Every reason stands in index.txt as openssl writes it and in the list with
// its number, and openssl takes the list.
func TestReasons(t *testing.T) {
	c := newCA(t)
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := map[string]int{}
	for _, reason := range []Reason{Unspecified, KeyCompromise, CACompromise, AffiliationChanged, Superseded, CessationOfOperation, CertificateHold} {
		serial := issue(t, c, alice).Serial()
		r := revoke(t, c, strings.ToLower(serial), reason)
		if r.Status != Revoked || (r.Reason != reason.String() && reason != Unspecified) {
			t.Errorf("%v: %+v", reason, r)
		}
		want[serial] = int(reason)
	}
	for _, reason := range []Reason{KeyCompromise, CACompromise} {
		serial := issue(t, c, alice).Serial()
		if _, err := c.Revoke(Revocation{Serial: serial, Reason: reason, Since: since}); err != nil {
			t.Fatal(err)
		}
		want[serial] = int(reason)
	}
	list := newList(t, c)
	parsed, err := x509.ParseRevocationList(list.DER)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.CheckSignatureFrom(c.Certificate()); err != nil {
		t.Error(err)
	}
	compromised := 0
	for _, e := range parsed.RevokedCertificateEntries {
		serial := index.Serial(e.SerialNumber)
		if reason, ok := want[serial]; !ok || reason != e.ReasonCode {
			t.Errorf("%s has the reason %d, want %d", serial, e.ReasonCode, reason)
		}
		if e.ReasonCode == 0 && len(e.Extensions) > 0 {
			t.Errorf("%s: unspecified is written", serial)
		}
		for _, x := range e.Extensions {
			if x.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 24}) {
				compromised++
			}
		}
		delete(want, serial)
	}
	if len(want) > 0 || compromised != 2 {
		t.Errorf("missing %v, %d times of compromise", want, compromised)
	}
	text := openssl(t, "crl", "-in", c.path(crlFile), "-noout", "-text", "-CAfile", c.path(certFile))
	for _, s := range []string{"verify OK", "Key Compromise", "CA Compromise", "Affiliation Changed", "Superseded", "Cessation Of Operation", "Certificate Hold", "Jan  2 03:04:05 2026"} {
		if !strings.Contains(text, s) {
			t.Errorf("openssl does not say %q:\n%s", s, text)
		}
	}
}

func TestCRL(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := newCA(t, func(o *InitOptions) { o.Now = func() time.Time { return now } })
	now = now.AddDate(0, 0, 1)
	if _, err := c.CRL(); !errors.Is(err, ErrNotFound) {
		t.Errorf("CRL: %v", err)
	}
	if due, err := c.CRLDue(); err != nil || !due.Equal(now) {
		t.Errorf("due %v, %v", due, err)
	}
	first := newList(t, c)
	if first.Number.Int64() != 1 || first.Revoked != 0 || !first.ThisUpdate.Equal(now.Add(-time.Hour)) || !first.NextUpdate.Equal(now.AddDate(0, 0, 30)) {
		t.Errorf("%+v", first)
	}
	parsed, err := x509.ParseRevocationList(first.DER)
	if err != nil || parsed.Number.Int64() != 1 || string(parsed.AuthorityKeyId) != string(c.Certificate().SubjectKeyId) || len(parsed.Extensions) != 2 {
		t.Errorf("%+v, %v", parsed, err)
	}
	der, err := os.ReadFile(c.path(crlDERFile))
	if err != nil || string(der) != string(first.DER) {
		t.Errorf("crl.der: %v", err)
	}
	hash := strings.TrimSpace(openssl(t, "crl", "-in", c.path(crlFile), "-noout", "-hash"))
	if to, err := os.Readlink(c.path(hash + ".r0")); err != nil || to != crlFile {
		t.Errorf("%s.r0 leads to %q, %v", hash, to, err)
	}
	wantFile(t, c, crlNumFile, "02\n")
	// In time: when two thirds are over, and at once after a revocation.
	due, err := c.CRLDue()
	if want := first.NextUpdate.Add(-first.NextUpdate.Sub(first.ThisUpdate) / 3); err != nil || !due.Equal(want) {
		t.Errorf("due %v, %v, want %v", due, err, want)
	}
	if list, err := c.RenewCRL(""); list != nil || err != nil {
		t.Errorf("renewed before it was due: %v, %v", list, err)
	}
	serial := issue(t, c, alice).Serial()
	revoke(t, c, serial, Superseded)
	list, err := c.RenewCRL("")
	if err != nil || list == nil || list.Number.Int64() != 2 || list.Revoked != 1 {
		t.Errorf("after a revocation: %+v, %v", list, err)
	}
	if got, err := c.CRL(); err != nil || got.Number.Int64() != 2 || got.Revoked != 1 || !got.NextUpdate.Equal(list.NextUpdate) {
		t.Errorf("%+v, %v", got, err)
	}
	now = due.Add(time.Minute).AddDate(0, 0, 5)
	if list, err := c.RenewCRL(""); err != nil || list == nil || list.Number.Int64() != 3 {
		t.Errorf("when due: %+v, %v", list, err)
	}
	// A number is not used again, though crlnumber says so or is gone.
	for i, spoil := range []func(){
		func() { writeFile(t, c.path(crlNumFile), "01\n") }, func() { os.Remove(c.path(crlNumFile)) },
	} {
		spoil()
		if got := newList(t, c).Number.Int64(); got != int64(4+i) {
			t.Errorf("number %d, want %d", got, 4+i)
		}
	}
	refusedWithoutATrace(t, c, "set the clock", func() error {
		now = now.AddDate(-1, 0, 0)
		_, err := c.IssueCRL(CRLOptions{})
		return err
	})
}

// openssl verify with the list refuses what was revoked and takes the rest.
func TestOpenSSLFollowsTheCRL(t *testing.T) {
	for _, kind := range []KeyKind{RSA2048, P256, P384, P521, Ed25519} {
		c := newCA(t, func(o *InitOptions) { o.Key = kind })
		good, bad := issue(t, c, alice).Certificate, issue(t, c, alice).Certificate
		revoke(t, c, index.Serial(bad.SerialNumber), KeyCompromise)
		newList(t, c)
		args := []string{"verify", "-x509_strict", "-crl_check", "-CAfile", c.path(certFile), "-CRLfile", c.path(crlFile)}
		openssl(t, append(args, c.newCert(good.SerialNumber, "pem"))...)
		if out, err := tryOpenSSL(t, append(args, c.newCert(bad.SerialNumber, "pem"))...); err == nil || !strings.Contains(out, "certificate revoked") {
			t.Errorf("%v: %v\n%s", kind, err, out)
		}
	}
}

// Lists of openssl ca and of ours have the same entries, number after number.
func TestCRLInTurns(t *testing.T) {
	c := newCA(t)
	var serials []string
	for range 3 {
		serials = append(serials, issue(t, c, alice).Serial())
	}
	theirs := func(args ...string) {
		t.Helper()
		openssl(t, append([]string{"ca", "-config", c.path(confFile)}, args...)...)
	}
	cert := func(i int) string { return filepath.Join(c.path(newCerts), serials[i]+".pem") }
	revoke(t, c, serials[0], KeyCompromise)
	theirs("-gencrl", "-out", c.path(crlFile))
	if list, err := c.CRL(); err != nil || list.Revoked != 1 || list.Number.Int64() != 1 {
		t.Errorf("theirs is read as %+v, %v", list, err)
	}
	theirs("-revoke", cert(1), "-crl_hold", "holdInstructionReject")
	list := newList(t, c)
	if list.Revoked != 2 || list.Number.Int64() != 2 {
		t.Errorf("%+v", list)
	}
	theirs("-revoke", cert(2), "-crl_compromise", "20260102030405Z")
	ours := newList(t, c)
	work := filepath.Join(t.TempDir(), "theirs.pem")
	theirs("-gencrl", "-out", work)
	entries := func(file string) string {
		_, after, _ := strings.Cut(openssl(t, "crl", "-in", file, "-noout", "-text"), "Revoked Certificates:")
		before, _, _ := strings.Cut(after, "Signature Algorithm")
		each := strings.Split(strings.Join(strings.Fields(before), " "), "Serial Number:")
		for i := range each {
			each[i] = strings.TrimSpace(each[i])
		}
		slices.Sort(each) // openssl sorts by number
		return strings.Join(each, "\n")
	}
	if a, b := entries(c.path(crlFile)), entries(work); a != b || !strings.Contains(a, "Hold Instruction Reject") {
		t.Errorf("our list\n%s\ntheirs\n%s", a, b)
	}
	wantFile(t, c, crlNumFile, "05\n")
	if ours.Number.Int64() != 3 {
		t.Errorf("number %v", ours.Number)
	}
	if _, err := c.Revoke(Revocation{Serial: serials[1]}); err == nil {
		t.Error("what openssl revoked was revoked again")
	}
}

// A CA of openssl req may have a certificate without key usage or identifier.
func TestCRLOfABareCertificate(t *testing.T) {
	dir := t.TempDir()
	bare(t, dir)
	c, _, err := Import(dir, ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cert := issue(t, c, alice).Certificate
	revoke(t, c, index.Serial(cert.SerialNumber), Unspecified)
	newList(t, c)
	out, err := tryOpenSSL(t, "verify", "-crl_check", "-CAfile", c.path(certFile), "-CRLfile", c.path(crlFile), c.newCert(cert.SerialNumber, "pem"))
	if err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("%v\n%s", err, out)
	}
}
