package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/command"
	"mailseal/internal/folder"
)

// In a folder that others can change, links lead to nothing that is not theirs:
// neither to have the owner or the mode of a folder elsewhere changed, nor to have
// copied what only root may read.
func TestLedAway(t *testing.T) {
	for _, tt := range []struct {
		what string
		do   func(b *bench, elsewhere string)
	}{
		{"folder", func(b *bench, elsewhere string) {
			b.do(os.Rename(b.dir, b.dir+".away"))
			b.do(os.Symlink(elsewhere, b.dir))
		}},
		{"folder above", func(b *bench, elsewhere string) {
			b.do(os.Rename(filepath.Dir(b.dir), filepath.Dir(b.dir)+".away"))
			b.do(os.Symlink(elsewhere, filepath.Dir(b.dir)))
		}},
		{"key", func(b *bench, elsewhere string) {
			b.do(os.Rename(b.path("server.key"), filepath.Join(elsewhere, "secret")))
			b.do(os.Symlink(filepath.Join(elsewhere, "secret"), b.path("server.key")))
		}},
		{"another name of the key", func(b *bench, elsewhere string) {
			b.do(os.Link(b.path("server.key"), filepath.Join(elsewhere, "secret")))
		}},
		{"CAs", func(b *bench, elsewhere string) {
			b.do(os.WriteFile(filepath.Join(elsewhere, "secret"), []byte("secret"), 0o600))
			b.do(os.Remove(b.path("CERTS.PEM")))
			b.do(os.Symlink(filepath.Join(elsewhere, "secret"), b.path("CERTS.PEM")))
		}},
		{"folder of links", func(b *bench, elsewhere string) {
			b.do(os.RemoveAll(b.path("CERTS")))
			b.do(os.Symlink(elsewhere, b.path("CERTS")))
		}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			b := newBench(t)
			theirs := filepath.Join(filepath.Dir(b.dir), "theirs")
			b.do(os.Mkdir(theirs, 0o755))
			b.do(os.Chmod(theirs, 0o777))
			b.dir = filepath.Join(theirs, "below", "MailRoot")
			b.layout("xmail", Choices{DH: "off"})
			b.right()
			elsewhere := t.TempDir()
			b.do(os.Chmod(elsewhere, 0o777|fs.ModeSticky))
			tt.do(b, elsewhere)
			before, err := os.ReadDir(elsewhere)
			b.do(err)
			b.target.Hosts = append([]string{"smtp.example.jp"}, hosts...)
			s, err := Inspect(b.target)
			if err == nil {
				p := b.target.Plan(s, b.now)
				var c Contents
				c, err = b.target.Obtain(t.Context(), p, s, b.from)
				b.do(err)
				_, err = b.journal.Install(b.target, c, s, b.now)
			}
			if !errors.Is(err, folder.ErrLed) && !strings.Contains(err.Error(), folder.ErrLed.Error()) {
				t.Errorf("installed: %v", err)
			}
			fi, err := os.Stat(elsewhere)
			b.do(err)
			after, err := os.ReadDir(elsewhere)
			b.do(err)
			if fi.Mode().Perm() != 0o777 || len(after) != len(before) {
				t.Errorf("%v, %v there; before %v", fi.Mode(), after, before)
			}
		})
	}
}

