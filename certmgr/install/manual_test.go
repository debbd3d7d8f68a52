package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The pages on servers name the folder and the files of each.
func TestManual(t *testing.T) {
	for _, page := range []string{"servers.md", "ja/servers.md"} {
		text, err := os.ReadFile(filepath.Join("../../doc", page))
		if err != nil {
			t.Fatal(err)
		}
		for name, s := range servers {
			_, line, ok := strings.Cut(string(text), "\n| "+name+" | ")
			if !ok {
				t.Errorf("%s: no line for %s", page, name)
				continue
			}
			line, _, _ = strings.Cut(line, "\n")
			for _, dir := range s.dir {
				if !strings.Contains(line, dir) {
					t.Errorf("%s: %s: no folder %s", page, name, dir)
				}
			}
			for r, f := range s.files(false) {
				if (s.dh || r != DH) && !strings.Contains(line, f.Path) {
					t.Errorf("%s: %s: no file %s", page, name, f.Path)
				}
			}
		}
	}
}
