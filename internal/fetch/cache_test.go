package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// onDisk are the names in a folder, which need not be there.
func onDisk(t *testing.T, dir string) []string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name())
	}
	return names
}

// What was fetched survives a restart, and needs no server then.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fetch")
	good := list(t, 1, 0, 24)
	o := newOrigin(t)
	o.has(good)
	url := o.URL + "/ca.crl"
	b := newBench(t, Config{Settings: on(), Dir: dir})
	if names := onDisk(t, dir); names != nil {
		t.Errorf("there is %q before anything was fetched", names)
	}
	b.crl(url)
	b.Close()
	sum := sha256.Sum256([]byte(url + "\n"))
	name := filepath.Join(dir, hex.EncodeToString(sum[:])+".crl")
	for path, want := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, name: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if names := onDisk(t, dir); len(names) != 1 {
		t.Errorf("files %q", names)
	}
	o.will(http.NotFound)
	for range 2 {
		b = newBench(t, Config{Settings: on(), Dir: dir, ReadOnly: true})
		if got := b.crl(url); !bytes.Equal(got, good) {
			t.Error("another list came")
		}
	}
	if n := o.hits.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	// After its end it is answered no more.
	b.clock.pass(24 * time.Hour)
	if got := b.no(url); !strings.Contains(got, "HTTP status 404") {
		t.Error(got)
	}
	if names := onDisk(t, dir); len(names) != 1 {
		t.Errorf("a Fetcher that only reads left files %q", names)
	}
}

// Files that are not as they were written are as if they were not there.
func TestCorruptFiles(t *testing.T) {
	dir := t.TempDir()
	good := list(t, 1, 0, 24)
	o := newOrigin(t)
	o.has(good)
	newBench(t, Config{Settings: on(), Dir: dir}).crl(o.URL)
	name := filepath.Join(dir, onDisk(t, dir)[0])
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(whole, []byte(o.URL), []byte(strings.Replace(o.URL, "127.0.0.1", "127.0.0.9", 1)), 1)
	for what, content := range map[string][]byte{
		"empty": nil, "cut": whole[:len(whole)-1], "longer": append(bytes.Clone(whole), 0), "no head": good,
		"no line": []byte("{}"), "null": append([]byte("null\n"), good...), "of another URL": other, "large": make([]byte, 5<<20),
		"changed": bytes.Replace(whole, []byte(`"Until":"2026-03-02`), []byte(`"Until":"2026-03-xx`), 1),
	} {
		if bytes.Equal(content, whole) {
			t.Fatalf("%s: is as it was", what)
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		before := o.hits.Load()
		if got := newBench(t, Config{Settings: on(), Dir: dir}).crl(o.URL); !bytes.Equal(got, good) || o.hits.Load() != before+1 {
			t.Errorf("%s: asked %d times", what, o.hits.Load()-before)
		}
		if mended, err := os.ReadFile(name); err != nil || !bytes.Equal(mended, whole) {
			t.Errorf("%s: the file is not replaced: %v", what, err)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name, 0o700); err != nil { // which no file can take the place of
		t.Fatal(err)
	}
	b := newBench(t, Config{Settings: on(), Dir: dir})
	b.crl(o.URL)
	if n := b.log.Count("cannot keep what was fetched"); n != 1 {
		t.Errorf("logged %d times: %s", n, b.log)
	}
}

// A disk that takes nothing costs a line in the log, and nothing else.
func TestDiskFull(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := newOrigin(t)
	o.has(list(t, 1, 0, 24))
	b := newBench(t, Config{Settings: on(), Dir: filepath.Join(file, "fetch")})
	for i := range 6 {
		b.crl(fmt.Sprintf("%s/%d", o.URL, i%3))
	}
	if n := o.hits.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
	if n := b.log.Count("\n"); n != 1 || b.log.Count("cannot keep what was fetched") != 1 {
		t.Error(b.log)
	}
}

// The number and size of files are bounded, and the oldest go.
func TestTrim(t *testing.T) {
	dir := t.TempDir()
	o := newOrigin(t)
	good := list(t, 1, 0, 240)
	o.has(good)
	b := newBench(t, Config{Settings: on(), Dir: dir})
	b.cache.limit.files = 4
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			b.clock.pass(time.Second)
			b.crl(fmt.Sprintf("%s/%d", o.URL, i))
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".x.crl.123.tmp"), nil, 0o600); err != nil { // of one that was killed
		t.Fatal(err)
	}
	fill(0, 10)
	if names := onDisk(t, dir); len(names) != 4 {
		t.Errorf("files %q", names)
	}
	if n := len(b.cache.held); n > 4 {
		t.Errorf("%d entries in memory", n)
	}
	asked := o.hits.Load()
	fill(6, 10)
	if n := o.hits.Load() - asked; n != 0 {
		t.Errorf("%d of the newest four had gone", n)
	}
	b.cache.limit.bytes = 1
	b.cache.limit.held = 1
	fill(10, 12)
	if names := onDisk(t, dir); len(names) != 1 {
		t.Errorf("files %q", names)
	}
	if b.cache.size != int64(len(good)) || len(b.cache.held) != 1 {
		t.Errorf("%d octets of %d entries in memory", b.cache.size, len(b.cache.held))
	}
}

