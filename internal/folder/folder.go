// Package folder has root work in folders that belong to somebody else, as the
// user of a mail server, without being led away from there:
//
//	f, err := folder.Open("/var/MailRoot/CERTS")
//	file, err := f.Create(".new")            // whatever bears the name
//	err = f.Rename(".new", "cacert.pem")
//	content, info, err := folder.Read("/var/MailRoot/server.key", 8<<20)
//
// A symbolic link is followed where root, or who runs this, has made it: in a
// folder that nobody else can change, with all above it. Elsewhere one is an error,
// and so is a file with several names: its owner need not be who gave it this one.
// A folder is held open from when it was looked at, so nobody can put another in its
// place meanwhile. What is no file is never opened: a FIFO would be waited for.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrLed: somebody else could lead us to a file that is not his.
var ErrLed = errors.New("somebody else may have put it there")

// maxLinks bounds how many links lead to a file, as the kernel does.
const maxLinks = 40

// A Folder is open until it is closed.
type Folder struct {
	path string
	fd   int
	info Info
	// guarded: nobody else can exchange the folder, or what is ours in it. open:
	// others can put files of their own there.
	guarded, open bool
}

// An Info is what the system says of a file.
type Info struct {
	Mode     fs.FileMode
	UID, GID int
	names    uint64
}

func infoOf(st *unix.Stat_t) Info {
	mode := fs.FileMode(st.Mode & 0o777)
	for _, b := range []struct {
		bit uint32
		is  fs.FileMode
	}{{unix.S_ISUID, fs.ModeSetuid}, {unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISVTX, fs.ModeSticky}} {
		if uint32(st.Mode)&b.bit != 0 {
			mode |= b.is
		}
	}
	switch uint32(st.Mode) & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	default:
		mode |= fs.ModeIrregular
	}
	return Info{mode, int(st.Uid), int(st.Gid), uint64(st.Nlink)}
}

// ours: it belongs to root or to who runs this.
func (i Info) ours() bool { return i.UID == 0 || i.UID == os.Geteuid() }

// Open opens a folder. It is an error, ErrLed, where a link is on the way that
// somebody else may have made.
func Open(path string) (*Folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return walk(path, 0)
}

// Real is a path without links, as far as there is something. It is an error, ErrLed,
// where somebody else may have made one of them.
func Real(path string) (string, error) {
	path, err := filepath.Abs(path)
	for links := 0; err == nil; links++ {
		var f *Folder
		if f, err = walk(filepath.Dir(path), links); err != nil {
			break
		}
		name := filepath.Base(path)
		info, err := f.Lstat(name)
		switch {
		case path == filepath.Dir(path):
			f.Close()
			return path, nil
		case err == nil && info.Mode&fs.ModeSymlink != 0:
			path, err = f.follow(name, info, links)
			f.Close()
			if err != nil {
				return "", err
			}
		default:
			f.Close()
			return filepath.Join(f.path, name), err
		}
	}
	return path, err
}

func walk(path string, links int) (*Folder, error) {
	if path == filepath.Dir(path) {
		return enter(unix.AT_FDCWD, path, path, true)
	}
	above, err := walk(filepath.Dir(path), links)
	if err != nil {
		return nil, err
	}
	defer above.Close()
	name := filepath.Base(path)
	info, err := above.Lstat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode&fs.ModeSymlink == 0 {
		return enter(above.fd, name, filepath.Join(above.path, name), above.guarded)
	}
	to, err := above.follow(name, info, links)
	if err != nil {
		return nil, err
	}
	return walk(to, links+1)
}

