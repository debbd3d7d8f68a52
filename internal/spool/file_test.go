package spool

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func newStore(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(t testing.TB, f *File) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func TestNew(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Config{
		"missing":         {Dir: dir + "/missing"},
		"a file":          {Dir: file},
		"negative memory": {Dir: dir, Memory: -1},
		"negative limit":  {Dir: dir, Limit: -1},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(Config{}); err != nil {
		t.Errorf("zero Config: %v", err)
	}
}

// Whatever the sizes of the writes, and wherever they cross from memory to
// disk, the File holds the bytes in order.
func TestFileIsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, err := New(Config{Dir: t.TempDir(), Memory: rapid.SampledFrom([]int64{1, chunkSize, 3*chunkSize + 1}).Draw(rt, "memory")})
		if err != nil {
			rt.Fatal(err)
		}
		f := s.Create()
		defer f.Close()
		size := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(chunkSize-2, chunkSize+2), rapid.IntRange(0, 4*chunkSize))
		src := noise(16 * 4 * chunkSize)
		var want []byte
		for i, n := range rapid.SliceOfN(size, 0, 16).Draw(rt, "writes") {
			p := src[len(want):][:n]
			if i%3 == 2 {
				m, err := f.ReadFrom(iotest.HalfReader(bytes.NewReader(p)))
				if err != nil || m != int64(n) {
					rt.Fatalf("ReadFrom %d, %v; want %d", m, err, n)
				}
			} else if m, err := f.Write(p); err != nil || m != n {
				rt.Fatalf("Write %d, %v; want %d", m, err, n)
			}
			want = append(want, p...)
		}
		if f.Size() != int64(len(want)) {
			rt.Fatalf("size %d, want %d", f.Size(), len(want))
		}
		if got := content(t, f); !bytes.Equal(got, want) {
			rt.Fatal("content differs")
		}
		off := rapid.IntRange(0, len(want)+3).Draw(rt, "offset")
		p := make([]byte, rapid.IntRange(0, 3*chunkSize).Draw(rt, "length"))
		n, err := f.ReadAt(p, int64(off))
		rest := want[min(off, len(want)):]
		if n != min(len(p), len(rest)) || !bytes.Equal(p[:n], rest[:n]) {
			rt.Fatalf("ReadAt(%d bytes, %d) of %d: %d", len(p), off, len(want), n)
		}
		if (err == io.EOF) != (n < len(p) || n == 0 && off >= len(want)) || err != nil && err != io.EOF {
			rt.Fatalf("ReadAt(%d bytes, %d) of %d: %d, %v", len(p), off, len(want), n, err)
		}
	})
}

func TestFileIteration(t *testing.T) {
	f := newStore(t, Config{}).Create()
	if err := iotest.TestReader(io.NewSectionReader(f, 0, 0), nil); err != nil {
		t.Error(err)
	}
	want := noise(300 << 10)
	if _, err := io.Copy(f, bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(io.NewSectionReader(f, 0, f.Size()), want); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("negative offset: %v", err)
	}
}

func TestDiskIsUsedOnlyWhenNeeded(t *testing.T) {
	dir := t.TempDir()
	f := newStore(t, Config{Dir: dir, Memory: 2 * chunkSize}).Create()
	defer f.Close()
	if _, err := f.Write(noise(2 * chunkSize)); err != nil {
		t.Fatal(err)
	}
	if f.disk != nil {
		t.Error("on disk before memory was exceeded")
	}
	if _, err := f.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if f.disk == nil {
		t.Fatal("not on disk")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("folder holds %v, %v", names, err)
	}
	if len(f.held) > 1 {
		t.Errorf("%d chunks held after the spill", len(f.held))
	}
}

// Either way to a file without a name gives one that nobody else can open, and
// that goes when the process does.
func TestNoName(t *testing.T) {
	for name, open := range map[string]func(string) (*os.File, error){"never had one": nameless, "removed": unnamed} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := open(dir)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip("this system or file system has none")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode(); got != 0o600 {
				t.Errorf("mode %v", got)
			}
			if sys, ok := info.Sys().(*syscall.Stat_t); ok && sys.Nlink != 0 {
				t.Errorf("%d links", sys.Nlink)
			}
			if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
				t.Errorf("folder holds %v, %v", names, err)
			}
			if _, err := open(dir + "/missing"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("in a folder that is missing: %v", err)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	const limit = chunkSize + 10
	s := newStore(t, Config{Limit: limit})
	src := noise(limit + 1)
	f := s.Create()
	defer f.Close()
	if n, err := f.Write(src[:limit]); err != nil || n != limit {
		t.Fatalf("up to the limit: %d, %v", n, err)
	}
	if n, err := f.Write(src[limit:]); !errors.Is(err, ErrTooLarge) || n != 0 {
		t.Errorf("over the limit: %d, %v", n, err)
	}
	if _, err := f.Write(nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("after that: %v", err)
	}
	if got := content(t, f); !bytes.Equal(got, src[:limit]) {
		t.Error("content changed")
	}

	f = s.Create()
	defer f.Close()
	if _, err := f.ReadFrom(bytes.NewReader(src)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("ReadFrom over the limit: %v", err)
	}
	f = s.Create()
	defer f.Close()
	if n, err := f.ReadFrom(bytes.NewReader(src[:limit])); err != nil || n != limit {
		t.Errorf("ReadFrom up to the limit: %d, %v", n, err)
	}
}

