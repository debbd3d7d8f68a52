package ca

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/internal/audit"
)

func TestList(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := newCA(t, func(o *InitOptions) { o.Now = func() time.Time { return now } })
	add := func(cn string, days int, r Request) string {
		t.Helper()
		r.Subject.CommonName, r.Days, r.Key = cn, days, P256
		return issue(t, c, r).Serial()
	}
	serials := map[string]string{
		"short": add("mx.corp.example", 5, Request{Profile: Host, Hosts: []string{"Mail.corp.example"}, Memo: "front door"}),
		"taro":  add("山田 太郎", 30, Request{Profile: User, Emails: []string{"taro@corp.example"}}),
		"long":  add("Backup", 700, Request{Profile: Client, Memo: "バックアップ用"}),
		"gone":  add("old@corp.example", 400, Request{Profile: User}),
	}
	revoke(t, c, serials["gone"], Superseded)
	names := map[string]string{}
	for name, s := range serials {
		names[s] = name
	}
	now = now.AddDate(0, 0, 10)
	tests := []struct {
		q    Query
		want string
	}{
		{Query{}, "short taro long gone"},
		{Query{Status: Valid}, "taro long"},
		{Query{Status: Expired}, "short"},
		{Query{Status: Revoked}, "gone"},
		{Query{Within: 20 * 24 * time.Hour}, "taro"},
		{Query{Within: 1000 * 24 * time.Hour, Reverse: true}, "long taro"},
		{Query{Sort: ByEnd}, "short taro gone long"},
		{Query{Sort: BySubject}, "long short gone taro"},
		{Query{Text: "MAIL.CORP"}, "short"},
		{Query{Text: "taro@"}, "taro"},
		{Query{Text: "太郎"}, "taro"},
		{Query{Text: "バック"}, "long"},
		{Query{Text: "nobody"}, ""},
		{Query{Profile: User}, "taro gone"},
		{Query{Serial: strings.ToLower(serials["long"][:8])}, "long"},
	}
	for _, tt := range tests {
		list, err := c.List(tt.q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range list {
			got = append(got, names[r.Serial])
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: %v, want %s", tt.q, got, tt.want)
		}
	}
	page, total, err := c.Page(Query{Sort: ByEnd, Details: true}, 1, 2)
	if err != nil || total != 4 || len(page) != 2 || names[page[0].Serial] != "taro" || !slices.Equal(page[0].Names, []string{"taro@corp.example"}) {
		t.Errorf("a page of %d: %+v, %v", total, page, err)
	}
	if page, total, err := c.Page(Query{}, 9, 2); err != nil || total != 4 || len(page) != 0 {
		t.Errorf("behind the end: %v, %d, %v", page, total, err)
	}
	list, err := c.List(Query{Sort: BySerial, Details: true})
	if err != nil || !slices.IsSortedFunc(list, func(a, b Record) int { return strings.Compare(a.Serial, b.Serial) }) {
		t.Errorf("%v, %v", list, err)
	}
	shown, err := c.Show(strings.ToLower(serials["gone"]))
	if err != nil || shown.DaysLeft != 389 || shown.Reason != "superseded" || shown.Status != Revoked || shown.Certificate.Subject.CommonName != "old@corp.example" {
		t.Errorf("%+v, %v", shown.Record, err)
	}
	short, err := c.Show(serials["short"])
	if err != nil || short.DaysLeft != -6 || short.Memo != "front door" || !slices.Equal(short.Names, []string{"mx.corp.example", "mail.corp.example"}) {
		t.Errorf("%+v, %v", short.Record, err)
	}
}

func TestSummary(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := newCA(t, func(o *InitOptions) {
		o.Settings.Memo, o.PermitDNS, o.Now = "ours", []string{"corp.example"}, func() time.Time { return now }
	})
	revoke(t, c, issue(t, c, alice).Serial(), Unspecified)
	issue(t, c, alice)
	newList(t, c)
	s, err := c.Summary()
	if err != nil || s.Days != 10000 || s.DaysLeft != 9999 || s.YearsLeft < 27.3 || s.YearsLeft > 27.4 || s.Memo != "ours" || s.Key != "ECDSA P-256" ||
		s.Valid != 1 || s.Revoked != 1 || s.Subject != "/C=JP/ST=Osaka/L=Kita-ku/O=MyCorp/CN=Private CA" || s.Issuer != "" || !s.CRLEnds.Equal(now.AddDate(0, 0, 30)) {
		t.Errorf("%+v, %v", s, err)
	}
	if got := openssl(t, "x509", "-in", c.path(certFile), "-noout", "-fingerprint", "-sha256"); !strings.Contains(got, s.SHA256) {
		t.Errorf("openssl says %s, we %s", got, s.SHA256)
	}
}

// Without its key a CA lists, shows and revokes, and signs nothing.
func TestWithoutKey(t *testing.T) {
	c := newCA(t)
	serial := issue(t, c, alice).Serial()
	if err := os.Remove(c.path(keyFile)); err != nil {
		t.Fatal(err)
	}
	c, err := Open(c.Dir(), OpenOptions{WithoutKey: true})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := c.List(Query{}); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	revoke(t, c, serial, KeyCompromise)
	for name, do := range map[string]func() error{
		"Issue":    func() error { _, err := c.Issue(alice); return err },
		"IssueCRL": func() error { _, err := c.IssueCRL(CRLOptions{}); return err },
		"OCSP":     func() error { _, err := c.OCSP(serial); return err },
		"RenewCA":  func() error { _, err := c.RenewCA(CARenewal{}); return err },
	} {
		if err := do(); !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAudit(t *testing.T) {
	c := newCA(t)
	r := alice
	r.By = "uid 1000"
	first := issue(t, c, r).Serial()
	if _, err := c.Issue(Request{Profile: Host, Subject: Subject{CommonName: "not a host"}, By: "uid 1000"}); err == nil {
		t.Fatal("a host of that name")
	}
	revoke(t, c, first, KeyCompromise)
	newList(t, c)
	second := issue(t, c, r).Serial()
	var events []string
	report, err := c.Audit(func(e audit.Event) error {
		events = append(events, e.What+" "+e.By)
		if e.What == "refuse" && (!strings.Contains(e.Details["reason"], `"not a host"`) || e.Details["what"] != "issue" || e.Details["profile"] != "host") {
			t.Errorf("%+v", e)
		}
		return nil
	})
	if err != nil || len(report.Problems) > 0 || report.Issued != 2 || report.Revoked != 1 || report.Refused != 1 || report.Head.N != 6 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := fmt.Sprint(events); got != "[init  issue uid 1000 refuse uid 1000 revoke test crl  issue uid 1000]" {
		t.Errorf("events %s", got)
	}
	// What the database says otherwise is told.
	e, _, err := c.index.Find(first)
	if err != nil {
		t.Fatal(err)
	}
	line := e.Line()
	b, err := os.ReadFile(c.path(indexFile))
	if err != nil {
		t.Fatal(err)
	}
	e.Status, e.Revocation = 'V', ""
	e2 := e
	e2.Serial = "4711"
	for want, text := range map[string]string{
		first + " was revoked, and":       strings.Replace(string(b), line, e.Line(), 1),
		first + " was issued, and":        strings.Replace(string(b), line, "", 1),
		"4711 is in index.txt, and no l":  string(b) + e2.Line(),
		second + " is revoked in index.t": strings.Replace(strings.Replace(string(b), "\nV", "\nR", 1), "Z\t\t"+second, "Z\t261121203127Z\t"+second, 1),
	} {
		writeFile(t, c.path(indexFile), text)
		if report, err := c.Audit(nil); err != nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0], want) {
			t.Errorf("%+v, %v, want %q", report, err, want)
		}
	}
	writeFile(t, c.path(indexFile), string(b))
	// A file that was changed stops the CA before it signs.
	log, err := os.ReadFile(c.path(auditFile))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, c.path(auditFile), strings.Replace(string(log), "not a host", "a good host", 1))
	if _, err := c.Audit(nil); !errors.Is(err, audit.ErrBroken) || !strings.Contains(err.Error(), "audit.log:3") {
		t.Errorf("Audit: %v", err)
	}
	writeFile(t, c.path(auditFile), string(log)+"rubbish\n")
	before := snapshot(t, c.Dir())
	if _, err := c.Issue(alice); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("Issue: %v", err)
	}
	if after := snapshot(t, c.Dir()); after != before {
		t.Error("the folder was changed")
	}
}

// A serial is found by its digits with and without the zero before them.
func TestSerialBegins(t *testing.T) {
	for _, tt := range []struct {
		serial, with string
		want         bool
	}{
		{"09D1", "", true}, {"09D1", "09", true}, {"09D1", "9D", true}, {"09D1", "9D1", true}, {"09D1", "D1", false}, {"09D1", "09D12", false},
		{"9D10", "09", false}, {"00", "0", true}, {"00D1", "D1", false},
	} {
		if got := begins(tt.serial, tt.with); got != tt.want {
			t.Errorf("%s, %q: %v", tt.serial, tt.with, got)
		}
	}
}
