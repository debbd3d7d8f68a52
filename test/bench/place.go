package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// inMemory runs this program again where /mnt is a tmpfs that only it and what
// it starts can see, and that is gone with the last of them: a disk would be
// what is measured, and not the milters. /dev/shm would not do, as sendmail
// gets a /dev of its own. Where that cannot be had it is /tmp, whatever that is.
const inMemory = `if mount -t tmpfs -o mode=755 bench /mnt; then dir=/mnt; else dir=/tmp; fi
exec "$0" -dir "$dir" "$@"`

// again replaces this process by one that has a folder in memory. It returns
// only when that cannot be done.
func again(self string, args []string) error {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	argv := append([]string{"unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", inMemory, self}, args...)
	return syscall.Exec(unshare, argv, os.Environ())
}

// words says what a folder is made of.
func words(dir string) string {
	mounts, _ := os.ReadFile("/proc/mounts") // none on systems without
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == dir && f[2] == "tmpfs" {
			return "queues and spools on a tmpfs"
		}
	}
	return "queues and spools on a disk, which the figures then tell of too"
}

// load is how busy the machine is, in the kernel's own figure: 0 is idle.
func load() string {
	b, _ := os.ReadFile("/proc/loadavg") // none on systems without
	first, _, _ := strings.Cut(string(b), " ")
	return "load average before " + first
}
