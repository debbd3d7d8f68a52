package doctor

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"mailseal/certmgr/command"
)

// dovecot asks doveconf. 2.3 and 2.4 have other names for the same.
func (i Instance) dovecot(ctx context.Context, s *Server) []string {
	s.Conf = filepath.Join(i.Conf, "dovecot.conf")
	name, admin := "doveconf", "doveadm"
	if i.Prefix != "" {
		name, admin = filepath.Join(i.Prefix, "usr/bin/doveconf"), quote(filepath.Join(i.Prefix, "usr/bin/doveadm"))
	}
	if s.Reload = admin + " reload"; i.Conf != "/etc/dovecot" && i.Conf != "/usr/local/etc/dovecot" {
		s.Reload = admin + " -c " + quote(s.Conf) + " reload"
	}
	// -P: else it hides the name of the key's file.
	out, err := run(ctx, name, "-c", s.Conf, "-n", "-P")
	if len(out.Stdout) == 0 && err != nil { // it tells what it can, also where Dovecot would not start
		s.unread(err)
		return nil
	}
	ports := map[string]string{"imap": "143", "imaps": "993", "pop3": "110", "pop3s": "995"}
	s.Settings = parseDoveconf(string(out.Stdout), ports)
	if s.Settings["ssl"] == "no" {
		s.Off = "ssl = no"
	}
	file := func(names ...string) string {
		for _, name := range names {
			value := s.setting(name)
			if path := strings.TrimPrefix(value, "<"); filepath.IsAbs(path) {
				return path
			}
		}
		return ""
	}
	delete(s.Settings, "ssl_key_password")
	if cert, key := file("ssl_server_cert_file", "ssl_cert"), file("ssl_server_key_file", "ssl_key"); cert != "" || key != "" {
		s.Pairs = append(s.Pairs, onePair(key, cert, false))
	}
	if path := file("ssl_server_ca_file", "ssl_ca"); path != "" {
		f := lookAt(path, certificates)
		s.CAs = append(s.CAs, f)
		if len(f.CRLs) > 0 {
			s.Lists = append(s.Lists, f)
		}
	}
	if path := file("ssl_server_dh_file", "ssl_dh"); path != "" {
		dh := lookAt(path, parameters)
		s.DH = &dh
	}
	// A key that stands in the settings themselves is not ours to carry.
	for _, name := range []string{"ssl_key", "ssl_server_key_file"} {
		if file(name) == "" {
			delete(s.Settings, name)
		}
	}
	var urls []string
	for _, scheme := range []string{"imap", "imaps", "pop3", "pop3s"} {
		urls = append(urls, urlOf(scheme, "127.0.0.1", ports[scheme])...)
	}
	return urls
}

// parseDoveconf takes the settings that are not within braces, and the ports of the
// listeners that are.
func parseDoveconf(text string, ports map[string]string) map[string]string {
	all := map[string]string{}
	var within []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, set := strings.Cut(line, " = ")
		switch {
		case strings.HasSuffix(line, "{"):
			within = append(within, strings.TrimSpace(strings.TrimSuffix(line, "{")))
		case line == "}" && len(within) > 0:
			within = within[:len(within)-1]
		case !set:
		case len(within) == 0:
			all[name] = value
		case name == "port":
			listener, ok := strings.CutPrefix(within[len(within)-1], "inet_listener ")
			if _, known := ports[listener]; ok && known { // 0 is none
				ports[listener] = value
			}
		}
	}
	return all
}

// exim asks exim -bP. Debian calls it exim4.
func (i Instance) exim(ctx context.Context, s *Server) []string {
	s.Conf = i.Conf
	names := []string{"exim4", "exim"}
	if i.Prefix != "" {
		names = []string{filepath.Join(i.Prefix, "usr/sbin/exim4"), filepath.Join(i.Prefix, "usr/sbin/exim")}
	}
	args := []string{"-bP", "primary_hostname", "tls_advertise_hosts", "tls_certificate", "tls_privatekey",
		"tls_verify_certificates", "tls_crl", "tls_dhparam", "daemon_smtp_ports", "tls_on_connect_ports"}
	if strings.Contains(i.Conf, ".conf") || filepath.Base(i.Conf) == "configure" { // a file of its own
		args = append([]string{"-C", i.Conf}, args...)
	}
	out, err := run(ctx, names[0], args...)
	if errors.Is(err, command.ErrNotFound) {
		out, err = run(ctx, names[1], args...)
	}
	if err != nil {
		s.unread(err)
		return nil
	}
	s.takeSettings(out.Stdout)
	s.Hostname = s.setting("primary_hostname")
	s.eximFiles()
	return s.eximPorts()
}

