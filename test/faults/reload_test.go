package faults_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
)

// The configuration is read again all the time while mails run; every other time
// it is wrong, and the others change the key. Each mail has the one key or the
// other.
func TestReloads(t *testing.T) {
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			p := testpki.New(t)
			ids := []pki.Identity{p.User(author, ca.P256), p.User(author, ca.P384)}
			h := host.Start(t, setup, daemon.Settings{Trust: p.Roots(), Identities: ids[:1]})
			mails := batch(many(1000), 500, "reload")
			var sent atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				each(mails, 8, func(_ int, m mtarig.Mail) {
					if err := h.Deliver(m); err != nil {
						t.Errorf("mail for %s: %v", m.To[0], err)
					}
					sent.Add(1)
				})
			}()
			n := many(100)
			for i := range n {
				// Spread over the mails.
				eventually(t, "more mails", func() bool { return sent.Load() >= int64(i*len(mails)/n) })
				mark := h.Seal.Mark()
				want := ": kept the old configuration"
				if i%2 == 0 {
					s := h.Seal.Settings()
					s.Identities = ids[i/2%2 : i/2%2+1]
					h.Seal.Configure(s)
					want = ": reloaded config"
				} else {
					ok(t, os.WriteFile(h.Seal.File(), []byte("authserv_id = \n"), 0o600))
				}
				h.Seal.Signal([]syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1}[i%2])
				_, err := h.Seal.WaitLog(mark, want)
				ok(t, err)
			}
			<-done
			arrivedOnce(t, h, mails, ids[0].Certificate, ids[1].Certificate)
			t.Logf("%d mails, %d reloads", len(mails), n)
		})
	}
}

// What the files of keys may look like at a reload, and what becomes of it.
func TestKeysGone(t *testing.T) {
	p := testpki.New(t)
	h := host.Start(t, host.Both[0], daemon.Settings{Trust: p.Roots(), Identities: []pki.Identity{p.User(author, ca.P256)}})
	folder := filepath.Join(h.Seal.Folder(), "identities")
	key := filepath.Join(folder, "00.pem")
	whole, err := os.ReadFile(key)
	ok(t, err)
	for _, tt := range []struct {
		name  string
		wreck func() error
		says  string
	}{
		{"empty file", func() error { return os.WriteFile(key, nil, 0o600) }, "00.pem"},
		{"half of it", func() error { return os.WriteFile(key, whole[:len(whole)/2], 0o600) }, "00.pem"},
		{"another file", func() error { return os.WriteFile(filepath.Join(folder, "01.pem"), []byte("nothing"), 0o600) }, "01.pem"},
		{"empty folder", func() error { return os.Remove(key) }, "no identity is left"},
		{"a link to nothing", func() error { return os.Symlink("nowhere", filepath.Join(folder, "01.pem")) }, "01.pem"},
		{"no folder", func() error { return os.RemoveAll(folder) }, "identities"},
		{"no trust anchors", func() error { return os.Remove(h.Seal.Trust()) }, "ca.pem"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ok(t, tt.wreck())
			mark := h.Seal.Mark()
			h.Seal.Signal(syscall.SIGHUP)
			line, err := h.Seal.WaitLog(mark, ": (kept the old configuration|reloaded config)")
			ok(t, err)
			if !strings.Contains(line, "kept the old") || !strings.Contains(line, tt.says) {
				t.Errorf("logged %s; want that %s is wrong", line, tt.says)
			}
			m := mail(recipient("%s", strings.ReplaceAll(tt.name, " ", "")), 100)
			ok(t, h.Deliver(m))
			arrivedOnce(t, h, []mtarig.Mail{m})
			ok(t, os.RemoveAll(folder))
			h.Seal.Configure(h.Seal.Settings())
		})
	}
}
