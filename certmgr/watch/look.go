package watch

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxHashed is the size up to which a file's content counts, and not only when it
// was written: more than a system's bundle of CAs.
const maxHashed = 1 << 20

// grain is how close two changes may be for a file system to give them the same
// time. What was changed so shortly before it was read is read again.
const grain = 2 * time.Second

// A look is what was seen of a file.
type look struct {
	stat
	link string
	sum  [sha256.Size]byte
	// unread: there is no sum, so time and size count in its place.
	unread bool
	racy   bool
}

// same reports whether nothing that counts differs. When a file was written does
// not, where its content is the same.
func (l look) same(o look) bool {
	if l.mode != o.mode || l.uid != o.uid || l.gid != o.gid || l.link != o.link || l.unread != o.unread {
		return false
	}
	if l.unread && (l.size != o.size || l.mtime != o.mtime || l.inode != o.inode) {
		return false
	}
	return l.sum == o.sum
}

// looks are of a target's files, by path.
type looks map[string]look

// untouched reports whether a survey has found all as it was, so that there is
// nothing to be looked at.
func (l looks) untouched(entries []entry) bool {
	if len(l) != len(entries) {
		return false
	}
	for i := range entries {
		e := &entries[i]
		if old, known := l[e.path]; !known || old.racy || old.stat != e.stat || old.link != e.link {
			return false
		}
	}
	return true
}

// lookAt looks at what a survey has found. Files that have not been touched since
// the look before are read only if whole says so.
func lookAt(entries []entry, before looks, whole bool) looks {
	now := make(looks, len(entries))
	buffer := make([]byte, 16<<10)
	for _, e := range entries {
		old, known := before[e.path]
		l := look{stat: e.stat, link: e.link}
		switch {
		case e.mode == 0, e.is(unix.S_IFLNK), e.is(unix.S_IFDIR) && !e.full:
		case !e.is(unix.S_IFREG) || e.size > maxHashed:
			l.unread = true
		case known && !whole && !old.racy && old.stat == e.stat:
			l = old
			l.link = e.link
		default:
			l = read(e, l, buffer)
		}
		now[e.path] = l
	}
	return now
}

// read reads a small file. What was found before it is opened may be another file
// by then, so all of the look is of the open one.
func read(e entry, l look, buffer []byte) look {
	f, err := os.OpenFile(e.real, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return look{link: l.link}
	}
	l.unread = true
	if err != nil {
		return l
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, io.LimitReader(f, maxHashed+1), buffer)
	if err != nil || n > maxHashed {
		return l
	}
	l.unread = false
	h.Sum(l.sum[:0])
	after, err := lstat(e.real)
	changed := time.Unix(0, max(e.ctime, e.mtime))
	l.racy = err != nil || after != e.stat || time.Since(changed) < grain
	return l
}

func (l looks) same(o looks) bool {
	if len(l) != len(o) {
		return false
	}
	for path, a := range l {
		if b, ok := o[path]; !ok || !a.same(b) {
			return false
		}
	}
	return true
}
