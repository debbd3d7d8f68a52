package certmgr

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/install"
)

// bubble runs a test by a clock of its own.
func bubble(t *testing.T, name string, do func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, do) })
}

// A server that does not come up with new files gets the old ones back, if it
// could work with them.
func TestComesUp(t *testing.T) {
	for _, tt := range []struct {
		name       string
		script     script
		before     func(*bench) // what else is so
		err        string       // "" for none
		rolledBack bool
		disk       string // old or new
		serves     string // old, new, or nothing
		owed       bool
	}{
		{name: "well", script: reads, disk: "new", serves: "new"},
		{name: "late", script: late, disk: "new", serves: "new"},
		{name: "command fails", script: fails, err: "no such process", rolledBack: true, disk: "old", serves: "old"},
		{name: "command hangs", script: hangs, err: "took too long", rolledBack: true, disk: "old", serves: "old"},
		{name: "goes on with the old", script: deaf, err: "other-certificate", rolledBack: true, disk: "old", serves: "old"},
		{name: "refuses the new", script: picky, err: "not-offered", rolledBack: true, disk: "old", serves: "old"},
		{name: "ends", script: dies, err: "unreachable", rolledBack: true, disk: "old", serves: "nothing", owed: true},
		{name: "serves it, whatever the command says", script: complains, disk: "new", serves: "new"},
		{name: "does not run", script: fails, before: func(b *bench) { b.up = false }, disk: "new", serves: "nothing", owed: true},
		{name: "no TLS before and after", script: plain, before: func(b *bench) { b.leaf, b.next = nil, nil }, err: "not-offered", disk: "new", serves: "nothing", owed: true},
		{name: "old ones have expired", script: picky, before: func(b *bench) { time.Sleep(400 * 24 * time.Hour) }, err: "not-offered", disk: "new", serves: "nothing", owed: true},
		{name: "old ones do not pair", script: picky, before: func(b *bench) { b.do(os.WriteFile(b.path("host.key"), testKey(b), 0o600)) },
			err: "not-offered", disk: "new", serves: "nothing", owed: true},
		{name: "nobody asks", script: reads, before: func(b *bench) { b.target.Probes = nil }, disk: "new", serves: "new"},
		{name: "nobody asks, command fails", script: fails, before: func(b *bench) { b.target.Probes = nil }, err: "no such process", rolledBack: true, disk: "old", serves: "old", owed: true},
		{name: "no command", script: fails, before: func(b *bench) { b.target.Probes, b.target.Reload = nil, "" }, disk: "new", serves: "old"},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			b := newBench(t)
			old := b.right()
			if tt.before != nil {
				tt.before(b)
			}
			b.plays(tt.script)
			b.another()
			r := b.once()
			if (r.Err == nil) != (tt.err == "") || r.Err != nil && !strings.Contains(r.Err.Error(), tt.err) {
				t.Errorf("error %v, want %q", r.Err, tt.err)
			}
			if r.RolledBack != tt.rolledBack || !r.Installed {
				t.Errorf("installed %v, rolled back %v", r.Installed, r.RolledBack)
			}
			if disk := b.read(); disk == nil || disk.Equal(old) != (tt.disk == "old") {
				t.Errorf("on the disk is %v, want the %s one", disk, tt.disk)
			}
			serves := "nothing"
			if leaf := b.serving(); leaf != nil && b.up {
				serves = map[bool]string{true: "old", false: "new"}[leaf.Equal(old)]
			}
			if serves != tt.serves {
				t.Errorf("serves %s, want %s", serves, tt.serves)
			}
			if owed := b.keeper().owes(*b.target); owed != tt.owed {
				t.Errorf("a proof is owed: %v, want %v", owed, tt.owed)
			}
			if t.Failed() {
				t.Log(b.log)
			}
			b.wellAgain(tt.script)
		})
	}
}

// wellAgain: when nothing hinders it any more, the next pass puts all right, with
// the certificate that was made before.
func (b *bench) wellAgain(was script) {
	b.t.Helper()
	b.plays(reads)
	b.mu.Lock()
	b.up = true
	b.mu.Unlock()
	if b.target.Reload == "" || was == picky && b.serving() == nil {
		b.target.Reload = "hup"
	}
	issued := b.ca.issued
	if r := b.once(); r.Err != nil {
		b.t.Errorf("still %v", r.Err)
	}
	if b.ca.issued != issued {
		b.t.Errorf("%d certificates more were issued", b.ca.issued-issued)
	}
	if leaf := b.read(); leaf == nil || leaf.VerifyHostname(b.target.Hosts[len(b.target.Hosts)-1]) != nil {
		b.t.Errorf("on the disk is %v", leaf)
	}
	if k := b.keeper(); k.owes(*b.target) {
		b.t.Error("a proof is owed still")
	}
}

func testKey(b *bench) []byte {
	key, err := ca.GenerateKey(ca.P256)
	b.do(err)
	pem, err := ca.EncodeKey(key, nil)
	b.do(err)
	return pem
}

// However often it fails, the CA issues one certificate.
func TestOneCertificate(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		b.plays(picky)
		b.another()
		for range 10 {
			if r := b.once(); !r.RolledBack {
				t.Fatalf("%+v", r)
			}
		}
		if b.ca.issued != 2 {
			t.Errorf("%d certificates were issued; want the first, and one more", b.ca.issued)
		}
		// Another kind of key is asked for, or it was revoked: a new one.
		b.target.Key = ca.P384
		b.once()
		if b.ca.issued != 3 {
			t.Errorf("%d certificates were issued; want one more", b.ca.issued)
		}
	})
}

