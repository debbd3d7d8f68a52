package setup

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"mailseal/certmgr/command"
)

// patience is how long postconf and m4 may take.
const patience = time.Minute

// postfixParameters are those that are read, by postconf, which knows defaults and
// resolves what refers to others.
var postfixParameters = []string{
	"myhostname", "inet_interfaces", "maillog_file", "queue_directory",
	"smtpd_tls_chain_files", "smtp_tls_chain_files",
	"smtpd_tls_cert_file", "smtpd_tls_eccert_file", "smtpd_tls_dcert_file", "smtp_tls_cert_file", "smtp_tls_eccert_file", "smtp_tls_dcert_file",
	"smtpd_tls_CAfile", "smtp_tls_CAfile", "smtpd_tls_security_level", "smtp_tls_security_level",
	"smtpd_tls_loglevel", "smtp_tls_loglevel", "smtpd_tls_ask_ccert", "smtpd_tls_req_ccert",
	"smtpd_enforce_tls", "smtp_enforce_tls",
}

// A postfix is one instance: a folder with main.cf and master.cf.
type postfix struct {
	conf     string
	main     string // the path of main.cf
	values   map[string]string
	program  string // postconf
	library  string // where it has its libraries, for one that is not installed
	override []string
}

// postfixFolder is where Postfix is configured.
func postfixFolder() string {
	if runtime.GOOS == "freebsd" {
		return "/usr/local/etc/postfix"
	}
	return "/etc/postfix"
}

func (s *Server) lookAtPostfix(ctx context.Context) error {
	p := &postfix{conf: s.Conf, main: filepath.Join(s.Conf, "main.cf"), program: "postconf"}
	_, text, err := readFile(p.main)
	if err != nil {
		return missing("Postfix", p.main, err)
	}
	if dir := mainCFValue(text, "command_directory"); filepath.IsAbs(dir) {
		p.program = filepath.Join(dir, "postconf")
	}
	if dir := mainCFValue(text, "shlib_directory"); filepath.IsAbs(dir) {
		p.library = dir
	}
	if err := p.read(ctx); err != nil {
		return err
	}
	s.mta, s.Host, s.Log = p, p.values["myhostname"], p.values["maillog_file"]
	if s.Reload == "" && s.Conf != postfixFolder() {
		s.Reload = "if postfix -c " + Quoted(s.Conf) + " status 2>/dev/null; then postfix -c " + Quoted(s.Conf) + " reload; fi"
	}
	for _, name := range []string{"smtp_tls_CAfile", "smtpd_tls_CAfile"} {
		if s.PublicCAs == "" {
			s.PublicCAs = p.values[name]
		}
	}
	return p.services(ctx, s)
}

// postconf runs it on the instance.
func (p *postfix) postconf(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"-c", p.conf}, args...)
	name := p.program
	if p.library != "" {
		name, args = "env", append([]string{"LD_LIBRARY_PATH=" + p.library, name}, args...)
	}
	out, err := command.Limits{Time: patience, Max: maxFile}.Run(ctx, name, args...)
	return string(out.Stdout), err
}

// read asks for the values in effect.
func (p *postfix) read(ctx context.Context) error {
	out, err := p.postconf(ctx, append([]string{"-x"}, postfixParameters...)...)
	if err != nil {
		return fmt.Errorf("read the settings of Postfix: %w", err)
	}
	p.values = map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(line, "=")
		p.values[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return nil
}

// services finds where smtpd listens, and what master.cf says otherwise than
// main.cf.
func (p *postfix) services(ctx context.Context, s *Server) error {
	out, err := p.postconf(ctx, "-M")
	if err != nil {
		return fmt.Errorf("read the services of Postfix: %w", err)
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "inet" || f[7] != "smtpd" || s.Probe != "" {
			continue
		}
		host, port := "", f[0]
		if i := strings.LastIndexByte(f[0], ':'); i >= 0 {
			host, port = f[0][:i], f[0][i+1:]
		}
		if first := strings.FieldsFunc(p.values["inet_interfaces"], func(r rune) bool { return r == ',' || r == ' ' }); host == "" && len(first) > 0 {
			host = first[0]
		}
		s.Probe = probeURL(strings.Trim(host, "[]"), port)
	}
	if s.Probe == "" {
		s.Probe = probeURL("", "")
	}
	if out, err = p.postconf(ctx, "-P"); err != nil {
		return fmt.Errorf("read the services of Postfix: %w", err)
	}
	for line := range strings.Lines(out) {
		where, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		where = strings.TrimSpace(where)
		name := where[strings.LastIndexByte(where, '/')+1:]
		if slices.Contains(postfixParameters, name) && strings.Contains(name, "_tls_") && !strings.HasSuffix(name, "_level") {
			p.override = append(p.override, fmt.Sprintf("master.cf has %s =%s, which stays as it is", where, value))
		}
	}
	return nil
}

// settings are those of main.cf.
func (p *postfix) settings(_ context.Context, f Files, w Wish) (Settings, error) {
	var set []setting
	need := func(name, value string) {
		if p.values[name] != value {
			set = append(set, setting{name, value})
		}
	}
	_, text, err := readFile(p.main)
	if err != nil {
		return Settings{}, missing("Postfix", p.main, err)
	}
	var all Settings
	for _, side := range []string{"smtpd", "smtp"} {
		need(side+"_tls_chain_files", f.Pair)
		need(side+"_tls_CAfile", f.CA)
		// None is the one level that is weaker than may. Before there were levels
		// one wrote enforce_tls.
		if level := p.values[side+"_tls_security_level"]; (level == "" || level == "none") && p.values[side+"_enforce_tls"] != "yes" {
			need(side+"_tls_security_level", "may")
		}
		if level := p.values[side+"_tls_loglevel"]; level == "" || level == "0" {
			need(side+"_tls_loglevel", "1")
		}
		// Beside a chain file these are ignored, with a warning of each process.
		for _, old := range []string{"cert", "key", "eccert", "eckey", "dcert", "dkey"} {
			if name := side + "_tls_" + old + "_file"; mainCFValue(text, name) != "" {
				set = append(set, setting{name, ""})
			}
		}
		if v := p.values[side+"_tls_CAfile"]; v != "" && v != f.CA {
			all.Warnings = append(all.Warnings, othersCAs(side+"_tls_CAfile = "+v, f.CA))
		}
		for _, old := range []string{"chain_files", "cert_file", "eccert_file", "dcert_file"} {
			if v := p.values[side+"_tls_"+old]; v != "" && v != f.Pair {
				all.Warnings = append(all.Warnings, fmt.Sprintf("%s_tls_%s = %s is no longer used; peers that know its CA and not yours see an unknown one", side, old, v))
			}
		}
	}
	if w.AskClients && p.values["smtpd_tls_ask_ccert"] != "yes" && p.values["smtpd_tls_req_ccert"] != "yes" {
		need("smtpd_tls_ask_ccert", "yes")
	}
	all.Warnings = append(all.Warnings, p.override...)
	e, err := NewEdit(p.main, func(string) string {
		if len(set) == 0 {
			return text
		}
		return editMainCF(text, set)
	})
	if err != nil {
		return Settings{}, missing("Postfix", p.main, err)
	}
	all.Edits = append(all.Edits, e)
	return all, nil
}
