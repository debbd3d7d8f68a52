//go:build unix

// Package byturns measures how fast an operation is beside its floor: the bare
// primitives on the same bytes. Both run by turns, so that whatever else the
// machine does meets both, and only their ratio is told. Only benchmarks
// import it.
package byturns

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// rounds are run of one before the other has its turn: enough that looking at
// the clocks costs nothing.
const rounds = 10

// Compare reports the floor's time by the operation's, so that 1 is as fast as
// the bare primitives: "wall" is what a sender waits, "cpu" what a busy gateway
// has to spend. "heap-B" is what one operation allocates, in bytes.
func Compare(b *testing.B, floor, op func()) {
	var wall, cpu [2]time.Duration
	heap := allocated(op)
	for b.Loop() {
		for i, f := range []func(){floor, op} {
			startCPU, start := cpuTime(), time.Now()
			for range rounds {
				f()
			}
			wall[i] += time.Since(start)
			cpu[i] += cpuTime() - startCPU
		}
	}
	b.ReportMetric(float64(wall[0])/float64(wall[1]), "wall")
	b.ReportMetric(float64(cpu[0])/float64(cpu[1]), "cpu")
	b.ReportMetric(float64(wall[1].Microseconds())/float64(b.N*rounds), "us")
	b.ReportMetric(float64(heap), "heap-B")
	b.ReportMetric(0, "ns/op")
}

// allocated is what op takes from the heap when its pools are warm.
func allocated(op func()) uint64 {
	var before, after runtime.MemStats
	op()
	runtime.ReadMemStats(&before)
	op()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
