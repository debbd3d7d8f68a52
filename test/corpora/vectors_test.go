package corpora

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// vectors says which packages' tests run a file of Wycheproof: those that have
// its name in quotes.
func (s *shelf) vectors(t *testing.T, name string) string {
	t.Helper()
	root := filepath.Join("..", "..")
	quoted := []byte(`"` + path.Base(name) + `"`)
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "build") {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() || !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(file)
		if bytes.Contains(text, quoted) || bytes.Contains(text, []byte(`wycheproof/`+path.Base(name)+`"`)) {
			found[filepath.ToSlash(must(filepath.Rel(root, filepath.Dir(file))))] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var packages []string
	for p := range found {
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Errorf("%s: no test runs these vectors", name)
	}
	sort.Strings(packages)
	return "vectors, run by " + strings.Join(packages, ", ")
}
