package spool

import (
	"testing"

	"pgregory.net/rapid"
)

// Usage is what all Files hold together, and nothing when all are closed,
// however they were filled and whether writing succeeded.
func TestUsage(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var u Usage
		var stores []*Store
		for _, limit := range []int64{0, 5 * chunkSize} {
			s, err := New(Config{Dir: t.TempDir(), Memory: 2 * chunkSize, Limit: limit, Usage: &u})
			if err != nil {
				rt.Fatal(err)
			}
			stores = append(stores, s)
		}
		var open []*File
		check := func() {
			rt.Helper()
			var memory, disk int64
			for _, f := range open {
				memory += int64(len(f.held)) * chunkSize
				disk += f.onDisk
			}
			if u.Files() != int64(len(open)) || u.Memory() != memory || u.Disk() != disk {
				rt.Fatalf("%d files, %d bytes in memory, %d on disk; want %d, %d, %d", u.Files(), u.Memory(), u.Disk(), len(open), memory, disk)
			}
		}
		for range rapid.IntRange(1, 10).Draw(rt, "files") {
			f := rapid.SampledFrom(stores).Draw(rt, "store").Create()
			open = append(open, f)
			for range rapid.IntRange(0, 3).Draw(rt, "writes") {
				f.Write(make([]byte, rapid.IntRange(0, 4*chunkSize).Draw(rt, "bytes"))) // may be too large
				check()
			}
			if rapid.Bool().Draw(rt, "close") {
				f.Close()
				f.Close()
				open = open[:len(open)-1]
				check()
			}
		}
		for len(open) > 0 {
			open[0].Close()
			open = open[1:]
			check()
		}
	})
}
