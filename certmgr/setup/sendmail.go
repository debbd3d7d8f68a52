package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mailseal/certmgr/command"
)

// A sendmail is one instance: sendmail.cf, and what it is built from where that
// is there.
type sendmail struct {
	conf string
	cf   string // the path of sendmail.cf
	text string // its content
	// mc is what it is built from, "" for none; copies are others of what is
	// built, as FreeBSD's `hostname`.cf.
	mc     string
	from   string // the file whose content mc takes, where mc is not there yet
	copies []string
}

// pidFiles are those that package certmgr/install looks for by itself.
var pidFiles = []string{"/var/run/sendmail.pid", "/var/run/sendmail/mta/sendmail.pid"}

func (s *Server) lookAtSendmail(ctx context.Context) error {
	m := &sendmail{conf: s.Conf, cf: filepath.Join(s.Conf, "sendmail.cf")}
	var err error
	if m.cf, m.text, err = readFile(m.cf); err != nil {
		return missing("sendmail", m.cf, err)
	}
	m.source()
	s.mta = m
	if s.Host = m.name(); s.Host == "" {
		s.Host = hostName(ctx)
	}
	s.Probe = m.probe()
	if pid := cfOption(m.text, "PidFile"); pid != "" && s.Reload == "" && !slices.Contains(pidFiles, filepath.Clean(pid)) {
		s.Reload = hangUp(pid)
	}
	if ca := cfOption(m.text, "CACertFile"); ca != "" {
		s.PublicCAs = ca
	}
	return nil
}

// source finds the mc file: Debian and most others have sendmail.mc, FreeBSD one
// of the host's name, which its Makefile copies from freebsd.mc.
func (m *sendmail) source() {
	host, _ := os.Hostname()
	own := filepath.Join(m.conf, host+".mc")
	for _, path := range []string{filepath.Join(m.conf, "sendmail.mc"), own} {
		if exists(path) && host != "" {
			m.mc = path
			break
		}
	}
	if generic := filepath.Join(m.conf, "freebsd.mc"); m.mc == "" && host != "" && exists(generic) {
		m.mc, m.from = own, generic
	}
	if m.mc == own {
		m.copies = append(m.copies, filepath.Join(m.conf, host+".cf"))
	}
}

