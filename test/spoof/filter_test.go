package spoof_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/internal/gateway"
	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/internal/verdict"
	"mailseal/test/daemon"
)

// configure writes what the gateway of a bench is made of as a postmaster does.
func (w *world) configure(t *testing.T) (file string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.pem", testpki.CertPEM(w.parse(w.root)))
	for _, id := range w.identities() {
		write("identities/"+id.Name+".pem", testpki.PEM(t, id))
	}
	write("mailseal.toml", []byte(`authserv_id = "`+ours+`"
local_domains = ["example.jp"]
state = "state"
[smime]
identities = "identities"
trust = ["ca.pem"]
`))
	write("state/.keep", nil)
	return filepath.Join(dir, "mailseal.toml")
}

// What the program says of a mail is what the gateway says that was attacked: one
// mail of each class, and what there is to read in it.
func TestFilter(t *testing.T) {
	w := newWorld(t)
	b := newBench(t, w)
	file := w.configure(t)
	run := func(name, mail string, to []string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"filter", "-config", file, "-client", "192.0.2.1", "-from", mallory, "-json"}
			for _, r := range to {
				args = append(args, "-rcpt", r)
			}
			stdout, stderr, status := daemon.Run(t, []byte(mail), args...)
			if strings.Contains(stderr, secret) {
				t.Errorf("the secret is in %s", stderr)
			}
			var said struct {
				Action  string
				Result  struct{ SMIME, Reason string }
				Opening *gateway.Opening
			}
			if err := json.Unmarshal([]byte(stderr), &said); err != nil || status != 0 {
				t.Fatalf("status %d, %v: %s", status, err, stderr)
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			d := b.deliver(t, []byte(mail), to...)
			r := d.outcome.Result
			if stdout != string(d.mail) || said.Action != message.Accept.String() || said.Result.SMIME != string(r.Status) || said.Result.Reason != r.Reason {
				t.Errorf("%s\n%s\nwant %s\n%s", stderr, stdout, d.json, d.mail)
			}
			if o := d.outcome.Opening; (o != nil) != (said.Opening != nil) || o != nil && (o.Decrypted != said.Opening.Decrypted || o.Integrity != said.Opening.Integrity) {
				t.Errorf("%+v, want %+v", said.Opening, o)
			}
		})
	}
	seen := map[string]bool{}
	for _, a := range attacks(w) {
		if c := fmt.Sprint(a.class, a.want == verdict.Pass); !seen[c] && !a.raw && a.class != "I4" { // no CAs for domains here
			seen[c] = true
			run(a.class+" "+a.name, crlf(a.mail), []string{bob})
		}
	}
	for _, c := range captures(w) {
		if k := fmt.Sprint(c.class, c.opened, c.wrapped); !seen[k] {
			seen[k] = true
			to := c.to
			if to == nil {
				to = []string{bob}
			}
			run(c.class+" "+c.name, crlf(c.mail), to)
		}
	}
}
