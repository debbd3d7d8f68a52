package setup

import (
	"strings"
	"testing"
)

var certs = Files{
	Key: "/c/host.key", Certificate: "/c/host.cert", CA: "/c/cacert.pem", CRL: "/c/crl.pem", DH: "/c/dh.param", Dir: "/c",
}

func TestEditSendmailCF(t *testing.T) {
	for _, c := range []struct{ name, before, after string }{
		{"commented out, as m4 leaves it", "# CA file\n#O CACertFile\n#O LogLevel=9\n", "# CA file\nO CACertFile=/new\n#O LogLevel=9\n"},
		{"commented out with a value", "#O CACertFile=/etc/x\n", "O CACertFile=/new\n"},
		{"there", "O CACertFile=/old\nO LogLevel=9\n", "O CACertFile=/new\nO LogLevel=9\n"},
		{"in other case, with blanks", "O cacertfile = /old\n", "O CACertFile=/new\n"},
		{"twice: the last counts", "O CACertFile=/a\nO x=y\nO CACertFile=/b\n", "O CACertFile=/new\nO x=y\n"},
		{"missing", "V10/Berkeley\nO LogLevel=9\n\nSlocal\n", "V10/Berkeley\nO LogLevel=9\nO CACertFile=/new\n\nSlocal\n"},
		{"no options at all", "V10/Berkeley\n", "O CACertFile=/new\nV10/Berkeley\n"},
		{"a name that begins alike", "O CACertFileX=/old\n", "O CACertFileX=/old\nO CACertFile=/new\n"},
	} {
		got := editSendmailCF(c.before, []option{{"CACertFile", "confCACERT", "/new"}})
		if got != c.after {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.after)
		}
		if v := cfOption(got, "CACertFile"); v != "/new" {
			t.Errorf("%s: read as %q", c.name, v)
		}
	}
	if got := editSendmailCF("O TLSSrvOptions=V\n", []option{{"TLSSrvOptions", "confTLS_SRV_OPTIONS", ""}}); got != "#O TLSSrvOptions\n" {
		t.Errorf("an option that is left out: %q", got)
	}
}

func TestEditSendmailMC(t *testing.T) {
	const block = "dnl # STARTTLS with the files that mailseal keeps\ndefine(`confCACERT', `/new')dnl\n"
	for _, c := range []struct{ name, before, after string }{
		{"missing", "OSTYPE(`linux')dnl\nMAILER(`local')dnl\nMAILER(`smtp')dnl\n", "OSTYPE(`linux')dnl\n" + block + "MAILER(`local')dnl\nMAILER(`smtp')dnl\n"},
		{"Debian's end", "dnl #\nMAILER_DEFINITIONS\nMAILER(`local')dnl\n", "dnl #\n" + block + "MAILER_DEFINITIONS\nMAILER(`local')dnl\n"},
		{"no mailers", "OSTYPE(`linux')", "OSTYPE(`linux')\n" + block},
		{"there, by a macro", "define(`confCACERT', `CERT_DIR/cacert.pem')dnl\nx\n", "define(`confCACERT', `/new')dnl\nx\n"},
		{"unquoted name", "define(confCACERT, `/old')\nx\n", "define(`confCACERT', `/new')\nx\n"},
		{"not in use", "dnl define(`confCACERT', `/old')dnl\nMAILER(`smtp')\n", "dnl define(`confCACERT', `/old')dnl\n" + block + "MAILER(`smtp')\n"},
		{"a name that begins alike", "define(`confCACERT_PATH', `/old')dnl\nMAILER(`smtp')\n", "define(`confCACERT_PATH', `/old')dnl\n" + block + "MAILER(`smtp')\n"},
	} {
		if got := editSendmailMC(c.before, []option{{"CACertFile", "confCACERT", "/new"}}); got != c.after {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.after)
		}
	}
}

// TestLeftOut: a definition goes where it stands, and where another file has it.
func TestLeftOut(t *testing.T) {
	none := []option{{"TLSSrvOptions", "confTLS_SRV_OPTIONS", ""}}
	if got, want := editSendmailMC("define(`confTLS_SRV_OPTIONS', `V')dnl\nx\n", none), "undefine(`confTLS_SRV_OPTIONS')dnl\nx\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := editSendmailMC("include(`tls/starttls.m4')dnl\nMAILER(`smtp')\n", none); !strings.Contains(got, "\nundefine(`confTLS_SRV_OPTIONS')dnl\nMAILER(") {
		t.Errorf("%q", got)
	}
}

// TestTLSOptions: a target without CRL leaves that option alone.
func TestTLSOptions(t *testing.T) {
	f := certs
	if n := len(tlsOptions(f)); n != 8 {
		t.Errorf("%d options, want 8", n)
	}
	f.CRL, f.DH = "", ""
	for _, o := range tlsOptions(f) {
		if o.name == "CRLFile" || o.name == "DHParameters" {
			t.Errorf("%s=%s of a target that has none", o.name, o.value)
		}
	}
}

func TestSendmailFacts(t *testing.T) {
	for _, c := range []struct{ cf, host, probe string }{
		{"Djmx.example.jp\nO DaemonPortOptions=Name=MTA, Port=2525, Addr=192.0.2.1\n", "mx.example.jp", "smtp://192.0.2.1:2525"},
		{"O DaemonPortOptions=Family=inet,  Name=MTA-v4, Port=smtp, Addr=127.0.0.1\n", "", "smtp://127.0.0.1:25"},
		{"Dj$w.example.jp\nO DaemonPortOptions=Name=MTA\nO DaemonPortOptions=Port=587, Name=MSA, M=E\n", "", "smtp://127.0.0.1:25"},
		{"O DaemonPortOptions=Family=inet6, Name=MTA\n", "", "smtp://[::1]:25"},
		{"O DaemonPortOptions=Family=local, Addr=/run/x\nO DaemonPortOptions=Port=26\n", "", "smtp://127.0.0.1:26"},
		{"", "", "smtp://127.0.0.1:25"},
	} {
		m := &sendmail{text: c.cf}
		if host, probe := m.name(), m.probe(); host != c.host || probe != c.probe {
			t.Errorf("%q: %q at %q, want %q at %q", c.cf, host, probe, c.host, c.probe)
		}
	}
}

// TestAskClients: what turns the question off goes, and what is beside it stays.
func TestAskClients(t *testing.T) {
	for _, c := range []struct{ now, want string }{
		{"V", "#O TLSSrvOptions\n"}, {"V,C", "O TLSSrvOptions=C\n"}, {"C", "O TLSSrvOptions=C\n"},
	} {
		m := &sendmail{cf: t.TempDir() + "/sendmail.cf", text: "O TLSSrvOptions=" + c.now + "\n"}
		if err := replace(m.cf, []byte(m.text), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := m.settings(t.Context(), Files{}, Wish{AskClients: true})
		if err != nil {
			t.Fatal(err)
		}
		got := m.text
		if len(s.Edits) == 1 {
			got = string(s.Edits[0].After)
		}
		if got != c.want {
			t.Errorf("%q becomes %q, want %q", c.now, got, c.want)
		}
	}
}

// TestSettingsPaths: a path that could mean something else to m4, to sendmail or
// to Postfix is refused.
func TestSettingsPaths(t *testing.T) {
	for _, path := range []string{"/etc/a b", "/etc/`x'", "/etc/x,y", "/etc/$x", "/etc/x\ny", "/etc/#x"} {
		s := &Server{mta: &sendmail{}}
		f := certs
		f.CA = path
		if _, err := s.Settings(t.Context(), f, Wish{}); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%q: %v", path, err)
		}
	}
}
