// Package metrics_test scrapes the daemon, as Prometheus does, while mail goes
// through it: what it tells is what was sent, to the mail.
package metrics_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/wire"
)

const (
	alice  = "alice@example.test"    // ours, with an identity
	nobody = "nobody@example.test"   // ours, without
	carol  = "carol@far.example.org" // outside, whose CA we trust
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func letter(author string, fields ...string) []byte {
	return []byte(wire.Text(append(fields, "From: "+author, "To: them@"+host.Modern, "Date: Sat, 21 Nov 2026 12:00:00 +0900",
		"Message-ID: <letter@far.example.org>", "Subject: a letter", "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii", "",
		"pay 100 to Bob.")...))
}

// signed is a mail as somebody outside signs it.
func signed(t *testing.T, id pki.Identity, mail []byte) []byte {
	t.Helper()
	out, errs, status := daemon.Run(t, mail, "sign", "-identity", testpki.Write(t, "id.pem", testpki.PEM(t, id)))
	if status != 0 {
		t.Fatalf("mailseal sign: %d, %s", status, errs)
	}
	return []byte(out)
}

// A postmaster has a host, and its metrics.
type postmaster struct {
	*testing.T
	h                *host.Host
	network, address string
	sent             int
}

// send sends a mail and wants an SMTP code for it, 250 as 0.
func (p *postmaster) send(source string, mail []byte, code int) {
	p.Helper()
	p.sent++
	err := p.h.DeliverFrom(source, mtarig.Mail{From: "sender@far.example.org", To: []string{fmt.Sprintf("to%d@%s", p.sent, host.Modern)}, Data: mail})
	if got := mtarig.Code(err); got != code {
		p.Errorf("mail %d is answered %d, want %d: %v", p.sent, got, code, err)
	}
}

// await scrapes until the samples are as wanted: an answer may be seen before
// it has been counted, and the MTA closes connections at its leisure. What
// is not in want has to be 0, but for what no test can foretell.
func (p *postmaster) await(want Samples) Samples {
	p.Helper()
	for end := time.Now().Add(daemon.Patience); ; time.Sleep(5 * time.Millisecond) {
		all, err := Scrape(p.network, p.address)
		ok(p.T, err)
		got := all.Without("mailseal_build_info", "mailseal_connections_total", "mailseal_received_bytes_total", "mailseal_sent_bytes_total",
			"mailseal_max_connections", "mailseal_last_reload_success_timestamp_seconds", "mailseal_identity_expiry_timestamp_seconds")
		d := cmp.Diff(want, got)
		if d == "" {
			return all
		}
		if time.Now().After(end) {
			p.Fatal(d)
		}
	}
}

const (
	mails  = `mailseal_mails_total{action="%s",direction="%s",smime="%s"}`
	step   = `mailseal_step_duration_seconds{step="%s"}`
	faults = `mailseal_faults_total{kind="%s",stage="%s"}`
)

// add adds to what is wanted.
func add(s Samples, n float64, series string, labels ...any) { s[fmt.Sprintf(series, labels...)] += n }

// steps adds mails that have gone through all of the gateway.
func steps(s Samples, n float64, further ...string) {
	for _, one := range append(further, "receive", "decide", "send", "whole") {
		add(s, n, step, one)
	}
}

func TestCounts(t *testing.T) {
	for _, tt := range []struct {
		setup   host.Setup
		network string
	}{{host.Both[0], "unix"}, {host.Both[1], "tcp"}} {
		t.Run(tt.setup.String()+" scraped by "+tt.network, func(t *testing.T) {
			t.Parallel()
			people := testpki.New(t)
			listen := "127.0.0.1:0"
			if tt.network == "unix" {
				listen = "unix:metrics.sock"
			}
			h := host.Start(t, tt.setup, daemon.Settings{
				Identities: []pki.Identity{people.User(alice, ca.P256)}, Trust: people.Roots(),
				Milter: []string{`max_message_size = "1MiB"`},
				SMIME:  []string{"[metrics]", fmt.Sprintf("listen = %q", listen)}, // it is the last table
			})
			line, err := h.Seal.WaitLog(0, `: listening metrics=`)
			ok(t, err)
			p := &postmaster{T: t, h: h, network: tt.network, address: regexp.MustCompile(`metrics=(\S+)`).FindStringSubmatch(line)[1]}
			p.all(people)
		})
	}
}

// all sends every kind of mail and wants it counted.
func (p *postmaster) all(people *testpki.PKI) {
	want := Samples{"mailseal_last_reload_successful": 1}
	first := p.await(want)
	id := people.User(alice, ca.P256)
	if got, want := first[`mailseal_identity_expiry_timestamp_seconds{identity="00"}`], float64(id.Certificate.NotAfter.Unix()); got != want {
		p.Errorf("identity expires at %f, want %f", got, want)
	}

	p.outbound(want)
	p.inbound(people, want)
	p.hostile(people, want)
	p.reload(want)
	p.faults(want)

	last := p.await(want)
	if d := cmp.Diff(first.Series(), last.Series()); d != "" {
		p.Errorf("series have come and gone: %s", d)
	}
	if in, out := last[`mailseal_received_bytes_total{socket="milter"}`], last[`mailseal_sent_bytes_total{socket="milter"}`]; in < 1<<20 || in > 3<<20 || out < 1000 || out > 1<<20 {
		p.Errorf("%f bytes in, %f out", in, out)
	}
	if n := last[`mailseal_connections_total{socket="milter"}`]; n < float64(p.sent)/2 || n > 10*float64(p.sent) {
		p.Errorf("%f connections for %d mails", n, p.sent)
	}
	for _, series := range []string{"process_open_fds", "process_resident_memory_bytes", "go_goroutines"} {
		if last[series] == 0 {
			p.Errorf("no %s", series)
		}
	}

	p.drain(want)
	if _, err := Scrape(p.network, p.address); err == nil {
		p.Error("somebody still answers")
	}
	if _, err := os.Stat(p.address); p.network == "unix" && err == nil {
		p.Error("the socket is left")
	}
}

// drain ends the daemon in the midst of a mail: it is told of until that has
// been answered.
func (p *postmaster) drain(want Samples) {
	c, err := p.h.Dial(daemon.Local)
	ok(p.T, err)
	defer c.Close()
	ok(p.T, c.From(alice))
	ok(p.T, c.To("last@"+host.Modern))
	mark := p.h.Seal.Mark()
	p.h.Seal.Signal(syscall.SIGTERM)
	_, err = p.h.Seal.WaitLog(mark, ": stopping")
	ok(p.T, err)
	add(want, 1, `mailseal_open_connections{socket="milter"}`)
	p.await(want)
	ok(p.T, c.Data(letter(alice)))
	if status := p.h.Seal.Wait(); status != 0 {
		p.Errorf("mailseal milter ended with status %d", status)
	}
}

func (p *postmaster) outbound(want Samples) {
	for range 2 {
		p.send(daemon.Local, letter(alice), 0)
	}
	add(want, 2, mails, "signed", "outbound", "")
	steps(want, 2, "sign")
	p.send(daemon.Local, letter(nobody), 0)
	add(want, 1, mails, "passed", "outbound", "")
	steps(want, 1)
	p.await(want)
}

func (p *postmaster) inbound(people *testpki.PKI, want Samples) {
	good := signed(p.T, people.User(carol, ca.P256), letter(carol))
	strange := signed(p.T, people.Stranger().User(carol, ca.P256), letter(carol))
	for status, sent := range map[string][][]byte{
		"pass":    {good},
		"fail":    {[]byte(strings.Replace(string(good), "pay 100", "pay 900", 1)), strange},
		"policy":  {signed(p.T, people.User(carol, ca.P256), letter("mallory@far.example.org"))},
		"none":    {letter(carol), letter(alice), letter("")},
		"neutral": {[]byte(strings.Replace(string(letter(carol)), "text/plain; charset=us-ascii", "application/pkcs7-mime; smime-type=signed-data", 1))},
	} {
		for _, m := range sent {
			p.send(daemon.Outside, m, 0)
			add(want, 1, mails, "verified", "inbound", status)
			steps(want, 1, "verify")
		}
	}
	p.await(want)
}

// hostile mail says in every place what it would like to see as a label.
func (p *postmaster) hostile(people *testpki.PKI, want Samples) {
	for i := range 10 {
		word := fmt.Sprintf("x%d\"} 1e9", i)
		fields := []string{
			fmt.Sprintf("Authentication-Results: mx%d.example.test; smime=%s reason=%q", i, "bogus", word),
			fmt.Sprintf("Authentication-Results: %s; smime=x%d", daemon.AuthservID, i),
			"X-Mailseal: " + word,
		}
		author := fmt.Sprintf("\"%d\\\"} 1\" <x%d@far.example.org>", i, i)
		p.send(daemon.Outside, letter(author, fields...), 0)
		id := people.Stranger().User(fmt.Sprintf("x%d@far.example.org", i), ca.P256)
		p.send(daemon.Outside, signed(p.T, id, letter(author, fields...)), 0)
	}
	add(want, 10, mails, "verified", "inbound", "none")
	add(want, 10, mails, "verified", "inbound", "fail")
	steps(want, 20, "verify")
	p.await(want)
}

// reload reads a wrong configuration and then a good one, which makes opaque
// signatures.
func (p *postmaster) reload(want Samples) {
	d := p.h.Seal
	before := p.await(want)
	whole, err := os.ReadFile(d.File())
	ok(p.T, err)
	ok(p.T, os.WriteFile(d.File(), append(whole, "fromat = 1\n"...), 0o600))
	mark := d.Mark()
	d.Signal(syscall.SIGHUP)
	_, err = d.WaitLog(mark, ": kept the old configuration")
	ok(p.T, err)
	add(want, 1, `mailseal_reloads_total{result="failed"}`)
	failed := maps.Clone(want)
	delete(failed, "mailseal_last_reload_successful") // 0
	p.await(failed)

	p.h.Reload(p.T, func(s *daemon.Settings) { s.Opaque = true })
	add(want, 1, `mailseal_reloads_total{result="ok"}`)
	const at = "mailseal_last_reload_success_timestamp_seconds"
	if after := p.await(want); after[at] < before[at] || after[at] > float64(time.Now().Unix()) {
		p.Errorf("reloaded at %f, and before at %f", after[at], before[at])
	}
}

// faults has no disk for the spool, and a mail that is too large.
func (p *postmaster) faults(want Samples) {
	line := strings.Repeat("x", 70) + "\r\n"
	state := filepath.Join(p.h.Seal.Folder(), "state")
	ok(p.T, os.Rename(state, state+".gone"))
	// What comes stays in memory, and what is made of it does not.
	p.send(daemon.Local, append(letter(alice), strings.Repeat(line, 230<<10/len(line))...), 452)
	add(want, 1, mails, "deferred", "outbound", "")
	add(want, 1, faults, "storage", "gateway")
	steps(want, 1, "sign")
	p.await(want)
	// What comes does not.
	p.send(daemon.Outside, append(letter(carol), strings.Repeat(line, 400<<10/len(line))...), 452)
	add(want, 1, faults, "storage", "milter")
	ok(p.T, os.Rename(state+".gone", state))
	p.send(daemon.Outside, append(letter(carol), strings.Repeat(line, 1100<<10/len(line))...), 552)
	add(want, 1, faults, "too-large", "milter")
	for _, s := range []string{"receive", "whole"} {
		add(want, 2, step, s)
	}
	p.await(want)
}
