package doctor

import (
	"os"
	"strings"
	"testing"

	"mailseal/certmgr/probe"
)

// FuzzSettings: whatever stands in settings, where a server listens comes out as
// addresses that can be asked, or not at all.
func FuzzSettings(f *testing.F) {
	tab, err := os.ReadFile("testdata/MailRoot/SERVER.TAB")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(tab))
	f.Add("Djmx.example.jp\nO DaemonPortOptions=Name=MSA, Port=587, Addr=::1, M=Ea\n\tcontinued\nO CACertPath=/etc")
	f.Add("[::1]:smtps inet n - n - - smtpd\nsmtp inet n - y - - smtpd")
	f.Add("service imap-login {\n  inet_listener imap {\n    port = 99999\n  }\n}\n")
	f.Add("25 : 465 : <; x")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseCF(text)
		for name := range c.options {
			if name != strings.ToLower(strings.TrimSpace(name)) {
				t.Errorf("option %q", name)
			}
		}
		urls := c.ports()
		s := Server{Settings: map[string]string{"inet_interfaces": text, "daemon_smtp_ports": text, "tls_on_connect_ports": text}}
		urls = append(urls, s.postfixPorts(text, text)...)
		urls = append(urls, s.eximPorts()...)
		parseDoveconf(text, map[string]string{"imap": "143"})
		parseTab(text)
		postfixTreeOf("/etc/postfix", text)
		for _, u := range urls {
			if _, err := probe.Parse(u); err != nil {
				t.Errorf("%q: %v", u, err)
			}
		}
	})
}

// FuzzFill: no argument gets a control character through, whatever it is.
func FuzzFill(f *testing.F) {
	f.Add("{x} and {y}", "\x1b[31m")
	f.Add("{", "}")
	f.Fuzz(func(t *testing.T, text, value string) {
		got := fill(strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return -1
			}
			return r
		}, text), Args{"x": value, "": value})
		for _, r := range got {
			if r < ' ' || r == 0x7f {
				t.Errorf("%q", got)
			}
		}
	})
}
