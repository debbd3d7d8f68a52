package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/rig"
)

// The bench's own milters are this program too.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && !strings.HasPrefix(os.Args[1], "-") {
		serveFilter(os.Args[1], os.Args[2], os.Stderr)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// smoke runs the bench for as little as it can, and sees to it that nothing is
// left of it.
func smoke(t *testing.T, ctx context.Context, only string) (table string, err error) {
	t.Helper()
	tree := os.Getenv("MAILSEAL_MTA")
	if tree == "" {
		tree = filepath.Join(rig.Root(t), "build", "mta")
	}
	tools := mtarig.Find(tree)
	rig.Missing(t, tools.Postfix())
	rig.Missing(t, tools.Sendmail())
	rig.Missing(t, tools.OpenDKIM())
	// Not t.TempDir: names of sockets must be short.
	dir, err := os.MkdirTemp("/tmp", "ms-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // Postfix's own user goes through
		t.Fatal(err)
	}
	o := options{rounds: 1, run: time.Millisecond, dir: dir, mailseal: daemon.Binary(t), tree: tree, only: regexp.MustCompile(only)}
	var out, progress strings.Builder
	err = run(ctx, o, &out, &progress)
	t.Logf("progress:\n%s", &progress)
	if left, e := os.ReadDir(dir); len(left) > 0 || e != nil {
		t.Errorf("left behind: %v, %v", left, e)
	}
	return out.String(), err
}

// What the bench stands on works: a few mails through most kinds of milter,
// each looked at.
func TestBench(t *testing.T) {
	table, err := smoke(t, context.Background(), `^postfix/unix/10KB/x1/(body replaced|mailseal verifies|OpenDKIM)|^sendmail/tcp/10KB/x1/mailseal signs, P-256`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"body replaced", "mailseal verifies", "OpenDKIM", "mailseal signs, P-256"} {
		if !strings.Contains(table, "\n| "+want) {
			t.Errorf("no figure for %q in\n%s", want, table)
		}
	}
}

// A bench that is interrupted ends what it has started.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := smoke(t, ctx, `^postfix/unix/10KB/x1/do-nothing`)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("%v, want an error that says so", err)
	}
}

// What the samples are looked at for is not found in mail that no milter has
// seen.
func TestChecksCanFail(t *testing.T) {
	dir := t.TempDir()
	m := &material{mailseal: daemon.Binary(t), dir: dir, ca: filepath.Join(dir, "ca.pem"), rsaKey: filepath.Join(dir, "dkim.pem")}
	if err := m.makeKeys(); err != nil {
		t.Fatal(err)
	}
	plain := []byte(strings.ReplaceAll(string(compose(sender, small)), "\n", "\r\n"))
	for _, s := range setups {
		mail := plain
		if s.name == noMilter || s.name == "do-nothing milter" {
			mail = append([]byte(nil), plain[:len(plain)-3]...)
		}
		if s.check(m, mail) == nil {
			t.Errorf("%s: a mail that did not come through it is good enough", s.name)
		}
	}
}
