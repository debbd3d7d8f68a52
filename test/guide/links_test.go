package guide_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"mailseal/test/rig"
)

var link = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)

// translated are the pages of doc that there are in Japanese too.
func translated(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(rig.Root(t), "doc", "ja", "*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pages in Japanese: %v", err)
	}
	for i, p := range paths {
		paths[i] = filepath.Base(p)
	}
	return paths
}

// Every link between the guides leads to a file, and to a heading of it.
func TestLinks(t *testing.T) {
	doc := filepath.Join(rig.Root(t), "doc")
	var names []string
	for _, name := range translated(t) {
		names = append(names, name, "ja/"+name)
	}
	found := 0
	for _, name := range names {
		from := filepath.Join(doc, name)
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		links := link.FindAllStringSubmatch(string(text), -1)
		found += len(links)
		for _, l := range links {
			to := from
			if l[1] != "" {
				to = filepath.Join(filepath.Dir(from), l[1])
			}
			target, err := os.ReadFile(to)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if l[2] != "" && !anchors(string(target))[l[2]] {
				t.Errorf("%s: no heading #%s in %s", name, l[2], filepath.Base(to))
			}
		}
	}
	if found == 0 {
		t.Error("the pages have no links")
	}
}

// anchors are the names that readers of Markdown give to headings: small
// letters, blanks as hyphens, no punctuation.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(text) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading))] = true
	}
	return all
}
