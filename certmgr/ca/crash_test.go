package ca

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca/index"
)

const stepEnv = "MAILSEAL_TEST_STEP"

// TestStep is the process that the tests below kill: it does one thing, on one
// thread, so that its writes can be counted.
func TestStep(t *testing.T) {
	what, dir, ok := strings.Cut(os.Getenv(stepEnv), " ")
	if !ok {
		t.Skip("only runs as a part of other tests")
	}
	runtime.LockOSThread()
	c, err := Open(dir, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := steps[what](c); err != nil {
		t.Fatal(err)
	}
}

// steps are what changes a folder.
var steps = map[string]func(*CA) error{
	"issue": func(c *CA) error {
		r := alice
		r.Memo = "a memo"
		_, err := c.Issue(r)
		return err
	},
	"revoke": func(c *CA) error {
		list, err := c.List(Query{Status: Valid})
		if err == nil {
			_, err = c.Revoke(Revocation{Serial: list[0].Serial, Reason: KeyCompromise})
		}
		return err
	},
	"crl": func(c *CA) error {
		_, err := c.IssueCRL(CRLOptions{})
		return err
	},
}

// writes are the system calls that change files or wait for the disk, full
// those of them that a full disk refuses.
var (
	writes = []string{"write", "fsync", "fchmod", "renameat", "linkat", "unlinkat", "symlinkat"}
	full   = []string{"write", "renameat", "linkat", "symlinkat"}
)

// step runs a step in another process, in which strace does something to a
// system call. It reports whether the step was done.
func step(t *testing.T, c *CA, what, inject string) bool {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-qq", "-o", trace, "-e", "trace="+strings.Join(writes, ","), "-e", "inject="+inject,
		os.Args[0], "-test.run=^TestStep$")
	cmd.Env = append(os.Environ(), stepEnv+"="+what+" "+c.Dir())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, out)
	}
	if b, readErr := os.ReadFile(trace); readErr != nil || (err == nil && len(b) == 0) {
		t.Fatalf("strace has seen nothing: %v\n%s", readErr, out)
	}
	return err == nil
}

// each calls do for the first, second, ... of each of some system calls, until
// the step was done. A process that is traced takes long to start: without
// MAILSEAL_SLOW it is one call, and the first, fifth, ... of it.
func each(t *testing.T, calls []string, quick string, do func(call string, n int) (done bool)) {
	t.Helper()
	stride := 1
	if os.Getenv("MAILSEAL_SLOW") == "" {
		stride, calls = 4, []string{quick}
	}
	failed := 0
	for _, call := range calls {
		for n := 1; !do(call, n); n += stride {
			if failed++; n > 100 {
				t.Fatalf("a step of 100 %s", call)
			}
		}
	}
	t.Logf("cut short %d times", failed)
	if failed == 0 {
		t.Error("it was never cut short")
	}
}

// traced is a CA with some certificates, for a test that needs strace.
func traced(t *testing.T) *CA {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	c := newCA(t)
	for range 2 {
		issue(t, c, alice)
	}
	revoke(t, c, issue(t, c, alice).Serial(), Superseded)
	newList(t, c)
	return c
}

// A process is killed before each of its writes in turn. Whatever it left,
// openssl's files are good, and the next writer of ours makes the folder whole:
// no certificate is lost, no number is used twice, nothing is half done.
func TestKilledAtEveryWrite(t *testing.T) {
	// The call that decides whether it was done.
	quick := map[string]string{"issue": "linkat", "revoke": "renameat", "crl": "renameat"}
	for what := range steps {
		t.Run(what, func(t *testing.T) {
			c := traced(t)
			each(t, writes, quick[what], func(call string, n int) bool {
				if what == "revoke" {
					issue(t, c, alice)
				}
				done := step(t, c, what, fmt.Sprintf("%s:signal=KILL:when=%d", call, n))
				if err := c.index.Each(func(index.Entry) error { return nil }); err != nil {
					t.Errorf("at %s %d: %v", call, n, err)
				}
				wantWhole(t, c, fmt.Sprintf("killed at %s %d", call, n))
				return done
			})
			openssl(t, "ca", "-config", c.path(confFile), "-gencrl", "-out", c.path(crlFile))
			openssl(t, "ca", "-config", c.path(confFile), "-updatedb")
		})
	}
}

// wantWhole has the folder repaired and looks at all of it.
func wantWhole(t *testing.T, c *CA, when string) {
	t.Helper()
	if err := c.locked(func(*authority) error { return nil }); err != nil {
		t.Errorf("%s: %v", when, err)
		return
	}
	want := map[string]bool{}
	if err := c.index.Each(func(e index.Entry) error {
		if want[e.Serial+".pem"] {
			t.Errorf("%s: %s is in the index twice", when, e.Serial)
		}
		want[e.Serial+".pem"], want[e.Serial+".json"] = true, true
		cert, err := readCertificate(filepath.Join(c.path(newCerts), e.Serial+".pem"))
		if err != nil || cert.CheckSignatureFrom(c.Certificate()) != nil {
			t.Errorf("%s: %s: %v", when, e.Serial, err)
		}
		return nil
	}); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	names, err := readNames(c.path(newCerts))
	if err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if !want[name] {
			t.Errorf("%s: %s is in newcerts and not in the index", when, name)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("%s: %v are missing", when, want)
	}
	if names, err = readNames(c.Dir()); err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if name == intentFile || strings.HasPrefix(name, ".") {
			t.Errorf("%s: %s is left", when, name)
		}
	}
	if report, err := c.Audit(nil); err != nil || len(report.Problems) > 0 {
		t.Errorf("%s: audit: %v, %v", when, report.Problems, err)
	}
	list, err := c.CRL()
	if err != nil {
		t.Errorf("%s: %v", when, err)
		return
	}
	if der, err := os.ReadFile(c.path(crlDERFile)); err != nil || string(der) != string(list.DER) {
		t.Errorf("%s: crl.der is not crl.pem, %v", when, err)
	}
	if next, err := c.readNumber(crlNumFile); err != nil || next.Cmp(list.Number) <= 0 {
		t.Errorf("%s: crlnumber %v, and the list is number %v, %v", when, next, list.Number, err)
	}
}

// The disk is full from the first, second, ... write on. An issue leaves the
// folder as it was; the others are done by the next writer, or were not begun.
func TestFullDisk(t *testing.T) {
	for what := range steps {
		t.Run(what, func(t *testing.T) {
			if what != "issue" && os.Getenv("MAILSEAL_SLOW") == "" {
				t.Skip("slow: make check runs it")
			}
			c := traced(t)
			each(t, full, "write", func(call string, n int) bool {
				if what == "revoke" {
					issue(t, c, alice)
				}
				before := snapshot(t, c.Dir())
				done := step(t, c, what, fmt.Sprintf("%s:error=ENOSPC:when=%d+", call, n))
				if after := snapshot(t, c.Dir()); what == "issue" && !done && after != before {
					t.Errorf("full at %s %d: the folder was changed\n%s", call, n, cmp.Diff(before, after))
				}
				wantWhole(t, c, fmt.Sprintf("full at %s %d", call, n))
				return done
			})
		})
	}
}
