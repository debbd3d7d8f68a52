package install

import (
	"strings"
	"testing"
)

// What others have in a table stays, whatever it looks like.
func TestTableOfOthers(t *testing.T) {
	target := Target{Hosts: []string{"mx.example.jp"}, Layout: Layout{Files: map[Role]File{PairFile: {Path: "/ours.pem"}}}}
	const ours = "mx.example.jp /ours.pem\n"
	long := "b.example " + strings.Repeat("/b.pem ", 20000) + "\n"
	for _, tt := range []struct{ what, old, want string }{
		{"nothing", "", ours},
		{"ours", ours, ours},
		{"without an end", strings.TrimSuffix(ours, "\n"), ours},
		{"a long line", "a.example /a.pem\n" + long + "c.example /c.pem\n", "a.example /a.pem\n" + long + "c.example /c.pem\n" + ours},
		{"lines that go on", "a.example /a.pem\n\t/a2.pem\n# of c\nc.example /c.pem\n", "a.example /a.pem\n\t/a2.pem\n# of c\nc.example /c.pem\n" + ours},
		{"ours goes on", "mx.example.jp /old.pem\n # why\n\n /old2.pem\n\n# of c\nc.example /c.pem\n", ours + "\n# of c\nc.example /c.pem\n"},
		{"ours, with a comment behind", ours + "  # ours\n", ours + "  # ours\n"},
		{"no host any more", "a.example /a.pem\nold.example\n /ours.pem\nc.example /c.pem\n", "a.example /a.pem\nc.example /c.pem\n" + ours},
		{"leads elsewhere too", "a.example /ours.pem\n /a.pem\n", "a.example /ours.pem\n /a.pem\n" + ours},
		{"twice", ours + "a.example /a.pem\nMX.example.jp /ours.pem\n", ours + "a.example /a.pem\n"},
		{"begins with a line that goes on", " /x.pem\n" + ours, " /x.pem\n" + ours},
		{"no words", "\v\n\x00\n" + ours, "\v\n\x00\n" + ours},
	} {
		got := string(target.source([]byte(tt.old)))
		if got != tt.want {
			t.Errorf("%s: %.300q, want %.300q", tt.what, got, tt.want)
		}
		if again := string(target.source([]byte(got))); again != got {
			t.Errorf("%s: %.300q becomes %.300q", tt.what, got, again)
		}
	}
}
