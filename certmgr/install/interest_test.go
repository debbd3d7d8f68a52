package install

import (
	"slices"
	"testing"
)

// A list matters also to a target whose CA nobody has asked yet: that is when the
// watching begins.
func TestInterestInEveryFile(t *testing.T) {
	for _, server := range []string{"sendmail", "postfix", "dovecot", "exim"} {
		l, err := LayoutOf(server, "/x", Choices{Group: map[string]string{"exim": "0"}[server]})
		if err != nil {
			t.Fatal(err)
		}
		paths := Target{Name: server, Hosts: []string{"mx.example.jp"}, Layout: l}.Interest()
		for role, f := range l.Files {
			if !slices.Contains(paths, f.Path) {
				t.Errorf("%s: %s (%s) is none of %v", server, f.Path, role, paths)
			}
		}
	}
}
