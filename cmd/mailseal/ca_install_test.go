package main

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mailseal/certmgr"
	"mailseal/certmgr/install"
)

// An office has a CA and a target, whose server is a file that says that it was
// reloaded.
type office struct {
	t   *testing.T
	dir string
}

func newOffice(t *testing.T, reload string) *office {
	t.Helper()
	o := &office{t, t.TempDir()}
	text := `authserv_id = "mx.example.jp"
local_domains = ["example.jp"]
[ca]
dir = "CA"
socket = "unix:` + o.path("sock") + `"
[certmgr]
state = "` + o.path("state") + `"
[[target]]
name = "mx"
server = "files"
hosts = ["mx.example.jp", "mail.example.jp"]
dir = "` + o.path("certs") + `"
files = { key = "mx.key", certificate = "mx.crt" }
key = "p256"
days = 90
probe = "off"
reload = "` + strings.ReplaceAll(reload, "DIR", o.dir) + `"
`
	if err := os.WriteFile(o.path("mailseal.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := o.ca("init", "-subject", "/O=MyCorp/CN=Private CA", "-key", "p256", "-no-passphrase"); status != exOK {
		t.Fatalf("status %d, %s", status, errs)
	}
	return o
}

func (o *office) path(name string) string { return filepath.Join(o.dir, name) }

func (o *office) ca(args ...string) (stdout, stderr string, status int) {
	o.t.Helper()
	return call("", append([]string{"ca", args[0], "-config", o.path("mailseal.toml")}, args[1:]...)...)
}

// serves is the serial of the pair that a server would have.
func (o *office) serves() string {
	o.t.Helper()
	pair, err := tls.LoadX509KeyPair(o.path("certs/mx.crt"), o.path("certs/mx.key"))
	if err != nil {
		o.t.Fatal(err)
	}
	return strings.ToUpper(pair.Leaf.SerialNumber.Text(16))
}

// A certificate goes into its target at once, with all that the target says, and
// what was somebody else's there is kept.
func TestCAIssueInstall(t *testing.T) {
	o := newOffice(t, "echo again >>DIR/reloads")
	out, errs, status := o.ca("issue", "-install", "-yes")
	want := regexp.MustCompile(`^serial      ([0-9A-F]{32})
subject     /O=MyCorp/CN=mx.example.jp
names       mx.example.jp, mail.example.jp
to          20\d\d-\d\d-\d\d, 90 days
target      mx
installed   \S+/certs/mx.key
installed   \S+/certs/mx.crt
proof       none: the target has no probe
$`)
	m := want.FindStringSubmatch(out)
	if m == nil || errs != "" || status != exOK {
		t.Fatalf("status %d, %q, %s; want %s", status, errs, out, want)
	}
	if got := o.serves(); got != strings.TrimLeft(m[1], "0") {
		t.Errorf("%s is served, want %s", got, m[1])
	}
	// The daemon would find nothing to do.
	if out, errs, status := call("", "certmgr", "-config", o.path("mailseal.toml"), "-plan"); status != exOK {
		t.Errorf("plan: status %d, %s%s", status, out, errs)
	}

	foreign := []byte("somebody's key\n")
	if err := os.WriteFile(o.path("certs/mx.key"), foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, status = o.ca("issue", "-install=mx", "-dns", "mx.example.jp", "-dns", "mail.example.jp", "-dns", "more.example.jp", "-out", o.path("copy"), "-json", "-yes")
	var told struct {
		Files     []string
		Installed struct {
			Target, Kept string
			Files        []string
		}
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || errs != "" || status != exOK {
		t.Fatalf("status %d, %v, %q, %s", status, err, errs, out)
	}
	if len(told.Files) != 3 || told.Installed.Target != "mx" || len(told.Installed.Files) != 2 {
		t.Errorf("%+v", told)
	}
	if kept, err := os.ReadFile(filepath.Join(told.Installed.Kept, "mx.key")); err != nil || string(kept) != string(foreign) {
		t.Errorf("kept in %q: %q, %v", told.Installed.Kept, kept, err)
	}
	copied, err := os.ReadFile(o.path("copy.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if there, err := os.ReadFile(o.path("certs/mx.crt")); err != nil || string(there) != string(copied) {
		t.Errorf("another certificate than that of -out: %v", err)
	}
	if b, err := os.ReadFile(o.path("reloads")); err != nil || string(b) != "again\nagain\n" {
		t.Errorf("reloads %q, %v", b, err)
	}
}

// Where the server cannot be told, the old files come back, and what was issued
// is said.
func TestCAIssueInstallRollsBack(t *testing.T) {
	o := newOffice(t, "test ! -e DIR/broken")
	if _, errs, status := o.ca("issue", "-install", "-yes"); status != exOK {
		t.Fatalf("status %d, %s", status, errs)
	}
	before := o.serves()
	if err := os.WriteFile(o.path("broken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, status := o.ca("issue", "-install", "-yes")
	if status != exTempFail || !strings.Contains(errs, "is issued, and the server did not come up with it; the old files are back: reload mx: ") || !strings.Contains(out, "\nthe old files are back\n") {
		t.Errorf("status %d, %q, %s", status, errs, out)
	}
	if got := o.serves(); got != before {
		t.Errorf("%s is served, want %s", got, before)
	}
}

// What cannot be installed is not issued.
func TestCAIssueInstallRefuses(t *testing.T) {
	o := newOffice(t, "none")
	for _, tt := range []struct {
		args, want string
		status     int
	}{
		{"-install=pop", `-install: no target "pop" whose certificate is the CA's; there are: mx (mx.example.jp mail.example.jp)`, exDataErr},
		{"-install -cn www.example.jp", "-install: these names are not those of a target whose certificate is the CA's; there are: mx (mx.example.jp mail.example.jp)", exDataErr},
		{"-install=mx -cn mx.example.jp", "-install: the target mx is for mx.example.jp mail.example.jp; give all of these with -dns, or no names", exDataErr},
		{"-install -profile user -email a@example.jp", "-install is for servers, and a user certificate is none's; leave -profile out", exUsage},
		{"-install -append -out x", "-install puts a new key and its certificate into a server's own files; leave -csr and -append out", exUsage},
		{"-install -dir CA", "-install is for the CA of the configuration, from which certmgr goes on; leave -dir out", exUsage},
		{"-install -key ed25519", "-key: the target mx has keys of another kind (p256); leave -key out, or set its key", exDataErr},
		{"-install -p12", "no -out; name what the files begin with", exUsage},
		{"-install=", `invalid boolean value "" for -install: want the name of a target, or none with its =; see mailseal ca issue -h`, exUsage},
	} {
		out, errs, status := o.ca(append([]string{"issue", "-yes"}, strings.Fields(tt.args)...)...)
		if want := "mailseal ca issue: " + tt.want + "\n"; errs != want || out != "" || status != tt.status {
			t.Errorf("%s: status %d, %q, %q; want %d, %q", tt.args, status, out, errs, tt.status, want)
		}
	}
	if out, _, _ := o.ca("audit"); !strings.Contains(out, ": 0 issued,") {
		t.Errorf("%s", out)
	}
}

func TestChooseTarget(t *testing.T) {
	target := func(name string, issuer install.Origin, hosts ...string) certmgr.Target {
		return certmgr.Target{Target: install.Target{Name: name, Hosts: hosts, Issuer: issuer}}
	}
	all := []certmgr.Target{target("smtp", "", "mx.example.jp"), target("imap", install.ByCA, "mail.example.jp", "imap.example.jp"), target("bought", install.FromFiles, "www.example.jp")}
	for _, tt := range []struct{ name, names, want string }{
		{"", "mx.example.jp", "smtp"},
		{"", "*.example.jp mx.example.jp", "more than one"},
		{"imap", "*.example.jp", "imap"},
		{"imap", "", "imap"},
		{"", "", "more than one"},
		{"", "mail.example.jp", "not those of a target"},
		{"", "www.example.jp", "not those of a target"},
		{"bought", "", `no target "bought" whose certificate is the CA's`},
	} {
		got, err := chooseTarget(all, tt.name, strings.Fields(tt.names))
		if err != nil {
			got.Name = err.Error()
		}
		if got.Name != tt.want && (err == nil || !strings.Contains(got.Name, tt.want)) {
			t.Errorf("%q, %q: %s, want %s", tt.name, tt.names, got.Name, tt.want)
		}
	}
	if _, err := chooseTarget(nil, "", nil); err == nil || !strings.Contains(err.Error(), "no [[target]]") {
		t.Errorf("%v", err)
	}
}
