package main

import (
	"os"
	"strings"
)

// place chooses the folder for queues and spools, and says in words what it is.
// A disk would be what is measured, and not the milters.
func place(wanted string) (dir, words string) {
	const memory = "/dev/shm"
	if wanted == "" && isTmpfs(memory) {
		wanted = memory
	}
	if wanted == "" {
		wanted = os.TempDir()
	}
	if isTmpfs(wanted) {
		return wanted, "queues and spools on a tmpfs"
	}
	return wanted, "queues and spools on a disk, which the figures then tell of too"
}

// isTmpfs looks it up in the list of mounts.
func isTmpfs(dir string) bool {
	mounts, _ := os.ReadFile("/proc/mounts") // none on systems without
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == dir && f[2] == "tmpfs" {
			return true
		}
	}
	return false
}
