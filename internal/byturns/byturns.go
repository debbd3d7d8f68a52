//go:build unix

// Package byturns measures how fast an operation is beside its floor: the bare
// primitives on the same bytes. Both run by turns, so that whatever else the
// machine does meets both, and only their ratio is told; and so do those who do
// the same in another way. Only benchmarks import it.
package byturns

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// A turn lasts until looking at the clocks costs nothing, but no longer than
// needed: what else the machine does should meet everybody.
const (
	turn      = 20 * time.Millisecond
	maxRounds = 10
)

// A Rival does what the operation does in another way.
type Rival struct {
	Name string
	Do   func()
	// Start is nil, unless Do runs another process: then it runs one that does
	// everything but what is of interest. The least that this took is taken off
	// the least that Do took: what disturbs a process only adds to it.
	Start func()
}

// Compare reports the floor's time by the operation's, so that 1 is as fast as
// the bare primitives: "wall" is what a sender waits, "cpu" what a busy gateway
// has to spend. "heap-B" is what one operation allocates, in bytes. For each
// rival "NAME-times" is how many times the CPU time of the operation it takes.
func Compare(b *testing.B, floor, op func(), rivals ...Rival) {
	heap, took := once(op)
	rounds := int(min(max(turn/max(took, 1), 1), maxRounds))
	var floors, ops spent
	others := make([]spent, len(rivals))
	starts := make([]spent, len(rivals))
	for b.Loop() {
		floors.add(self, rounds, floor)
		ops.add(self, rounds, op)
		for i, r := range rivals {
			if r.Start == nil {
				others[i].add(self, rounds, r.Do)
				continue
			}
			others[i].add(children, 1, r.Do)
			starts[i].add(children, 1, r.Start)
		}
	}
	b.ReportMetric(floors.wall.Seconds()/ops.wall.Seconds(), "wall")
	b.ReportMetric(floors.cpu.Seconds()/ops.cpu.Seconds(), "cpu")
	b.ReportMetric(float64(ops.wall.Microseconds())/float64(ops.times), "us")
	b.ReportMetric(float64(heap), "heap-B")
	for i, r := range rivals {
		took := others[i].each()
		if r.Start != nil {
			took = (others[i].least - starts[i].least).Seconds()
		}
		if took > 0 { // else the start is all that can be seen
			b.ReportMetric(took/ops.each(), r.Name+"-times")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// spent is the time that something took, over many times.
type spent struct {
	wall, cpu time.Duration
	times     int
	least     time.Duration // of CPU time, in one call of add
}

// add runs f. CPU time is that of this process, or of those that it waits for.
func (s *spent) add(whose, times int, f func()) {
	startCPU, start := cpuTime(whose), time.Now()
	for range times {
		f()
	}
	s.wall += time.Since(start)
	cpu := cpuTime(whose) - startCPU
	if s.times == 0 || cpu < s.least {
		s.least = cpu
	}
	s.cpu += cpu
	s.times += times
}

// each is the CPU time for one, in seconds.
func (s *spent) each() float64 { return s.cpu.Seconds() / float64(s.times) }

// once is what op takes from the heap, and how long, when its pools are warm.
func once(op func()) (heap uint64, took time.Duration) {
	var before, after runtime.MemStats
	op()
	runtime.ReadMemStats(&before)
	start := time.Now()
	op()
	took = time.Since(start)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, took
}

const (
	self     = syscall.RUSAGE_SELF
	children = syscall.RUSAGE_CHILDREN
)

func cpuTime(whose int) time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(whose, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
