package faults_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mailseal/test/daemon"
)

// readStat is a process's state: 'Z' is one that has ended.
func readStat(pid int) (byte, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, after, ok := bytes.Cut(b, []byte(") "))
	if !ok || len(after) == 0 {
		return 0, fmt.Errorf("stat of process %d: %q", pid, b)
	}
	return after[0], nil
}

// emptyState checks that the daemon's folder for what is in work holds nothing.
func emptyState(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(d.Folder(), "state"))
	ok(t, err)
	if len(names) > 0 {
		t.Errorf("state holds %v", names)
	}
}
