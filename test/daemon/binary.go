package daemon

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"mailseal/test/rig"
)

var build = struct {
	sync.Once
	path string
	err  error
}{}

// Binary is the product, built once for the test process as it is shipped, or
// with the race detector where MAILSEAL_TEST_RACE is set. MAILSEAL_BINARY names
// one that is there.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("MAILSEAL_BINARY"); path != "" {
		return path
	}
	root := rig.Root(t)
	build.Do(func() { build.path, build.err = compile(root) })
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// compile builds. Other test processes may be at the same: they make the same
// file, and each puts its own in place at once.
func compile(root string) (string, error) {
	name, args, cgo := "mailseal", []string{"build", "-trimpath", "-buildvcs=false"}, "CGO_ENABLED=0"
	if os.Getenv("MAILSEAL_TEST_RACE") != "" {
		name, args, cgo = "mailseal-race", append(args, "-race"), "CGO_ENABLED=1"
	}
	dir := filepath.Join(root, "build", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	made := filepath.Join(tmp, name)
	cmd := exec.Command("go", append(args, "-o", made, "./cmd/mailseal")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), cgo)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build mailseal: %w\n%s", err, &out)
	}
	path := filepath.Join(dir, name)
	return path, os.Rename(made, path)
}

// Run runs a command of the product to its end with a mail, or something else,
// on its standard input.
func Run(t testing.TB, stdin []byte, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(Binary(t), args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
