package peercred

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestMain is, where the variable says so, the process that another user runs.
func TestMain(m *testing.M) {
	if path := os.Getenv("PEERCRED_CONNECT"); path != "" {
		c, err := net.Dial("unix", path)
		if err != nil {
			os.Exit(1)
		}
		c.Read(make([]byte, 1)) // until the test has looked
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestUID(t *testing.T) {
	const other = 65534 // nobody
	users := []int{os.Getuid()}
	if os.Getuid() == 0 {
		users = append(users, other)
	}
	// Not t.TempDir: another user has to reach the socket.
	dir, err := os.MkdirTemp("", "peercred")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "connect")
	if err := copyFile(exe); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, want := range users {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "PEERCRED_CONNECT="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		if want != os.Getuid() {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(want), Gid: uint32(want)}
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := l.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		c, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := UID(c); err != nil || got != want {
			t.Errorf("got %d, %v; want %d", got, err, want)
		}
		c.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestClosed(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := UID(c); err == nil {
		t.Error("a closed connection has a user")
	}
}

func copyFile(to string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	in, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	return os.WriteFile(to, in, 0o755)
}
