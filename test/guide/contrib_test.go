//go:build linux

package guide_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/test/rig"
)

// The guide sets what contrib has, each value the same.
func TestContribIsInTheGuide(t *testing.T) {
	root := rig.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "contrib/postfix/main.cf"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := read(filepath.Join(root, "doc", postfixHost.guide))
	if err != nil {
		t.Fatal(err)
	}
	var guide strings.Builder
	for _, b := range blocks {
		if b.kind() == commands {
			guide.WriteString(b.text)
		}
	}
	settings := parameters(string(text))
	if len(settings) < 5 {
		t.Errorf("main.cf has only %q", settings)
	}
	for _, s := range settings {
		if !strings.Contains(guide.String(), "'"+s+"'") {
			t.Errorf("the guide does not set %q", s)
		}
	}
}

// The manual's lines for sendmail beside OpenDKIM are the guide's, which are
// tried (hosts_test.go).
func TestManualHasTheGuidesLines(t *testing.T) {
	root := rig.Root(t)
	manual, err := os.ReadFile(filepath.Join(root, "doc/mailseal.8"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := read(filepath.Join(root, "doc", sendmailHost.guide))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, b := range blocks {
		if !strings.Contains(b.text, "MAILSEAL_BEFORE_SOCKET") {
			continue
		}
		found = true
		if !strings.Contains(string(manual), "\n"+b.text) {
			t.Errorf("line %d: mailseal(8) has other lines than\n%s", b.line, b.text)
		}
	}
	if !found {
		t.Error("the guide has no lines for OpenDKIM")
	}
}

// parameters are the logical lines of a main.cf (postconf(5)), blanks made one.
func parameters(text string) (all []string) {
	for line := range strings.Lines(text) {
		words := strings.Join(strings.Fields(line), " ")
		switch {
		case words == "" || words[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			all[len(all)-1] += " " + words
		default:
			all = append(all, words)
		}
	}
	return all
}
