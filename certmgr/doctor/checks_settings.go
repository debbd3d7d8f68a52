package doctor

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func settingsUnread(_ *Facts, s *Server) []hit {
	if s.Unread == "" {
		return nil
	}
	return said("path", s.Conf, "reason", s.Unread)
}

// settingsElsewhere: certmgr keeps files that the server does not read.
func settingsElsewhere(_ *Facts, s *Server) []hit {
	if !s.Kept || s.Conf == "" || s.Unread != "" || len(s.Pairs) == 0 {
		return nil
	}
	for _, use := range []string{"pair", "certificate"} {
		path := s.KeptFiles[use]
		// What it shows as a client alone does not serve anybody.
		served := slices.DeleteFunc(slices.Clone(s.Pairs), func(p Pair) bool { return p.Client })
		if path == "" || len(served) == 0 || slices.ContainsFunc(served, func(p Pair) bool { return filepath.Clean(p.Cert.Path) == path }) {
			continue
		}
		return said("path", path, "read", served[0].Cert.Path, "conf", s.Conf)
	}
	return nil
}

func tlsOff(_ *Facts, s *Server) []hit {
	if s.Off == "" {
		return nil
	}
	commands := s.On
	if commands == nil {
		commands = s.issue() // sendmail's are many lines, which setup writes
	}
	return []hit{{args: arguments("setting", s.Off, "conf", s.Conf, "on", s.switchedOn()), commands: commands}}
}

// switchedOn is what the server's settings say where TLS is on.
func (s *Server) switchedOn() string {
	switch s.Kind {
	case Postfix:
		return "smtpd_tls_security_level = may"
	case Sendmail:
		return "confSERVER_CERT, confSERVER_KEY, confCACERT, confCACERT_PATH (sendmail.mc)"
	case Dovecot:
		return "ssl = yes"
	case Exim:
		return "tls_advertise_hosts = *"
	case XMail:
		return `"EnableSMTP-TLS" "1", "EnablePOP3-TLS" "1"`
	}
	return "TLS"
}

func tlsDaemonOff(_ *Facts, s *Server) []hit {
	if s.Kind != Sendmail || !daemonsWithoutTLS(s.setting("daemonportoptions")) {
		return nil
	}
	return said("setting", "DaemonPortOptions="+s.setting("daemonportoptions"), "conf", s.Conf)
}

// postfixEdit are the commands that set lines of main.cf.
func (s *Server) postfixEdit(lines ...string) []string {
	args := "-e"
	for _, l := range lines {
		args += " " + quote(l)
	}
	return s.postfixChange(args)
}

func (s *Server) postfixChange(args string) []string {
	return []string{s.Postconf + " " + args, s.Reload}
}

// read reports whether a server is of a kind and its settings are known.
func (s *Server) read(k Kind) bool { return s.Kind == k && s.Conf != "" && s.Unread == "" }

func (s *Server) clientLevel() string {
	level := s.setting("smtp_tls_security_level")
	if level == "" && (s.setting("smtp_use_tls") == "yes" || s.setting("smtp_enforce_tls") == "yes") {
		level = "may"
	}
	return level
}

// value shows an empty one.
func value(v string) string {
	if v == "" {
		return `""`
	}
	return v
}

func tlsClientOff(_ *Facts, s *Server) []hit {
	if !s.read(Postfix) || s.clientLevel() != "" && s.clientLevel() != "none" {
		return nil
	}
	return []hit{{args: arguments("setting", "smtp_tls_security_level = "+value(s.clientLevel())), commands: s.postfixEdit("smtp_tls_security_level = may")}}
}

func postfixBoth(_ *Facts, s *Server) []hit {
	if !s.read(Postfix) {
		return nil
	}
	var all []hit
	for _, program := range []string{"smtpd", "smtp"} {
		chain, old := program+"_tls_chain_files", program+"_tls_cert_file"
		value := s.setting(old)
		if s.isSet(chain) && value != "" && value != "none" && !slices.Contains(listOf(s.setting(chain)), value) {
			all = append(all, hit{args: arguments("chain", chain, "old", old, "path", value), commands: s.postfixChange("-X " + old + " " + program + "_tls_key_file")})
		}
	}
	return all
}