// eximPorts makes URLs of lists of ports, which have colons between.
func (s *Server) eximPorts() []string {
	ports := func(name string) []string {
		return strings.FieldsFunc(s.setting(name), func(r rune) bool { return strings.ContainsRune(":;<, \t", r) })
	}
	all := ports("daemon_smtp_ports")
	if len(all) == 0 {
		all = []string{"25"}
	}
	var urls []string
	for _, p := range all {
		scheme := "smtp"
		if slices.Contains(ports("tls_on_connect_ports"), p) {
			scheme = "smtps"
		}
		urls = append(urls, urlOf(scheme, "127.0.0.1", p)...)
	}
	return urls
}

// eximFiles looks at files that are named without "$": others are another one at
// every connection.
func (s *Server) eximFiles() {
	if !s.isSet("tls_advertise_hosts") {
		s.Off = "tls_advertise_hosts ="
	}
	file := func(name string) string {
		if path := s.setting(name); filepath.IsAbs(path) && !strings.Contains(path, "$") {
			return path
		}
		return ""
	}
	if cert := file("tls_certificate"); cert != "" {
		key := file("tls_privatekey")
		if key == "" {
			key = cert
		}
		s.Pairs = append(s.Pairs, onePair(key, cert, false))
	}
	if path := file("tls_verify_certificates"); path != "" {
		if f := stat(path); f.Mode.IsDir() {
			s.Dirs = append(s.Dirs, lookInto(path, "tls_verify_certificates"))
		} else {
			s.CAs = append(s.CAs, lookAt(path, certificates))
		}
	}
	if path := file("tls_crl"); path != "" {
		s.Lists = append(s.Lists, lookAt(path, revocations))
	}
	if path := file("tls_dhparam"); path != "" {
		dh := lookAt(path, parameters)
		s.DH = &dh
	}
}

// xmail reads MailRoot/SERVER.TAB: lines of "name" TAB "value".
func (i Instance) xmail(s *Server) []string {
	s.Conf = tabFile(i.Conf)
	content, err := bounded(s.Conf)
	if err != nil {
		s.unread(err)
	} else {
		s.Settings = parseTab(string(content))
	}
	s.Hostname = s.setting("SmtpServerDomain")
	for _, name := range []string{"EnableSMTP-TLS", "EnablePOP3-TLS"} {
		if s.setting(name) == "0" {
			s.Off = strings.TrimPrefix(s.Off+`, "`+name+`" "0"`, ", ")
		}
	}
	s.Pairs = append(s.Pairs, onePair(filepath.Join(i.Conf, "server.key"), filepath.Join(i.Conf, "server.cert"), false))
	if path := filepath.Join(i.Conf, "CERTS.PEM"); s.setting("SSLUseCertsFile") == "1" || stat(path).State != Missing {
		s.CAs = append(s.CAs, lookAt(path, certificates))
	}
	if path := filepath.Join(i.Conf, "CERTS"); s.setting("SSLUseCertsDir") == "1" {
		s.Dirs = append(s.Dirs, lookInto(path, "SSLUseCertsDir"))
	}
	return []string{"smtp://127.0.0.1:25", "smtps://127.0.0.1:465", "pop3://127.0.0.1:110", "pop3s://127.0.0.1:995"}
}

// tabFile is the file of the settings: XMail calls it server.tab, and so it is on
// systems that tell case apart, but not everybody's.
func tabFile(root string) string {
	lower, upper := filepath.Join(root, "server.tab"), filepath.Join(root, "SERVER.TAB")
	if stat(lower).State == Missing && stat(upper).State != Missing {
		return upper
	}
	return lower
}

func parseTab(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		if ok && !strings.HasPrefix(line, "#") {
			all[strings.Trim(name, `" `)] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return all
}
