package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var r results
	for _, wall := range []string{"0.9", "0.5", "0.7"} {
		r.read("goos: linux\nBenchmarkRatio/10KB/sign_detached-2 \t 30 \t 0.8 cpu\t 2048 heap-B\t 2030 us\t " + wall + " wall\nBenchmarkWalk-2 \t 1 \t 1 wall\nPASS\n")
	}
	var b strings.Builder
	r.write(&b)
	if want := "| 10KB | sign detached | 0.70 | 0.80 | 2.0 ms | 2 KiB |\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("%s\nwant %s", b.String(), want)
	}
}
