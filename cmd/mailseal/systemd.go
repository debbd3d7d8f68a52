package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstFD is the first socket that systemd passes (sd_listen_fds(3)).
const (
	firstFD = 3
	maxFDs  = 64
)

// activated returns the sockets that systemd opened for us, none when it did
// not. The variables that say so are taken away, so that no child believes
// them.
func activated(getenv func(string) string) ([]net.Listener, error) {
	pid, fds := getenv("LISTEN_PID"), getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if pid == "" || fds == "" {
		return nil, nil
	}
	if n, err := strconv.Atoi(pid); err != nil || n != os.Getpid() {
		return nil, nil // meant for another process
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > maxFDs {
		return nil, fmt.Errorf("LISTEN_FDS=%q: want a number up to %d", fds, maxFDs)
	}
	var lns []net.Listener
	for fd := firstFD; fd < firstFD+n; fd++ {
		unix.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "LISTEN_FD_"+strconv.Itoa(fd))
		ln, err := net.FileListener(f) // has a descriptor of its own
		f.Close()
		if err != nil {
			for _, ln := range lns {
				ln.Close()
			}
			return nil, fmt.Errorf("socket %d of systemd: %w; want a stream socket", fd, err)
		}
		lns = append(lns, ln)
	}
	return lns, nil
}

// notify tells systemd of our state (sd_notify(3)). Without NOTIFY_SOCKET it
// does nothing.
func notify(getenv func(string) string, state ...string) error {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if name[0] != '/' && name[0] != '@' {
		return fmt.Errorf("NOTIFY_SOCKET=%q: want a path", name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte(strings.Join(state, "\n")))
	return errors.Join(err, conn.Close())
}

// reloading is what Type=notify-reload wants to hear: since when.
func reloading() []string {
	state := []string{"RELOADING=1"}
	if usec, ok := monotonic(); ok {
		state = append(state, "MONOTONIC_USEC="+strconv.FormatInt(usec, 10))
	}
	return state
}