// postfixCApathChroot: after chroot(2) the folder is looked for in the queue's.
func postfixCApathChroot(_ *Facts, s *Server) []hit {
	path, queue := s.setting("smtpd_tls_CApath"), s.setting("queue_directory")
	if !s.read(Postfix) || !s.Chroot || s.CApathInside || path == "" || strings.HasPrefix(path, queue+"/") {
		return nil
	}
	return said("path", path, "inside", filepath.Join(queue, path))
}

func (s *Server) clientCAs() bool {
	return s.isSet("smtp_tls_CAfile") || s.isSet("smtp_tls_CApath") || s.setting("tls_append_default_CA") == "yes"
}

func postfixVerifyWithoutCA(_ *Facts, s *Server) []hit {
	level := s.setting("smtp_tls_security_level")
	if !s.read(Postfix) || level != "verify" && level != "secure" || s.clientCAs() {
		return nil
	}
	return []hit{{args: arguments("level", level), commands: s.postfixEdit("tls_append_default_CA = yes")}}
}

func postfixAskWithoutCA(_ *Facts, s *Server) []hit {
	asks := s.setting("smtpd_tls_ask_ccert") == "yes" || s.setting("smtpd_tls_req_ccert") == "yes"
	if !s.read(Postfix) || !asks || s.isSet("smtpd_tls_CAfile") || s.isSet("smtpd_tls_CApath") {
		return nil
	}
	return said()
}

// postfixRequire: with "may" Postfix ignores it and only asks (postconf(5)); with
// "encrypt" it refuses every client that has no certificate, as most have none.
func postfixRequire(_ *Facts, s *Server) []hit {
	if !s.read(Postfix) || s.setting("smtpd_tls_req_ccert") != "yes" {
		return nil
	}
	return []hit{{args: arguments("level", s.setting("smtpd_tls_security_level")),
		commands: s.postfixEdit("smtpd_tls_req_ccert = no", "smtpd_tls_ask_ccert = yes")}}
}

func postfixDANE(_ *Facts, s *Server) []hit {
	level := s.setting("smtp_tls_security_level")
	if !s.read(Postfix) || level != "dane" && level != "dane-only" || s.setting("smtp_dns_support_level") == "dnssec" {
		return nil
	}
	return []hit{{args: arguments("level", level), commands: s.postfixEdit("smtp_dns_support_level = dnssec")}}
}

func postfixNoClientCertificate(_ *Facts, s *Server) []hit {
	if !s.read(Postfix) || len(s.Pairs) == 0 || s.isSet("smtp_tls_chain_files") || s.isSet("smtp_tls_cert_file") || s.isSet("smtp_tls_eccert_file") {
		return nil
	}
	line := "smtp_tls_chain_files = $smtpd_tls_chain_files"
	if !s.isSet("smtpd_tls_chain_files") {
		return []hit{{commands: s.postfixEdit("smtp_tls_cert_file = $smtpd_tls_cert_file", "smtp_tls_key_file = $smtpd_tls_key_file")}}
	}
	return []hit{{commands: s.postfixEdit(line)}}
}

func postfixSilent(_ *Facts, s *Server) []hit {
	if !s.read(Postfix) {
		return nil
	}
	var all []hit
	for _, name := range []string{"smtpd_tls_loglevel", "smtp_tls_loglevel"} {
		if v := s.setting(name); v == "0" || v == "" {
			all = append(all, hit{args: arguments("setting", name), commands: s.postfixEdit(name + " = 1")})
		}
	}
	return all
}

// postfixSNIOpen: a table that postmap -F has made holds the keys themselves.
func postfixSNIOpen(_ *Facts, s *Server) []hit {
	var all []hit
	for _, file := range s.Tables {
		if file.State == Read && file.Mode.Perm()&0o044 != 0 {
			all = append(all, hit{args: arguments("path", file.Path, "mode", mode(file.Mode)), commands: []string{"chmod 600 " + quote(file.Path)}})
		}
	}
	return all
}

