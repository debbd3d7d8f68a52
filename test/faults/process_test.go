package faults_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mailseal/test/daemon"
)

// readStat is the state of a process or a thread, by its file: 'S' is one that
// sleeps, 'Z' one that has ended.
func readStat(path string) (byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	_, after, ok := bytes.Cut(b, []byte(") "))
	if !ok || len(after) == 0 {
		return 0, fmt.Errorf("%s: %q", path, b)
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
