package guide_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mailseal/internal/fault"
	"mailseal/internal/trust"
	"mailseal/internal/verdict"
	"mailseal/test/rig"
)

// Events, as the sources write them: a call of a logger, the event of an
// outcome, the log's own line, and those that are chosen by a condition or a
// table.
var events = []*regexp.Regexp{
	regexp.MustCompile(`\.(?:Debug|Info|Warn|Error)\("([^"]+)"`),
	regexp.MustCompile(`\.LogAttrs\([^"\n]*"([^"]+)"`),
	regexp.MustCompile(`\bEvent(?:, [\w.]+)* = "([^"]+)"`),
	regexp.MustCompile(`"-: (\w+) level=`),
	regexp.MustCompile(`\bevent(?:, level)? :?= "([^"]+)"`),
	regexp.MustCompile(`message\.(?:Defer|Accept|Reject|Quarantine): +"([^"]+)"`),
}

// Every event that the daemon logs is explained, in both languages, and so is
// all that a result or a reply can be.
func TestLogIsExplained(t *testing.T) {
	root := rig.Root(t)
	var words []string
	for _, r := range trust.Reasons() {
		words = append(words, string(r))
	}
	words = append(words, verdict.Reasons()...)
	for _, s := range []verdict.Status{verdict.None, verdict.Pass, verdict.Fail, verdict.Policy, verdict.Neutral, verdict.TempError, verdict.PermError} {
		words = append(words, "| "+string(s)+" | "+s.Verify()+" |")
	}
	for k := fault.Internal; k <= fault.Rejected; k++ {
		_, enhanced, text := k.Reply()
		words = append(words, "| "+k.String()+" | ", enhanced+" "+text)
	}
	logged := logged(t, root)
	for _, want := range []string{"signed", "verified", "deferred", "listening", "connection", "kept the old configuration"} {
		if !slices.Contains(logged, want) {
			t.Errorf("event %q is not found any more: look at how the sources write it", want)
		}
	}
	for _, e := range logged {
		words = append(words, "`"+e+"`")
	}
	for _, name := range []string{"doc/log.md", "doc/ja/log.md"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s does not explain %q", name, w)
			}
		}
	}
}

func logged(t *testing.T, root string) (found []string) {
	t.Helper()
	for _, dir := range []string{"milter", "internal/gateway", "internal/metrics", "internal/maillog", "internal/trust/source", "cmd/mailseal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			name := filepath.Base(path)
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "demo") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, re := range events {
				for _, m := range re.FindAllSubmatch(text, -1) {
					found = append(found, string(m[1]))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
