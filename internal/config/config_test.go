package config

import (
	"crypto"
	"errors"
	"flag"
	"log/slog"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/trust/revocation"
	"mailseal/smime"
)

var update = flag.Bool("update", false, "write the expected messages of testdata/bad anew")

// same compares what two files say, not where they say it.
var same = cmp.Options{cmpopts.IgnoreUnexported(Config{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}

// TestBad: every broken configuration has the message that it deserves, whole.
func TestBad(t *testing.T) {
	dirs, err := filepath.Glob("testdata/bad/*")
	if err != nil || len(dirs) < 25 {
		t.Fatalf("%d broken configurations: %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			expected := filepath.Join(dir, "expected")
			_, err := Load(filepath.Join(dir, "mailseal.toml"))
			if err == nil {
				t.Fatal("is taken")
			}
			got := strings.ReplaceAll(err.Error(), dir+"/", "") + "\n"
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestGood: a file that sets every key.
func TestGood(t *testing.T) {
	dir, err := filepath.Abs("testdata/good")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load("testdata/good/mailseal.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		AuthservID:    "mx.example.jp",
		LocalDomains:  []string{"example.jp", ".example.jp", "xn--wgv71a119e.jp", ".xn--wgv71a119e.jp"},
		InternalHosts: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("192.0.2.0/24")},
		State:         "/srv/mailseal",
		Milter: Milter{
			Socket: "unix:" + dir + "/run/milter.sock", BeforeSocket: "inet:8890@127.0.0.1", SocketMode: 0o600, SocketGroup: "postfix",
			OnError: message.Quarantine, MaxMessageSize: 100 << 20, EarlierMilters: true, MaxConnections: 20,
			SpoolMemory: 1e6, IdleTimeout: 10 * time.Minute, WorkTimeout: 90 * time.Second, LoginDomain: "example.jp",
		},
		SMIME: SMIME{
			Identities: dir + "/keys", Trust: []string{dir + "/ca.pem", "/etc/ssl/mail"},
			CRLs: []string{dir + "/crl.d"}, Pinned: []string{"/etc/pinned.pem", dir + "/pinned.d"}, SystemTrust: true, Revocation: revocation.Hard,
			Sign: false, Opaque: true, Digest: crypto.SHA512, PSS: true, HeaderProtection: smime.HideSubject,
			Inbound: Inbound{
				InnerHeaders: true, OnVerifyFail: policy.Quarantine, OnDecryptFail: policy.Tag, VerifyFailTag: "[bad]", DecryptFailTag: "【復号できず】",
				SubjectTags: []string{"[signed OK]", "[secret]"}, ReportFields: true,
			},
			Peers: dir + "/peers.toml", WeakFails: true, UseSender: true, IgnoreLocalCase: true, Signers: dir + "/signers",
		},
		Fetch: Fetch{
			CRL: true, OCSP: true, Timeout: 10 * time.Second, MaxSize: 32 << 20,
			Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32"), netip.MustParsePrefix("fd00::/8")},
			Proxy: &url.URL{Scheme: "http", Host: "proxy.example.jp:3128"},
		},
		Logins: map[string][]string{
			"anna":             {"anna@example.jp", "sales@example.jp"},
			"robot@example.jp": {"*@example.jp", "*@xn--wgv71a119e.jp", "*@.example.jp"},
			"nobody":           nil,
		},
		DomainCAs: map[string][]string{"partner.example": {dir + "/partner.pem", "/etc/partner"}, ".xn--r8jz45g.jp": {}},
		CA:        CA{Dir: dir + "/CA", PassphraseFile: dir + "/ca.pass", Socket: dir + "/run/certmgr.sock", WebUser: "www-data", WebHosts: []string{"mx.example.jp"}},
		Certmgr:   Certmgr{State: dir + "/certmgr", Poll: 5 * time.Minute},
		Notify:    Notify{Admin: "Postmaster@example.jp", Server: "[::1]:587"},
		Targets: []Target{{
			Name: "postfix", Server: "postfix", Hosts: []string{"mx.example.jp", "xn--wgv71a119e.jp"}, Dir: "/etc/postfix/certs", Reload: "postfix reload",
			Probe: []string{"smtp://127.0.0.1:25"}, Issuer: "ca", Bundle: "ca+system", SystemBundle: dir + "/public.pem", DH: "off", Key: "p256", Days: 90, SNI: "hash:" + dir + "/sni",
		}, {
			Name: "xmail", Server: "files", Hosts: []string{"pop.example.jp"}, Dir: dir + "/xmail", Reload: "none",
			Probe: []string{"pop3://127.0.0.1", "smtps://127.0.0.1:465?name=pop.example.jp"}, Issuer: "files", From: "/srv/incoming", Bundle: "ca",
			DH: "generate:3072", Key: "rsa2048", Owner: "mail", Group: "8", Files: map[string]string{"pair": dir + "/xmail/server.pem", "ca": "/etc/ca.pem"},
		}, {
			Name: "exim", Server: "exim", Hosts: []string{"smtp.example.jp"}, Probe: []string{}, Issuer: "self", Bundle: "ca", Key: "rsa2048",
		}},
		Web:     Web{Listen: "[::1]:8080"},
		Metrics: Metrics{Network: "unix", Address: dir + "/run/metrics.sock", SocketMode: 0o640, SocketGroup: "prometheus"},
		Log:     Log{Syslog: true, Level: slog.LevelDebug},
	}
	delete(want.Logins, "nobody") // an empty list allows nothing more
	if d := cmp.Diff(want, c, same); d != "" {
		t.Error(d)
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if !c.IsSet(k) {
			t.Errorf("%s is not set in the file that sets everything", k)
		}
	}
}

// shipped is the example, with its commented keys set too where all is true.
func shipped(t *testing.T, all bool) (string, []byte) {
	t.Helper()
	name := "../../contrib/mailseal.toml"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if all {
		data = regexp.MustCompile(`(?m)^#([a-z_"\[])`).ReplaceAll(data, []byte("$1"))
	}
	return name, data
}

// TestShipped: the example loads, and what it shows is what holds without it.
func TestShipped(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the example shows the defaults of Linux")
	}
	name, data := shipped(t, false)
	plain, err := Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	_, data = shipped(t, true)
	full, err := Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if !full.IsSet(k) {
			t.Errorf("the example does not show %s", k)
		}
	}
	// These have no default; the example shows how they look.
	full.Milter.BeforeSocket, full.Milter.SocketGroup, full.Milter.LoginDomain = "", "", ""
	full.Logins, full.Metrics.SocketGroup = nil, ""
	full.SMIME.CRLs, full.SMIME.Pinned, full.DomainCAs = nil, nil, nil
	full.Targets, full.Notify.Admin = nil, ""
	if d := cmp.Diff(plain, full, same); d != "" {
		t.Errorf("the example does not show the defaults: %s", d)
	}
	want := Default("linux")
	dir, err := filepath.Abs("../../contrib")
	if err != nil {
		t.Fatal(err)
	}
	want.AuthservID, want.LocalDomains = "mx.example.jp", []string{"example.jp"}
	want.SMIME.Identities, want.SMIME.Trust = dir+"/identities", []string{dir + "/ca.pem", dir + "/trust.d"}
	if d := cmp.Diff(&want, plain, same); d != "" {
		t.Error(d)
	}
}

func TestDefaults(t *testing.T) {
	if d := Default("freebsd"); d.Milter.Socket != "unix:/var/run/mailseal/milter.sock" || d.State != "/var/db/mailseal" || d.Certmgr.State != "/var/db/mailseal-certmgr" {
		t.Errorf("FreeBSD: %s, %s", d.Milter.Socket, d.State)
	}
	for goos, want := range map[string]string{
		"linux": "/etc/mailseal/mailseal.toml", "freebsd": "/usr/local/etc/mailseal/mailseal.toml", "openbsd": "/etc/mailseal/mailseal.toml",
	} {
		if got := DefaultPath(goos); got != want {
			t.Errorf("%s: %s", goos, got)
		}
	}
}

// TestMetricsListen: metrics are for this host alone. Testdata has what is refused.
func TestMetricsListen(t *testing.T) {
	for in, want := range map[string]Metrics{
		"":                      {},
		"127.0.0.1:9113":        {Network: "tcp", Address: "127.0.0.1:9113"},
		"127.9.9.9:0":           {Network: "tcp", Address: "127.9.9.9:0"},
		"[::1]:9113":            {Network: "tcp", Address: "[::1]:9113"},
		"unix:/run/x/../m.sock": {Network: "unix", Address: "/run/m.sock"},
		"unix:m.sock":           {Network: "unix", Address: "/etc/x/m.sock"},
	} {
		c, err := Parse("/etc/x/mailseal.toml", []byte("authserv_id = \"a.example\"\nlocal_domains = [\"example\"]\n[metrics]\nlisten = \""+in+"\"\n"))
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		want.SocketMode = 0o660
		if c.Metrics != want {
			t.Errorf("%q: %+v", in, c.Metrics)
		}
	}
}

// TestAt: who finds that a named file is missing can say where it is named.
func TestAt(t *testing.T) {
	c, err := Load("testdata/good/mailseal.toml")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no such file")
	text, err := os.ReadFile("testdata/good/mailseal.toml")
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]error{
		`"ca.pem"`:        c.At("smime.trust", cause, 0),
		`"/etc/ssl/mail"`: c.At("smime.trust", cause, 1),
		`["ca.pem",`:      c.At("smime.trust", cause),
		`"keys"`:          c.At("smime.identities", cause),
		`"/etc/partner"`:  c.AtDomain("partner.example", cause, 1),
	} {
		var e *Error
		if !errors.As(got, &e) || !errors.Is(got, cause) {
			t.Fatalf("%v", got)
		}
		line := strings.Split(string(text), "\n")[e.Line-1]
		if rest := line[e.Column-1:]; !strings.HasPrefix(rest, want) {
			t.Errorf("%v is the place of %q, want %q", got, rest, want)
		}
	}
	for want, got := range map[string]error{
		`"smtps://`: c.AtTarget(1, "probe", cause, 1),
		`"smtp://`:  c.AtTarget(0, "probe", cause, 0), // no list
		`["pop.`:    c.AtTarget(1, "hosts", cause),
		`target]]`:  c.AtTarget(2, "dir", cause), // not set
	} {
		var e *Error
		if !errors.As(got, &e) {
			t.Fatal(got)
		}
		line := strings.Split(string(text), "\n")[e.Line-1]
		if rest := line[e.Column-1:]; !strings.HasPrefix(rest, want) {
			t.Errorf("%v is the place of %q, want %q", got, rest, want)
		}
	}
	if got := c.At("smime.nothing", cause).Error(); got != "testdata/good/mailseal.toml:1:1: smime.nothing: no such file" {
		t.Error(got)
	}
}

func TestLoadErrors(t *testing.T) {
	if _, err := Load("testdata/absent.toml"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	name := filepath.Join(t.TempDir(), "large.toml")
	if err := os.WriteFile(name, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Error(err)
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[string]Size{
		"0B": 0, "1B": 1, "4096B": 4096, "64KiB": 64 << 10, "64 kib": 64 << 10, "1GB": 1e9, "2GiB": 2 << 30, "1kB": 1000,
	} {
		if got, err := ParseSize(in); got != want || err != nil {
			t.Errorf("%s: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "1", "MiB", "-1MiB", "1.5MiB", "99999999999GiB", "1TiB", "1  MiB", " 1MiB"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q: %d", in, got)
		}
	}
	for s, want := range map[Size]string{0: "0B", 1: "1B", 1 << 10: "1KiB", 3 << 20: "3MiB", 1000: "1000B"} {
		if s.String() != want {
			t.Errorf("%d is %s, want %s", int64(s), s, want)
		}
	}
}

// FuzzScan: whatever TOML the library reads, the scanner finds every key, and
// where it says there is one, there is that key.
func FuzzScan(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*/mailseal.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(files, "testdata/good/mailseal.toml", "../../contrib/mailseal.toml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("a = [[1, {b = '''x''''', \"c\\u0064\".e = 1}], ]\n[[t]]\n[t.u]\nv=1\n[[t]]\n[[t.w]]\nx.y=2\n")
	f.Fuzz(func(t *testing.T, text string) {
		var raw map[string]any
		md, err := toml.Decode(text, &raw)
		if err != nil || strings.HasPrefix(text, "\ufeff") || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
			return
		}
		s, err := scan(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		found := make(map[string]bool)
		for p, at := range s.keys {
			found[regexp.MustCompile(`\[\d+\]`).ReplaceAllString(string(p), "")] = true
			if c := text[at]; strings.ContainsRune(" \t\r\n=.]#,{}", rune(c)) {
				t.Errorf("%q: key %s at %d, where %q is", text, p, at, c)
			}
		}
		for _, k := range md.Keys() {
			if !found[regexp.MustCompile(`\[\d+\]`).ReplaceAllString(k.String(), "")] {
				t.Errorf("%q: key %s is not found among %v", text, k, slices.Collect(maps.Keys(s.keys)))
			}
		}
		for p, at := range s.values {
			if at >= len(text) || strings.ContainsRune(" \t\r\n=]#,", rune(text[at])) {
				t.Errorf("%q: value of %s at %d", text, p, at)
			}
		}
		_, _ = Parse("mailseal.toml", []byte(text)) // and nothing panics
	})
}
