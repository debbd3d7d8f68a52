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

// Every link between the guides leads to a file, and to a heading of it.
func TestLinks(t *testing.T) {
	doc := filepath.Join(rig.Root(t), "doc")
	for _, name := range []string{
		"postfix.md", "sendmail.md", "log.md", "ca.md", "trust.md", "decrypt.md",
		"ja/postfix.md", "ja/sendmail.md", "ja/log.md", "ja/ca.md", "ja/trust.md", "ja/decrypt.md",
	} {
		from := filepath.Join(doc, name)
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		links := link.FindAllStringSubmatch(string(text), -1)
		if len(links) == 0 {
			t.Errorf("%s has no links", name)
		}
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
