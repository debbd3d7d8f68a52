// Package report is what the programs that measure have in common: medians, the
// machine's name, and tables that stand between marks of a document.
package report

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Marks are the lines that a table stands between.
type Marks struct{ Begin, End string }

// Renew replaces what stands between the marks in a file.
func (m Marks) Renew(file, table string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok1 := strings.Cut(string(old), m.Begin+"\n")
	_, tail, ok2 := strings.Cut(rest, m.End+"\n")
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", filepath.Base(file), m.Begin, m.End)
	}
	return os.WriteFile(file, []byte(head+m.Begin+"\n\n"+table+"\n"+m.End+"\n"+tail), 0o644)
}

// Median returns the middle value, of an even number of them the upper one; of
// none the zero value.
func Median[T cmp.Ordered](vs []T) (m T) {
	if len(vs) == 0 {
		return m
	}
	vs = slices.Sorted(slices.Values(vs))
	return vs[len(vs)/2]
}

// Machine tells what was measured on.
func Machine() string {
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", cpu(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// cpu is the processor's name as /proc has it.
func cpu() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // it is only for people
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": ")
		}
	}
	return "unknown processor"
}
