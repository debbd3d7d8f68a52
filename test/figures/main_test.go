package main

import (
	"os"
	"path/filepath"
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

func TestRenew(t *testing.T) {
	name := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(name, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := renew(name, "new\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if want := "before\n" + begin + "\n\nnew\n\n" + end + "\nafter\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(name, []byte("no marks\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := renew(name, "new\n"); err == nil {
		t.Error("no error for a file without marks")
	}
}