func TestReadFromPassesErrors(t *testing.T) {
	f := newStore(t, Config{}).Create()
	defer f.Close()
	want := errors.New("line cut")
	n, err := f.ReadFrom(io.MultiReader(strings.NewReader("half a mail"), iotest.ErrReader(want)))
	if err != want || n != 11 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestDiskFull(t *testing.T) {
	for name, open := range map[string]func() (*os.File, error){
		"no file":    func() (*os.File, error) { return nil, syscall.ENOSPC },
		"full write": func() (*os.File, error) { return os.OpenFile("/dev/full", os.O_RDWR, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			if f, err := open(); err == nil {
				f.Close()
			} else if os.IsNotExist(err) {
				t.Skip("no /dev/full here")
			}
			s := newStore(t, Config{Memory: chunkSize})
			s.open = open
			src := noise(3 * chunkSize)
			for _, write := range []func(*File) error{
				func(f *File) error { _, err := f.Write(src); return err },
				func(f *File) error { _, err := f.ReadFrom(bytes.NewReader(src)); return err },
			} {
				f := s.Create()
				if err := write(f); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("error %v", err)
				}
				if _, err := f.Write([]byte("more")); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("next write: %v", err)
				}
				if got := content(t, f); !bytes.Equal(got, src[:len(got)]) {
					t.Error("what was accepted cannot be read")
				}
				if err := f.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}
		})
	}
}

func TestShortenedDiskFile(t *testing.T) {
	f := newStore(t, Config{Memory: 1}).Create()
	defer f.Close()
	if _, err := f.Write(noise(4 * chunkSize)); err != nil {
		t.Fatal(err)
	}
	if err := f.disk.Truncate(10); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 100), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want unexpected EOF", err)
	}
}

func TestClose(t *testing.T) {
	for _, size := range []int{0, 10, 10 * chunkSize} {
		f := newStore(t, Config{Memory: chunkSize}).Create()
		if _, err := f.Write(noise(size)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := f.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
		if _, err := f.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A File that is closed while it is being filled keeps its chunk from the
// next File.
func TestCloseWhileFilling(t *testing.T) {
	s := newStore(t, Config{})
	f := s.Create()
	_, err := f.ReadFrom(readerFunc(func(p []byte) (int, error) {
		f.Close()
		g := s.Create()
		defer g.Close()
		if _, err := g.Write([]byte("another mail")); err != nil {
			t.Error(err)
		}
		copy(p, "overwritten!")
		if got := string(content(t, g)); got != "another mail" {
			t.Errorf("the next File holds %q", got)
		}
		return len(p), nil
	}))
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestConcurrentReads(t *testing.T) {
	f := newStore(t, Config{Memory: 2 * chunkSize}).Create()
	defer f.Close()
	src := noise(6 * chunkSize)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			p := make([]byte, 1000)
			for off := int64(0); off < int64(len(src)); {
				n, err := f.ReadAt(p, off)
				if !bytes.Equal(p[:n], src[off:][:n]) {
					t.Errorf("other bytes at %d", off)
					return
				}
				if err != nil && err != io.EOF {
					t.Error(err)
					return
				}
				off += int64(n)
			}
		})
	}
	for p := src; len(p) > 0; p = p[min(len(p), 777):] {
		if _, err := f.Write(p[:min(len(p), 777)]); err != nil {
			t.Error(err)
			f.Close() // the readers give up
		}
	}
	wg.Wait()
}

func TestRemovedFolder(t *testing.T) {
	dir := t.TempDir() + "/gone"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, Config{Dir: dir, Memory: 1})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	f := s.Create()
	defer f.Close()
	if _, err := f.Write(noise(2 * chunkSize)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func BenchmarkWrite(b *testing.B) {
	for name, size := range map[string]int{"10KB": 10 << 10, "1MB": 1 << 20, "25MB": 25 << 20} {
		b.Run(name, func(b *testing.B) {
			s := newStore(b, Config{})
			src := noise(64 << 10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				f := s.Create()
				for n := 0; n < size; n += len(src) {
					if _, err := f.Write(src[:min(len(src), size-n)]); err != nil {
						b.Fatal(err)
					}
				}
				f.Close()
			}
		})
	}
}
