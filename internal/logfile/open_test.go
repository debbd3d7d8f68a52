package logfile_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"mailseal/internal/logfile"
)

// packed compresses a text.
func packed(t *testing.T, how string, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch how {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	default:
		return text
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.Write(text); err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOpen(t *testing.T) {
	want := []string{"one", "two"}
	for _, how := range []string{"plain", "gzip", "xz", "zstd", "bzip2"} {
		// What it is called does not matter.
		name := write(t, filepath.Join(t.TempDir(), "mail.log"), packed(t, how, []byte("one\ntwo\n")))
		if how == "bzip2" {
			name = "testdata/two.bz2"
		}
		f, err := logfile.Open(name)
		if err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if d := cmp.Diff(want, lines(t, f)); d != "" {
			t.Errorf("%s: %s", how, d)
		}
		if f.Changed.IsZero() {
			t.Errorf("%s: no time", how)
		}
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
}

func TestOpenRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := logfile.Open(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := logfile.Open(dir); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	cut := packed(t, "gzip", bytes.Repeat([]byte("line\n"), 10_000))
	f, err := logfile.Open(write(t, filepath.Join(dir, "cut"), cut[:len(cut)/2]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := logfile.Each(f, func([]byte) error { return nil }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}

	// A block that wants a dictionary of 1.5 GiB: stream header, block header with
	// LZMA2 and its size. It is refused before it is made.
	bomb := append([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46"), 0x02, 0x00, 0x21, 0x01, 37, 0, 0, 0)
	if _, err := logfile.Open(write(t, filepath.Join(dir, "bomb.xz"), bomb)); err == nil || !strings.Contains(err.Error(), "1536 MiB") {
		t.Errorf("large dictionary: %v", err)
	}
}

// TestBombMemory: what unpacks to 64 MB is read in little memory.
func TestBombMemory(t *testing.T) {
	zeros := make([]byte, 1<<20)
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := logfile.Open(write(t, filepath.Join(t.TempDir(), "bomb.gz"), b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := len(lines(t, f))
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; n != 1 || used > 8<<20 {
		t.Errorf("%d lines, %d bytes of memory", n, used)
	}
}

func TestRotated(t *testing.T) {
	for name, tt := range map[string]struct{ there, want string }{
		"logrotate": {"mail.log mail.log.1 mail.log.2.gz mail.log.10.gz mail.err mail.log.old mail.log.d mail.logger",
			"mail.log.10.gz mail.log.2.gz mail.log.1 mail.log"},
		"dateext":          {"mail.log mail.log-20261101.gz mail.log-20261108 mail.log-20251231.xz", "mail.log-20251231.xz mail.log-20261101.gz mail.log-20261108 mail.log"},
		"newsyslog":        {"mail.log mail.log.0.bz2 mail.log.1.zst", "mail.log.1.zst mail.log.0.bz2 mail.log"},
		"newsyslog -t":     {"mail.log mail.log.20261101T000000.xz mail.log.20261102T000000.xz", "mail.log.20261101T000000.xz mail.log.20261102T000000.xz mail.log"},
		"not there itself": {"mail.log.1", "mail.log.1"},
		"both of one":      {"mail.log mail.log.1 mail.log.1.gz", "mail.log.1 mail.log"},
		"none":             {"other", ""},
		"settings changed": {"mail.log mail.log.1 mail.log-20261101", "mail.log.1 mail.log-20261101 mail.log"},
	} {
		dir := t.TempDir()
		for _, n := range strings.Fields(tt.there) {
			write(t, filepath.Join(dir, n), nil)
		}
		got, err := logfile.Rotated(filepath.Join(dir, "mail.log"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i] = filepath.Base(got[i])
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s; want %s", name, s, tt.want)
		}
	}
}
