package index

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"mailseal/internal/durable"
)

// A File is an index.txt. What it has found good it does not read again until
// somebody else changes it, so that adding a line costs the same whatever
// stands before it. It locks nothing: two writers are the callers' affair, but
// goroutines may share one.
type File struct {
	path string

	mu      sync.Mutex
	seen    os.FileInfo         // the file that was found good, nil for none
	holders map[string][]string // subject -> serials of the valid; nil until asked for
}

// Open is the index in a file. It is read when something is asked.
func Open(path string) *File { return &File{path: path} }

// Check makes sure that every line is one that openssl ca takes. The error
// names file and line.
func (f *File) Check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil || f.unchanged(info) {
		return err
	}
	f.seen, f.holders = nil, nil
	if info.Size() >= large && noted(f.path) == stamp(info) {
		f.seen = info
		return nil
	}
	if err := f.read(func(Entry) error { return nil }); err != nil {
		return err
	}
	f.good(info)
	return nil
}

// large is a file that takes longer to read than a note about it.
const large = 64 << 10

// good remembers the file that was found good, or that a good one became by
// our own line; a large one in a note beside it, so that commands, which know
// nothing yet, need not read it either. A note that got lost costs that time
// alone.
func (f *File) good(info os.FileInfo) {
	f.seen = info
	if info.Size() < large {
		return
	}
	note, err := os.OpenFile(f.path+noteSuffix, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	// Over the old one, as long as that: a file that is cut first has the
	// disk find new room at every line.
	_, _ = note.WriteAt([]byte(stamp(info)), 0)
	note.Close()
}

const noteSuffix = ".seen"

func noted(path string) string {
	b, _ := os.ReadFile(path + noteSuffix)
	return string(b)
}

// stamp tells a file from what it was before and from others of its name.
func stamp(info os.FileInfo) string {
	var inode uint64
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = uint64(s.Ino)
	}
	return fmt.Sprintf("size %020d, changed %020d, inode %020d\n", info.Size(), info.ModTime().UnixNano(), inode)
}

// unchanged reports whether the file is the one that was found good. openssl
// ca puts a new file in its place; editors change size or time.
func (f *File) unchanged(info os.FileInfo) bool {
	return f.seen != nil && os.SameFile(f.seen, info) && f.seen.Size() == info.Size() && f.seen.ModTime().Equal(info.ModTime())
}

// Each calls do for every entry, in the order of the file.
func (f *File) Each(do func(Entry) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read(do)
}

// read calls do for all entries.
func (f *File) read(do func(Entry) error) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var text strings.Builder // becomes a string without another copy
	text.Grow(int(info.Size()))
	if _, err := io.Copy(&text, file); err != nil {
		return err
	}
	return parseLines(f.path, text.String(), do)
}

// Find looks for a serial, as Serial writes it.
func (f *File) Find(serial string) (Entry, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := os.ReadFile(f.path)
	if err != nil {
		return Entry{}, false, err
	}
	e, _, _, err := f.find(b, serial)
	return e, e.Serial != "", err
}

// find looks for the line of a serial, from and to which it stands. Lines in
// which the serial does not occur are not looked at.
func (f *File) find(b []byte, serial string) (e Entry, from, to int, err error) {
	wanted := []byte("\t" + serial + "\t")
	for at := 0; ; {
		i := bytes.Index(b[at:], wanted)
		if i < 0 {
			return Entry{}, 0, 0, nil
		}
		at += i
		from = bytes.LastIndexByte(b[:at], '\n') + 1
		end := bytes.IndexByte(b[at:], '\n')
		if end < 0 {
			return Entry{}, 0, 0, fmt.Errorf("%s: the last line has no end; mend it", f.path)
		}
		at += end + 1
		if b[from] == '#' {
			continue
		}
		e, err := Parse(string(b[from : at-1]))
		if err != nil {
			return Entry{}, 0, 0, fmt.Errorf("%s:%d: %w", f.path, 1+bytes.Count(b[:from], []byte{'\n'}), err)
		}
		if e.Serial == serial {
			return e, from, at, nil
		}
	}
}

// Append adds a line, durably.
func (f *File) Append(e Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	known := f.unchanged(before)
	if err := durable.Append(f.path, []byte(e.Line())); err != nil {
		f.seen = nil
		return err
	}
	after, err := os.Stat(f.path)
	if err != nil || !known || after.Size() != before.Size()+int64(len(e.Line())) {
		f.seen, f.holders = nil, nil
		return err
	}
	f.good(after)
	if f.holders != nil && e.Status == Valid {
		f.holders[e.Subject] = append(f.holders[e.Subject], e.Serial)
	}
	return nil
}

// Replace puts an entry in the place of that with its serial. The whole file
// is written, beside the old one, and then takes its name. Who wants the other
// lines to be good asks Check before.
func (f *File) Replace(e Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	checked := f.unchanged(info)
	b, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	old, from, to, err := f.find(b, e.Serial)
	if err != nil {
		return err
	}
	if old.Serial == "" {
		return fmt.Errorf("%s: no line for %s", f.path, e.Serial)
	}
	line := e.Line()
	next := make([]byte, 0, len(b)+len(line))
	next = append(append(append(next, b[:from]...), line...), b[to:]...)
	return f.write(next, checked)
}

// write puts new content in the place of the file. checked says that every
// line of it is known to be good.
func (f *File) write(b []byte, checked bool) error {
	f.seen, f.holders = nil, nil
	if err := durable.WriteFile(f.path, b, 0o644); err != nil {
		return err
	}
	info, err := os.Stat(f.path)
	if err == nil && checked {
		f.good(info)
	}
	return err
}

// MarkExpired writes Expired where a certificate that was valid has ended, as
// openssl ca -updatedb does.
func (f *File) MarkExpired(now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	next, changed := make([]byte, 0, len(b)), false
	if err := each(f.path, string(b), func(n int, line string) error {
		e, err := Parse(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case err != nil:
			return fmt.Errorf("%s:%d: %w", f.path, n, err)
		case e.Status == Valid && e.NotAfter().Before(now):
			line, changed = string(rune(Expired))+line[1:], true
		}
		next = append(append(next, line...), '\n')
		return nil
	}); err != nil || !changed {
		return err
	}
	return f.write(next, true)
}

// Holders are the serials of the valid certificates for a subject.
func (f *File) Holders(subject string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	if f.holders == nil || !f.unchanged(info) {
		holders := map[string][]string{}
		if err := f.read(func(e Entry) error {
			if e.Status == Valid {
				holders[e.Subject] = append(holders[e.Subject], e.Serial)
			}
			return nil
		}); err != nil {
			return nil, err
		}
		f.seen, f.holders = info, holders
	}
	return f.holders[subject], nil
}

// CutTorn removes the begin of an entry's line from the end of the file, where
// a power cut in Append may have left it. Another line without an end is not
// ours to cut.
func (f *File) CutTorn(e Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	last := b[bytes.LastIndexByte(b, '\n')+1:]
	if len(last) == 0 {
		return nil
	}
	if !bytes.HasPrefix([]byte(e.Line()), last) {
		return fmt.Errorf("%s: the last line has no end; mend it", f.path)
	}
	return f.write(b[:len(b)-len(last)], false)
}

// Drop takes the last line away if it is that of an entry, which Append has
// just added. It needs no room on the disk.
func (f *File) Drop(e Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	rest, ok := bytes.CutSuffix(b, []byte(e.Line()))
	if !ok || (len(rest) > 0 && rest[len(rest)-1] != '\n') {
		return nil
	}
	f.seen, f.holders = nil, nil
	return os.Truncate(f.path, int64(len(rest)))
}
