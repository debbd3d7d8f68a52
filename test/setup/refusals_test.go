package setup_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/config"
	"mailseal/test/daemon"
)

// greeter is a server that greets and says nothing else.
func greeter(t *testing.T, greeting string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			fmt.Fprintf(c, "220 %s\r\n", greeting)
			_, _ = bufio.NewReader(c).ReadString('\n')
			c.Close()
		}
	}()
	return "smtp://" + l.Addr().String()
}

// A place is a folder with a configuration of sendmail, and one of Postfix.
type place struct{ dir, sendmail, postfix, config string }

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ms-setup-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &place{dir, filepath.Join(dir, "etc/mail"), filepath.Join(dir, "etc/postfix"), filepath.Join(dir, "etc/mailseal/mailseal.toml")}
	p.write(t, filepath.Join(p.sendmail, "sendmail.cf"), "V10/Berkeley\nDjmx.example.jp\nO LogLevel=9\n#O CACertPath\n")
	p.write(t, p.config, "authserv_id = \"mx.example.jp\"\nlocal_domains = [\"example.jp\"]\n")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// files are all files below it.
func (p *place) files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRefusals: what is refused, with which status and words; and that nothing is
// changed then.
func TestRefusals(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("setup needs root")
	}
	nobody := func(p *place) { _ = os.Chown(p.config, 65534, 65534) }
	// Who could write the journal could have any command run.
	journal := func(p *place) {
		state := filepath.Join(p.dir, config.Default(runtime.GOOS).Certmgr.State)
		p.write(t, filepath.Join(state, "setup/sendmail.json"), `{"name":"sendmail","server":"sendmail","reload":"touch `+p.dir+`/run","time":"2026-11-22T00:00:00Z","done":true}`)
		p.write(t, p.config, "authserv_id = \"mx.example.jp\"\nlocal_domains = [\"example.jp\"]\n[certmgr]\nstate = \""+state+"\"\n")
		_ = os.Chown(state, 65534, 65534)
	}
	for _, c := range []struct {
		name    string
		args    []string
		prepare func(*place)
		greet   string
		run     []string // what runs it
		status  int
		want    string
	}{
		{name: "no terminal and no yes", args: []string{"sendmail"}, greet: "mx.example.jp ESMTP Sendmail 8.17", status: 75, want: "nothing was done: there is no terminal to ask at; say -yes too"},
		{name: "unknown server", args: []string{"exim"}, status: 64, want: "want one of sendmail, postfix, undo"},
		{name: "nobody answers", args: []string{"sendmail", "-yes", "-probe", "smtp://127.0.0.1:1"}, status: 69, want: "start it first, or say with -probe where it does"},
		{name: "another server answers", args: []string{"sendmail", "-yes"}, greet: "mx.example.jp ESMTP Postfix (Debian)", status: 78, want: "answers Postfix"},
		{name: "configuration is not root's", args: []string{"sendmail", "-yes"}, prepare: nobody, status: 77, want: "belongs to user 65534, who could exchange it; run: chown root "},
		{name: "state is not root's", args: []string{"sendmail", "-yes"}, prepare: journal, greet: "mx.example.jp ESMTP Sendmail 8.17", status: 77, want: "belongs to user 65534, who could exchange it; run: chown root "},
		{name: "journal is not root's", args: []string{"undo", "-yes"}, prepare: journal, status: 77, want: "belongs to user 65534, who could exchange it; run: chown root "},
		{name: "configuration is wrong", args: []string{"sendmail", "-yes"}, prepare: func(p *place) { p.write(t, p.config, "x = 1\n") }, status: 78, want: "mailseal.toml:1:1: x: unknown key"},
		{name: "no Postfix", args: []string{"postfix", "-yes"}, status: 66, want: "main.cf; install Postfix first, or say with -conf"},
		{name: "main.cf is a folder", args: []string{"postfix", "-yes"}, prepare: func(p *place) { _ = os.MkdirAll(filepath.Join(p.postfix, "main.cf"), 0o755) }, status: 69, want: "main.cf is no file"},
		{name: "no host name", args: []string{"sendmail", "-yes"}, prepare: func(p *place) { p.write(t, filepath.Join(p.sendmail, "sendmail.cf"), "Djmx\n") }, status: 78, want: `calls itself "mx", and a certificate wants a whole name; say it with -host`},
		{name: "host name by flag", args: []string{"sendmail", "-host", "mx.example.jp"}, prepare: func(p *place) { p.write(t, filepath.Join(p.sendmail, "sendmail.cf"), "Djmx\n") }, greet: "mx ESMTP Sendmail 8.17", status: 75, want: `+hosts  = ["mx.example.jp"]`},
		{name: "two CAs", args: []string{"sendmail", "-yes", "-ca", "/other"}, prepare: func(p *place) {
			p.write(t, p.config, "authserv_id = \"mx.example.jp\"\nlocal_domains = [\"example.jp\"]\n[ca]\ndir = \"/ca\"\n")
		}, status: 78, want: "mailseal.toml:4:7: ca.dir: names the CA in /ca, and -ca the one in /other"},
		{name: "target says otherwise", args: []string{"sendmail", "-yes", "-host", "b.example.jp"}, prepare: func(p *place) {
			p.write(t, p.config, "authserv_id = \"mx.example.jp\"\nlocal_domains = [\"example.jp\"]\n[[target]]\nserver = \"sendmail\"\nhosts = [\"a.example.jp\"]\n")
		}, status: 78, want: "mailseal.toml:5:9: target.hosts: is otherwise than the flags say"},
		{name: "CA and request", args: []string{"sendmail", "-yes", "-ca", "/ca", "-request", "x.csr"}, status: 64, want: "a CA on another host; leave -ca"},
		{name: "read-only file system", args: []string{"sendmail", "-yes"}, greet: "mx.example.jp ESMTP Sendmail 8.17",
			run: []string{"unshare", "--mount", "/bin/sh", "-c", `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`, "MAIL"}, status: 78, want: "is on a read-only file system"},
		{name: "not root", args: []string{"sendmail", "-yes"}, run: []string{"setpriv", "--reuid=65534", "--clear-groups"}, status: 77, want: "run it as root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			if c.prepare != nil {
				c.prepare(p)
			}
			args := append([]string{"setup"}, c.args...)
			if c.args[0] != "exim" {
				args = append(args, "-prefix", p.dir)
			}
			if c.greet != "" {
				args = append(args, "-probe", greeter(t, c.greet))
			}
			before := p.files(t)
			out, status := runBy(t, c.run, p, args)
			if status != c.status || !strings.Contains(out, c.want) {
				t.Errorf("status %d, want %d and %q:\n%s", status, c.status, c.want, out)
			}
			if diff := cmp.Diff(before, p.files(t)); diff != "" {
				t.Errorf("something was changed (-before, +after):\n%s", diff)
			}
		})
	}
}

// runBy runs a command of the product by another program, or by itself.
func runBy(t *testing.T, by []string, p *place, args []string) (string, int) {
	t.Helper()
	if len(by) == 0 {
		stdout, stderr, status := daemon.Run(t, nil, args...)
		return stdout + stderr, status
	}
	if _, err := exec.LookPath(by[0]); err != nil {
		t.Skipf("%s is not installed", by[0])
	}
	var argv []string
	for _, a := range by {
		if a == "MAIL" {
			a = p.sendmail
		}
		argv = append(argv, a)
	}
	// Who is not root may not reach the one that was built.
	binary := filepath.Join(t.TempDir(), "mailseal")
	content, err := os.ReadFile(daemon.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, content, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(binary); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(argv[0], append(append(argv[1:], binary), args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}
