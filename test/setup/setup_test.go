// Package setup_test takes private mail servers from throw-away certificates to
// verify=OK with mailseal setup, and back.
package setup_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// The machines of the article that this replaces an evening's work of.
const (
	krb5Name = "krb5.home.jf3vqb.net"
	dhcpName = "dhcp.home.jf3vqb.net"
)

// A pair is two machines: krb5 sends all its mail to dhcp.
type pair struct {
	krb5, dhcp *machine
	ca, pass   string
	marks      [2]int // where the last mail begins in the logs
}

func newPair(t *testing.T, krb5, dhcp rig.Kind) *pair {
	t.Helper()
	sink := rig.NewSink(t, mtarig.SinkConfig{})
	p := &pair{dhcp: boot(t, dhcp, dhcpName, sink.Addr())}
	p.krb5 = boot(t, krb5, krb5Name, p.dhcp.Addr())
	p.ca, p.pass = filepath.Join(p.krb5.root, "CA"), filepath.Join(p.krb5.root, "etc/mailseal/ca.pass")
	return p
}

// both sends a mail and returns what the two log of its connection.
func (p *pair) both(t *testing.T, to string) (client, server string) {
	t.Helper()
	p.marks = [2]int{len(p.krb5.Log()), len(p.dhcp.Log())}
	p.krb5.send(t, to)
	return p.krb5.logs(t, p.marks[0], p.krb5.clientLine()), p.dhcp.logs(t, p.marks[1], p.dhcp.serverLine())
}

// told holds what mailseal log says of the last mail's connection, on both sides.
func (p *pair) told(t *testing.T, want string) {
	t.Helper()
	for i, m := range []*machine{p.krb5, p.dhcp} {
		path := filepath.Join(t.TempDir(), "maillog")
		if err := os.WriteFile(path, []byte(m.Log()[p.marks[i]:]), 0o600); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Peers []struct{ Direction, Verdict string }
		}
		out, _, _ := daemon.Run(t, nil, "log", "-json", path)
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		side := []string{"out", "in"}[i]
		found := false
		for _, peer := range got.Peers {
			if peer.Direction == side {
				if found = true; peer.Verdict != want {
					t.Errorf("mailseal log of %s says %s, want %s:\n%s", m.name, peer.Verdict, want, out)
				}
			}
		}
		if !found {
			t.Errorf("mailseal log of %s does not tell of the connection:\n%s", m.name, out)
		}
	}
}

// setup sets both up with one CA.
func (p *pair) setup(t *testing.T, more ...string) {
	t.Helper()
	for _, m := range []*machine{p.krb5, p.dhcp} {
		args := append([]string{"-prefix", m.root, "-conf", m.conf(), "-dir", m.certs(), "-ca", p.ca, "-yes"}, more...)
		if m == p.dhcp {
			args = append(args, "-passphrase-file", p.pass)
		}
		out := m.setup(t, 0, append(m.place(), args...)...)
		if !strings.Contains(out, " verify=OK tls=TLSv1.3 name="+m.name) {
			t.Errorf("setup of %s does not say what is served:\n%s", m.name, out)
		}
		if !strings.Contains(out, "\nback: mailseal setup undo -prefix "+m.root+"\n") {
			t.Errorf("setup of %s does not say how to take it back:\n%s", m.name, out)
		}
	}
}

// The words with which servers log that they do not know who the other is, and that
// they do.
var (
	unknown = map[rig.Kind]string{rig.Sendmail: " verify=FAIL,", rig.Postfix: " Untrusted TLS connection "}
	known   = map[rig.Kind]string{rig.Sendmail: " verify=OK,", rig.Postfix: " Trusted TLS connection "}
)

// expect sends mails until both sides log the word: an idle process of Postfix may
// take one more session with what it has read before.
func (p *pair) expect(t *testing.T, when, client, server string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		c, s := p.both(t, "pokemon@"+dhcpName)
		if strings.Contains(c, client) && strings.Contains(s, server) {
			t.Logf("%s:\n%s\n%s", when, c, s)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: want %q and %q:\n%s\n%s", when, client, server, c, s)
		}
	}
}

