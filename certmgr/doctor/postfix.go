package doctor

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mailseal/certmgr/command"
	"mailseal/certmgr/probe"
)

// postfixSettings are what is asked of postconf.
var postfixSettings = []string{
	"myhostname", "queue_directory", "mail_version", "inet_interfaces", "tls_append_default_CA",
	"smtpd_tls_security_level", "smtpd_use_tls", "smtpd_enforce_tls", "smtpd_tls_chain_files",
	"smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_eccert_file", "smtpd_tls_eckey_file",
	"smtpd_tls_CAfile", "smtpd_tls_CApath", "smtpd_tls_ask_ccert", "smtpd_tls_req_ccert",
	"smtpd_tls_loglevel", "smtpd_tls_dh1024_param_file", "tls_server_sni_maps",
	"smtp_tls_security_level", "smtp_use_tls", "smtp_enforce_tls", "smtp_tls_chain_files",
	"smtp_tls_cert_file", "smtp_tls_key_file", "smtp_tls_CAfile", "smtp_tls_CApath",
	"smtp_tls_loglevel", "smtp_dns_support_level",
}

// A postfixTree is where the programs of an instance are.
type postfixTree struct {
	conf     string
	programs string // "" where PATH has them
	library  string // of one that is unpacked and not installed
}

// postfixTreeOf reads the two lines of main.cf by which another Postfix than the
// installed one is found; it takes that to ask it anything.
func postfixTreeOf(conf, mainCF string) postfixTree {
	t := postfixTree{conf: conf}
	for line := range strings.Lines(mainCF) {
		name, value, ok := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		if !ok || !filepath.IsAbs(value) {
			continue
		}
		switch strings.TrimSpace(name) {
		case "command_directory":
			t.programs = value
		case "shlib_directory":
			t.library = value
		}
	}
	return t
}

// own reports whether nobody but root and who asks can have written a file. What
// another one's names is not run.
func own(f File) bool {
	open := slices.ContainsFunc(f.Open, func(d Folder) bool { return d.Mode&fs.ModeSticky == 0 })
	return f.State == Read && (f.UID == 0 || f.UID == os.Geteuid()) && f.Mode.Perm()&0o022 == 0 && !open
}

func (t postfixTree) usual() bool {
	return t.programs == "" && (t.conf == "/etc/postfix" || t.conf == "/usr/local/etc/postfix")
}

// command is how somebody else runs one of the programs.
func (t postfixTree) command(program, args string) string {
	if t.usual() {
		return program + " " + args
	}
	program = quote(filepath.Join(t.programs, program)) + " -c " + quote(t.conf) + " " + args
	if t.library != "" {
		program = "LD_LIBRARY_PATH=" + quote(t.library) + " " + program
	}
	return program
}

func (t postfixTree) postconf(ctx context.Context, args ...string) (command.Output, error) {
	name := filepath.Join(t.programs, "postconf")
	args = append([]string{"-c", t.conf}, args...)
	if t.library != "" {
		name, args = "env", append([]string{"LD_LIBRARY_PATH=" + t.library, name}, args...)
	}
	return run(ctx, name, args...)
}

// postfix asks postconf, which expands main.cf as Postfix does (postconf(1)).
func (i Instance) postfix(ctx context.Context, s *Server) []string {
	s.Conf = filepath.Join(i.Conf, "main.cf")
	content, err := bounded(s.Conf)
	if err != nil {
		s.unread(err)
		return nil
	}
	if i.tree = (postfixTree{conf: i.Conf}); own(stat(s.Conf)) {
		i.tree = postfixTreeOf(i.Conf, string(content))
	}
	s.Reload = i.tree.command("postfix", "reload")
	s.Postconf = strings.TrimSpace(i.tree.command("postconf", ""))
	out, err := i.tree.postconf(ctx, append([]string{"-x"}, postfixSettings...)...)
	if err != nil {
		s.unread(err)
		return nil
	}
	s.takeSettings(out.Stdout)
	s.Hostname = s.setting("myhostname")
	if set, err := i.tree.postconf(ctx, "-n"); err == nil { // it complains of what it does not know
		for line := range strings.Lines(string(set.Stderr)) {
			if _, name, ok := strings.Cut(line, "unused parameter: "); ok && strings.Contains(name, "tls") {
				name, _, _ = strings.Cut(name, "=")
				s.Complaints = append(s.Complaints, strings.TrimSpace(name))
			}
		}
	}
	s.postfixSwitch()
	s.postfixFiles()
	services, err := i.tree.postconf(ctx, "-M", "*/inet")
	if err != nil {
		return nil
	}
	overrides, err := i.tree.postconf(ctx, "-P", "*/inet/smtpd_tls_wrappermode", "*/inet/smtpd_tls_security_level")
	if err != nil {
		overrides.Stdout = nil
	}
	return s.postfixPorts(string(services.Stdout), string(overrides.Stdout))
}

// postfixSwitch finds whether smtpd offers TLS: the level, and the older switches
// where it is empty.
func (s *Server) postfixSwitch() {
	level := s.setting("smtpd_tls_security_level")
	old := s.setting("smtpd_use_tls") == "yes" || s.setting("smtpd_enforce_tls") == "yes"
	if level == "none" || (level == "" && !old) {
		s.Off = "smtpd_tls_security_level = " + value(level)
		s.On = s.postfixEdit("smtpd_tls_security_level = may")
	}
}

