package gateway

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every key that the line on a mail may have is explained, in both languages.
func TestKeysAreExplained(t *testing.T) {
	source, err := os.ReadFile("log.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?:\badd|slog\.\w+)\("([a-z]+)"`).FindAllSubmatch(source, -1)
	if len(found) < 20 {
		t.Fatalf("%d keys in log.go: look at how it writes them", len(found))
	}
	for _, name := range []string{"../../doc/log.md", "../../doc/ja/log.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range found {
			if key := string(m[1]); key != "id" && !strings.Contains(string(text), "`"+key+"=`") {
				t.Errorf("%s does not explain %s=", name, key)
			}
		}
	}
}
