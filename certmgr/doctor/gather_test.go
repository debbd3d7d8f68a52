package doctor

import (
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mailseal/certmgr/dh"
)

func TestParseCF(t *testing.T) {
	c := parseCF("# a comment\nDjmx.example.jp\nD{MTAHost}x\nO CACertPath=/etc/mail/certs\nO servercertfile = /a,/b\nO DontBlameSendmail=GroupReadableKeyFile,\n\tTrustStickyBit\n" +
		"O DaemonPortOptions=Name=MTA\r\nO DaemonPortOptions=Name=MSA, Port=587, Addr=::1, M=Ea\nO DaemonPortOptions=Port=smtps, Addr=192.0.2.1, M=s\nO Broken\nO LogLevel=9\nO LogLevel=14\n")
	if got := c.hostname(); got != "mx.example.jp" {
		t.Errorf("host name %q", got)
	}
	for name, want := range map[string]string{"cacertpath": "/etc/mail/certs", "servercertfile": "/a,/b", "dontblamesendmail": "GroupReadableKeyFile, TrustStickyBit", "loglevel": "14", "broken": ""} {
		if got := c.options[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got, want := c.ports(), []string{"smtp://127.0.0.1:25", "smtp://[::1]:587", "smtps://192.0.2.1:465"}; !slices.Equal(got, want) {
		t.Errorf("ports %q, want %q", got, want)
	}
	empty := parseCF("")
	if got := empty.ports(); !slices.Equal(got, []string{"smtp://127.0.0.1:25"}) {
		t.Errorf("ports %q", got)
	}
	own := parseCF("Dj$w.example.jp\n")
	if got := own.hostname(); got != "" {
		t.Errorf("host name %q, which sendmail makes itself", got)
	}
	for options, want := range map[string]bool{"Name=MTA": false, "Name=MTA, M=s": false, "Name=MTA, Modify=aS": true} {
		if got := daemonsWithoutTLS(options); got != want {
			t.Errorf("%q: %v", options, got)
		}
	}
}

func TestParsePostfix(t *testing.T) {
	s := Server{Settings: map[string]string{"inet_interfaces": "192.0.2.7, localhost"}}
	urls := s.postfixPorts("smtp       inet  n       -       y       -       -       smtpd\n10025 inet n - n - - smtpd\n[::1]:smtps inet n - n - - smtpd\n127.0.0.1:2525 inet n - n - - postscreen\nqmqp inet n - n - - qmqpd\npickup unix n - n 60 1 pickup\nshort\n127.0.0.1:10026 inet n - n - - smtpd\n",
		"[::1]:smtps/inet/smtpd_tls_wrappermode = yes\n127.0.0.1:10026/inet/smtpd_tls_security_level = none\n")
	if want := []string{"smtp://192.0.2.7:25", "smtp://192.0.2.7:10025", "smtps://[::1]:465", "smtp://127.0.0.1:2525"}; !slices.Equal(urls, want) {
		t.Errorf("%q, want %q", urls, want)
	}
	if !s.Chroot {
		t.Error("not chrooted")
	}
	tree := postfixTreeOf("/etc/postfix", "myhostname = x\n")
	if got := tree.command("postfix", "reload"); got != "postfix reload" {
		t.Error(got)
	}
	tree = postfixTreeOf("/srv/mx 1", "command_directory = /opt/sbin\nshlib_directory=/opt/lib\n")
	if got, want := tree.command("postfix", "reload"), "LD_LIBRARY_PATH=/opt/lib /opt/sbin/postfix -c '/srv/mx 1' reload"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestOwn: what a main.cf names is run only where nobody else could have written it.
func TestOwn(t *testing.T) {
	good := File{State: Read, Mode: 0o644, UID: 0, Open: []Folder{{"/tmp", fs.ModeSticky | 0o777}}}
	if !own(good) {
		t.Error("root's is not taken")
	}
	for name, change := range map[string]func(*File){
		"somebody else's": func(f *File) { f.UID = os.Geteuid() + 4711 },
		"writable":        func(f *File) { f.Mode = 0o664 },
		"missing":         func(f *File) { f.State = Missing },
		"open folder":     func(f *File) { f.Open = []Folder{{"/srv", 0o777}} },
	} {
		f := good
		change(&f)
		if own(f) {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestParseOthers(t *testing.T) {
	ports := map[string]string{"imap": "143", "imaps": "993"}
	all := parseDoveconf("# 2.3.19\nssl = required\nssl_cert = </etc/x\nlocal_name x {\n  ssl_cert = </etc/y\n}\nservice imap-login {\n  inet_listener imap {\n    port = 0\n  }\n  inet_listener imaps {\n    port = 1993\n    ssl = yes\n  }\n  process_limit = 7\n}\n}\n", ports)
	if all["ssl_cert"] != "</etc/x" || all["process_limit"] != "" || ports["imap"] != "0" || ports["imaps"] != "1993" {
		t.Errorf("%v, %v", all, ports)
	}
	s := Server{Settings: map[string]string{"daemon_smtp_ports": "smtp : 465:587", "tls_on_connect_ports": "465"}}
	if got, want := s.eximPorts(), []string{"smtp://127.0.0.1:25", "smtps://127.0.0.1:465", "smtp://127.0.0.1:587"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	tab := parseTab("# x\n\"A\"\t\"1\"\r\n\"B\"\t\"a b\"\tmore\nno tab\n")
	if tab["A"] != "1" || len(tab) != 2 {
		t.Errorf("%q", tab)
	}
}

// TestBelieve: a certificate of a public CA is good, also where there is a private
// one; but not for another name, and none that is self-signed.
func TestBelieve(t *testing.T) {
	w := newWorld(t, "Public CA", nil)
	good, _ := w.host(nil)
	f := &Facts{Now: noon, System: w.pool()}
	for _, tt := range []struct {
		name  string
		leaf  *x509.Certificate
		names []string
		facts *Facts
		want  string
	}{
		{"public", good, []string{"mx.example.jp"}, f, "OK"},
		{"no name", good, nil, f, "OK"},
		{"another name", good, []string{"mail.example.jp"}, f, "FAIL"},
		{"self-signed", w.root, nil, f, "FAIL"},
		{"unknown", good, nil, &Facts{Now: noon}, "FAIL"},
	} {
		l := Live{Verify: "FAIL", Err: "x", Chain: []*x509.Certificate{tt.leaf}}
		if l.believe(tt.facts, tt.names); l.Verify != tt.want || (l.Err == "") != (tt.want == "OK") {
			t.Errorf("%s: %s (%s), want %s", tt.name, l.Verify, l.Err, tt.want)
		}
	}
}

// TestAim: a target is about the server that reads its files.
func TestAim(t *testing.T) {
	reading := func(name, path string) Server {
		return Server{Name: name, Kind: Postfix, Pairs: []Pair{{Cert: File{Path: path}}}}
	}
	target := func(name, path string) Target {
		return Target{Name: name, Kind: Postfix, Files: map[string]string{"pair": path}, Usual: []string{"usual"}}
	}
	for _, tt := range []struct {
		name    string
		servers []Server
		targets []Target
		named   bool
		want    []string // names of all, those that are kept with +
	}{
		{"by file", []Server{reading("one", "/1"), reading("two", "/2")}, []Target{target("b", "/2"), target("a", "/1")}, false, []string{"+a", "+b"}},
		{"by kind", []Server{reading("one", "/1")}, []Target{target("a", "/9")}, false, []string{"+a"}},
		{"file before kind", []Server{reading("one", "/1")}, []Target{target("a", "/9"), target("b", "/1")}, false, []string{"+b", "+a"}},
		{"not installed", nil, []Target{target("a", "/1")}, false, []string{"+a"}},
		{"another was named", []Server{reading("one", "/1")}, []Target{target("a", "/9")}, true, []string{"one"}},
		{"it was named", []Server{reading("one", "/1")}, []Target{target("a", "/9"), target("b", "/1")}, true, []string{"+b"}},
		{"nothing kept", []Server{reading("one", "/1")}, nil, false, []string{"one"}},
	} {
		f := &Facts{Servers: tt.servers}
		probes := f.aim(Options{Targets: tt.targets, Named: tt.named}, make([][]string, len(tt.servers)))
		var got []string
		for _, s := range f.Servers {
			if s.Kept {
				s.Name = "+" + s.Name
			}
			got = append(got, s.Name)
		}
		if !slices.Equal(got, tt.want) || len(probes) != len(got) {
			t.Errorf("%s: %v with %d probes, want %v", tt.name, got, len(probes), tt.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"/etc/mail": "/etc/mail", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'"} {
		if got := quote(word); got != want {
			t.Errorf("%q is %s, want %s", word, got, want)
		}
	}
}

// TestLookAt: whatever a file is, it is told and not waited for.
func TestLookAt(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path  string
		want  want
		state State
	}{
		{filepath.Join(dir, "absent"), certificates, Missing},
		{filepath.Join(dir, "absent", "below"), certificates, Missing},
		{filepath.Join(write("file", nil), "below"), certificates, Missing},
		{dir, certificates, Broken},
		{filepath.Join(dir, "fifo"), privateKey, Broken},
		{write("empty", nil), certificates, Broken},
		{write("empty.key", nil), privateKey, Broken},
		{write("empty.crl", nil), revocations, Broken},
		{write("empty.dh", nil), parameters, Broken},
		{write("large", make([]byte, maxFile+1)), certificates, Broken},
		{write("dh", dh.FFDHE2048.Parameters().PEM()), parameters, Read},
		{"testdata/MailRoot/server.cert", certificates, Read},
		{"testdata/MailRoot/server.key", privateKey, Read},
		{"testdata/MailRoot/server.key", keyAndCertificates, Broken},
	} {
		f := lookAt(tt.path, tt.want)
		if f.State != tt.state || (f.Err == "") != (tt.state == Read) {
			t.Errorf("%s: state %d (%s), want %d", tt.path, f.State, f.Err, tt.state)
		}
	}
}

// TestInstalled: what is not installed is not mentioned, and settings that a
// package has left behind are no server.
func TestInstalled(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		want  []Kind
	}{
		{"nothing", nil, nil},
		{"Debian with sendmail", []string{"etc/mail/sendmail.cf", "usr/libexec/sendmail/sendmail"}, []Kind{Sendmail}},
		{"left behind", []string{"etc/mail/sendmail.cf", "etc/postfix/main.cf"}, nil},
		{"Debian with Postfix and Dovecot", []string{"etc/postfix/main.cf", "usr/sbin/postconf", "etc/dovecot/dovecot.conf", "usr/bin/doveconf", "usr/sbin/sendmail"}, []Kind{Postfix, Dovecot}},
		{"FreeBSD with Postfix", []string{"etc/mail/sendmail.cf", "usr/libexec/sendmail/sendmail", "etc/mail/mailer.conf:sendmail\t/usr/local/sbin/sendmail", "usr/local/etc/postfix/main.cf", "usr/local/sbin/postconf"}, []Kind{Postfix}},
		{"FreeBSD with sendmail", []string{"etc/mail/sendmail.cf", "usr/libexec/sendmail/sendmail", "etc/mail/mailer.conf:sendmail\t/usr/libexec/sendmail/sendmail"}, []Kind{Sendmail}},
		{"Exim", []string{"etc/exim4/x", "usr/sbin/exim4"}, []Kind{Exim}},
		{"XMail", []string{"var/MailRoot/SERVER.TAB"}, []Kind{XMail}},
	} {
		root := t.TempDir()
		for _, f := range tt.files {
			name, content, _ := strings.Cut(f, ":")
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		var got []Kind
		for _, i := range Installed(root) {
			got = append(got, i.Kind)
			if _, ok := KindOf(i.Conf); !ok && i.Kind != Exim {
				t.Errorf("%s: %s is in no folder %s", tt.name, i.Kind, i.Conf)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
