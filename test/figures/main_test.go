package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The program runs itself, and in tests that is the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && helpers[os.Args[1]] != nil {
		exit(helpers[os.Args[1]](os.Args[2:]))
	}
	os.Exit(m.Run())
}

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
	r.read("BenchmarkRatio/1MB/encrypt-2 \t 30 \t 0.8 cpu\t 2048 heap-B\t 2.26 openssl-times\t 100 us\t 1 wall\n")
	b.Reset()
	r.write(&b)
	if want := "| 10KB | sign detached | 0.70 | 0.80 | 2.0 ms | 2 KiB |  |\n| 1MB | encrypt | 1.00 | 0.80 | 100 µs | 2 KiB | 2.3 x |\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("%s\nwant %s", b.String(), want)
	}
}

// Everybody does every operation; how well is no matter here.
func TestMemory(t *testing.T) {
	if os.Getenv("MAILSEAL_SLOW") == "" {
		t.Skip("slow: make check runs it")
	}
	peaks, err := memory(100 << 10)
	if err != nil {
		t.Fatal(err)
	}
	_, err = exec.LookPath("openssl")
	cell := regexp.MustCompile(`^[1-9]\d* MiB, \d+ ms$`)
	for _, p := range peaks {
		for i, c := range p.cells {
			if !cell.MatchString(c) && (i != 1 || err == nil) {
				t.Errorf("%s: cell %d is %q", p.name, i, c)
			}
		}
	}
	if len(peaks) != len(operations) {
		t.Errorf("%d operations, want %d", len(peaks), len(operations))
	}
}
