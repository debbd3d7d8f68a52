package watcher_test

import (
	"io/fs"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

func owner(fi fs.FileInfo) int   { return int(fi.Sys().(*syscall.Stat_t).Uid) }
func groupOf(fi fs.FileInfo) int { return int(fi.Sys().(*syscall.Stat_t).Gid) }

var groups struct {
	sync.Mutex
	made map[string][]byte
}

// parameters are a group of RFC 7919 in the file that openssl makes of it.
func parameters(t testing.TB, group string) []byte {
	t.Helper()
	groups.Lock()
	defer groups.Unlock()
	if b, ok := groups.made[group]; ok {
		return b
	}
	out, err := exec.Command("openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:"+group).Output()
	if err != nil {
		t.Fatalf("openssl makes no parameters of %s: %v", group, err)
	}
	if groups.made == nil {
		groups.made = map[string][]byte{}
	}
	groups.made[group] = out
	return out
}
