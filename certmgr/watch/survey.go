package watch

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxLinks bounds how many symbolic links lead to a file, as the kernel does.
const maxLinks = 40

// maxEntries bounds the files of a folder that are looked at one by one. Of a
// folder with more, only what it tells itself counts.
const maxEntries = 4096

// A stat is what tells that a file has been touched, and what of it counts.
type stat struct {
	mode         uint32 // kind and permissions, as the kernel has them; 0: there is none
	uid, gid     uint32
	size         int64
	mtime, ctime int64
	dev, inode   uint64
}

func (s stat) is(kind uint32) bool { return s.mode&unix.S_IFMT == kind }

// lstat follows no link.
func lstat(path string) (stat, error) {
	var st unix.Stat_t
	for {
		err := unix.Lstat(path, &st)
		if err == unix.EINTR {
			continue
		} else if err != nil {
			return stat{}, err
		}
		return stat{
			mode: uint32(st.Mode), uid: st.Uid, gid: st.Gid, size: st.Size,
			mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), dev: uint64(st.Dev), inode: st.Ino,
		}, nil
	}
}

// names are those that count in a folder; nil: all.
type names map[string]struct{}

// An entry is a file or folder of interest as it was found.
type entry struct {
	stat
	path string // by which it is of interest
	real string // without links
	link string // where the last link on the way leads
	full bool   // a folder that is not looked into: it has too many files
}

// A survey finds what a target's paths lead to, and the folders in which a change
// can lead them elsewhere.
type survey struct {
	entries []entry // no path twice
	folders map[string]names
	// parents are folders that were found, by the way to them.
	parents map[string]string
}

// An interest is paths, each once.
type interest map[string]struct{}

func interestIn(paths []string) interest {
	i := make(interest, len(paths))
	for _, p := range paths {
		i[filepath.Join("/", p)] = struct{}{}
	}
	return i
}

func (i interest) survey() *survey {
	s := &survey{folders: map[string]names{}, parents: map[string]string{"/": "/"}, entries: make([]entry, 0, len(i))}
	for path := range i {
		s.add(path, i)
	}
	return s
}

// watch has a name in a folder watched, "" for all.
func (s *survey) watch(folder, name string) {
	n, known := s.folders[folder]
	switch {
	case name == "":
		s.folders[folder] = nil
	case !known:
		s.folders[folder] = names{name: {}}
	case n != nil:
		n[name] = struct{}{}
	}
}

// add follows a path, and looks into the folder that it may lead to. What is in
// there counts for what it is, a link for one, unless it is of interest itself.
func (s *survey) add(path string, i interest) {
	e := entry{path: path}
	e.real, e.stat, e.link = s.follow(path, 0)
	s.entries = append(s.entries, e)
	if !e.is(unix.S_IFDIR) {
		return
	}
	s.watch(e.real, "")
	files, err := list(e.real)
	if err != nil || len(files) > maxEntries {
		s.entries[len(s.entries)-1].full = true
		return
	}
	for _, name := range files {
		child := entry{path: join(path, name)}
		if _, listed := i[child.path]; listed {
			continue
		}
		if child.real = child.path; e.real != path {
			child.real = join(e.real, name)
		}
		if child.stat, err = lstat(child.real); err != nil {
			continue // it has gone since
		}
		if child.is(unix.S_IFLNK) {
			child.link, _ = os.Readlink(child.real) // where it is gone, it leads nowhere
		}
		s.entries = append(s.entries, child)
	}
}

// join is filepath.Join where nothing is to be cleaned.
func join(folder, name string) string {
	if folder == "/" {
		return folder + name
	}
	return folder + "/" + name
}

func list(dir string) ([]string, error) {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0) // what may be a FIFO by now would be waited for
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// follow finds the file that a path leads to, and has every name on the way watched
// that may lead elsewhere tomorrow.
func (s *survey) follow(path string, links int) (real string, st stat, link string) {
	if path == "/" {
		st, _ = lstat(path)
		return path, st, ""
	}
	parent, ok := s.parent(filepath.Dir(path), links)
	if !ok {
		return "", stat{}, ""
	}
	name := filepath.Base(path)
	s.watch(parent, name)
	if real = join(parent, name); real == path {
		real = path // one string
	}
	st, err := lstat(real)
	if err != nil || !st.is(unix.S_IFLNK) {
		return real, st, ""
	}
	if link, err = os.Readlink(real); err != nil || links > maxLinks {
		return real, stat{}, link
	}
	real, st, _ = s.follow(absolute(parent, link), links+1)
	return real, st, link
}

// parent finds the folder that a path leads to.
func (s *survey) parent(path string, links int) (real string, ok bool) {
	if real, ok := s.parents[path]; ok {
		return real, real != ""
	}
	real, ok = s.walk(path, links)
	s.parents[path] = real
	return real, ok
}

func (s *survey) walk(path string, links int) (real string, ok bool) {
	above, ok := s.parent(filepath.Dir(path), links)
	if !ok {
		return "", false
	}
	name := filepath.Base(path)
	real = join(above, name)
	st, err := lstat(real)
	if err == nil && st.is(unix.S_IFDIR) {
		return real, true
	}
	s.watch(above, name)
	if err != nil || !st.is(unix.S_IFLNK) || links > maxLinks {
		return "", false
	}
	link, err := os.Readlink(real)
	if err != nil {
		return "", false
	}
	return s.parent(absolute(above, link), links+1)
}

// absolute is where a link in a folder leads.
func absolute(folder, link string) string {
	if filepath.IsAbs(link) {
		return filepath.Clean(link)
	}
	return filepath.Join(folder, link)
}
