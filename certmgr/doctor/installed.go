package doctor

import (
	"path/filepath"
	"strings"
)

// Installed finds the servers of this host, by their settings and programs, below
// a root that is / but for tests.
func Installed(root string) []Instance {
	at := func(path string) string { return filepath.Join(root, path) }
	there := func(paths ...string) string {
		for _, p := range paths {
			if stat(at(p)).State != Missing {
				return at(p)
			}
		}
		return ""
	}
	var all []Instance
	add := func(k Kind, conf, program string) {
		if conf != "" && program != "" {
			if k == Postfix || k == Sendmail || k == Dovecot || k == XMail {
				conf = filepath.Dir(conf)
			}
			all = append(all, Instance{Name: string(k), Kind: k, Conf: conf})
		}
	}
	// A name that many programs have: Debian's and FreeBSD's own places for sendmail
	// itself. Where another MTA takes its name, mailer.conf says so.
	if other := mailer(at("/etc/mail/mailer.conf")); other == "" || strings.Contains(other, "libexec/sendmail") {
		add(Sendmail, there("/etc/mail/sendmail.cf"), there("/usr/libexec/sendmail/sendmail", "/usr/lib/sm.bin/sendmail", "/usr/sbin/sendmail.sendmail"))
	}
	add(Postfix, there("/etc/postfix/main.cf", "/usr/local/etc/postfix/main.cf"), there("/usr/sbin/postconf", "/usr/local/sbin/postconf"))
	add(Dovecot, there("/etc/dovecot/dovecot.conf", "/usr/local/etc/dovecot/dovecot.conf"), there("/usr/bin/doveconf", "/usr/local/bin/doveconf"))
	add(Exim, there("/etc/exim4", "/etc/exim/exim.conf", "/usr/local/etc/exim/configure"), there("/usr/sbin/exim4", "/usr/sbin/exim", "/usr/local/sbin/exim"))
	add(XMail, there("/var/MailRoot/server.tab", "/var/MailRoot/SERVER.TAB", "/var/lib/xmail/server.tab", "/usr/local/MailRoot/server.tab"), "MailRoot")
	return all
}

// mailer is the program behind the name sendmail (mailer.conf(5)), "" where nobody
// says.
func mailer(path string) string {
	content, err := bounded(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		if w := strings.Fields(line); len(w) >= 2 && w[0] == "sendmail" {
			return w[1]
		}
	}
	return ""
}

// KindOf tells the server whose settings a folder has, or a file of its own.
func KindOf(conf string) (Kind, bool) {
	for _, k := range []struct {
		kind Kind
		name string
	}{{Postfix, "main.cf"}, {Sendmail, "sendmail.cf"}, {Dovecot, "dovecot.conf"}, {XMail, "server.tab"}, {XMail, "SERVER.TAB"}} {
		if stat(filepath.Join(conf, k.name)).State == Read {
			return k.kind, true
		}
	}
	if base := filepath.Base(conf); stat(conf).State == Read && (strings.HasPrefix(base, "exim") || base == "configure") {
		return Exim, true
	}
	return "", false
}

// quote makes a word for the shell.
func quote(word string) string {
	safe := func(r rune) bool {
		return r == '/' || r == '.' || r == '-' || r == '_' || r == ':' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !safe(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
