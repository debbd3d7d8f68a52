package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailseal/internal/pki"
	"mailseal/internal/testlog"
)

// until waits for something.
func until(t *testing.T, log fmt.Stringer, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %v\n%s", what, patience, log)
		}
	}
}

// TestCertmgrTargets: the daemon keeps targets right without a CA as far as that
// goes, with it from when it can be opened, those of a new configuration, and what
// was revoked; and its socket is the CA of others.
func TestCertmgrTargets(t *testing.T) {
	conf, _ := certmgrFiles(t)
	dir := filepath.Dir(conf)
	if err := guarded(conf); err != nil {
		t.Skipf("the folder of temporary files is open itself: %v", err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	target := func(name, issuer string) string {
		return fmt.Sprintf("[[target]]\nname = %q\nserver = \"files\"\nhosts = [\"%s.example.test\"]\nissuer = %q\nfiles = { pair = \"%s.pem\" }\nprobe = \"off\"\nkey = \"p256\"\n", name, name, issuer, name)
	}
	text, err := os.ReadFile(conf)
	do(err)
	with := string(text) + "[certmgr]\nstate = \"state\"\n" + target("self", "self") + target("a", "ca")
	do(os.WriteFile(conf, []byte(with), 0o600))
	key := filepath.Join(dir, "CA/private/cakey.pem")
	do(os.Rename(key, key+".away"))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &testlog.Log{}
	m := &certmgrDaemon{service: service{getenv: func(string) string { return "" }}, name: conf, wake: make(chan struct{}, 1),
		env: Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: log, Getenv: func(string) string { return "" }}}
	again := make(chan os.Signal, 1)
	ended := make(chan error, 1)
	go func() { ended <- m.run(ctx, again) }()
	leaf := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name+".pem"))
		if err != nil {
			return ""
		}
		id, err := pki.ParseIdentity(b, nil)
		do(err)
		return fmt.Sprintf("%X", id.Certificate.SerialNumber)
	}
	has := func(name string) func() bool { return func() bool { return leaf(name) != "" } }
	said := func(what string) func() bool { return func() bool { return strings.Contains(log.String(), what) } }

	until(t, log, "what needs no CA", has("self"))
	until(t, log, "what needs one", said("the CA is not to be had"))
	until(t, log, "no CA", said("cannot open the CA"))
	do(os.Rename(key+".away", key))
	again <- syscall.SIGHUP
	until(t, log, "what needs a CA that is there", has("a"))
	do(os.WriteFile(conf, []byte(with+target("b", "ca")), 0o600))
	again <- syscall.SIGHUP
	until(t, log, "a new target", has("b"))

	first := leaf("a")
	if out, errs, status := call("", "ca", "revoke", "-config", conf, "-serial", first, "-yes"); status != 0 {
		t.Fatal(out, errs)
	}
	until(t, log, "a revoked certificate", func() bool { return leaf("a") != first })

	other := filepath.Join(dir, "other.toml")
	do(os.WriteFile(other, []byte(strings.Replace(string(text), `dir = "CA"`, `dir = ""`, 1)+"[certmgr]\nstate = \"other\"\n"+target("c", "ca")), 0o600))
	if _, errs, status := call("", "certmgr", "-once", "-config", other); status != 0 || !has("c")() {
		t.Errorf("%d: %s", status, errs)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "s")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}