// TestPairs: two hosts that do not know each other's CA do after setup on both, and
// undo leaves no trace.
func TestPairs(t *testing.T) {
	for _, c := range []struct {
		name       string
		krb5, dhcp rig.Kind
		slow       bool
	}{
		{"sendmail to sendmail", rig.Sendmail, rig.Sendmail, false},
		{"Postfix to Postfix", rig.Postfix, rig.Postfix, false},
		{"sendmail to Postfix", rig.Sendmail, rig.Postfix, true},
		{"Postfix to sendmail", rig.Postfix, rig.Sendmail, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.slow {
				slow(t)
			}
			p := newPair(t, c.krb5, c.dhcp)
			before := []map[string]string{p.krb5.files(t), p.dhcp.files(t)}
			p.expect(t, "with throw-away certificates", unknown[c.krb5], unknown[c.dhcp])
			p.told(t, "FAIL")
			p.setup(t, "-ask-client-certs")
			p.expect(t, "after setup", known[c.krb5], known[c.dhcp])
			p.told(t, "OK")
			for _, m := range []*machine{p.krb5, p.dhcp} { // all is as certmgr would have it
				run(t, "certmgr", "-plan", "-config", filepath.Join(m.root, "etc/mailseal/mailseal.toml"))
				// That certmgr does not run is yellow.
				out, stderr, _ := daemon.Run(t, nil, "doctor", "-config", filepath.Join(m.root, "etc/mailseal/mailseal.toml"), "-conf", m.conf())
				if !strings.Contains(out, "verify=OK") || strings.Contains(out, "RED ") {
					t.Errorf("doctor on %s:\n%s%s", m.name, out, stderr)
				}
			}
			if out := p.dhcp.setup(t, 0, "-prefix", p.dhcp.root, "-conf", p.dhcp.conf()); !strings.Contains(out, "nothing to do") {
				t.Errorf("a second setup has something to do:\n%s", out)
			}
			p.undo(t)
			if diff := cmp.Diff(before, []map[string]string{p.krb5.files(t), p.dhcp.files(t)}); diff != "" {
				t.Errorf("after undo (-before, +after):\n%s", diff)
			}
			p.expect(t, "after undo", unknown[c.krb5], unknown[c.dhcp])
		})
	}
}

// undo takes both back.
func (p *pair) undo(t *testing.T) {
	t.Helper()
	for _, m := range []*machine{p.dhcp, p.krb5} {
		stdout, stderr, status := daemon.Run(t, nil, "setup", "undo", "-prefix", m.root, "-yes")
		if status != 0 {
			t.Fatalf("undo on %s: status %d\n%s%s", m.name, status, stdout, stderr)
		}
	}
}

// TestVerified: what somebody has set more strictly than setup does stays, and
// works; undo leaves the file that he has edited, until it is forced.
func TestVerified(t *testing.T) {
	slow(t)
	p := newPair(t, rig.Postfix, rig.Postfix)
	before := p.krb5.files(t)
	p.setup(t, "-ask-client-certs")
	main := filepath.Join(p.krb5.conf(), "main.cf")
	f, err := os.OpenFile(main, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("smtp_tls_security_level = verify\nsmtp_tls_verify_cert_match = " + dhcpName + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	pid, err := os.ReadFile(filepath.Join(p.krb5.Dir(), "queue/pid/master.pid"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "with the level verify", " Verified TLS connection established to ", known[rig.Postfix])
	if out := p.krb5.setup(t, 0, "-prefix", p.krb5.root, "-conf", p.krb5.conf()); !strings.Contains(out, "nothing to do") {
		t.Errorf("setup would lower the level:\n%s", out)
	}
	stdout, stderr, status := daemon.Run(t, nil, "setup", "undo", "-prefix", p.krb5.root, "-yes")
	if status != 65 || !strings.Contains(stderr, "left "+main+", which somebody else has changed since") {
		t.Errorf("undo: status %d, want 65\n%s%s", status, stdout, stderr)
	}
	run(t, "setup", "undo", "-prefix", p.krb5.root, "-yes", "-force", "-state", filepath.Join(p.krb5.root, "var/lib/mailseal-certmgr"))
	after := p.krb5.files(t)
	if copied := after[main+".mailseal-undo"]; !strings.Contains(copied, "= verify\n") {
		t.Errorf("no copy of what was forced away: %q", copied)
	}
	delete(after, main+".mailseal-undo")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after undo -force (-before, +after):\n%s", diff)
	}
}

// TestTakenBack: where the server does not serve what it was given, all is as before.
func TestTakenBack(t *testing.T) {
	slow(t)
	m := boot(t, rig.Sendmail, krb5Name, rig.NewSink(t, mtarig.SinkConfig{}).Addr())
	before := m.files(t)
	args := []string{"-prefix", m.root, "-conf", m.conf(), "-dir", m.certs(), "-yes"}
	for reload, want := range map[string]string{"exit 3": "status 3", ":": "certificate"} {
		out := m.setup(t, 69, append(args, "-reload", reload)...)
		if !strings.Contains(out, want) || !strings.Contains(out, "; all is as it was before") {
			t.Errorf("reload %q: want %q:\n%s", reload, want, lastLines(out, 3))
		}
		if diff := cmp.Diff(before, m.files(t)); diff != "" {
			t.Errorf("reload %q: (-before, +after):\n%s", reload, diff)
		}
	}
	if out := m.setup(t, 0, args...); !strings.Contains(out, " verify=OK ") {
		t.Errorf("with its own reload:\n%s", out)
	}
}
