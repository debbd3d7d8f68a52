package setup

import (
	"testing"

	"github.com/BurntSushi/toml"
)

func TestEditTOML(t *testing.T) {
	head := Head{AuthservID: "mx.example.jp", LocalDomains: []string{"example.jp"}, CADir: "/etc/mail/CA", PassphraseFile: "/etc/mailseal/ca.pass"}
	table := &Table{Name: "sendmail", Server: "sendmail", Hosts: []string{"mx.example.jp"}, Dir: "/etc/mail/certs", Reload: "kill -HUP `head -n 1 /run/\"x\".pid`"}
	for name, text := range map[string]string{
		"new":          "",
		"no CA":        "authserv_id = \"mx.example.jp\"\nlocal_domains = [\"example.jp\"]",
		"other tables": "authserv_id = \"mx.example.jp\"\nlocal_domains = [\"example.jp\"]\n\n[milter]\non_error = \"accept\"\n",
		"CA":           "authserv_id = \"mx.example.jp\"\nlocal_domains = [\"example.jp\"]\n[ca] # ours\nweb_user = \"\"\n[web]\nlisten = \"\"\n",
		"a target":     "authserv_id = \"mx.example.jp\"\nlocal_domains = [\"example.jp\"]\n[[target]]\nserver = \"exim\"\nhosts = [\"x.example\"]\n",
	} {
		var got struct {
			AuthservID   string   `toml:"authserv_id"`
			LocalDomains []string `toml:"local_domains"`
			CA           struct {
				Dir            string
				PassphraseFile string `toml:"passphrase_file"`
			}
			Target []struct {
				Name, Server, Dir, Reload string
				Hosts                     []string
			}
		}
		after := EditTOML(text, head, table)
		if _, err := toml.Decode(after, &got); err != nil {
			t.Errorf("%s: %v\n%s", name, err, after)
			continue
		}
		last := len(got.Target) - 1
		if last < 0 || got.AuthservID != "mx.example.jp" || len(got.LocalDomains) != 1 || got.CA.Dir != head.CADir || got.CA.PassphraseFile != head.PassphraseFile {
			t.Errorf("%s: %+v\n%s", name, got, after)
			continue
		}
		if target := got.Target[last]; target.Server != "sendmail" || target.Name != "" || target.Reload != table.Reload || target.Dir != table.Dir || target.Hosts[0] != "mx.example.jp" {
			t.Errorf("%s: %+v", name, target)
		}
	}
}
