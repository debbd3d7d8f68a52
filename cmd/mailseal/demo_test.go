package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailseal/internal/mtarig"
)

// demoProgram builds the real program, for its milters are processes of the
// same one, and returns what makes commands that run its demo.
func demoProgram(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	mta, err := filepath.Abs("../../build/mta")
	if err != nil {
		t.Fatal(err)
	}
	if env := os.Getenv("MAILSEAL_MTA"); env != "" {
		mta = env
	}
	if err := mtarig.Find(mta).Postfix(); err != nil {
		t.Skip(err)
	}
	program := filepath.Join(t.TempDir(), "mailseal")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return func(args ...string) *exec.Cmd {
		return exec.Command(program, append([]string{"demo", "-mta", mta}, args...)...)
	}
}

func TestDemo(t *testing.T) {
	cmd := demoProgram(t)()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, errs.Bytes(), out.Bytes())
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	for _, want := range []string{
		"Authentication-Results: mx.partner.example; smime=pass",
		"Authentication-Results: mx.corp.example; smime=pass",
		"Authentication-Results: mx.partner.example; smime=fail",
		"verify=OK", "verify=FAIL", "postfix/smtp[", "multipart/signed", "please pay 900 EUR",
		"checks passed",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output has no %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s\n%s", errs.Bytes(), out.Bytes())
	}
	wantGone(t, folderOf(t, out.String()))
}

func TestDemoKeeps(t *testing.T) {
	out, err := demoProgram(t)("-keep").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := folderOf(t, string(out))
	defer os.RemoveAll(dir)
	for _, name := range []string{"CA/cacert.pem", "corp/mailseal.toml", "corp/mailseal.log", "corp/postfix.log", "partner/mailseal.log"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if !strings.Contains(string(out), "left in "+dir) {
		t.Error("it does not say where")
	}
}

// Stopped at any place and in any way, it ends what it started and removes what
// it made.
func TestDemoStopped(t *testing.T) {
	program := demoProgram(t)
	const milters = "         mailseal milter" // said when one runs
	interrupt := func(cmd *exec.Cmd, _ io.Closer) { cmd.Process.Signal(syscall.SIGINT) }
	for _, tt := range []struct {
		after string
		stop  func(*exec.Cmd, io.Closer)
	}{
		{"2. ", interrupt},
		{milters, interrupt},
		{"3. ", interrupt},
		{"4. ", func(cmd *exec.Cmd, _ io.Closer) { cmd.Process.Signal(syscall.SIGHUP) }},
		{"3. ", func(_ *exec.Cmd, stdout io.Closer) { stdout.Close() }},
	} {
		cmd := program()
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		stopped := false
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			out.WriteString(lines.Text() + "\n")
			if !stopped && strings.Contains(lines.Text(), tt.after) {
				tt.stop(cmd, stdout)
				stopped = true
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("stopped after %q: %v\n%s\n%s", tt.after, err, errs.Bytes(), out.String())
		}
		if strings.Contains(out.String(), milters) {
			wantGone(t, folderOf(t, out.String()))
		}
	}
}

// folderOf finds the demo's folder in its output.
func folderOf(t *testing.T, out string) string {
	t.Helper()
	dir := regexp.MustCompile(`/tmp/mailseal-demo-[0-9]+`).FindString(out)
	if dir == "" {
		t.Fatalf("no folder in the output:\n%s", out)
	}
	return dir
}

// wantGone checks that neither the folder nor any process that works with it
// is left.
func wantGone(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		line, _ := os.ReadFile(filepath.Join(p, "cmdline")) // it may end meanwhile
		cwd, _ := os.Readlink(filepath.Join(p, "cwd"))
		if bytes.Contains(line, []byte(dir)) || strings.HasPrefix(cwd, dir) {
			t.Errorf("process %s is left: %q in %s", filepath.Base(p), line, cwd)
		}
	}
}