func (s *Server) postfixFiles() {
	server := s.postfixPairs("smtpd", false)
	client := s.postfixPairs("smtp", true)
	// The same files shown in both directions are looked at once.
	client = slices.DeleteFunc(client, func(c Pair) bool {
		return slices.ContainsFunc(server, func(p Pair) bool { return p.Cert.Path == c.Cert.Path })
	})
	s.Pairs = append(server, client...)
	for _, name := range []string{"smtpd_tls_CAfile", "smtp_tls_CAfile"} {
		path := s.setting(name)
		if path != "" && !slices.ContainsFunc(s.CAs, func(f File) bool { return f.Path == path }) {
			s.CAs = append(s.CAs, lookAt(path, certificates))
		}
	}
	for _, name := range []string{"smtpd_tls_CApath", "smtp_tls_CApath"} {
		path := s.setting(name)
		if path != "" && !slices.ContainsFunc(s.Dirs, func(d Dir) bool { return d.Path == path }) {
			s.Dirs = append(s.Dirs, lookInto(path, name, paths(s.CAs)...))
		}
	}
	if path := s.setting("smtpd_tls_CApath"); path != "" {
		s.CApathInside = stat(filepath.Join(s.setting("queue_directory"), path)).State != Missing
	}
	switch path := s.setting("smtpd_tls_dh1024_param_file"); path {
	case "", "auto", "none":
	default:
		dh := lookAt(path, parameters)
		s.DH = &dh
	}
	for _, m := range listOf(s.setting("tls_server_sni_maps")) {
		kind, path, ok := strings.Cut(m, ":")
		if !ok || !filepath.IsAbs(path) {
			continue
		}
		s.Tables = append(s.Tables, stat(path))
		if ending := map[string]string{"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb"}[kind]; ending != "" {
			s.Tables = append(s.Tables, stat(path+ending))
		}
	}
}

// postfixPairs are the keys and certificates of smtpd or smtp. Chain files take
// precedence over the older settings, which are then without meaning.
func (s *Server) postfixPairs(program string, client bool) []Pair {
	var pairs []Pair
	chain := listOf(s.setting(program + "_tls_chain_files"))
	for n := 0; n < len(chain); n++ {
		p := onePair(chain[n], chain[n], client)
		// The certificates of a key may be in the file after it (postconf(5)).
		if p.Key.Key != nil && len(p.Cert.Certificates) == 0 && n+1 < len(chain) {
			p = onePair(chain[n], chain[n+1], client)
			n++
		}
		pairs = append(pairs, p)
	}
	if len(chain) > 0 {
		return pairs
	}
	for _, names := range [][2]string{{"_tls_cert_file", "_tls_key_file"}, {"_tls_eccert_file", "_tls_eckey_file"}} {
		cert, key := s.setting(program+names[0]), s.setting(program+names[1])
		if cert == "" || cert == "none" {
			continue
		}
		if key == "" {
			key = cert
		}
		pairs = append(pairs, onePair(key, cert, client))
	}
	return pairs
}

// postfixPorts makes URLs of the services in master.cf.
func (s *Server) postfixPorts(services, overrides string) []string {
	var urls []string
	for line := range strings.Lines(services) {
		w := strings.Fields(line)
		if len(w) < 8 || w[1] != "inet" || (w[7] != "smtpd" && w[7] != "postscreen") {
			continue
		}
		if w[4] == "y" {
			s.Chroot = true
		}
		host, port := s.loopback(), w[0]
		if h, p, err := net.SplitHostPort(w[0]); err == nil {
			host, port = cmp0(h, host), p
		}
		own := func(setting string) bool { return strings.Contains("\n"+overrides, "\n"+w[0]+"/inet/"+setting+"\n") }
		scheme := "smtp"
		if own("smtpd_tls_wrappermode = yes") {
			scheme = "smtps"
		}
		// A port that is without TLS on purpose is a filter's way back.
		if !own("smtpd_tls_security_level = none") {
			urls = append(urls, urlOf(scheme, host, port)...)
		}
	}
	return urls
}

// loopback is an address of this host that Postfix listens at.
func (s *Server) loopback() string {
	for _, name := range listOf(s.setting("inet_interfaces")) {
		if ip := net.ParseIP(strings.Trim(name, "[]")); ip != nil {
			return ip.String()
		}
	}
	return "127.0.0.1"
}

func cmp0(host, otherwise string) string {
	if host == "" || host == "0.0.0.0" || host == "::" {
		return otherwise
	}
	return host
}

// portNumber turns a service's name into its number: not every host has all of
// them in /etc/services.
func portNumber(name string) string {
	switch name {
	case "smtp":
		return "25"
	case "submission":
		return "587"
	case "smtps", "submissions":
		return "465"
	}
	if n, err := strconv.ParseUint(name, 10, 16); err != nil || n == 0 {
		return ""
	}
	return name
}

// urlOf is the URL of a port, none where a setting makes none.
func urlOf(scheme, host, port string) []string {
	u := scheme + "://" + net.JoinHostPort(host, portNumber(port))
	if _, err := probe.Parse(u); err != nil || portNumber(port) == "" {
		return nil
	}
	return []string{u}
}

// listOf are the elements of a list: commas or blanks between them.
func listOf(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

func paths(files []File) []string {
	var all []string
	for _, f := range files {
		all = append(all, f.Path)
	}
	return all
}
