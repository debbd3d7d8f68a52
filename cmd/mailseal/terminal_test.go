package main

import (
	"strings"
	"testing"
)

// A passphrase ends with the line, and keys that edit do.
func TestTyped(t *testing.T) {
	for _, tt := range []struct {
		keys, want string
		fails      bool
	}{
		{"geheim\n", "geheim", false},
		{"geheim\rrest", "geheim", false},
		{"gehx\x7feim\n", "geheim", false},
		{"秘密x\b\b言\n", "秘言", false},
		{"\x7f\x7fa\n", "a", false},
		{"wrong\x15right\n", "right", false},
		{"\n", "", false},
		{"no end", "no end", false},
		{"", "", true},
		{"gehei\x03m\n", "", true},
		{"gehei\x04m\n", "", true},
		{strings.Repeat("x", maxSecret) + "\n", strings.Repeat("x", maxSecret), false},
		{strings.Repeat("x", maxSecret+1) + "\n", "", true},
	} {
		got, err := typed(strings.NewReader(tt.keys))
		if string(got) != tt.want || (err != nil) != tt.fails {
			t.Errorf("%.40q: got %.40q, %v", tt.keys, got, err)
		}
	}
}

// Long usage lines are broken, but not where brackets are open.
func TestFolded(t *testing.T) {
	long := "usage: mailseal x " + strings.Repeat("[-flag A|B C] ", 30) + "< mail"
	got := folded(long)
	if strings.Join(strings.Fields(got), " ") != long {
		t.Errorf("words are lost: %s", got)
	}
	for _, line := range strings.Split(got, "\n") {
		if len(line) > 110 || strings.Count(line, "[") != strings.Count(line, "]") {
			t.Errorf("got %q", line)
		}
	}
}

func TestHostPort(t *testing.T) {
	for in, want := range map[string]struct {
		host string
		port int
		ok   bool
	}{
		"imap.example.jp": {"imap.example.jp", 0, true}, "imap.example.jp:993": {"imap.example.jp", 993, true}, "[2001:db8::1]:993": {"2001:db8::1", 993, true},
		"2001:db8::1": {}, "imap:0": {}, "imap:70000": {}, ":993": {}, "imap://x": {}, "a b": {},
	} {
		host, port, err := hostPort(in)
		if host != want.host || port != want.port || (err == nil) != want.ok {
			t.Errorf("%q: got %q, %d, %v", in, host, port, err)
		}
	}
}