// What the CA is not needed for is done without it.
func TestWithoutCA(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  func(*bench)
		err    bool
		change bool
	}{
		{"nothing", func(*bench) {}, false, false},
		{"mode", func(b *bench) { b.do(os.Chmod(b.path("host.key"), 0o644)) }, false, true},
		{"key lost", func(b *bench) { b.do(os.Remove(b.path("host.key"))) }, false, true},
		{"certificate cut off", func(b *bench) { b.do(os.Truncate(b.path("host.cert"), 100)) }, false, true},
		{"everything lost", func(b *bench) { b.do(os.RemoveAll(b.dir)) }, false, true},
		{"another name", func(b *bench) { b.another() }, true, false},
		{"another name, and the CA's file lost", func(b *bench) { b.another(); b.do(os.Remove(b.path("cacert.pem"))) }, true, true},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			b := newBench(t)
			leaf := b.right()
			b.ca.go_(true)
			tt.fault(b)
			r := b.once()
			if (r.Err != nil) != tt.err || r.Installed != tt.change {
				t.Errorf("%v, installed %v", r.Err, r.Installed)
			}
			if tt.err && (!errors.Is(r.Err, errAuthority) || r.cause != causeAuthority) {
				t.Errorf("%v, because of %s", r.Err, r.cause)
			}
			if !b.serving().Equal(leaf) || b.read() == nil || !b.read().Equal(leaf) {
				t.Error("the certificate is not served any more")
			}
			if b.ca.issued != 1 {
				t.Errorf("%d issued", b.ca.issued)
			}
		})
	}
}

// What cannot be written leaves the old files, and nothing half done.
func TestCannotWrite(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		leaf := b.right()
		b.another()
		// Whatever root may do: a folder in the way of the new key.
		b.do(os.MkdirAll(b.path(".host.key.mailseal/x"), 0o700))
		r := b.once()
		if r.Err == nil || r.cause != causeInstall || r.RolledBack || r.Installed {
			t.Errorf("%+v", r)
		}
		if !b.serving().Equal(leaf) || !b.read().Equal(leaf) || b.told() != 1 || b.keeper().owes(*b.target) {
			t.Errorf("told %d times\n%s", b.told(), b.log)
		}
		b.do(os.RemoveAll(b.path(".host.key.mailseal")))
		if b.right(); b.ca.issued != 2 {
			t.Errorf("%d certificates were issued", b.ca.issued)
		}
	})
}

// Files that are right and not served: the server is told once, then somebody else.
func TestNotServed(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		b.mu.Lock()
		b.leaf, b.next = b.ca.Certificate(), b.ca.Certificate()
		b.mu.Unlock()
		r := b.keeper().pass(t.Context(), *b.target, look{proof: true, reload: true})
		if r.Err != nil || b.told() != 2 || !b.serving().Equal(b.read()) {
			t.Errorf("%v, told %d times", r.Err, b.told())
		}
		b.plays(deaf)
		b.mu.Lock()
		b.leaf, b.next = nil, nil
		b.mu.Unlock()
		if r := b.keeper().pass(t.Context(), *b.target, look{proof: true, reload: true}); r.Err == nil || r.RolledBack || b.told() != 3 {
			t.Errorf("%v, told %d times", r.Err, b.told())
		}
		if r := b.keeper().pass(t.Context(), *b.target, look{proof: true}); r.Err == nil || b.told() != 3 {
			t.Errorf("%v, told %d times", r.Err, b.told())
		}
	})
}

// A list alone is no reason to take files back: the server goes on with its old
// one, and would start with the new.
func TestListStays(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		b.right()
		b.plays(fails)
		list, err := b.ca.CA.IssueCRL(ca.CRLOptions{})
		b.do(err)
		r := b.once()
		if r.Err == nil || r.RolledBack || !b.keeper().owes(*b.target) {
			t.Errorf("%+v", r)
		}
		b.plays(reads)
		if r := b.once(); r.Err != nil || r.Installed || b.keeper().owes(*b.target) {
			t.Errorf("%+v", r)
		}
		got, err := os.ReadFile(b.path("crl.pem"))
		b.do(err)
		if block, _ := pem.Decode(got); block == nil || !bytes.Equal(block.Bytes, list.DER) {
			t.Error("the file is not the new list")
		}
	})
}

// The plan says what Once does, and does nothing.
func TestPlan(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newBench(t)
		plan := func() install.Plan {
			t.Helper()
			plans, err := b.keeper().Plan(t.Context())
			if err != nil || len(plans) != 1 {
				t.Fatal(plans, err)
			}
			return plans[0]
		}
		if p := plan(); !p.Issue || p.Done() {
			t.Errorf("%+v", p)
		}
		for _, path := range []string{b.dir, b.config.State} {
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s was made: %v", path, err)
			}
		}
		b.right()
		if p := plan(); !p.Done() {
			t.Errorf("%+v", p)
		}
		b.do(os.Remove(b.path("host.cert")))
		if p := plan(); p.Issue || !strings.Contains(strings.Join(p.Steps, "\n"), "kept in "+filepath.Join(b.config.State, "targets/sendmail.pem")) {
			t.Errorf("%v", p.Steps)
		}
		b.ca.go_(true)
		if p := plan(); !strings.Contains(strings.Join(p.Notes, "\n"), "connection refused") {
			t.Errorf("%v", p.Notes)
		}
	})
}
