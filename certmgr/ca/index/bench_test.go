package index

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func largeIndex(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "V\t2711212031%02dZ\t\t%032X\tunknown\t/C=JP/ST=Osaka/L=Kita-ku/O=MyCorp/CN=user%d@corp.example\n", i%60, i+1, i)
	}
	return b.String()
}

// BenchmarkCheck reads a file that somebody else has changed.
func BenchmarkCheck(b *testing.B) {
	f := file(b, largeIndex(100_000))
	b.ReportAllocs()
	for b.Loop() {
		f.seen = nil
		os.Remove(f.path + noteSuffix)
		if err := f.Check(); err != nil {
			b.Fatal(err)
		}
	}
}
