package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNoFile: it is a folder, a FIFO or a device.
var ErrNoFile = errors.New("not a regular file")

// Read reads a file of at most so many octets. The Info is there, whatever the
// error, where the file is; its Mode is 0 where it could not be looked at.
func Read(path string, most int64) ([]byte, Info, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, Info{}, err
	}
	return read(path, most, 0)
}

func read(path string, most int64, links int) ([]byte, Info, error) {
	f, err := walk(filepath.Dir(path), links)
	if err != nil {
		return nil, Info{}, err
	}
	defer f.Close()
	name := filepath.Base(path)
	if path == filepath.Dir(path) {
		return nil, f.info, f.error("read", "", ErrNoFile)
	}
	info, err := f.Lstat(name)
	switch {
	case err != nil:
		return nil, Info{}, err
	case info.Mode&fs.ModeSymlink != 0:
		to, err := f.follow(name, info, links)
		if err != nil {
			return nil, Info{}, err
		}
		return read(to, most, links+1)
	case !info.Mode.IsRegular():
		return nil, info, f.error("read", name, ErrNoFile)
	}
	return f.read(name, most)
}

// read reads what bears a name. It may be another file than was looked at before.
func (f *Folder) read(name string, most int64) ([]byte, Info, error) {
	fd, err := openAt(f.fd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_NOCTTY, 0)
	if err != nil {
		info, _ := f.Lstat(name)
		return nil, info, f.error("open", name, err)
	}
	file := os.NewFile(uintptr(fd), filepath.Join(f.path, name))
	defer file.Close()
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return nil, Info{}, f.error("stat", name, err)
	}
	info := infoOf(&st)
	switch {
	case !info.Mode.IsRegular():
		return nil, info, f.error("read", name, ErrNoFile)
	case info.names > 1 && (!f.guarded || f.open):
		return nil, info, f.error("read", name, fmt.Errorf("it has another name elsewhere, and others than root can change %s: %w; have a copy there", f.path, ErrLed))
	}
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(content)) > most {
		err = f.error("read", name, fmt.Errorf("more than %d octets", most))
	}
	if err != nil {
		return nil, info, err
	}
	return content, info, nil
}
