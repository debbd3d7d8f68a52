// Package maillog has two hosts send mail to each other, and `mailseal log` read
// their logs.
package maillog

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

const patience = 2 * time.Minute

// files writes a host's key, certificate and the CAs that it knows.
func files(t *testing.T, id pki.Identity, known ...*x509.Certificate) mtarig.TLS {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return mtarig.TLS{
		Certificate: write("host.cert", testpki.CertPEM(id.Certificate), 0o644),
		Key:         write("host.key", testpki.KeyPEM(t, id.Key), 0o600),
		CA:          write("cacert.pem", testpki.CertPEM(known...), 0o644),
	}
}

// A peer is one of mailseal log's.
type peer struct {
	Direction string         `json:"direction"`
	Counts    map[string]int `json:"counts"`
	Verdict   string         `json:"verdict"`
	Cause     string         `json:"cause"`
	Reason    string         `json:"reason"`
	Versions  []string       `json:"versions"`
}

// peers are what mailseal log makes of a host's log.
func peers(t *testing.T, m rig.MTA) (all []peer, status int) {
	t.Helper()
	cmd := exec.Command(daemon.Binary(t), "log", "-json", "-check", filepath.Join(m.Dir(), "maillog"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		status = e.ExitCode()
	}
	if errs.Len() > 0 {
		t.Error(errs.String())
	}
	var r struct{ Peers []peer }
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return r.Peers, status
}

// want is what a log has to say of the other host, and whether that FAILs now.
func want(t *testing.T, m rig.MTA, direction string, counts map[string]int, cause, reason string, status int) {
	t.Helper()
	all, got := peers(t, m)
	for _, p := range all {
		if p.Direction != direction || p.Cause == "broken-off" {
			continue
		}
		for word, n := range counts {
			if p.Counts[word] != n {
				t.Errorf("%s: %s %d times, want %d", m.Hostname(), word, p.Counts[word], n)
			}
		}
		if p.Cause != cause || !strings.Contains(p.Reason, reason) || len(p.Versions) != 1 || p.Versions[0] != "TLSv1.3" {
			t.Errorf("%s: %+v; want cause %s, reason %q", m.Hostname(), p, cause, reason)
		}
		if got != status {
			t.Errorf("%s: exit status %d, want %d", m.Hostname(), got, status)
		}
		return
	}
	t.Errorf("%s: nothing about %s in %+v", m.Hostname(), direction, all)
}

// send hands a host a mail, and waits until it has delivered it.
func send(t *testing.T, from rig.MTA, to string) {
	t.Helper()
	mail := mtarig.Mail{From: "root@krb5.example.test", To: []string{to}, Data: []byte("Subject: verify=OK\r\n\r\nlog\r\n")}
	if err := mtarig.Send(from.Addr(), mail); err != nil {
		t.Fatal(err)
	}
	if _, err := from.WaitLog("to=<"+to+">.* stat=Sent [(]Ok: queued", patience); err != nil {
		t.Fatal(err)
	}
}

// TestFailThenOK: two hosts with CAs of their own log verify=FAIL and Untrusted
// of each other; when both have certificates of one CA, OK and Trusted. The logs
// are real, those of sendmail and Postfix.
func TestFailThenOK(t *testing.T) {
	one, other := testpki.New(t), testpki.New(t).Stranger()
	name := []string{"krb5.example.test", "dhcp.example.test"}
	apart := []mtarig.TLS{
		files(t, other.Host(name[0], ca.P256), other.Root()),
		files(t, one.Host(name[1], ca.P256), one.Root()),
	}
	together := files(t, one.Host(name[0], ca.P256), one.Root())
	sink := rig.NewSink(t, mtarig.SinkConfig{})
	server := rig.Postfix.Start(t, mtarig.Config{Hostname: name[1], Relay: sink.Addr(), TLS: apart[1], Extra: []string{"smtpd_tls_loglevel = 1"}})
	client := rig.Sendmail.Prepare(t, mtarig.Config{Hostname: name[0], Relay: server.Addr(), TLS: apart[0], Extra: []string{
		"define(`confCLIENT_CERT', `" + apart[0].Certificate + "')",
		"define(`confCLIENT_KEY', `" + apart[0].Key + "')",
		"define(`confLOG_LEVEL', `14')",
	}})
	rig.Start(t, client)
	send(t, client, "first@example.test")
	want(t, client, "out", map[string]int{"FAIL": 1, "OK": 0}, "unknown-ca", "self-signed certificate in certificate chain", 1)
	want(t, server, "in", map[string]int{"FAIL": 1, "OK": 0}, "unstated", "", 1)

	// As an evening's work, or mailseal setup, would have it.
	for from, to := range map[string]string{together.Certificate: apart[0].Certificate, together.Key: apart[0].Key, together.CA: apart[0].CA} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Stop(); err != nil {
		t.Fatal(err)
	}
	rig.Start(t, client)
	send(t, client, "second@example.test")
	want(t, client, "out", map[string]int{"FAIL": 1, "OK": 1}, "unknown-ca", "self-signed", 0)
	want(t, server, "in", map[string]int{"FAIL": 1, "OK": 1}, "unstated", "", 0)
}
