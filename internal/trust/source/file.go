package source

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"mailseal/internal/certfile"
	"mailseal/internal/pki/x5280"
)

// Bounds on files, in bytes.
const (
	maxCertificates = 16 << 20 // system bundles have 300 KiB
	maxCRLs         = 128 << 20
)

// settled is how long ago a file must have been written for its time to tell whether
// it was written again: clocks of file systems are coarse, and NFS is late.
const settled = 10 * time.Second

// A file is one, with what it held when it was good last.
type file struct {
	path         string
	kind         Kind
	info         os.FileInfo // of what was read
	old          bool        // it had been written long before
	sum          [sha256.Size]byte
	certificates []*x509.Certificate
	crls         []*x5280.CRL
	err          error  // what is wrong with it now
	told         string // of err
}

func (f *file) holds() bool { return len(f.certificates)+len(f.crls) > 0 }

// gone says that there is not even a symbolic link that leads nowhere.
func (f *file) gone() bool {
	if f.err == nil {
		return false
	}
	_, err := os.Lstat(f.path)
	return errors.Is(err, fs.ErrNotExist)
}

// refresh reads the file if it has changed, or anyway, and reports whether it holds
// something else now, or was wrong and is right.
func (f *file) refresh(anyway bool) (changed bool) {
	info, err := os.Stat(f.path)
	if err == nil && !info.Mode().IsRegular() { // to open a pipe would wait for ever
		err = fmt.Errorf("%s is no regular file", f.path)
	}
	if err != nil {
		f.info, f.err = nil, err
		return false
	}
	if !anyway && f.old && f.info != nil && os.SameFile(info, f.info) && info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime()) {
		return false
	}
	f.info, f.old = info, time.Since(info.ModTime()) > settled
	data, err := f.read()
	if err != nil {
		f.info, f.err = nil, err
		return false
	}
	sum := sha256.Sum256(data)
	if f.holds() && sum == f.sum {
		changed = f.err != nil
		f.err = nil
		return changed
	}
	if f.err = f.parse(data); f.err != nil {
		f.err = fmt.Errorf("%s: %w", f.path, f.err)
		return false
	}
	f.sum = sum
	return true
}

func (f *file) read() ([]byte, error) {
	limit := int64(maxCertificates)
	if f.kind == CRLs {
		limit = maxCRLs
	}
	in, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if fi, err := in.Stat(); err != nil || !fi.Mode().IsRegular() { // it is another since
		return nil, fmt.Errorf("%s is no regular file", f.path)
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if int64(len(data)) > limit {
		err = fmt.Errorf("%s: larger than %d bytes", f.path, limit)
	}
	return data, err
}

// parse replaces what the file held, if all in it is good.
func (f *file) parse(data []byte) error {
	if f.kind != CRLs {
		cs, err := certfile.Decode(data)
		if err == nil {
			f.certificates = cs
		}
		return err
	}
	crls, err := x5280.ParseCRLs(data)
	if err == nil {
		f.crls = crls
	}
	return err
}
