package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// typing is a terminal at which something was typed already.
func typing(t *testing.T, text string) *os.File {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	if _, err := keyboard.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return screen
}

// On a terminal the passphrase of a key is asked for, when a folder is imported
// as when a certificate is issued, and what will be issued is shown before.
func TestCAAsks(t *testing.T) {
	at := encryptedCA(t)
	if err := os.Remove(at("CA/ca.toml")); err != nil {
		t.Fatal(err)
	}
	issue := []string{"ca", "issue", "-dir", at("CA"), "-profile", "host", "-cn", "mx.example.jp", "-key", "p256", "-out", at("mx")}
	for _, tt := range []struct {
		name, typed string
		args        []string
		status      int
		errs        string
	}{
		{"import, wrong", "y\nfalsch\n", []string{"ca", "import", "-dir", at("CA")}, exDataErr, "wrong passphrase"},
		{"import", "y\ngeheim\n", []string{"ca", "import", "-dir", at("CA")}, exOK, "passphrase of the CA's key in"},
		{"issue, no", "geheim\nn\n", issue, exTempFail, "names    mx.example.jp\n"},
		{"issue", "geheim\ny\n", issue, exOK, "397 days\nIssue it? [y/N] "},
	} {
		var out, errs bytes.Buffer
		status := run(context.Background(), Env{
			Args: tt.args, Stdin: typing(t, tt.typed), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" },
		})
		if status != tt.status || !strings.Contains(errs.String(), tt.errs) || strings.Contains(out.String()+errs.String(), "geheim") {
			t.Errorf("%s: status %d\n%s%s", tt.name, status, out.String(), errs.String())
		}
	}
	if out, _, _ := call("", "ca", "audit", "-dir", at("CA")); !strings.Contains(out, " 1 issued,") {
		t.Errorf("audit:\n%s", out)
	}
}