// TestLife: in the first three quarters nobody is asked, then in the background,
// and the list in use stays until it ends.
func TestLife(t *testing.T) {
	first, second := list(t, 1, 0, 24), list(t, 2, 18, 24)
	o := newOrigin(t)
	o.has(first)
	b := newBench(t, Config{Settings: on(), Dir: t.TempDir()})
	b.crl(o.URL)
	b.clock.pass(18*time.Hour - time.Second)
	b.crl(o.URL)
	if n := o.hits.Load(); n != 1 {
		t.Fatalf("asked %d times in three quarters of its life", n)
	}
	// The server hangs: the mail does not.
	hang := make(chan struct{})
	o.will(func(w http.ResponseWriter, _ *http.Request) { <-hang; w.Write(second) })
	b.clock.pass(time.Minute)
	for range 3 {
		if got := b.crl(o.URL); !bytes.Equal(got, first) {
			t.Fatal("another list came")
		}
	}
	close(hang)
	eventually(t, "the second list", func() bool { return bytes.Equal(b.crl(o.URL), second) })
	if n := o.hits.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	// A dead server takes nothing away before the end.
	o.will(http.NotFound)
	b.clock.pass(20 * time.Hour)
	eventually(t, "a line in the log", func() bool {
		b.crl(o.URL) // the first may still see the end of the fetch before
		return b.log.Count("cannot fetch") == 1
	})
	b.crl(o.URL)
	if n := o.hits.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
	b.clock.pass(4 * time.Hour)
	if got := b.no(o.URL); !strings.Contains(got, "HTTP status 404") {
		t.Error(got)
	}
}

// What has not changed is not sent again, whichever way the server tells.
func TestValidators(t *testing.T) {
	first := list(t, 1, 0, 24)
	for header, back := range map[string]string{"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"} {
		t.Run(header, func(t *testing.T) {
			const mark = `"Sun, 01 Mar 2026"`
			o := newOrigin(t)
			o.will(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get(back) == mark {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				w.Header().Set(header, mark)
				w.Write(first)
			})
			dir := t.TempDir()
			b := newBench(t, Config{Settings: on(), Dir: dir})
			b.crl(o.URL)
			b.clock.pass(19 * time.Hour)
			b.crl(o.URL)
			eventually(t, "a second request", func() bool { return o.hits.Load() == 2 })
			b.Close()
			// That it was asked is remembered: after a restart too.
			again := newBench(t, Config{Settings: on(), Dir: dir})
			again.clock.at = b.clock.now()
			if got := again.crl(o.URL); !bytes.Equal(got, first) {
				t.Error("another list came")
			}
			again.clock.pass(90 * time.Minute) // a sixteenth of its life
			again.crl(o.URL)
			eventually(t, "a third request", func() bool { return o.hits.Load() == 3 })
			again.clock.pass(4 * time.Hour)
			eventually(t, "the end of its life", func() bool {
				_, err := again.CRL(t.Context(), o.URL)
				return err != nil && strings.Contains(err.Error(), "was good until 2026-03-02T12:00:00Z only")
			})
		})
	}
}

