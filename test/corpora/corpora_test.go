// Package corpora reads every object that this project did not make: mails,
// CMS, certificates and keys of other people, in ../shared/corpora or where
// MAILSEAL_CORPORA says.
//
// testdata/objects.tsv has a line for each file: what it is, and what becomes
// of it. A file that is in no line fails the test, as does one whose line is no
// longer true; go test ./test/corpora -update writes the lines anew, and
// somebody reads the difference. What the keys of the corpora can open must be
// opened there, what they cannot says why.
package corpora

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"mailseal/smime/cms"
)

var update = flag.Bool("update", false, "write testdata/objects.tsv anew")

// What one reading of one object may cost. The time only tells a hang from work
// on a busy machine.
const (
	mostTime   = 10 * time.Second
	mostMemory = 64 << 20
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// folder is where the corpora are.
func folder(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("MAILSEAL_CORPORA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpora")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the corpora are not there: set MAILSEAL_CORPORA")
	}
	return dir
}

// files are all of a folder, as slash-separated paths below it.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			list = append(list, filepath.ToSlash(must(filepath.Rel(dir, path))))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(list)
	return list
}

// cheaply runs a reader.
func cheaply(t *testing.T, name, reader string, read func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	read()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if took > mostTime {
		t.Errorf("%s: %s took %v", name, reader, took)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > mostMemory {
		t.Errorf("%s: %s allocated %d octets", name, reader, n)
	}
}

const table = "testdata/objects.tsv"

// A line of the table: the file, what becomes of it, and why that is right
// where the second does not say it.
type line struct{ outcome, why string }

func expected(t *testing.T) map[string]line {
	t.Helper()
	data, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]line{}
	for text := range strings.Lines(string(data)) {
		fields := append(strings.Split(strings.TrimSuffix(text, "\n"), "\t"), "")
		if _, twice := lines[fields[0]]; len(fields) < 3 || len(fields) > 4 || twice {
			t.Fatalf("%s: bad line %q", table, text)
		}
		lines[fields[0]] = line{fields[1], fields[2]}
	}
	return lines
}

func TestEveryObject(t *testing.T) {
	dir := folder(t)
	all := files(t, dir)
	s := collect(t, dir, all)
	var out bytes.Buffer
	want := expected(t)
	for _, name := range all {
		if strings.HasPrefix(name, "pkits/") {
			continue // TestPKITS
		}
		got := s.examine(t, name)
		known, ok := want[name]
		if out.WriteString(name + "\t" + got); known.why != "" {
			out.WriteString("\t" + known.why)
		}
		out.WriteString("\n")
		switch {
		case *update:
		case !ok:
			t.Errorf("%s is in no line of %s: %s", name, table, got)
		case known.outcome != got:
			t.Errorf("%s\n got %s\nwant %s", name, got, known.outcome)
		case known.why == "" && strings.Contains(got, cms.ErrDecrypt.Error()):
			t.Errorf("%s: %s says nothing; the table must say why that is right", name, got)
		}
		delete(want, name)
	}
	if *update {
		if err := os.WriteFile(table, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for name := range want {
		t.Errorf("%s is in %s and not in the corpora", name, table)
	}
}
