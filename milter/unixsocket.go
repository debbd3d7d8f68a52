package milter

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
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
	l := &unixListener{path: path, options: o, every: lookEvery}
	if err := l.make(); err != nil {
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

// lookEvery is how often a listener looks for its socket.
const lookEvery = 5 * time.Second

// A unixListener removes its socket when it is closed, if it still is its own.
// When somebody has removed it before, or the folder, it makes it again:
// otherwise nobody could connect until a restart.
type unixListener struct {
	path    string
	options SocketOptions
	every   time.Duration
	missing bool // and the log has been told; belongs to Accept

	mu     sync.Mutex // guards what follows
	ln     *net.UnixListener
	info   fs.FileInfo // of the socket
	closed bool
}

// make makes the socket and listens on it.
func (l *unixListener) make() error {
	dir, err := os.MkdirTemp(filepath.Dir(l.path), ".m") // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	private := filepath.Join(dir, "s")
	if len(private) > maxPath {
		return errors.New("the folder's path is too long")
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if err != nil {
		return err
	}
	ln.SetUnlinkOnClose(false) // it would remove whatever is at the old name
	info, err := l.install(private)
	if err != nil {
		ln.Close()
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		ln.Close()
		os.Remove(l.path)
		return net.ErrClosed
	}
	if l.ln != nil {
		l.ln.Close() // nobody can have connected to it since it was removed
	}
	l.ln, l.info = ln, info
	return nil
}

// install gives a socket its rights and its place.
func (l *unixListener) install(private string) (fs.FileInfo, error) {
	if l.options.Group != "" {
		gid, err := groupID(l.options.Group)
		if err != nil {
			return nil, err
		}
		if err := os.Lchown(private, -1, gid); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(private, l.options.Mode.Perm()); err != nil {
		return nil, err
	}
	if err := os.Rename(private, l.path); err != nil {
		return nil, err
	}
	return os.Lstat(l.path)
}

func (l *unixListener) current() *net.UnixListener {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ln
}

// Accept returns the next connection. It is for one goroutine at a time.
func (l *unixListener) Accept() (net.Conn, error) {
	for {
		ln := l.current()
		_ = ln.SetDeadline(time.Now().Add(l.every)) // a closed one tells it better itself
		c, err := ln.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
		l.look()
	}
}

// look makes the socket again where there is none.
func (l *unixListener) look() {
	if _, err := os.Lstat(l.path); !errors.Is(err, fs.ErrNotExist) {
		return // ours, or a successor's
	}
	log := l.options.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	err := l.make()
	switch {
	case err == nil:
		l.missing = false
		log.Warn("socket", "socket", l.path, "error", "it was removed, and has been made again")
	case !l.missing && !errors.Is(err, net.ErrClosed):
		l.missing = true
		log.Error("socket", "socket", l.path, "error", fmt.Errorf("it was removed and cannot be made: %w", err))
	}
}

// Close stops listening. A socket that somebody else has put in the place of
// ours, as a new instance does, stays.
func (l *unixListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.info) {
			os.Remove(l.path)
		}
	}
	return l.ln.Close()
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