// TestNewestWins: an older list takes no newer one's place, and another number does.
func TestNewestWins(t *testing.T) {
	for _, tt := range []struct {
		name string
		came []byte
		want bool // it takes the place
	}{
		{"newer", list(t, 6, 1, 48), true},
		{"newer, number behind", list(t, 4, 1, 48), true},
		{"older", list(t, 4, -1, 48), false},
		{"older, number ahead", list(t, 1<<40, -1, 480), false},
		{"same time, next number", list(t, 6, 0, 24), true},
		{"same time, number before", list(t, 4, 0, 24), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOrigin(t)
			first := list(t, 5, 0, 24)
			o.has(first)
			b := newBench(t, Config{Settings: on(), Dir: t.TempDir()})
			b.crl(o.URL)
			o.has(tt.came)
			b.clock.pass(20 * time.Hour)
			b.crl(o.URL)
			if tt.want {
				eventually(t, "the other list", func() bool { return bytes.Equal(b.crl(o.URL), tt.came) })
				return
			}
			eventually(t, "a line in the log", func() bool { return b.log.Count("is older than what came before") == 1 })
			if got := b.crl(o.URL); !bytes.Equal(got, first) {
				t.Error("it took the place")
			}
			b.clock.pass(4 * time.Hour) // over, and what is older is no better
			b.no(o.URL)
		})
	}
}

// OCSP answers are kept by request, for as long as they say.
func TestOCSP(t *testing.T) {
	o := newOrigin(t)
	o.has(reply(t, start, start.Add(time.Hour)))
	b := newBench(t, Config{Settings: on(), Dir: t.TempDir()})
	ask := func(request string, want int64) {
		t.Helper()
		if der, err := b.OCSP(t.Context(), o.URL, []byte(request)); err != nil || len(der) == 0 || o.hits.Load() != want {
			t.Errorf("%s: %d octets, %v, asked %d times, want %d", request, len(der), err, o.hits.Load(), want)
		}
	}
	ask("a", 1)
	ask("b", 2)
	ask("a", 2)
	b.clock.pass(time.Hour)
	o.has(reply(t, b.clock.now(), time.Time{}))
	ask("a", 3)
	ask("a", 3)
	b.clock.pass(time.Minute) // without an end it holds no longer
	ask("a", 4)
	for status, want := range map[byte]string{3: "try later", 6: "does not answer for this CA", 4: "no OCSP answer"} {
		o.has([]byte{0x30, 3, 0x0a, 1, status})
		if _, err := b.OCSP(t.Context(), o.URL, []byte{status}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
	}
	// A CRL at the same place is another thing.
	o.has(list(t, 1, 0, 24))
	b.crl(o.URL)
}

// What cannot be verified is asked for again, and an older list takes its place:
// a forged one does not keep the true one out.
func TestDoubt(t *testing.T) {
	forged, good := list(t, 1<<40, 1, 999), list(t, 1, 0, 24)
	o := newOrigin(t)
	serve := func(list []byte) {
		o.will(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
			} else {
				w.Write(list)
			}
		})
	}
	serve(forged)
	b := newBench(t, Config{Settings: on(), Dir: t.TempDir()})
	b.clock.pass(time.Hour)
	b.crl(o.URL)
	serve(good)
	b.Doubt(o.URL, nil, good) // which is not what there is
	b.clock.pass(time.Minute)
	if got := b.crl(o.URL); !bytes.Equal(got, forged) || o.hits.Load() != 1 {
		t.Errorf("asked %d times before anybody doubted", o.hits.Load())
	}
	b.Doubt(o.URL, nil, forged)
	eventually(t, "the true list", func() bool { return bytes.Equal(b.crl(o.URL), good) })
	if n := o.hits.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	// Doubts about what does not change cost a request a minute.
	for range 10 {
		b.Doubt(o.URL, nil, good)
		b.crl(o.URL)
	}
	if n := o.hits.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}
