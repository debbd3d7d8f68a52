package config

import (
	"os"
	"strings"
	"testing"
)

// The manual page tells of every key, and of no other.
func TestManualHasEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../doc/mailseal.toml.5")
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]bool)
	table := ""
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if s, ok := strings.CutPrefix(line, ".Ss "); ok {
			table = ""
			if name, ok := strings.CutPrefix(s, "["); ok {
				table = strings.TrimSuffix(name, "]") + "."
				told[strings.TrimSuffix(table, ".")] = true
			}
		}
		if k, ok := strings.CutPrefix(line, ".It Ic "); ok {
			for k := range strings.SplitSeq(k, " , ") {
				told[table+k] = true
			}
		}
	}
	for k := range keys {
		if !told[k] {
			t.Errorf("key %s is not in the manual page", k)
		}
	}
	for k := range told {
		if _, ok := keys[k]; !ok && !hasTable(k) {
			t.Errorf("the manual page has %s, which is no key", k)
		}
	}
}
