package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var at = time.Date(2026, 11, 22, 4, 44, 6, 5e8, time.UTC)

// logged makes a file of n events, by uid 0 or somebody else.
func logged(t *testing.T, n int, by ...string) string {
	t.Helper()
	by = append(by, "uid 0")
	path := filepath.Join(t.TempDir(), "audit.log")
	for i := range n {
		add := Event{At: at, What: "issue", By: by[0], Details: map[string]string{"serial": strconv.Itoa(i)}}
		if err := Append(path, add); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAppendAndCheck(t *testing.T) {
	path := logged(t, 5)
	var seen []string
	head, err := Check(path, func(e Event) error {
		seen = append(seen, e.Details["serial"])
		if e.What != "issue" || e.By != "uid 0" || !e.At.Equal(at.Truncate(time.Second)) {
			t.Errorf("event %+v", e)
		}
		return nil
	})
	if err != nil || head.N != 5 || strings.Join(seen, "") != "01234" {
		t.Errorf("head %v, events %v, %v", head, seen, err)
	}
	last, err := Last(path)
	if err != nil || last.N != 5 || last.Details["serial"] != "4" {
		t.Errorf("last %+v, %v", last, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestNoFileIsEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if head, err := Check(path, nil); err != nil || head.N != 0 {
		t.Errorf("%v, %v", head, err)
	}
	if e, err := Last(path); err != nil || e.N != 0 {
		t.Errorf("%v, %v", e, err)
	}
}

// Whatever is done to the file, it is seen, and where.
func TestCheckSeesChanges(t *testing.T) {
	lines := func(f func([]string) []string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			l := strings.SplitAfter(read(t, path), "\n")
			write(t, path, strings.Join(f(l[:len(l)-1]), ""))
		}
	}
	tests := []struct {
		name, want string
		change     func(t *testing.T, path string)
	}{
		{"a word", "audit.log:2: the hash", func(t *testing.T, path string) {
			write(t, path, strings.Replace(read(t, path), `"serial":"1"`, `"serial":"7"`, 1))
		}},
		{"a hash", "audit.log:1: the hash", func(t *testing.T, path string) {
			write(t, path, "0"+read(t, path)[1:])
		}},
		{"a line removed", "audit.log:2: the hash", lines(func(l []string) []string { return append(l[:1:1], l[2:]...) })},
		{"the first removed", "audit.log:1: the hash", lines(func(l []string) []string { return l[1:] })},
		{"lines swapped", "audit.log:2: the hash", lines(func(l []string) []string { l[1], l[2] = l[2], l[1]; return l })},
		{"a line twice", "audit.log:2: the hash", lines(func(l []string) []string { return append(l[:1:1], l...) })},
		{"an empty line", "audit.log:2: the hash", lines(func(l []string) []string { return append(l[:1:1], append([]string{"\n"}, l[1:]...)...) })},
		{"no hash", "audit.log:2: no hash", lines(func(l []string) []string { l[1] = "{}\n"; return l })},
		{"no JSON", "audit.log:2: no event", lines(func(l []string) []string { l[1] = l[1][:70] + "\n"; return l })},
		{"the end cut off", "it had 4 lines and has 2", lines(func(l []string) []string { return l[:2] })},
		{"in the midst of a line", "audit.log:4: the last line has no end", func(t *testing.T, path string) {
			b := read(t, path)
			write(t, path, b[:len(b)-10])
		}},
		{"all of it", "no such file", func(t *testing.T, path string) { os.Remove(path) }},
		{"another file", "is not the one that", func(t *testing.T, path string) { write(t, path, read(t, logged(t, 4, "uid 7"))) }},
		{"a line without end", "audit.log:5", func(t *testing.T, path string) { write(t, path, read(t, path)+strings.Repeat("x", 2*maxLine)+"\n") }},
		{"the head", "want a number and a hash", func(t *testing.T, path string) { write(t, headPath(path), "5 five\n") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := logged(t, 4)
			tt.change(t, path)
			if _, err := Check(path, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check: %v, want %q", err, tt.want)
			}
		})
	}
}

// Lines that were cut off leave a gap when the file goes on.
func TestCutEndLeavesAGap(t *testing.T) {
	path := logged(t, 4)
	l := strings.SplitAfter(read(t, path), "\n")
	write(t, path, l[0]+l[1])
	if err := Append(path, Event{At: at, What: "revoke"}); err != nil {
		t.Fatal(err)
	}
	var seen []string
	if _, err := Check(path, func(e Event) error { seen = append(seen, e.What+e.Details["lines"]); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, " "); got != "issue issue gap4 revoke" {
		t.Errorf("events %q", got)
	}
}

// A part of a line is what a crash leaves of an event that nobody was told of.
func TestAppendAfterACrash(t *testing.T) {
	path := logged(t, 2)
	whole := read(t, path)
	for _, cut := range []int{1, 30, 70, 100} {
		line := strings.SplitAfter(whole, "\n")[1]
		write(t, path, whole+line[:cut])
		if err := Append(path, Event{At: at, What: "issue"}); err != nil {
			t.Fatal(err)
		}
		head, err := Check(path, nil)
		if err != nil || head.N != 3 {
			t.Errorf("cut at %d: %v, %v", cut, head, err)
		}
		write(t, path, whole)
		os.Remove(headPath(path))
	}
	// The head is behind where the crash came before it was written.
	write(t, headPath(path), "")
	if head, err := Check(path, nil); err != nil || head.N != 2 {
		t.Errorf("%v, %v", head, err)
	}
}

func TestAppendRefusesWhatIsNotItsOwn(t *testing.T) {
	path := logged(t, 2)
	whole := read(t, path)
	for _, content := range []string{"rubbish\n", whole + "{}\n", strings.Repeat("x", 2*maxLine)} {
		write(t, path, content)
		if err := Append(path, Event{At: at}); !errors.Is(err, ErrBroken) {
			t.Errorf("Append: %v", err)
		}
		if got := read(t, path); got != content {
			t.Errorf("the file was changed")
		}
	}
	os.Remove(path)
	if err := Append(path, Event{At: at}); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("Append: %v", err)
	}
}

// What comes from outside neither ends a line nor fills the disk.
func TestHostileDetails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	e := Event{At: at, What: "refuse", By: "a\nb\xff", Details: map[string]string{"reason": strings.Repeat("日", 1<<20), "empty": ""}}
	if err := Append(path, e); err != nil {
		t.Fatal(err)
	}
	got, err := Last(path)
	if err != nil || got.By != "a\nb?" || len(got.Details["reason"]) > maxDetail+3 || !strings.HasPrefix(got.Details["reason"], "日日") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Check(path, nil); err != nil {
		t.Error(err)
	}
	many := map[string]string{}
	for i := range 200 {
		many[strconv.Itoa(i)] = strings.Repeat("x", 999)
	}
	if err := Append(path, Event{At: at, Details: many}); err == nil {
		t.Error("an event of 200 kB was written")
	}
}

// No bytes make Check or Append fail otherwise than by an error, and what
// Append has added to is whole.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(""), []byte(""))
	f.Add([]byte("x"), []byte("1 x\n"))
	f.Add([]byte(strings.Repeat("0", 64)+" {\"n\":1}\n"), []byte(""))
	f.Fuzz(func(t *testing.T, log, head []byte) {
		path := filepath.Join(t.TempDir(), "audit.log")
		write(t, path, string(log))
		write(t, headPath(path), string(head))
		_, before := Check(path, nil)
		err := Append(path, Event{At: at, What: "issue"})
		if _, after := Check(path, nil); before == nil && (err != nil || after != nil) {
			t.Errorf("a good file became a bad one: %v, %v", err, after)
		}
	})
}
