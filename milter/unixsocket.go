package milter

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// listenUnix opens a Unix socket with its final rights from the first moment
// on. Who can connect to a milter can have mail signed, and between listen and
// chmod anybody could; a umask is the whole process's and would take the rights
// of files that other goroutines make meanwhile. So the socket is made inside a
// new folder that nobody else can enter, gets its rights there and is then
// renamed to its place. That also takes the place of a stale socket without
// a moment in which there is none.
func listenUnix(path string, o SocketOptions) (net.Listener, error) {
	if o.Mode == 0 {
		o.Mode = 0o660
	}
	if err := checkStale(path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".m") // 0700
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", path, err)
	}
	defer os.RemoveAll(dir)
	private := filepath.Join(dir, "s")
	if len(private) > maxPath {
		return nil, fmt.Errorf("make socket %s: the folder's path is too long", path)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", path, err)
	}
	ln.SetUnlinkOnClose(false) // it would remove whatever is at the old name
	l := &unixListener{UnixListener: ln, path: path}
	if err := l.install(private, o); err != nil {
		ln.Close()
		return nil, fmt.Errorf("make socket %s: %w", path, err)
	}
	return l, nil
}

// checkStale says whether path may be taken: nothing is there, or a socket that
// nobody answers on. Of two processes that find the same stale socket in the same
// instant the later one gets the path; starting one at a time is the service
// manager's part.
func checkStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("make socket %s: there is something that is no socket; remove it or choose another path", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("make socket %s: another process answers on it; stop that first", path)
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("make socket %s: cannot tell whether it is in use: %w", path, err)
}

// A unixListener removes its socket when it is closed, if it still is its own.
type unixListener struct {
	*net.UnixListener
	path string
	info fs.FileInfo
	once sync.Once
}

func (l *unixListener) install(private string, o SocketOptions) error {
	if o.Group != "" {
		gid, err := groupID(o.Group)
		if err != nil {
			return err
		}
		if err := os.Lchown(private, -1, gid); err != nil {
			return err
		}
	}
	if err := os.Chmod(private, o.Mode.Perm()); err != nil {
		return err
	}
	if err := os.Rename(private, l.path); err != nil {
		return err
	}
	info, err := os.Lstat(l.path)
	if err != nil {
		return err
	}
	l.info = info
	return nil
}

// Close stops listening. A socket that somebody else has put in the place of
// ours, as a new instance does, stays.
func (l *unixListener) Close() error {
	l.once.Do(func() {
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.info) {
			os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}

// Addr is where the socket is, not where it was made.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

func groupID(group string) (int, error) {
	if n, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}
