package config

import (
	"strings"
	"testing"
)

// A host that has certificates kept and no milter need not say whose mail it has.
func TestForMail(t *testing.T) {
	const target = "[[target]]\nserver = \"postfix\"\nhosts = [\"mx.example.jp\"]\n"
	for _, test := range []struct {
		what, text string
		alone      bool // it is read
	}{
		{"a CA and a server", "[ca]\ndir = \"CA\"\n" + target, true},
		{"a server", target, true},
		{"a CA", "[ca]\ndir = \"CA\"\n[web]\nlisten = \":80\"\n", true},
		{"a socket of the milter too", "[milter]\nsocket = \"unix:m.sock\"\n" + target, false},
		{"half of what mail needs", "authserv_id = \"mx.example.jp\"\n" + target, false},
		{"nothing", "", false},
	} {
		c, err := Parse("mailseal.toml", []byte(test.text))
		if !test.alone {
			if err == nil || !strings.Contains(err.Error(), "local_domains: missing") {
				t.Errorf("%s: %v", test.what, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.what, err)
			continue
		}
		if err := c.ForMail(); err == nil || !strings.Contains(err.Error(), "authserv_id: missing") || !strings.Contains(err.Error(), "local_domains: missing") {
			t.Errorf("%s is enough for mail: %v", test.what, err)
		}
	}
}