// enter opens a folder in another.
func enter(above int, name, path string, guarded bool) (*Folder, error) {
	fd, err := openAt(above, name, passing|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := &Folder{path: path, fd: fd}
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	f.info = infoOf(&st)
	f.open = f.info.Mode&0o022 != 0
	f.guarded = guarded && f.info.ours() && (!f.open || f.info.Mode&fs.ModeSticky != 0)
	return f, nil
}

// follow is where a link leads that is ours.
func (f *Folder) follow(name string, info Info, links int) (string, error) {
	path := filepath.Join(f.path, name)
	if !f.guarded || f.open && !info.ours() {
		return "", &fs.PathError{Op: "follow link", Path: path, Err: fmt.Errorf("others than root can change %s: %w; have a file or folder there, or the folders above be root's", f.path, ErrLed)}
	}
	if links >= maxLinks {
		return "", &fs.PathError{Op: "follow link", Path: path, Err: unix.ELOOP}
	}
	to, err := f.Readlink(name)
	if err == nil && !filepath.IsAbs(to) {
		to = filepath.Join(f.path, to)
	}
	return filepath.Clean(to), err
}

// Close ends the use of a folder.
func (f *Folder) Close() { _ = unix.Close(f.fd) }

// Guarded is nil where nobody else can put a file into the folder, or another folder
// in its place, and else ErrLed: there no program may write that follows links.
func (f *Folder) Guarded() error {
	if f.guarded && !f.open {
		return nil
	}
	return &fs.PathError{Op: "write into", Path: f.path, Err: fmt.Errorf("others than root can change it, or a folder above: %w; choose another one, or have these be root's", ErrLed)}
}

// Info is that of the folder itself.
func (f *Folder) Info() Info { return f.info }

// error is one about a name in the folder.
func (f *Folder) error(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: filepath.Join(f.path, name), Err: err}
}

// Lstat looks at a name, and follows no link.
func (f *Folder) Lstat(name string) (Info, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return infoOf(&st), f.error("lstat", name, err)
}

// Readlink is what stands in a link.
func (f *Folder) Readlink(name string) (string, error) {
	b := make([]byte, unix.PathMax)
	n := 0
	err := retry(func() (err error) { n, err = unix.Readlinkat(f.fd, name, b); return err })
	return string(b[:max(n, 0)]), f.error("readlink", name, err)
}

// Create makes a new file, for nobody else to read.
func (f *Folder) Create(name string) (*os.File, error) {
	fd, err := openAt(f.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, f.error("create", name, err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(f.path, name)), nil
}

// Remove removes a file or a link; one that is not there is no error.
func (f *Folder) Remove(name string) error {
	err := retry(func() error { return unix.Unlinkat(f.fd, name, 0) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return f.error("remove", name, err)
}

// Rename puts a file in the place of whatever file bears the other name.
func (f *Folder) Rename(from, to string) error {
	return f.error("rename to", to, retry(func() error { return unix.Renameat(f.fd, from, f.fd, to) }))
}

// Symlink makes a link.
func (f *Folder) Symlink(to, name string) error {
	return f.error("make link", name, retry(func() error { return unix.Symlinkat(to, f.fd, name) }))
}

// Itself is the folder as a file, to be synced, or given to somebody.
func (f *Folder) Itself() (*os.File, error) {
	fd, err := openAt(f.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, f.error("open", "", err)
	}
	return os.NewFile(uintptr(fd), f.path), nil
}

// Sync makes the folder's names durable.
func (f *Folder) Sync() error {
	dir, err := f.Itself()
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil // a file system that does not sync folders
	}
	return errors.Join(err, dir.Close())
}

// Make makes a folder, and those above it that are missing.
func Make(path string, mode fs.FileMode) error {
	f, err := Open(path)
	if err == nil {
		f.Close()
		return nil
	}
	above := filepath.Dir(path)
	if !errors.Is(err, fs.ErrNotExist) || above == path {
		return err
	}
	if err := Make(above, mode); err != nil {
		return err
	}
	if f, err = Open(above); err != nil {
		return err
	}
	defer f.Close()
	err = retry(func() error { return unix.Mkdirat(f.fd, filepath.Base(path), uint32(mode.Perm())) })
	if errors.Is(err, fs.ErrExist) {
		return nil // somebody else was faster, or there is a link that leads nowhere
	}
	return f.error("mkdir", filepath.Base(path), err)
}

func openAt(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

func retry(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}
