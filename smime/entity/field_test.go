package entity

import (
	"mime"
	"strings"
	"testing"

	"mailseal/internal/message"
)

func TestSurvives(t *testing.T) {
	words := strings.Repeat(" word", 300)
	for _, tt := range []struct{ field, want, err string }{
		{"Content-Type: text/plain", "Content-Type: text/plain\r\n", ""},
		{"content-TYPE:text/plain;\n\tcharset=utf-8", "content-TYPE:text/plain;\r\n\tcharset=utf-8\r\n", ""},
		{"Content-Type: text/plain; \r\n charset=utf-8  ", "Content-Type: text/plain;\r\n  charset=utf-8\r\n", ""},
		{"X: \"a \r\n \t\r\n b\"", "X: \"a\r\n  \t b\"\r\n", ""},
		{"Subject: x\r\n \r\n y", "Subject: x\r\n  y\r\n", ""},
		{" ", "", ""},
		{"X: a\r", "", "bare CR"},
		{"From here on there are no fields", "From here on there are no fields\r\n", ""},
		{"Content-Description: caf\u00e9", "Content-Description: =?utf-8?q?caf=C3=A9?=\r\n", ""},
		{"Subject: one caf\u00e9 two th\u00e9 three", "Subject: one =?utf-8?q?caf=C3=A9_two_th=C3=A9?= three\r\n", ""},
		{"Subject: caf\xe9", "Subject: =?unknown-8bit?b?Y2Fm6Q==?=\r\n", ""},
		{
			"Content-Disposition: attachment; filename=\"\u65e5\u672c.pdf\"; size=5",
			"Content-Disposition: attachment; filename*=utf-8''%E6%97%A5%E6%9C%AC.pdf;\r\n size=5\r\n", "",
		},
		{
			"Content-Type: text/plain; name=\"caf\xe9; \\\"x\\\".txt\"; charset=utf-8",
			"Content-Type: text/plain; name*=unknown-8bit''caf%E9%3B%20%22x%22.txt;\r\n charset=utf-8\r\n", "",
		},
		{"Content-Type: text/caf\u00e9", "", "8-bit"},
		{"Content-Type: text/plain; caf\u00e9=1", "", "8-bit"},
		{"Content-ID: <caf\u00e9@example>", "", "8-bit"},
		{"From: Ren\u00e9 <rene@example.com>, b@example.com", "From: =?utf-8?q?Ren=C3=A9?= <rene@example.com>, <b@example.com>\r\n", ""},
		{"From: \u65e5\u672c@example.com", "", "8-bit"},
		{"To: Gr\u00fcppe: a@example.com;", "", "8-bit"},
		{"X: a\rb", "", "bare CR"},
		{"X: a\x00b", "", "NUL"},
		{"X: " + strings.Repeat("y", 1000), "", "word above"},
		{"\u00e9", "", "8-bit"},
	} {
		got, err := survives(message.ParseField(tt.field))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%.60q: error %v, want %q in it", tt.field, err, tt.err)
			}
		} else if err != nil || got != tt.want {
			t.Errorf("%.60q:\n got %q, %v\nwant %q", tt.field, got, err, tt.want)
		}
	}

	got, err := survives(message.ParseField("References:" + words))
	if err != nil || faultsOf(got) != 0 || strings.ReplaceAll(got, "\r\n", "") != "References:"+words {
		t.Errorf("long field: %q, %v", got, err)
	}
}

func TestLongFileNamesComeBack(t *testing.T) {
	for _, name := range []string{
		strings.Repeat("\u65e5\u672c\u8a9e", 40) + ".pdf",
		"% ' * \u00fc \\ \" ; = .txt",
	} {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name)
		got, err := survives(message.ParseField(`Content-Disposition: attachment; filename="` + quoted + `"`))
		if err != nil || faultsOf(got) != 0 {
			t.Fatalf("%q: %v", got, err)
		}
		_, params, err := mime.ParseMediaType(message.ParseField(strings.TrimSuffix(got, "\r\n")).Text())
		if err != nil || params["filename"] != name {
			t.Errorf("%q came back as %q, %v", name, params["filename"], err)
		}
	}
}
