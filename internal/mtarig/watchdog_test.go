package mtarig_test

import (
	"bufio"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

// A test process that dies without a word leaves no MTA behind. The process is
// this test, run again with the variable set.
func TestWatchdog(t *testing.T) {
	const variable = "MTARIG_TEST_DIE"
	if kind := os.Getenv(variable); kind != "" {
		mta := rig.Kind(kind).Start(t, mtarig.Config{})
		os.Stdout.WriteString("started " + mta.Addr() + " " + mta.Dir() + "\n")
		select {} // until killed
	}
	for _, kind := range []rig.Kind{rig.Postfix, rig.Sendmail} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			kind.Prepare(t, mtarig.Config{}) // skips the test where it cannot run
			cmd := exec.Command(os.Args[0], "-test.run=^TestWatchdog$", "-test.v")
			cmd.Env = append(os.Environ(), variable+"="+string(kind))
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			addr, dir := awaitStart(t, bufio.NewScanner(out))
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			deadline := time.Now().Add(wait)
			for {
				_, err := os.Stat(dir)
				c, dialled := net.Dial("tcp", addr)
				if dialled == nil {
					c.Close()
				}
				if errors.Is(err, fs.ErrNotExist) && dialled != nil {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("still there: folder %v, port %v", err == nil, dialled == nil)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

func awaitStart(t *testing.T, lines *bufio.Scanner) (addr, dir string) {
	t.Helper()
	var all []string
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "started" {
			return f[1], f[2]
		}
		all = append(all, lines.Text())
	}
	t.Fatalf("it did not start:\n%s", strings.Join(all, "\n"))
	return "", ""
}