// name is what the cf file has as $j.
func (m *sendmail) name() string {
	for _, line := range slices.Backward(lines(m.text)) {
		if name, ok := strings.CutPrefix(line, "Dj"); ok && !strings.Contains(name, "$") {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// probe is where the first of the daemon's ports is.
func (m *sendmail) probe() string {
	for _, o := range cfOptions(m.text, "DaemonPortOptions") {
		var host, port, family string
		for part := range strings.SplitSeq(o, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch key = strings.ToLower(strings.TrimSpace(key)); {
			case strings.HasPrefix(key, "a"):
				host = strings.TrimSpace(value)
			case strings.HasPrefix(key, "p"):
				port = strings.TrimSpace(value)
			case strings.HasPrefix(key, "f"):
				family = strings.TrimSpace(value)
			}
		}
		if strings.HasPrefix(family, "local") {
			continue
		}
		if family == "inet6" && host == "" {
			host = "::"
		}
		return probeURL(host, port)
	}
	return probeURL("", "")
}

// settings are the options of STARTTLS.
func (m *sendmail) settings(ctx context.Context, f Files, w Wish) (Settings, error) {
	var set []option
	var all Settings
	for _, o := range tlsOptions(f) {
		now := cfOption(m.text, o.name)
		if now == o.value {
			continue
		}
		set = append(set, o)
		if now != "" && o.name == "CACertFile" {
			all.Warnings = append(all.Warnings, othersCAs("CACertFile="+now, f.CA))
		}
		if now != "" && o.name == "ServerCertFile" {
			all.Warnings = append(all.Warnings, fmt.Sprintf("%s=%s is no longer served; peers that know its CA and not yours see an unknown one", o.name, now))
		}
	}
	if v := cfOption(m.text, "TLSSrvOptions"); w.AskClients && strings.ContainsAny(v, "Vv") {
		rest := strings.Trim(strings.Join(strings.FieldsFunc(v, func(r rune) bool { return r == 'V' || r == 'v' }), ""), ", ")
		set = append(set, option{"TLSSrvOptions", "confTLS_SRV_OPTIONS", rest})
	}
	if level := cfOption(m.text, "LogLevel"); len(level) == 1 && level < "9" {
		all.Warnings = append(all.Warnings, "LogLevel="+level+": sendmail logs verify= from 9 on")
	}
	if len(set) == 0 {
		return all, nil
	}
	if m.mc == "" || w.Direct {
		e, err := NewEdit(m.cf, func(text string) string { return editSendmailCF(text, set) })
		all.Edits = append(all.Edits, e)
		return all, err
	}
	edits, err := m.build(ctx, set)
	all.Edits = append(all.Edits, edits...)
	return all, err
}

// build edits the mc file and makes of it what make would: sendmail.cf, and where
// FreeBSD has a second one that too. Make then finds nothing to do.
func (m *sendmail) build(ctx context.Context, set []option) ([]Edit, error) {
	mc := m.mc
	if m.from != "" {
		mc = m.from
	}
	_, text, err := readFile(mc)
	if err != nil {
		return nil, err
	}
	b, err := m.builder(ctx, mc, text)
	if err != nil {
		return nil, err
	}
	edited := editSendmailMC(text, set)
	cf, err := b.run(ctx, filepath.Base(m.mc), edited)
	if err != nil {
		return nil, err
	}
	for _, o := range set {
		if now := cfOption(cf, o.name); now != o.value {
			return nil, fmt.Errorf("%w: %s says %s after the last line of the definitions, and so %s stays %q; mend that, or say -direct to edit sendmail.cf alone",
				ErrRefused, m.mc, o.macro, o.name, now)
		}
	}
	first, err := NewEdit(m.mc, func(string) string { return edited })
	if err != nil {
		return nil, err
	}
	edits := []Edit{first}
	for _, path := range append([]string{m.cf}, m.copies...) {
		if path != m.cf && !exists(path) && m.from == "" {
			continue
		}
		e, err := NewEdit(path, func(string) string { return cf })
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
	}
	return edits, nil
}

// A builder is how m4 makes this host's sendmail.cf of its mc file.
type builder struct {
	conf string
	args []string // before the mc file
}

// macros are the folders with sendmail's m4 files.
var macros = []string{"/usr/share/sendmail/cf", "/usr/share/sendmail-cf", "/usr/local/share/sendmail/cf", "/usr/src/contrib/sendmail/cf"}

// cfM4 finds the folder that an mc file itself names.
var cfM4 = regexp.MustCompile("(?m)^[ \t]*include\\(`?([^')]*)/m4/cf\\.m4'?\\)")

// builder finds the way of building that makes of the mc file the sendmail.cf that
// is there. Where no way does, somebody has edited one of them by hand.
func (m *sendmail) builder(ctx context.Context, mc, text string) (builder, error) {
	if _, err := command.Run(ctx, patience, "m4", "/dev/null"); err != nil {
		return builder{}, fmt.Errorf("%w: sendmail.cf is built from %s, and m4 does not run (%v); install m4, or say -direct to edit sendmail.cf alone", ErrRefused, mc, err)
	}
	ways := []builder{}
	dirs := macros
	if in := cfM4.FindStringSubmatch(text); in != nil {
		ways = append(ways, builder{conf: m.conf})
		dirs = append([]string{in[1]}, dirs...)
	}
	for _, d := range dirs {
		if exists(filepath.Join(d, "m4/cf.m4")) {
			ways = append(ways, builder{conf: m.conf, args: []string{"-D_CF_DIR_=" + d + "/", d + "/m4/cf.m4"}})
		}
	}
	want := rules(m.text)
	best, failed := -1, errors.New("no folder with sendmail's m4 files")
	for _, b := range ways {
		cf, err := b.run(ctx, filepath.Base(m.mc), text)
		if err != nil {
			failed = err
			continue
		}
		got := rules(cf)
		if slices.Equal(got, want) {
			return b, nil
		}
		if n := different(got, want); best < 0 || n < best {
			best = n
		}
	}
	if best < 0 {
		return builder{}, fmt.Errorf("%w: %s cannot be built: %v; mend that, or say -direct to edit sendmail.cf alone", ErrRefused, mc, failed)
	}
	return builder{}, fmt.Errorf("%w: %s is not what %s makes (lines that differ: %d): somebody has edited one of them and not the other; "+
		"build it (make -C %s) when the second is right, or say -direct to edit sendmail.cf alone", ErrRefused, m.cf, mc, best, m.conf)
}

// different counts the lines that one has and the other has not.
func different(a, b []string) int {
	n := 0
	for _, s := range compare(a, b) {
		if s.sign != ' ' {
			n++
		}
	}
	return n
}

// run builds. The mc file's text is in a folder that nobody else can write to; what
// it includes is looked for in the server's own.
func (b builder) run(ctx context.Context, name, text string) (string, error) {
	dir, err := os.MkdirTemp("", "mailseal-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	mc := filepath.Join(dir, name)
	if err := os.WriteFile(mc, []byte(text), fs.FileMode(0o600)); err != nil {
		return "", err
	}
	line := "cd " + Quoted(b.conf) + " && m4"
	for _, a := range append(slices.Clone(b.args), mc) {
		line += " " + Quoted(a)
	}
	out, err := command.Limits{Time: patience, Max: maxFile}.Shell(ctx, line)
	return string(out.Stdout), err
}
