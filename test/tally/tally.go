package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Elapsed    float64
	Output     string
}

// test names a test or, with an empty name, a package.
type test struct{ pkg, name string }

func (t test) String() string { return strings.TrimSpace(t.pkg + " " + t.name) }

type tally struct {
	w      io.Writer
	strict bool

	running map[test][]string // output so far
	passed  int
	failed  []test
	skipped map[string][]test // by reason
}

func newTally(w io.Writer, strict bool) *tally {
	return &tally{w: w, strict: strict, running: map[test][]string{}, skipped: map[string][]test{}}
}

// read takes lines to the end. What is no event is passed on.
func (t *tally) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			t.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) line(line []byte) {
	var e event
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil || e.Action == "" {
		t.w.Write(line)
		return
	}
	of := test{e.Package, e.Test}
	switch e.Action {
	case "run", "start":
		t.running[of] = nil
	case "output":
		t.running[of] = append(t.running[of], e.Output)
	case "build-output":
		io.WriteString(t.w, e.Output)
	case "pass", "fail", "skip":
		t.end(of, e)
	}
}

func (t *tally) end(of test, e event) {
	output := t.running[of]
	delete(t.running, of)
	if e.Action == "fail" {
		for _, l := range output {
			io.WriteString(t.w, l)
		}
	}
	switch {
	case of.name == "":
		t.endPackage(of, e)
	case e.Action == "pass":
		t.passed++
	case e.Action == "fail":
		t.failed = append(t.failed, of)
	case e.Action == "skip":
		why := reason(output)
		t.skipped[why] = append(t.skipped[why], of)
	}
}

// endPackage counts tests that have not ended by themselves: the process
// crashed in them. A package that fails without any failed test, as when it
// does not compile, counts as one.
func (t *tally) endPackage(of test, e event) {
	if e.Action == "skip" {
		return // it has no tests
	}
	fmt.Fprintf(t.w, "%-4s %s %.1fs\n", e.Action, of.pkg, e.Elapsed)
	if e.Action != "fail" {
		return
	}
	for r := range t.running {
		if r.pkg == of.pkg {
			delete(t.running, r)
			t.failed = append(t.failed, r)
		}
	}
	if !slices.ContainsFunc(t.failed, func(f test) bool { return f.pkg == of.pkg }) {
		t.failed = append(t.failed, of)
	}
}

// reason is what a test said when it was skipped, without the place.
func reason(output []string) string {
	var said []string
	for _, l := range output {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "=== ") || strings.HasPrefix(l, "--- ") {
			continue
		}
		if place, rest, ok := strings.Cut(l, ": "); ok && strings.Contains(place, ".go:") {
			l = rest
		}
		said = append(said, l)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

// missingTool tells skips that a machine that has all tools does not have.
func missingTool(reason string) bool {
	return strings.Contains(reason, "missing tool") || strings.Contains(reason, "executable file not found")
}

// close prints the end and reports whether all is well.
func (t *tally) close() bool {
	for of := range t.running { // go test itself was ended
		t.failed = append(t.failed, of)
	}
	skips := 0
	for _, why := range slices.Sorted(maps.Keys(t.skipped)) {
		tests := t.skipped[why]
		if t.strict && missingTool(why) {
			t.failed = append(t.failed, tests...)
			fmt.Fprintf(t.w, "not run, and so failed: %s (%d)\n", why, len(tests))
			continue
		}
		skips += len(tests)
		fmt.Fprintf(t.w, "skipped: %s (%d)\n", why, len(tests))
		for _, s := range tests {
			fmt.Fprintf(t.w, "    %v\n", s)
		}
	}
	slices.SortFunc(t.failed, func(a, b test) int { return strings.Compare(a.String(), b.String()) })
	for _, f := range t.failed {
		fmt.Fprintf(t.w, "failed: %v\n", f)
	}
	fmt.Fprintf(t.w, "%d passed, %d failed, %d skipped\n", t.passed, len(t.failed), skips)
	return len(t.failed) == 0 && t.passed > 0
}
