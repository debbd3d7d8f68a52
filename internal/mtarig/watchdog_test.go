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

type server interface {
	Addr() string
	Dir() string
	Start() error
	Close() error
}

// servers make the instances that a watchdog stands over.
var servers = map[string]func(mtarig.Config) (server, error){
	"postfix":  func(c mtarig.Config) (server, error) { return mtarig.NewPostfix(c) },
	"sendmail": func(c mtarig.Config) (server, error) { return mtarig.NewSendmail(c) },
	"exim":     func(c mtarig.Config) (server, error) { return mtarig.NewExim(c) },
	"dovecot":  func(c mtarig.Config) (server, error) { return mtarig.NewDovecot(c) },
}

// A test process that dies without a word leaves no server behind. The process
// is this test, run again with the variable set.
func TestWatchdog(t *testing.T) {
	const variable = "MTARIG_TEST_DIE"
	if name := os.Getenv(variable); name != "" {
		s, err := servers[name](mtarig.Config{Tools: rig.Tools(t)})
		if err == nil {
			err = s.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("started " + s.Addr() + " " + s.Dir() + "\n")
		select {} // until killed
	}
	for name, prepare := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := prepare(mtarig.Config{Tools: rig.Tools(t)})
			rig.Missing(t, err) // skips the test where it cannot run
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestWatchdog$", "-test.v")
			cmd.Env = append(os.Environ(), variable+"="+name)
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
