package logfile_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailseal/internal/logfile"
)

// lines reads all lines of a stream.
func lines(t interface {
	Helper()
	Fatal(...any)
}, r io.Reader) []string {
	t.Helper()
	var all []string
	if err := logfile.Each(r, func(line []byte) error {
		all = append(all, string(line))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", logfile.MaxLine+100)
	endless := strings.Repeat("y", 20*logfile.MaxLine)
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"nothing":          {"", nil},
		"lines":            {"a\nb\n", []string{"a", "b"}},
		"CRLF":             {"a\r\nb\r\n", []string{"a", "b"}},
		"empty":            {"\n\na\n", []string{"", "", "a"}},
		"no end":           {"a\nb", []string{"a", "b"}},
		"long":             {"a\n" + long + "\nb\n", []string{"a", long[:logfile.MaxLine], "b"}},
		"longer than all":  {"a\n" + endless + "\nb\n", []string{"a", endless[:logfile.MaxLine], "b"}},
		"long without end": {endless, []string{endless[:logfile.MaxLine]}},
	} {
		for how, r := range map[string]io.Reader{"whole": strings.NewReader(tt.text), "in halves": iotest.HalfReader(strings.NewReader(tt.text)), "with EOF": iotest.DataErrReader(strings.NewReader(tt.text))} {
			if d := cmp.Diff(tt.want, lines(t, r)); d != "" {
				t.Errorf("%s, %s: %.500s", name, how, d)
			}
		}
	}
	broken := io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(errors.New("disk on fire")))
	var got []string
	err := logfile.Each(broken, func(line []byte) error { got = append(got, string(line)); return nil })
	if err == nil || err.Error() != "disk on fire" || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

// TestLinesBack: lines come as they were written, however they are read.
func TestLinesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.StringMatching(`[a-z ]{0,20}`), 0, 20).Draw(t, "lines")
		var text strings.Builder
		for _, l := range want {
			text.WriteString(l + "\n")
		}
		got := lines(t, iotest.OneByteReader(strings.NewReader(text.String())))
		if len(got) != len(want) || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q became %q", want, got)
		}
	})
}
