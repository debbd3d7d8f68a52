package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca/index"
)

func TestRenew(t *testing.T) {
	c := newCA(t)
	for profile, r := range requests {
		r.Memo, r.Key = "for "+profile.String(), P256
		if profile == SubCA {
			r.PermitDNS = []string{"corp.example"}
		}
		old := issue(t, c, r)
		for _, same := range []bool{true, false} {
			got, err := c.Renew(Renewal{Serial: old.Serial(), SameKey: same, Key: P256})
			if err != nil {
				t.Fatal(err)
			}
			a, b := old.Certificate, got.Certificate
			if samePublicKey(a.PublicKey, b.PublicKey) != same || (got.Key == nil) != same {
				t.Errorf("%v: same key %t is not so", profile, same)
			}
			if !bytes.Equal(a.RawSubject, b.RawSubject) || !slices.Equal(namesOf(a), namesOf(b)) || a.KeyUsage != b.KeyUsage ||
				!slices.Equal(a.ExtKeyUsage, b.ExtKeyUsage) || !slices.Equal(a.PermittedDNSDomains, b.PermittedDNSDomains) {
				t.Errorf("%v: renewed as another", profile)
			}
			shown, err := c.Show(got.Serial())
			if err != nil || shown.Memo != r.Memo || shown.Renews != old.Serial() || shown.Profile != profile.String() {
				t.Errorf("%v: %+v, %v", profile, shown, err)
			}
		}
	}
	gone := issue(t, c, alice).Serial()
	revoke(t, c, gone, Unspecified)
	for want, r := range map[string]Renewal{
		"was revoked":           {Serial: gone},
		"no certificate 12":     {Serial: "12"},
		"want one of them":      {Serial: issue(t, c, alice).Serial(), SameKey: true, CSR: []byte("x")},
		"days 900: want 1 to 8": {Serial: issue(t, c, alice).Serial(), Days: 900},
	} {
		refusedWithoutATrace(t, c, want, func() error { _, err := c.Renew(r); return err })
	}
}

