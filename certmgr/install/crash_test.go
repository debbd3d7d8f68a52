package install

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/internal/x509key"
)

const stepEnv = "MAILSEAL_TEST_INSTALL"

// A job is what the process that is killed has to do.
type job struct {
	Journal   string
	Target    Target // without its Authority, which is no JSON
	Authority []byte
	Contents  Contents
}

// TestStep is that process: it installs, on one thread, so that its writes can be
// counted.
func TestStep(t *testing.T) {
	path := os.Getenv(stepEnv)
	if path == "" {
		t.Skip("only runs as a part of other tests")
	}
	runtime.LockOSThread()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var j job
	if err := json.Unmarshal(b, &j); err != nil {
		t.Fatal(err)
	}
	if j.Target.Authority, err = pki.ParseCertificates(j.Authority); err != nil {
		t.Fatal(err)
	}
	s, err := Inspect(j.Target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewJournal(j.Journal).Install(j.Target, j.Contents, s, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// step runs a job in another process, in which strace does something to a
// system call. It reports whether the job was done.
func step(t *testing.T, j job, inject string) bool {
	t.Helper()
	b, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, trace := filepath.Join(dir, "job"), filepath.Join(dir, "trace")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	call, _, _ := strings.Cut(inject, ":")
	cmd := exec.Command("strace", "-f", "-qq", "-o", trace, "-e", "trace="+call, "-e", "inject="+inject, os.Args[0], "-test.run=^TestStep$")
	cmd.Env = append(os.Environ(), stepEnv+"="+path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, out)
	}
	if seen, readErr := os.ReadFile(trace); readErr != nil || (err == nil && len(seen) == 0) {
		t.Fatalf("strace has seen nothing: %v\n%s", readErr, out)
	}
	return err == nil
}

// crashBench is a target whose files are all somebody else's, of a throw-away CA
// as FreeBSD's boot script makes it, and a job that replaces them.
func crashBench(t *testing.T, server string) (*bench, job, func()) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	throwAway := newBench(t)
	throwAway.layout(server, Choices{})
	throwAway.right()
	b := benchOf(t, throwAway.pki.Stranger()) // with another hash
	b.dir = throwAway.dir
	b.layout(server, Choices{Public: true, Bundle: testpki.Write(t, "bundle.crt", ca.EncodeCertificates(testpki.New(t).Root()))})
	p, s := b.plan()
	c, err := b.target.Obtain(t.Context(), p, s, testpki.Source{PKI: b.pki})
	b.do(err)
	before := filepath.Join(t.TempDir(), "before")
	b.do(os.CopyFS(before, os.DirFS(b.dir)))
	again := func() {
		b.do(os.RemoveAll(b.dir))
		b.do(os.RemoveAll(b.journal.dir))
		b.do(os.CopyFS(b.dir, os.DirFS(before)))
		for _, f := range b.target.Files {
			b.do(os.Chmod(f.Path, f.Mode))
		}
	}
	j := job{b.journal.dir, b.target, ca.EncodeCertificates(b.target.Authority...), c}
	j.Target.Authority = nil
	return b, j, again
}

// wantWhole wants every file to be the old or the new one, and key and certificate
// to pair but for the instant between their renames. It reports whether they do.
func (b *bench) wantWhole(when string, old, c Contents) (pairs bool) {
	b.t.Helper()
	for r, f := range b.target.Files {
		got, err := os.ReadFile(f.Path)
		if err != nil || (string(got) != string(old[r]) && string(got) != string(c[r])) {
			b.t.Errorf("%s: %s is neither what it was nor what it shall be, %v", when, f.Path, err)
		}
	}
	keyRole, certRole := b.target.pair()
	now := b.contentsOf()
	key, err := pki.ParseKey(now[keyRole], nil)
	b.do(err)
	certs, err := pki.ParseCertificates(now[certRole])
	b.do(err)
	signer, ok := key.(crypto.Signer)
	return ok && x509key.Pairs(certs[0], signer)
}

// writes are the system calls that change files or wait for the disk; full those
// that a full disk refuses.
var (
	writes = []string{"renameat", "write", "fsync", "fchmod", "fchown", "unlinkat", "symlinkat", "mkdirat"}
	full   = []string{"write", "symlinkat", "mkdirat"}
)

// calls are the first of what is tried where a process that is traced takes too
// long, and with MAILSEAL_SLOW all of it.
func calls(all []string) []string {
	if os.Getenv("MAILSEAL_SLOW") == "" {
		return all[:1]
	}
	return all
}

// contentsOf are the files of a target.
func (b *bench) contentsOf() Contents {
	b.t.Helper()
	c := Contents{}
	for r, f := range b.target.Files {
		content, err := os.ReadFile(f.Path)
		b.do(err)
		c[r] = content
	}
	return c
}

// The process is killed before each of its writes in turn. No file is ever missing
// or half of one, and the next start makes all of it the old or the new; what was
// somebody else's is kept before the first is gone.
func TestKilledAtEveryWrite(t *testing.T) {
	for _, server := range calls([]string{"sendmail", "postfix", "xmail"}) {
		t.Run(server, func(t *testing.T) { killedAtEveryWrite(t, server) })
	}
}

func killedAtEveryWrite(t *testing.T, server string) {
	b, j, again := crashBench(t, server)
	old := b.contentsOf()
	killed, unpaired := 0, 0
	for _, call := range calls(writes) {
		for n := 1; ; n++ {
			again()
			done := step(t, j, fmt.Sprintf("%s:signal=KILL:when=%d", call, n))
			when := fmt.Sprintf("killed at %s %d", call, n)
			if !b.wantWhole(when, old, j.Contents) {
				unpaired++
			}
			b.do(b.journal.Repair())
			if !b.wantWhole(when+" and repaired", old, j.Contents) {
				t.Errorf("%s: key and certificate do not pair", when)
			}
			b.wantKept(when, old)
			b.right()
			if done {
				break
			}
			if killed++; n > 100 {
				t.Fatalf("more than 100 %s", call)
			}
		}
	}
	t.Logf("killed %d times; key and certificate did not pair, until the next start, %d times", killed, unpaired)
	if key, cert := b.target.pair(); killed == 0 || unpaired > 1 || key == cert && unpaired > 0 {
		t.Errorf("killed %d times, unpaired %d times", killed, unpaired)
	}
}

// wantKept wants copies of the old files where any is not there any more.
func (b *bench) wantKept(when string, old Contents) {
	b.t.Helper()
	for r, content := range b.contentsOf() {
		if string(content) == string(old[r]) {
			continue
		}
		copies, err := filepath.Glob(filepath.Join(b.journal.dir, "replaced", "*", filepath.Base(b.target.Files[r].Path)))
		b.do(err)
		if !slices.ContainsFunc(copies, func(path string) bool {
			kept, err := os.ReadFile(path)
			return err == nil && string(kept) == string(old[r])
		}) {
			b.t.Errorf("%s: %s is replaced and not kept", when, r)
		}
	}
}

// The disk is full from the first, second, ... write on: the old files stay,
// until there is room again, or the new ones are all there.
func TestFullDisk(t *testing.T) {
	if os.Getenv("MAILSEAL_SLOW") == "" {
		t.Skip("slow: make check runs it")
	}
	b, j, again := crashBench(t, "sendmail")
	old := b.contentsOf()
	for _, call := range full {
		for n := 1; ; n++ {
			again()
			done := step(t, j, fmt.Sprintf("%s:error=ENOSPC:when=%d+", call, n))
			when := fmt.Sprintf("full at %s %d", call, n)
			if !b.wantWhole(when, old, j.Contents) {
				t.Errorf("%s: key and certificate do not pair", when)
			}
			b.right()
			if done {
				break
			}
			if n > 100 {
				t.Fatalf("more than 100 %s", call)
			}
		}
	}
}