// What comes back is for nobody to read who could not before.
func TestRollBackIsForNobodyElse(t *testing.T) {
	b := newBench(t)
	b.right()
	b.do(os.Rename(b.path("host.key"), b.path("other.key")))
	b.write("host.key", b.read("other.key"), 0o600)
	b.do(os.Rename(b.path("other.key"), b.path("dh.param"))) // by who may rename there
	b.target.Hosts = append([]string{"smtp.example.jp"}, hosts...)
	p, s := b.plan()
	b.do(b.install(p, s).RollBack())
	if fi, err := os.Stat(b.path("dh.param")); err != nil || fi.Mode().Perm() != 0o600 || !strings.Contains(string(b.read("dh.param")), "PRIVATE KEY") {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

// A file's name is no line of the plan's, and nothing that a terminal obeys.
func TestPrintOfOthersNames(t *testing.T) {
	b := newBench(t)
	b.right()
	b.write("\x1b]0;x\x07\nsendmail: nothing to do.pem", append(b.read("cacert.pem"), b.read("host.cert")...), 0o644)
	p, _ := b.plan()
	var text strings.Builder
	b.do(p.Print(&text))
	if want := "sendmail: note: ?]0;x?; sendmail: nothing to do.pem holds 2 certificates"; !strings.HasPrefix(text.String(), want) {
		t.Errorf("%q, want %q first", text.String(), want)
	}
}

// Who changes the files again and again does not fill the disk with copies.
func TestCopiesAreBounded(t *testing.T) {
	b := newBench(t)
	b.right()
	broken := func() { b.write("cacert.pem", []byte("broken"), 0o644) }
	broken()
	kept := b.right().Kept
	b.do(os.Truncate(filepath.Join(kept, "cacert.pem"), maxKept)) // which takes no room
	broken()
	p, s := b.plan()
	c, err := b.target.Obtain(t.Context(), p, s, b.from)
	b.do(err)
	if _, err := b.journal.Install(b.target, c, s, b.now); err == nil || !strings.Contains(err.Error(), "take 256 MiB in ") {
		t.Errorf("installed: %v", err)
	}
	b.do(os.Rename(kept, kept+".away"))
	b.right()
}

// A pid file that names others than one process has nobody killed.
func TestHangUpOne(t *testing.T) {
	var all []*exec.Cmd
	for range 3 {
		c := exec.Command("sleep", "600")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		all = append(all, c)
	}
	file := filepath.Join(t.TempDir(), "a pid")
	one, two := all[0].Process.Pid, all[1].Process.Pid
	hangUp := func(text string) error {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := command.Shell(t.Context(), 2*time.Minute, HangUp("'"+file+"'"))
		return err
	}
	for _, text := range []string{fmt.Sprintf("%d %d\n", one, two), fmt.Sprintf("-%d\n", one), fmt.Sprintf("-s KILL %d\n", one), "0\n", "\n", "", fmt.Sprintf("%d;\n", one)} {
		if err := hangUp(text); err == nil {
			t.Errorf("%q: something was killed", text)
		}
	}
	// sendmail writes its command line behind the number, and Postfix blanks before it.
	for i, format := range []string{"%d\n/usr/sbin/sendmail -bd\n", "%21d\n"} {
		if err := hangUp(fmt.Sprintf(format, all[i+1].Process.Pid)); err != nil {
			t.Errorf("%q: %v", format, err)
			continue
		}
		if err := all[i+1].Wait(); err == nil || !strings.Contains(err.Error(), "hangup") {
			t.Errorf("%q: the one process: %v", format, err)
		}
	}
	if err := syscall.Kill(one, 0); err != nil {
		t.Errorf("the other: %v", err)
	}
}

// What somebody has put there since the files were looked at is not lost.
func TestChangedMeanwhile(t *testing.T) {
	b := newBench(t)
	b.right()
	b.target.Hosts = append([]string{"smtp.example.jp"}, hosts...)
	p, s := b.plan()
	c, err := b.target.Obtain(t.Context(), p, s, b.from)
	b.do(err)
	for _, tt := range []struct {
		what string
		do   func()
	}{
		{"another key", func() { b.write("host.key", []byte("by hand"), 0o600) }},
		{"no file", func() { b.do(os.Remove(b.path("host.cert"))) }},
	} {
		for r, f := range s.Files {
			b.write(filepath.Base(b.target.Files[r].Path), f.Content, f.Mode)
		}
		tt.do()
		before := b.contents()
		if _, err := b.journal.Install(b.target, c, s, b.now); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v, want %v", tt.what, err, ErrChanged)
		}
		if now := b.contents(); now != before {
			t.Errorf("%s: %s", tt.what, cmp.Diff(before, now))
		}
	}
	for r, f := range s.Files {
		b.write(filepath.Base(b.target.Files[r].Path), f.Content, f.Mode)
	}
	done, err := b.journal.Install(b.target, c, s, b.now)
	b.do(err)
	b.write("host.cert", []byte("by hand"), 0o644)
	before := b.contents()
	if err := done.RollBack(); !errors.Is(err, ErrChanged) {
		t.Errorf("rolled back: %v, want %v", err, ErrChanged)
	}
	if now := b.contents(); now != before {
		t.Error(cmp.Diff(before, now))
	}
}

// Postmap follows links: in a folder that others can change it would write the keys,
// or nothing at all, to any file.
func TestTableInAFolderOfOthers(t *testing.T) {
	_, others, _, table := sniBench(t)
	b := others[0]
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	b.do(os.WriteFile(elsewhere, []byte("elsewhere"), 0o600))
	b.do(os.Symlink(elsewhere, table+".db"))
	b.do(os.Chmod(filepath.Dir(table), 0o777))
	p, s := b.plan()
	if done := b.install(p, s); !errors.Is(done.Map, folder.ErrLed) {
		t.Errorf("%v, want %v", done.Map, folder.ErrLed)
	}
	if content, err := os.ReadFile(elsewhere); string(content) != "elsewhere" {
		t.Errorf("%d octets there, %v", len(content), err)
	}
}