// What was issued before a CA was renewed is good with either certificate.
func TestRenewCA(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := newCA(t, func(o *InitOptions) {
		o.Days, o.PermitDNS, o.Now = 100, []string{"corp.example"}, func() time.Time { return now }
	})
	old := c.Certificate()
	before := issue(t, c, requests[Host]).Certificate
	now = now.AddDate(0, 0, 200)
	refusedWithoutATrace(t, c, "renew it", func() error { _, err := c.Issue(requests[Host]); return err })
	cert, err := c.RenewCA(CARenewal{Days: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(cert.RawSubject, old.RawSubject) || !samePublicKey(cert.PublicKey, old.PublicKey) || !bytes.Equal(cert.SubjectKeyId, old.SubjectKeyId) ||
		!slices.Equal(cert.PermittedDNSDomains, old.PermittedDNSDomains) || !cert.PermittedDNSDomainsCritical || cert.SerialNumber.Cmp(old.SerialNumber) == 0 {
		t.Errorf("renewed as another CA")
	}
	if got := int(cert.NotAfter.Sub(cert.NotBefore).Hours()+1) / 24; got != 1000 {
		t.Errorf("%d days", got)
	}
	kept := readCert(t, filepath.Join(c.path(oldCerts), index.Serial(old.SerialNumber)+".pem"))
	if !kept.Equal(old) {
		t.Error("the old certificate is not kept")
	}
	after := issue(t, c, requests[Host]).Certificate
	for _, leaf := range []*x509.Certificate{before, after} {
		for _, root := range []*x509.Certificate{old, cert} {
			if err := leaf.CheckSignatureFrom(root); err != nil {
				t.Error(err)
			}
		}
	}
	refusedWithoutATrace(t, c, "days 99999", func() error { _, err := c.RenewCA(CARenewal{Days: 99999}); return err })

	root := newCA(t)
	sub := newCA(t, func(o *InitOptions) { o.Parent, o.Subject.CommonName = root, "Issuing CA" })
	refusedWithoutATrace(t, sub, "has to sign", func() error { _, err := sub.RenewCA(CARenewal{}); return err })
	cert, err = sub.RenewCA(CARenewal{Parent: root})
	if err != nil || !sub.Certificate().Equal(cert) {
		t.Fatal(err)
	}
	verify(t, sub, issue(t, sub, alice), "smimesign")
}

func TestReplace(t *testing.T) {
	c := newCA(t)
	keep := issue(t, c, Request{Profile: Host, Hosts: []string{"mx.corp.example"}, Key: P256, Memo: "front door"})
	revoke(t, c, issue(t, c, alice).Serial(), Unspecified)
	before := snapshot(t, c.Dir())
	o := InitOptions{Subject: subject, Key: P256, Unencrypted: true}
	bad := o
	bad.Subject.Country = "jp"
	if _, _, err := Replace(c.Dir(), bad); err == nil || !strings.Contains(err.Error(), "country") || snapshot(t, c.Dir()) != before {
		t.Errorf("Replace by nothing: %v", err)
	}
	next, left, err := Replace(c.Dir(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(left.Reissue) != 1 || left.Reissue[0].Serial != keep.Serial() || left.Reissue[0].Memo != "front door" {
		t.Errorf("to be issued again: %+v", left.Reissue)
	}
	if got := snapshot(t, left.Folder); strings.ReplaceAll(got, left.Folder, c.Dir()) != before {
		t.Error("the old folder was changed")
	}
	if samePublicKey(next.Certificate().PublicKey, c.Certificate().PublicKey) {
		t.Error("the new CA has the old key")
	}
	if list, err := next.List(Query{}); err != nil || len(list) != 0 {
		t.Errorf("the new CA has issued %v, %v", list, err)
	}
	issue(t, next, alice)
}

// csr makes a request with openssl.
func csr(t *testing.T, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	opensslIn(t, dir, append([]string{"req", "-new", "-nodes", "-keyout", "key.pem", "-out", "csr.pem"}, args...)...)
	b, err := os.ReadFile(filepath.Join(dir, "csr.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestIssueFromCSR(t *testing.T) {
	c := newCA(t)
	ec := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}
	full := csr(t, append(ec, "-subj", "/C=JP/O=Their Corp/CN=mx.corp.example", "-addext", "subjectAltName=DNS:mx.corp.example,DNS:mail.corp.example,IP:192.0.2.7",
		"-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign")...)
	got := issue(t, c, Request{Profile: Host, CSR: full})
	if got.Key != nil || got.Certificate.IsCA || got.Certificate.Subject.Organization[0] != "Their Corp" {
		t.Errorf("%v", got.Certificate.Subject)
	}
	if names := namesOf(got.Certificate); !slices.Equal(names, []string{"mx.corp.example", "mail.corp.example", "192.0.2.7"}) {
		t.Errorf("names %v", names)
	}
	// Names that are said come instead of those in the request.
	block, _ := pem.Decode(full)
	got = issue(t, c, Request{Profile: Host, CSR: block.Bytes, Hosts: []string{"only.corp.example"}})
	if names := namesOf(got.Certificate); !slices.Equal(names, []string{"only.corp.example"}) {
		t.Errorf("names %v", names)
	}
	broken := slices.Clone(block.Bytes)
	broken[len(broken)-1] ^= 1
	other := bytes.Replace(block.Bytes, []byte("Their Corp"), []byte("Other Corp"), 1)
	for want, bad := range map[string][]byte{
		"its signature (ECDSA-SHA256)":   broken,
		"signature (ECDSA-SHA256): x509": other,
		"RSA key of 1024 bits":           csr(t, "-newkey", "rsa:1024", "-subj", "/CN=mx.corp.example"),
		"certificate request":            []byte("rubbish"),
		"the PEM says CERTIFICATE":       EncodeCertificates(c.Certificate()),
		"want one with SHA-256":          csr(t, append(ec, "-subj", "/CN=mx.corp.example", "-sha1")...),
	} {
		refusedWithoutATrace(t, c, want, func() error { _, err := c.Issue(Request{Profile: Host, CSR: bad}); return err })
	}
	refusedWithoutATrace(t, c, "the public key", func() error {
		_, err := c.Issue(Request{Profile: Host, CSR: full, PublicKey: c.Certificate().PublicKey})
		return errors.Join(err, errors.New("the public key"))
	})
}

// The names of RFC 3183, and a domain with all below it.
func TestGatewayNames(t *testing.T) {
	c := newCA(t)
	plain := issue(t, c, Request{Profile: Gateway, Subject: Subject{CommonName: "corp.example"}, Key: P256}).Certificate
	if got := namesOf(plain); !slices.Equal(got, []string{"corp.example", "*.corp.example"}) {
		t.Errorf("names %v", got)
	}
	dsa := issue(t, c, Request{Profile: Gateway, Authority: DomainSigning, Subject: Subject{CommonName: "corp.example"}, Hosts: []string{"*.corp.example"}, Key: P256})
	cert := dsa.Certificate
	if got := namesOf(cert); cert.Subject.CommonName != "domain-signing-authority" || !slices.Equal(got, []string{"domain-signing-authority@corp.example", "corp.example", "*.corp.example"}) {
		t.Errorf("%s, %v", cert.Subject, got)
	}
	verify(t, c, dsa, "smimesign")
	again, err := c.Renew(Renewal{Serial: dsa.Serial(), Key: P256})
	if err != nil || !slices.Equal(namesOf(again.Certificate), namesOf(cert)) {
		t.Errorf("renewed: %v, %v", again, err)
	}
	bare := issue(t, c, Request{Profile: Gateway, Emails: []string{"gate@corp.example"}, Key: P256})
	if again, err := c.Renew(Renewal{Serial: bare.Serial(), Key: P256}); err != nil {
		t.Error(err)
	} else if shown, err := c.Show(again.Serial()); err != nil || shown.Profile != "gateway" {
		t.Errorf("a gateway is renewed as %+v, %v", shown.Record, err)
	}
	for want, r := range map[string]Request{
		"a user certificate is none":          {Profile: User, Authority: Review, Emails: []string{"review-authority@corp.example"}},
		"has review-authority@DOMAIN alone":   {Profile: Gateway, Authority: Review, Emails: []string{"a@corp.example"}},
		"no domain for the review-authority":  {Profile: Gateway, Authority: Review},
		`authority "king": want domain-signi`: {Profile: Gateway, Authority: "king", Hosts: []string{"corp.example"}},
	} {
		refusedWithoutATrace(t, c, want, func() error { _, err := c.Issue(r); return err })
	}
}

func TestPreview(t *testing.T) {
	c := newCA(t, func(o *InitOptions) {
		o.Days = 100
		o.Subject = Subject{Country: "XX", Organization: "Some-org", CommonName: "CA"}
	})
	before := snapshot(t, c.Dir())
	p, err := c.Preview(Request{Profile: User, Subject: Subject{CommonName: "日本 太郎", Email: "taro@corp.example"}, Key: RSA4096})
	if err != nil {
		t.Fatal(err)
	}
	if p.Subject != "/C=XX/O=Some-org/CN=日本 太郎/emailAddress=taro@corp.example" || !slices.Equal(p.Names, []string{"taro@corp.example"}) || p.Days != 100 {
		t.Errorf("%+v", p)
	}
	if got := strings.Join(p.Warnings, "\n"); !strings.Contains(got, "country XX: a placeholder") || !strings.Contains(got, "organization Some-org") || !strings.Contains(got, "ends with the CA itself") {
		t.Errorf("warnings %q", got)
	}
	if after := snapshot(t, c.Dir()); after != before {
		t.Error("the folder was changed")
	}
	for key, want := range map[KeyKind]bool{Ed25519: true, P256: false} {
		r := Request{Profile: Gateway, Subject: Subject{CommonName: "corp.example"}, Key: key}
		if p, err := c.Preview(r); err != nil || strings.Contains(strings.Join(p.Warnings, "\n"), "nobody can encrypt to it") != want {
			t.Errorf("%v: %q, %v", key, p.Warnings, err)
		}
	}
	// A refusal is on record, and once; asking for the names leaves none.
	refusedWithoutATrace(t, c, "no name that a user", func() error { _, err := c.Preview(Request{Profile: User}); return err })
	refusedWithoutATrace(t, c, "no name that a user", func() error { _, err := c.Names(Request{Profile: User}); return err })
	if a, err := c.Audit(nil); err != nil || a.Refused != 1 {
		t.Errorf("%d refusals on record, %v; want 1", a.Refused, err)
	}
}

func TestParseSubject(t *testing.T) {
	got, err := ParseSubject(`/C=JP/ST=Osaka/L=Kita-ku/O=A\/B \\ C/OU=x=y/CN=Private CA/emailAddress=a@b.example`)
	want := Subject{"JP", "Osaka", "Kita-ku", `A/B \ C`, "x=y", "Private CA", "a@b.example"}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"CN=x", "/CN", "/XX=y", "/CN=a/CN=b", "/"} {
		if s, err := ParseSubject(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, s)
		}
	}
	name, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	var rdns []asn1.RawValue
	if _, err := asn1.Unmarshal(name, &rdns); err != nil || len(rdns) != 7 {
		t.Errorf("%d attributes, %v", len(rdns), err)
	}
}
