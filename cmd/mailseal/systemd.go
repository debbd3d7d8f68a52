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

// A passed socket is one that systemd has opened, with the name that its unit
// gives it (FileDescriptorName=, or the unit's own).
type passed struct {
	net.Listener
	name string
}

// activated returns the sockets that systemd opened for us, none when it did
// not. The variables that say so are taken away, so that no child believes
// them.
func activated(getenv func(string) string) ([]passed, error) {
	pid, fds, names := getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES")
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
	all := make([]passed, n)
	if names != "" {
		each := strings.Split(names, ":")
		if len(each) != n {
			return nil, fmt.Errorf("LISTEN_FDNAMES=%q: want %d names, as LISTEN_FDS says", names, n)
		}
		for i, name := range each {
			all[i].name = name
		}
	}
	for i := range all {
		if all[i].Listener, err = inherit(firstFD + i); err != nil {
			for _, p := range all[:i] {
				p.Close()
			}
			return nil, fmt.Errorf("socket %d of systemd: %w; want a stream socket", firstFD+i, err)
		}
	}
	return all, nil
}

func inherit(fd int) (net.Listener, error) {
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "LISTEN_FD_"+strconv.Itoa(fd))
	defer f.Close()
	return net.FileListener(f) // has a descriptor of its own
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
