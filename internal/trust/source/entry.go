package source

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"

	"mailseal/internal/certfile"
	"mailseal/internal/pki"
)

// An entry is a file or folder that the Config names, with what was read of it last.
type entry struct {
	kind   Kind
	domain string
	index  int
	paths  []string // the first that is there counts
	files  map[string]*file
	err    error  // why the entry itself cannot be read, nil if it can
	told   string // of err
}

var crlEndings = []string{".crl", ".pem", ".der"}

// maxFiles bounds those of a folder.
const maxFiles = 10000

// scan reads the files that have changed since, or all, and reports whether
// something else is in force now.
func (e *entry) scan(all bool) (changed bool) {
	names, err := e.list()
	if e.err = err; err != nil {
		return false // what there was stays
	}
	for name := range e.files {
		if !slices.Contains(names, name) {
			changed = changed || e.files[name].holds()
			delete(e.files, name)
		}
	}
	for _, name := range names {
		f, known := e.files[name]
		if !known {
			f = &file{path: name, kind: e.kind}
			e.files[name] = f
		}
		if f.refresh(all) {
			changed = true
		}
		if f.gone() && !slices.Contains(e.paths, name) { // since the folder was read
			changed = changed || f.holds()
			delete(e.files, name)
		}
	}
	return changed
}

// list are the files of the entry.
func (e *entry) list() ([]string, error) {
	for i, path := range e.paths {
		fi, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && i+1 < len(e.paths):
			continue
		case errors.Is(err, fs.ErrNotExist) && len(e.paths) > 1:
			return nil, missing(e.paths)
		case err != nil:
			return nil, err
		case !fi.IsDir():
			return []string{path}, nil
		}
		endings := certfile.Endings()
		if e.kind == CRLs {
			endings = crlEndings
		}
		files, err := pki.Files(path, endings...)
		if len(files) > maxFiles {
			err = errors.New(path + ": more than 10000 files")
		}
		return slices.DeleteFunc(files, isFolder), err
	}
	return nil, missing(e.paths)
}

func isFolder(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}

// problems are what is wrong with the entry and its files.
func (e *entry) problems() (all []error) {
	if e.err != nil {
		all = append(all, e.err)
	}
	for _, name := range slices.Sorted(maps.Keys(e.files)) {
		if err := e.files[name].err; err != nil {
			all = append(all, err)
		}
	}
	return all
}

// tell logs what is wrong, each thing once.
func (e *entry) tell(log *slog.Logger) {
	say := func(err error, told *string) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != "" && text != *told {
			log.Warn("kept the old files", "what", string(e.kind), "error", text)
		}
		*told = text
	}
	say(e.err, &e.told)
	for _, name := range slices.Sorted(maps.Keys(e.files)) {
		say(e.files[name].err, &e.files[name].told)
	}
}
