package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/BurntSushi/toml"
)

const (
	maxFile   = 1 << 20 // bytes
	maxErrors = 20      // that are told
)

// A file is what is known of a file besides its values.
type file struct {
	name   string
	dir    string         // absolute
	places map[path]Place // of keys that are set, and of elements of lists
	// missing is what a file lacks for mail that is about certificates alone.
	missing []error
	// domains are the keys of [domain_cas], by the domain as it is compared.
	domains map[string]path
}

// place returns where a value stands, or its key, or the file's beginning
// when the file does not have it.
func (f *file) place(p path) Place {
	if at, ok := f.places[p]; ok {
		return at
	}
	if i := strings.LastIndexByte(string(p), '['); i >= 0 {
		return f.place(p[:i])
	}
	return Place{1, 1}
}

// has reports whether the file has the value, or that of which it is an element.
func (f *file) has(p path) bool {
	if _, ok := f.places[p]; ok {
		return true
	}
	i := strings.LastIndexByte(string(p), '[')
	return i >= 0 && strings.HasSuffix(string(p), "]") && f.has(p[:i])
}

// Load reads a file. Its errors, one a line, are all that is wrong with it, or
// the first 20.
func Load(name string) (*Config, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than 1 MiB; this is no configuration", name)
	}
	return Parse(name, data)
}

// Parse reads a configuration as if it stood in the file of that name.
func Parse(name string, data []byte) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	var raw map[string]any
	if _, err := toml.Decode(text, &raw); err != nil {
		return nil, syntax(name, text, err)
	}
	s, err := scan(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err) // unreachable: the library has read it
	}
	c := Default(runtime.GOOS)
	c.file = &file{name: name, dir: dir, places: make(map[path]Place), domains: make(map[string]path)}
	d := decoder{c: &c, text: text, scan: s}
	for _, a := range s.again {
		d.errs = append(d.errs, a.error(name, text))
	}
	d.table("", "", raw)
	d.required()
	d.finish()
	if len(d.errs) > 0 {
		return nil, d.error()
	}
	return &c, nil
}

// error puts the errors into the order of the file, whatever the order of maps.
func (d *decoder) error() error {
	errs := d.errs
	sortErrors(errs)
	if more := len(errs) - maxErrors; more > 0 {
		errs = append(errs[:maxErrors:maxErrors], fmt.Errorf("%s: and %d more", d.c.file.name, more))
	}
	return errors.Join(errs...)
}
