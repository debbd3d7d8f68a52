package main

import (
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	const start = `{"Action":"start","Package":"p"}` + "\n"
	one := func(name, action string, output ...string) string {
		s := `{"Action":"run","Package":"p","Test":"` + name + `"}` + "\n"
		for _, o := range output {
			s += `{"Action":"output","Package":"p","Test":"` + name + `","Output":"` + o + `\n"}` + "\n"
		}
		if action != "" {
			s += `{"Action":"` + action + `","Package":"p","Test":"` + name + `","Elapsed":0.1}` + "\n"
		}
		return s
	}
	pass, fail := `{"Action":"pass","Package":"p","Elapsed":1}`+"\n", `{"Action":"fail","Package":"p","Elapsed":1}`+"\n"

	for name, c := range map[string]struct {
		in     string
		strict bool
		ok     bool
		want   []string // in the output; the last is its last line
	}{
		"all pass": {
			in: "go vet ./...\n" + start + one("A", "pass", "=== RUN   A") + one("B", "pass") + pass,
			ok: true, want: []string{"go vet ./...\n", "pass p 1.0s\n", "2 passed, 0 failed, 0 skipped\n"},
		},
		"one fails": {
			in:   start + one("A", "pass", "quiet") + one("B", "fail", "a_test.go:3: loud") + fail,
			want: []string{"a_test.go:3: loud\n", "failed: p B\n", "1 passed, 1 failed, 0 skipped\n"},
		},
		"one skips": {
			in: start + one("A", "pass") + one("B", "skip", "=== RUN   B", "    a_test.go:3: no corpus in x", "--- SKIP: B (0.00s)") + pass,
			ok: true, strict: true, want: []string{"skipped: no corpus in x (1)\n    p B\n", "1 passed, 0 failed, 1 skipped\n"},
		},
		"a tool is missing": {
			in: start + one("A", "pass") + one("B", "skip", "a_test.go:3: missing tool: no Postfix") + pass,
			ok: true, want: []string{"skipped: missing tool: no Postfix (1)\n", "1 passed, 0 failed, 1 skipped\n"},
		},
		"a tool is missing, strictly": {
			in:     start + one("A", "pass") + one("B", "skip", "a_test.go:3: missing tool: no Postfix") + pass,
			strict: true, want: []string{"failed: missing tool: no Postfix (1)\n", "failed: p B\n", "1 passed, 1 failed, 0 skipped\n"},
		},
		"crash": {
			in:   start + one("A", "pass") + one("B", "", "about to crash") + fail,
			want: []string{"failed: p B\n", "1 passed, 1 failed, 0 skipped\n"},
		},
		"build failure": {
			in: one("A", "pass") + `{"ImportPath":"q","Action":"build-output","Output":"q.go:1: nonsense\n"}` + "\n" +
				`{"ImportPath":"q","Action":"build-fail"}` + "\n" + `{"Action":"fail","Package":"q","Elapsed":0,"FailedBuild":"q"}` + "\n",
			want: []string{"q.go:1: nonsense\n", "fail q 0.0s\n", "failed: q\n", "1 passed, 1 failed, 0 skipped\n"},
		},
		"ended from outside": {
			in:   start + one("A", "pass") + one("B", ""),
			want: []string{"failed: p\n", "failed: p B\n", "1 passed, 2 failed, 0 skipped\n"},
		},
		"no tests in a package": {
			in: start + one("A", "pass") + pass + `{"Action":"start","Package":"q"}` + "\n" + `{"Action":"skip","Package":"q","Elapsed":0}` + "\n",
			ok: true, want: []string{"1 passed, 0 failed, 0 skipped\n"},
		},
		"nothing ran": {in: "make: *** no go\n", want: []string{"0 passed, 0 failed, 0 skipped\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			tl := newTally(&out, c.strict)
			if err := tl.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if ok := tl.close(); ok != c.ok {
				t.Errorf("ok %v, want %v", ok, c.ok)
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("no %q in\n%s", w, out.String())
				}
			}
			if !strings.HasSuffix(out.String(), "\n"+c.want[len(c.want)-1]) && out.String() != c.want[len(c.want)-1] {
				t.Errorf("last line of\n%s\nis not %q", out.String(), c.want[len(c.want)-1])
			}
		})
	}
}
