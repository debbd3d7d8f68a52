// Package setup brings a mail server from nothing to STARTTLS with certificates
// that verify, and back:
//
//	s, err := setup.Look(ctx, setup.Place{Server: "postfix"})  // reads, changes nothing
//	settings, err := s.Settings(ctx, files, setup.Wish{AskClients: true})
//	for _, e := range settings.Edits { fmt.Print(e.Diff()) }
//	err = journal.Begin(job)                                   // what was there before is kept
//	err = setup.Write(settings.Edits)
//	undone, err := journal.Undo(name, false, ours)             // and is put back
//
// The files that the settings name are the affair of package certmgr, which makes
// them and keeps them right. Of a server's configuration only those settings are
// changed that STARTTLS needs, in the lines where they stand: main.cf as postconf
// -e does it, sendmail.mc where sendmail.cf is built from it, sendmail.cf where
// there is only that. What a site has set more strictly stays so.
package setup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"mailseal/internal/durable"
	held "mailseal/internal/folder"
)

// maxFile bounds a configuration file: nobody has one of 4 MiB.
const maxFile = 4 << 20

// The errors that somebody may want to tell apart.
var (
	// ErrNoServer: there is no such server here, or not where it was looked for.
	ErrNoServer = errors.New("no such mail server here")
	// ErrRefused: it is not done for the reason that the error says.
	ErrRefused = errors.New("refused")
	// ErrChanged: somebody else has changed a file since.
	ErrChanged = errors.New("changed by somebody else since")
)

// Files are the paths that a server's settings name; "" leaves a setting alone.
type Files struct {
	Key, Certificate string
	Pair             string // Postfix: both, and what is between it and the root, in one
	CA, CRL, DH      string
	Dir              string // of hash links
}

// A Wish is what is wanted besides.
type Wish struct {
	// AskClients has the server ask its clients for a certificate.
	AskClients bool
	// Direct edits sendmail.cf although there is a sendmail.mc.
	Direct bool
}

// Settings are what has to be changed for a server, and what somebody should know.
type Settings struct {
	Edits []Edit
	// Warnings are of what changes besides; they hinder nothing.
	Warnings []string
}

// An Edit is a file as it was and as it shall be.
type Edit struct {
	Path          string // no link
	Existed       bool
	Before, After []byte
	Mode          fs.FileMode // 0: that of the file before, or 0644
	// Summary is shown in the diff's place, for what nobody should see, or reads.
	Summary string
}

// Diff shows an edit as diff -u does; "" where nothing changes.
func (e Edit) Diff() string {
	name := e.Path
	if e.Summary != "" {
		return fmt.Sprintf("%-11s %s\n", "new file", e.Path+": "+e.Summary)
	}
	if !e.Existed {
		name = "/dev/null"
	}
	return unified(name, e.Path, string(e.Before), string(e.After))
}

// NewEdit is an edit that changes a file, or makes it where it is not there: then
// before is "". Where the path is a link, the edit is of what it leads to.
func NewEdit(path string, after func(before string) string) (Edit, error) {
	path, text, err := readFile(path)
	e := Edit{Path: path, Existed: err == nil, Before: []byte(text)}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Edit{}, err
	}
	e.After = []byte(after(text))
	return e, nil
}

// readFile reads a configuration file, whole, and tells its path without links.
func readFile(path string) (string, string, error) {
	// Not where the server's own user would have root write.
	real, err := held.Real(path)
	if errors.Is(err, held.ErrLed) {
		return path, "", err
	}
	if err == nil {
		path = real
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return path, "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return path, "", errors.Join(err, fmt.Errorf("%s is no file", path))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than 4 MiB; this is no configuration", path)
	}
	return path, string(b), err
}

// Writable finds out whether edits can be written, before the first is.
func Writable(edits []Edit) error {
	for _, e := range edits {
		dir := filepath.Dir(e.Path)
		for !exists(dir) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir)
		}
		switch err := unix.Access(dir, unix.W_OK); {
		case errors.Is(err, unix.EROFS):
			return fmt.Errorf("%w: %s is on a read-only file system; mount it for writing, and nothing has been changed until now", ErrRefused, dir)
		case err != nil:
			return fmt.Errorf("write to %s: %w", dir, err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Write makes the changes, each whole or not at all. What is as it shall be is
// left alone, and what somebody else has changed meanwhile is an error.
func Write(edits []Edit) error {
	for _, e := range edits {
		if err := e.write(); err != nil {
			return err
		}
	}
	return nil
}

func (e Edit) write() error {
	if err := tidy(e.Path); err != nil {
		return err
	}
	_, now, err := readFile(e.Path)
	switch {
	case err == nil && now == string(e.After):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case (err == nil) != e.Existed, now != string(e.Before):
		return fmt.Errorf("%s: %w; look at it, and try again", e.Path, ErrChanged)
	}
	if err := os.MkdirAll(filepath.Dir(e.Path), 0o755); err != nil {
		return err
	}
	mode := e.Mode
	if mode == 0 {
		mode = 0o644
	}
	return replace(e.Path, e.After, mode)
}

// WriteOut writes what everybody may read to where somebody wants it, which may be a
// device. In /tmp a link of somebody else's is not followed.
func WriteOut(path string, content []byte) error {
	if _, err := held.Real(path); errors.Is(err, held.ErrLed) {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// tidy removes what a setup that was killed has left beside a file: the journal's
// lock keeps others out.
func tidy(path string) error {
	if f, err := held.Open(filepath.Dir(path)); err == nil {
		f.Close()
	} else if errors.Is(err, held.ErrLed) {
		return err
	}
	left, err := durable.Leftovers(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, l := range left {
		err = errors.Join(err, os.Remove(l))
	}
	return err
}

// replace puts content into a file, which keeps its mode, owner and group where it
// is there.
func replace(path string, content []byte, mode fs.FileMode) error {
	uid, gid := -1, -1
	var old syscall.Stat_t
	switch err := syscall.Stat(path, &old); {
	case err == nil:
		mode, uid, gid = fs.FileMode(old.Mode).Perm(), int(old.Uid), int(old.Gid)
	case !errors.Is(err, fs.ErrNotExist):
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return durable.WriteFileAs(path, content, mode, uid, gid)
}
