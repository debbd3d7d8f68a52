package milter

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// firstPassed is the first descriptor that a service manager passes
// (SD_LISTEN_FDS_START of sd_listen_fds(3)).
const firstPassed = 3

// Activated returns the listeners that the service manager has opened for this
// process, none when it has not: the values of the environment's LISTEN_PID and
// LISTEN_FDS say so. Call it once, and remove both from the environment, for
// they are not meant for any child.
func Activated(listenPID, listenFDs string) ([]net.Listener, error) {
	if listenFDs == "" || listenPID != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.ParseUint(listenFDs, 10, 8)
	if err != nil {
		return nil, fmt.Errorf("LISTEN_FDS=%q is no number of sockets", listenFDs)
	}
	return passed(firstPassed, int(n))
}

func passed(first, n int) (lns []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, ln := range lns {
				ln.Close()
			}
			lns = nil
		}
	}()
	for fd := first; fd < first+n; fd++ {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), fmt.Sprintf("socket %d of the service manager", fd-first+1))
		ln, err := net.FileListener(f)
		f.Close() // FileListener has a duplicate
		if err != nil {
			return lns, fmt.Errorf("%s: %w", f.Name(), err)
		}
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the service manager keeps it
		}
		lns = append(lns, ln)
	}
	return lns, nil
}
