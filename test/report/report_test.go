package report

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRenew(t *testing.T) {
	m := Marks{"<!-- begin -->", "<!-- end -->"}
	name := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(name, []byte("before\n"+m.Begin+"\nold\n"+m.End+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Renew(name, "new\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if want := "before\n" + m.Begin + "\n\nnew\n\n" + m.End + "\nafter\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(name, []byte("no marks\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Renew(name, "new\n"); err == nil {
		t.Error("no error for a file without marks")
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		of   []int
		want int
	}{{nil, 0}, {[]int{3}, 3}, {[]int{9, 1, 5}, 5}, {[]int{4, 3, 2, 1}, 3}} {
		if got := Median(tt.of); got != tt.want {
			t.Errorf("Median(%v) = %d, want %d", tt.of, got, tt.want)
		}
	}
}