func postfixUnused(_ *Facts, s *Server) []hit {
	var all []hit
	for _, name := range s.Complaints {
		if s.Kind == Postfix {
			all = append(all, hit{args: arguments("name", name, "conf", s.Conf)})
		}
	}
	return all
}

// sendmailRelative: the daemon works in its queue's folder.
func sendmailRelative(_ *Facts, s *Server) []hit {
	if !s.read(Sendmail) {
		return nil
	}
	var all []hit
	for _, name := range []string{"CACertPath", "CACertFile", "ServerCertFile", "ServerKeyFile", "ClientCertFile", "ClientKeyFile", "CRLFile", "CRLPath"} {
		for path := range strings.SplitSeq(s.setting(strings.ToLower(name)), ",") {
			if path != "" && !filepath.IsAbs(path) {
				all = append(all, hit{args: arguments("option", name, "path", path)})
			}
		}
	}
	return all
}

func sendmailNotAsked(_ *Facts, s *Server) []hit {
	if !s.read(Sendmail) || !slices.Contains(listOf(s.setting("tlssrvoptions")), "V") {
		return nil
	}
	return said("value", s.setting("tlssrvoptions"))
}

func sendmailNoClientCertificate(_ *Facts, s *Server) []hit {
	if !s.read(Sendmail) || s.Off != "" || s.isSet("clientcertfile") && s.isSet("clientkeyfile") {
		return nil
	}
	return []hit{{args: arguments("cert", s.setting("servercertfile"), "key", s.setting("serverkeyfile")), commands: s.issue()}}
}

func sendmailMCNewer(_ *Facts, s *Server) []hit {
	if !s.read(Sendmail) || s.MC == "" {
		return nil
	}
	h := hit{args: arguments("mc", s.MC, "conf", s.Conf)}
	if filepath.Dir(s.Conf) == "/etc/mail" {
		h.commands = []string{"make -C /etc/mail"}
	}
	return []hit{h}
}

// sendmailSilent: STARTTLS= is logged from LogLevel 9 on, which is the default.
func sendmailSilent(_ *Facts, s *Server) []hit {
	level, err := strconv.Atoi(s.setting("loglevel"))
	if !s.read(Sendmail) || err != nil || level > 8 {
		return nil
	}
	return said("level", strconv.Itoa(level))
}

func dovecotOldVersion(_ *Facts, s *Server) []hit {
	switch v := s.setting("ssl_min_protocol"); v {
	case "TLSv1", "TLSv1.1", "SSLv3", "ANY":
		if s.read(Dovecot) {
			return said("value", v, "conf", s.Conf)
		}
	}
	return nil
}

func dovecotPlaintext(_ *Facts, s *Server) []hit {
	if !s.read(Dovecot) {
		return nil
	}
	switch {
	case s.setting("disable_plaintext_auth") == "no":
		return said("setting", "disable_plaintext_auth = no", "better", "disable_plaintext_auth = yes")
	case s.setting("auth_allow_cleartext") == "yes":
		return said("setting", "auth_allow_cleartext = yes", "better", "auth_allow_cleartext = no")
	}
	return nil
}

// eximSelfMade: without a certificate Exim makes one when it starts.
func eximSelfMade(_ *Facts, s *Server) []hit {
	if !s.read(Exim) || s.Off != "" || s.isSet("tls_certificate") {
		return nil
	}
	return said()
}

// xmailNoAnchors: XMail verifies by nothing but its own files.
func xmailNoAnchors(_ *Facts, s *Server) []hit {
	if !s.read(XMail) || s.setting("SSLWantVerify") != "1" || s.setting("SSLUseCertsFile") == "1" || s.setting("SSLUseCertsDir") == "1" {
		return nil
	}
	return said("conf", s.Conf)
}

func xmailSelfSigned(_ *Facts, s *Server) []hit {
	if !s.read(XMail) || s.setting("SSLWantVerify") != "1" || s.setting("SSLAllowSelfSigned") != "1" {
		return nil
	}
	return said("conf", s.Conf)
}
