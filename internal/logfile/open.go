package logfile

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow bounds what a decompressor keeps in memory. xz -9 wants 64 MiB; what
// wants more was not made by a rotation of logs.
const maxWindow = 64 << 20

// A File is an open log.
type File struct {
	io.Reader
	Name    string
	Changed time.Time // when it was written last
	close   []func() error
}

// Close closes the file.
func (f *File) Close() error {
	var errs []error
	for _, c := range slices.Backward(f.close) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// Open opens a log. It is gzip, bzip2, xz or zstd by its first bytes, whatever
// its name.
func Open(name string) (*File, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder", name)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f := &File{Name: name, Changed: info.ModTime(), close: []func() error{file.Close}}
	if f.Reader, err = f.decompress(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return f, nil
}

// decompress gives what is in a stream, be it compressed or not.
func (f *File) decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	begins := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case begins("\x1f\x8b"):
		return gzip.NewReader(b)
	case begins("BZh"):
		return bzip2.NewReader(b), nil
	case begins("\xfd7zXZ\x00"):
		return openXZ(b)
	case begins("\x28\xb5\x2f\xfd"):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		f.close = append(f.close, func() error { z.Close(); return nil })
		return z, nil
	}
	return b, nil
}

// openXZ looks at the size of the dictionary first: the library makes one as
// large as the file's first block says.
func openXZ(b *bufio.Reader) (io.Reader, error) {
	// Stream header 12 bytes; block header: size, flags, optional sizes, filters
	// (The .xz File Format 1.2, sections 2.1.1 and 3.1).
	head, err := b.Peek(12 + 24)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if size, ok := xzDictionary(head); ok && size > maxWindow {
		return nil, fmt.Errorf("xz with a dictionary of %d MiB; want at most %d: unpack it by hand", size>>20, maxWindow>>20)
	}
	return xz.NewReader(b)
}

// xzDictionary reads the size of the dictionary out of the first block's header.
func xzDictionary(head []byte) (size int64, ok bool) {
	if len(head) < 12+6 || head[12] == 0 {
		return 0, false
	}
	flags, i := head[13], 14
	for _, bit := range []byte{0x40, 0x80} { // compressed size, uncompressed size
		if flags&bit == 0 {
			continue
		}
		for ; i < len(head) && head[i]&0x80 != 0; i++ {
		}
		i++
	}
	if i+2 >= len(head) || head[i] != 0x21 || head[i+1] != 1 { // LZMA2, section 5.3.1
		return 0, false
	}
	bits := head[i+2] & 0x3f
	if bits >= 40 {
		return 4 << 30, true
	}
	return int64(2|bits&1) << (bits/2 + 11), true
}

// Rotated returns the files that a log was rotated to, oldest first, and the log
// itself last, if it is there: mail.log.2.gz, mail.log.1, mail.log; also
// maillog.0.bz2 and mail.log-20261122.
func Rotated(name string) ([]string, error) {
	dir, base := filepath.Split(name)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil, err
	}
	type old struct {
		name   string
		date   string
		number int
	}
	var all []old
	here := false
	for _, e := range entries {
		n := e.Name()
		if n == base {
			here = true
			continue
		}
		rest, ok := strings.CutPrefix(n, base)
		if !ok || len(rest) < 2 || e.IsDir() {
			continue
		}
		mark := rest[0]
		for _, ext := range []string{".gz", ".bz2", ".xz", ".zst"} {
			rest = strings.TrimSuffix(rest, ext)
		}
		if len(rest) < 2 {
			continue
		}
		digits := strings.Map(func(r rune) rune {
			if r == '-' || r == 'T' || r == '.' {
				return -1
			}
			return r
		}, rest[1:])
		number, err := strconv.ParseUint(digits, 10, 63)
		switch {
		case err != nil:
		case len(digits) >= 8: // dateext, newsyslog -t
			all = append(all, old{name: dir + n, date: digits})
		case mark == '.':
			all = append(all, old{name: dir + n, number: int(number)})
		}
	}
	slices.SortFunc(all, func(a, b old) int {
		switch {
		case a.date != b.date && a.date != "" && b.date != "":
			return strings.Compare(a.date, b.date)
		case a.date != b.date: // numbers are older than dates: the setting was changed
			return strings.Compare(a.date, b.date)
		case a.number != b.number:
			return b.number - a.number
		}
		return strings.Compare(a.name, b.name)
	})
	var names []string
	for i, o := range all {
		// The same number twice: it is being compressed.
		if i > 0 && all[i-1].number == o.number && all[i-1].date == o.date {
			continue
		}
		names = append(names, o.name)
	}
	if here {
		names = append(names, name)
	}
	return names, nil
}
