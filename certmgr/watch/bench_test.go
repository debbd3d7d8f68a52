package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// The host of the benchmark: more than any has.
const (
	benchTargets = 100
	benchFiles   = 10000
)

// BenchmarkIdle is what it costs to watch 10,000 files of 100 targets in which
// nothing changes: memory that is there more when all is watched than before, after
// the garbage is collected; descriptors; the time of Set; and the CPU of a minute.
// That is the CPU of one poll, which by default comes once a minute, measured over
// polls that follow each other at once. BenchmarkSleep has the rest of the minute.
func BenchmarkIdle(b *testing.B) {
	targets := orchard(b)
	before, fds := memory(), descriptors(b)
	notes, err := fsnotify.NewWatcher()
	if err != nil {
		b.Fatal(err)
	}
	f := newFolders(Options{}.defaults())
	f.notes = notes
	listening := make(chan struct{})
	go func() { defer close(listening); f.listen(notes.Events, notes.Errors) }()
	defer func() { notes.Close(); <-listening }()
	l := &loop{folders: f, targets: map[string]*target{}}
	start := time.Now()
	l.set(targets)
	set := time.Since(start)
	used, opened := memory()-before, descriptors(b)-fds
	time.Sleep(grain)
	l.pollAll(time.Now()) // reads once more what was so new at the first look
	at := cpu(b)
	for b.Loop() {
		l.pollAll(time.Now())
	}
	b.ReportMetric((cpu(b)-at).Seconds()*1e3/float64(b.N), "cpu-ms/minute")
	if _, any := l.due(); any {
		b.Error("something has changed")
	}
	b.ReportMetric(float64(used)/1e6, "MB")
	b.ReportMetric(float64(opened), "fds")
	b.ReportMetric(set.Seconds()*1e3, "set-ms")
	runtime.KeepAlive(targets)
}

// BenchmarkSleep is the same between two polls: the CPU that a minute takes in which
// none comes.
func BenchmarkSleep(b *testing.B) {
	w := New(Options{Poll: time.Hour})
	defer w.Close()
	w.Set(orchard(b))
	debug.FreeOSMemory() // what making the files has left to be done is not the watcher's
	at, started := cpu(b), time.Now()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((cpu(b)-at).Seconds()*1e3/time.Since(started).Minutes(), "cpu-ms/minute")
}

// BenchmarkSignal is the time from a change of one of the files until its target is
// told of: 200 ms of it are waited for what may follow.
func BenchmarkSignal(b *testing.B) {
	targets := orchard(b)
	w := New(Options{Poll: time.Hour})
	defer w.Close()
	w.Set(targets)
	n := 0
	for b.Loop() {
		name := fmt.Sprintf("target%d", n%benchTargets)
		n++
		if err := os.WriteFile(targets[name][0], fmt.Append(nil, n, time.Now()), 0o600); err != nil {
			b.Fatal(err)
		}
		if got := <-w.Changed(); got != name {
			b.Fatalf("%s has changed; want %s", got, name)
		}
	}
}

// orchard is 100 targets with 100 files of a certificate's size each.
func orchard(b *testing.B) map[string][]string {
	b.Helper()
	dir := b.TempDir()
	content := make([]byte, 2000)
	targets := map[string][]string{}
	for i := range benchTargets {
		name := fmt.Sprintf("target%d", i)
		folder := filepath.Join(dir, name, "certs")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		for j := range benchFiles / benchTargets {
			path := filepath.Join(folder, fmt.Sprintf("%08x.pem", j))
			if err := os.WriteFile(path, fmt.Append(content, i, j), 0o600); err != nil {
				b.Fatal(err)
			}
			targets[name] = append(targets[name], path)
		}
		targets[name] = append(targets[name], folder)
	}
	return targets
}

func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func descriptors(b *testing.B) int {
	b.Helper()
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if names, err := list(dir); err == nil {
			return len(names)
		}
	}
	b.Fatal("nobody tells which descriptors are open")
	return 0
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
