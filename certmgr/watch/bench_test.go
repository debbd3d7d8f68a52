package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The host of the benchmark: more than any has.
const (
	benchTargets = 100
	benchFiles   = 10000
)

// BenchmarkIdle is what it costs to watch 10,000 files of 100 targets in which
// nothing changes. CPU is that of polls, measured over as many as b.N of them, one
// each 50 ms, and reckoned for one a minute; memory is what is there more when all
// is watched than before, after the garbage is collected.
func BenchmarkIdle(b *testing.B) {
	const every = 50 * time.Millisecond
	targets := orchard(b)
	before, fds := memory(), descriptors(b)
	w := New(Options{Poll: every})
	defer w.Close()
	start := time.Now()
	w.Set(targets)
	first := time.Since(start)
	time.Sleep(2 * grain) // afterwards nothing is read that is as it was
	at := cpu(b)
	started := time.Now()
	for b.Loop() {
		time.Sleep(every)
	}
	polls := time.Since(started).Seconds() / every.Seconds()
	spent := cpu(b) - at
	select {
	case name := <-w.Changed():
		b.Fatalf("%s has changed", name)
	default:
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(spent.Seconds()*1e3/polls, "cpu-ms/minute")
	b.ReportMetric(float64(memory()-before)/1e6, "MB")
	b.ReportMetric(float64(descriptors(b)-fds), "fds")
	b.ReportMetric(first.Seconds()*1e3, "set-ms")
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
