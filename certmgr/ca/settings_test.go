package ca

import (
	"os"
	"slices"
	"strings"
	"testing"

	"mailseal/certmgr/ca/index"
)

func TestSettings(t *testing.T) {
	c := newCA(t, func(o *InitOptions) { o.Settings.Memo, o.Settings.URL = "部署の CA", "http://pki.example.jp" })
	if s := c.Settings(); s.Memo != "部署の CA" || s.Serials != RandomSerials || s.CRLDays != 30 || s.UniqueSubject {
		t.Errorf("%+v", s)
	}
	cert := issue(t, c, requests[Host]).Certificate
	for name, got := range map[string][]string{
		"http://pki.example.jp/ca.crl": cert.CRLDistributionPoints, "http://pki.example.jp/ca.cer": cert.IssuingCertificateURL, "http://pki.example.jp/ocsp": cert.OCSPServer,
	} {
		if !slices.Equal(got, []string{name}) {
			t.Errorf("the certificate has %v, want %s", got, name)
		}
	}
	s := c.Settings()
	s.URL, s.Days, s.UniqueSubject, s.CRLDays = "", map[string]int{"host": 90}, true, 10
	if err := c.SetSettings(s, "test"); err != nil {
		t.Fatal(err)
	}
	again, err := Open(c.Dir(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*CA{c, again} {
		if s := c.Settings(); s.Days["host"] != 90 || !s.UniqueSubject || s.CRLDays != 10 || s.URL != "" {
			t.Errorf("%+v", s)
		}
	}
	r := requests[Host]
	r.Subject.CommonName = "other.corp.example"
	cert = issue(t, again, r).Certificate
	if len(cert.CRLDistributionPoints)+len(cert.IssuingCertificateURL)+len(cert.OCSPServer) > 0 {
		t.Error("addresses without a URL")
	}
	if p, err := again.Preview(requests[Host]); err != nil || p.Days != 90 {
		t.Errorf("%+v, %v", p, err)
	}
	list := newList(t, again)
	if got := list.NextUpdate.Sub(list.ThisUpdate).Hours() / 24; got < 9.9 || got > 10.1 {
		t.Errorf("a list of %v days", got)
	}
	// An openssl.cnf that somebody has edited is kept.
	writeFile(t, c.path(confFile), "# mine\n")
	if err := c.SetSettings(s, ""); err != nil {
		t.Fatal(err)
	}
	wantFile(t, c, confFile+".old", "# mine\n")
}

func TestSettingsErrors(t *testing.T) {
	c := newCA(t)
	for want, change := range map[string]func(*Settings){
		`url "ftp://x"`:       func(s *Settings) { s.URL = "ftp://x" },
		`url "http://x/"`:     func(s *Settings) { s.URL = "http://x/" },
		`url "http://x/\na"`:  func(s *Settings) { s.URL = "http://x/\na" },
		`url "http://x,URI:y`: func(s *Settings) { s.URL = "http://x,URI:y" },
		`serials "odd"`:       func(s *Settings) { s.Serials = "odd" },
		"crl_days 0":          func(s *Settings) { s.CRLDays = 0 },
		"days: host = 826":    func(s *Settings) { s.Days = map[string]int{"host": 826} },
		`profile "x"`:         func(s *Settings) { s.Days = map[string]int{"x": 1} },
		"memo":                func(s *Settings) { s.Memo = "\x00" },
	} {
		refusedWithoutATrace(t, c, want, func() error {
			s := c.Settings()
			change(&s)
			return c.SetSettings(s, "")
		})
	}
	for text, want := range map[string]string{"memo = 1": "ca.toml", "colour = \"red\"": "colour: there is no such setting", "serials = \"x\"": "want random or"} {
		writeFile(t, c.path(settingsFile), text)
		if _, err := Open(c.Dir(), OpenOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// openssl ca and we count on from each other.
func TestSequentialSerials(t *testing.T) {
	c := newCA(t, func(o *InitOptions) { o.Settings.Serials, o.Settings.URL = SequentialSerials, "http://pki.example.jp" })
	for _, want := range []string{"01", "02"} {
		if got := issue(t, c, alice).Serial(); got != want {
			t.Errorf("serial %s, want %s", got, want)
		}
	}
	dir := t.TempDir()
	opensslIn(t, dir, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "csr.pem",
		"-subj", "/CN=mx.corp.example", "-addext", "subjectAltName=DNS:mx.corp.example")
	opensslIn(t, dir, "ca", "-config", c.path(confFile), "-batch", "-in", "csr.pem", "-out", "cert.pem", "-notext")
	theirs := readCert(t, dir+"/cert.pem")
	if got := index.Serial(theirs.SerialNumber); got != "03" {
		t.Errorf("openssl took %s", got)
	}
	if got := theirs.CRLDistributionPoints; !slices.Equal(got, []string{"http://pki.example.jp/ca.crl"}) || len(theirs.OCSPServer) != 1 || len(theirs.IssuingCertificateURL) != 1 {
		t.Errorf("openssl wrote %v %v %v", got, theirs.OCSPServer, theirs.IssuingCertificateURL)
	}
	if got := issue(t, c, alice).Serial(); got != "04" {
		t.Errorf("serial %s, want 04", got)
	}
	wantFile(t, c, serialFile, "05\n")
	writeFile(t, c.path(serialFile), "02\n")
	before := snapshot(t, c.Dir())
	if _, err := c.Issue(alice); err == nil || !strings.Contains(err.Error(), "number 02 exists already") {
		t.Errorf("a number that is taken: %v", err)
	}
	if after := snapshot(t, c.Dir()); after != before {
		t.Error("the folder was changed")
	}
}

func TestNameConstraints(t *testing.T) {
	c := newCA(t, func(o *InitOptions) {
		o.PermitDNS, o.PermitEmail = []string{"corp.example", "日本語.jp"}, []string{"@corp.example", ".sub.example", "ceo@other.example"}
	})
	for _, r := range []Request{
		{Profile: User, Emails: []string{"a@corp.example", "b@x.sub.example", "ceo@other.example"}, Key: P256},
		{Profile: Host, Hosts: []string{"corp.example", "mx.corp.example", "*.corp.example", "日本語.jp"}, Key: P256},
		{Profile: Gateway, Subject: Subject{CommonName: "corp.example"}, Key: P256},
	} {
		i := issue(t, c, r)
		file := c.newCert(i.Certificate.SerialNumber, "pem")
		openssl(t, "verify", "-x509_strict", "-CAfile", c.path(certFile), file)
	}
	for want, r := range map[string]Request{
		`"mx.other.example": outside the name constraints of the CA, which permit corp.example`: {Profile: Host, Hosts: []string{"mx.other.example"}},
		`"evilcorp.example"`:         {Profile: Host, Hosts: []string{"evilcorp.example"}},
		`"a@mx.corp.example"`:        {Profile: User, Emails: []string{"a@mx.corp.example"}},
		`"a@sub.example"`:            {Profile: User, Emails: []string{"a@sub.example"}},
		`"cto@other.example"`:        {Profile: User, Emails: []string{"cto@other.example"}},
		`"root@other.example"`:       {Profile: Host, Hosts: []string{"mx.corp.example"}, Subject: Subject{Email: "root@other.example"}},
		`host name "www.other.test"`: {Profile: User, Emails: []string{"a@corp.example"}, Subject: Subject{CommonName: "www.other.test"}},
	} {
		refusedWithoutATrace(t, c, want, func() error { _, err := c.Issue(r); return err })
	}
	// The CA below is bound by what is above it.
	sub := newCA(t, func(o *InitOptions) {
		o.Parent, o.Subject.CommonName, o.PermitDNS = c, "Issuing CA", []string{"a.corp.example"}
	})
	issue(t, sub, Request{Profile: User, Emails: []string{"a@corp.example"}, Key: P256})
	for want, r := range map[string]Request{
		`"mx.b.corp.example"`: {Profile: Host, Hosts: []string{"mx.b.corp.example"}},
		`"a@other.example"`:   {Profile: User, Emails: []string{"a@other.example"}},
	} {
		refusedWithoutATrace(t, sub, want, func() error { _, err := sub.Issue(r); return err })
	}
	for want, o := range map[string]InitOptions{
		`permitted domain "*.x"`:        {PermitDNS: []string{"*.x"}},
		`permitted e-mail domain "a b"`: {PermitEmail: []string{"a b"}},
	} {
		o.Subject, o.Unencrypted = subject, true
		if _, err := Init(t.TempDir(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Init: %v, want %q", err, want)
		}
	}
}

// Somebody else's change of the folder is seen by who has it open.
func TestOthersChanges(t *testing.T) {
	c := newCA(t)
	other, err := Open(c.Dir(), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := other.RenewCA(CARenewal{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CRLDue(); err != nil || !c.Certificate().Equal(renewed) {
		t.Errorf("the CA's new certificate is not seen when the list is looked at, %v", err)
	}
	if renewed, err = other.RenewCA(CARenewal{}); err != nil {
		t.Fatal(err)
	}
	issue(t, c, alice)
	if !c.Certificate().Equal(renewed) {
		t.Error("the CA's new certificate is not seen")
	}
	appendFile(t, c.path(indexFile), "broken\n")
	before := snapshot(t, c.Dir())
	for name, do := range map[string]func() error{
		"Issue":    func() error { _, err := c.Issue(alice); return err },
		"IssueCRL": func() error { _, err := c.IssueCRL(CRLOptions{}); return err },
		"Revoke":   func() error { _, err := c.Revoke(Revocation{Serial: "01"}); return err },
		"List":     func() error { _, err := c.List(Query{}); return err },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "index.txt:2: 1 columns") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := snapshot(t, c.Dir()); after != before {
		t.Errorf("the folder was changed:\n%s\nwas\n%s", after, before)
	}
	if _, _, err := Replace(c.Dir(), InitOptions{Subject: subject, Key: P256, Unencrypted: true}); err == nil || !strings.Contains(err.Error(), "index.txt:2") {
		t.Errorf("Replace: %v", err)
	}
	b, _ := os.ReadFile(c.path(indexFile))
	writeFile(t, c.path(indexFile), strings.TrimSuffix(string(b), "broken\n"))
	if _, _, err := Replace(c.Dir(), InitOptions{Subject: subject, Key: P256, Unencrypted: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Issue(alice); err == nil || !strings.Contains(err.Error(), "open it again") {
		t.Errorf("Issue of the CA that was replaced: %v", err)
	}
}
