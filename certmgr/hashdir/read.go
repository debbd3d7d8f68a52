package hashdir

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"mailseal/certmgr/ca/namehash"
	"mailseal/internal/pki/x5280"
)

const (
	// maxFile is several times the size of a system's bundle.
	maxFile = 8 << 20
	// maxFiles and maxOctets bound what is looked at in a folder that may be
	// somebody else's: of other targets nothing is installed meanwhile.
	maxFiles  = 10_000
	maxOctets = 64 << 20
	// maxNotes is what somebody may still read, and what the log takes each time.
	maxNotes = 50
	// maxNumber bounds how many links a name of somebody else can cause.
	maxNumber = 255
)

// linkName is what a look-up tries. tmpName is what a killed Apply leaves.
var (
	linkName = regexp.MustCompile(`^([0-9a-f]{8})\.(r?)(0|[1-9][0-9]{0,8})$`)
	tmpName  = regexp.MustCompile(`^\.[0-9a-f]{8}\.r?[0-9]{1,9}\.link\.tmp$`)
	endings  = []string{".pem", ".crt", ".cer", ".crl"}
)

func temporary(name string) string { return "." + name + ".link.tmp" }

// A key is what links are numbered within.
type key struct {
	hash string
	kind string // "" for certificates, "r" for CRLs
}

func (k key) name(number int) string { return k.hash + "." + k.kind + strconv.Itoa(number) }

// A listing is what read has found.
type listing struct {
	dir       string
	wanted    map[key][]string // names of files
	slots     map[key]map[int]slot
	leftovers []string
	notes     []string
	seen      map[[sha256.Size]byte]bool
	octets    int
}

func (f *listing) keys() []key {
	var ks []key
	for k := range f.wanted {
		ks = append(ks, k)
	}
	for k := range f.slots {
		if _, ok := f.wanted[k]; !ok {
			ks = append(ks, k)
		}
	}
	slices.SortFunc(ks, func(a, b key) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.kind, b.kind)) })
	return ks
}

func (f *listing) note(format string, a ...any) {
	switch n := len(f.notes); {
	case n < maxNotes:
		f.notes = append(f.notes, fmt.Sprintf(format, a...))
	case n == maxNotes:
		f.notes = append(f.notes, f.dir+": there is more of this kind")
	}
}

// read reads a folder. A file that cannot be read is an error, or the links to it
// would be taken for stale.
func read(dir string, bundles []string) (*listing, error) {
	entries, err := list(dir)
	if err != nil {
		return nil, err
	}
	f := &listing{dir: dir, wanted: map[key][]string{}, slots: map[key]map[int]slot{}, seen: map[[sha256.Size]byte]bool{}}
	files := slices.Clone(bundles)
	for _, e := range entries {
		name := e.Name()
		if m := linkName.FindStringSubmatch(name); m != nil {
			if err := f.link(e, m); err != nil {
				return nil, err
			}
		} else if tmpName.MatchString(name) && e.Type() == fs.ModeSymlink {
			f.leftovers = append(f.leftovers, name)
		} else if slices.Contains(endings, strings.ToLower(filepath.Ext(name))) && !strings.HasPrefix(name, ".") && !slices.Contains(bundles, name) {
			files = append(files, name)
		}
	}
	for i, name := range files {
		if err := f.file(name, i < len(bundles)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// list lists a folder, sorted, as openssl does.
func list(dir string) ([]fs.DirEntry, error) {
	d, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0) // and wait for no FIFO
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(maxFiles + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case len(entries) > maxFiles:
		return nil, fmt.Errorf("%s has more than %d files; have a folder for certificates alone", dir, maxFiles)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// link takes in what bears the name of a link.
func (f *listing) link(e fs.DirEntry, name []string) error {
	k := key{name[1], name[2]}
	number, err := strconv.Atoi(name[3])
	if err != nil {
		return err
	}
	s := slot{number: number, foreign: true}
	if e.Type() == fs.ModeSymlink {
		if s.target, err = os.Readlink(filepath.Join(f.dir, e.Name())); err != nil {
			return err
		}
		at := s.target
		if !filepath.IsAbs(at) {
			at = filepath.Join(f.dir, at)
		}
		_, err := os.Stat(at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ELOOP) {
			return err
		}
		s.dangling = err != nil
		s.foreign = !s.dangling && filepath.Dir(at) != filepath.Clean(f.dir)
	} else {
		s.target = e.Name() // what fills a gap below it leads to it
	}
	if s.foreign && number > maxNumber {
		f.note("%s is not looked at: its number is above %d", e.Name(), maxNumber)
		return nil
	}
	if f.slots[k] == nil {
		f.slots[k] = map[int]slot{}
	}
	f.slots[k][number] = s
	return nil
}

// file takes in what a file holds.
func (f *listing) file(name string, bundle bool) error {
	content, err := readFile(filepath.Join(f.dir, name))
	if f.octets += len(content); f.octets > maxOctets {
		return fmt.Errorf("%s: its files have more than %d MiB; have a folder for certificates alone", f.dir, maxOctets>>20)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFile) {
		return nil // a dangling link, a folder, or a bundle that is yet to come
	}
	if err != nil {
		return err
	}
	objects := parse(content)
	if len(objects) > 1 && !bundle {
		f.note("%s holds %d certificates and CRLs and gets no link: one a file", name, len(objects))
		return nil
	}
	for _, o := range objects {
		if o.err != nil {
			f.note("%s gets no link: %v", name, o.err)
			continue
		}
		hash, err := namehash.Of(o.name)
		if err != nil {
			f.note("%s gets no link: %v", name, err)
			continue
		}
		k := key{hash, o.kind}
		sum := sha256.Sum256(o.der)
		if f.seen[sum] || slices.Contains(f.wanted[k], name) {
			continue
		}
		f.seen[sum] = true
		f.wanted[k] = append(f.wanted[k], name)
	}
	return nil
}

var errNoFile = errors.New("not a regular file")

func readFile(path string) ([]byte, error) {
	// A FIFO in the folder must not be waited for, nor one that comes meanwhile.
	if fi, err := os.Stat(path); err != nil {
		return nil, err
	} else if !fi.Mode().IsRegular() {
		return nil, errNoFile
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if fi, err := file.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(err, errNoFile)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s is larger than %d octets", path, maxFile)
	}
	return content, err
}

// An object is a certificate or a CRL with the name that it is found by.
type object struct {
	kind string
	name []byte
	der  []byte
	err  error
}

// parse finds what is in a file: nothing where there is a private key too, which
// is a server's own file. openssl would link it.
func parse(content []byte) []object {
	var all []object
	for {
		block, rest := pem.Decode(content)
		if block == nil {
			return all
		}
		content = rest
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil
		}
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE":
			o := object{der: bytes.Clone(block.Bytes)}
			c, err := x5280.ParseX509(block.Bytes)
			if o.err = err; err == nil {
				o.name = c.RawSubject
			}
			all = append(all, o)
		case "X509 CRL":
			o := object{kind: "r", der: bytes.Clone(block.Bytes)}
			list, err := x509.ParseRevocationList(block.Bytes)
			if o.err = err; err == nil {
				o.name = list.RawIssuer
			}
			all = append(all, o)
		}
	}
}
