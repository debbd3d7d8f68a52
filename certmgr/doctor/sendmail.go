package doctor

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxCF is several times the largest sendmail.cf that m4 makes.
const maxCF = 2 << 20

// sendmail reads sendmail.cf. Its own programs cannot be asked: sendmail -d0 knows
// no options.
func (i Instance) sendmail(s *Server) []string {
	s.Conf = filepath.Join(i.Conf, "sendmail.cf")
	content, err := bounded(s.Conf)
	if err != nil {
		s.unread(err)
		return nil
	}
	s.ConfFile = stat(s.Conf)
	cf := parseCF(string(content[:min(len(content), maxCF)]))
	s.Settings = cf.options
	s.Hostname = cf.hostname()
	pidFile := cmp.Or(i.PidFile, s.setting("pidfile"), "/var/run/sendmail.pid")
	s.Reload = "kill -HUP `head -1 " + quote(pidFile) + "`"
	if f := stat(pidFile); f.State == Read {
		s.Started = f.Time
	}
	if mc := stat(strings.TrimSuffix(s.Conf, ".cf") + ".mc"); mc.State == Read {
		if mc.Time.After(s.ConfFile.Time.Add(time.Second)) {
			s.MC = mc.Path
		}
	}
	s.sendmailFiles()
	return cf.ports()
}

// sendmailNeeds are the options without any of which sendmail offers no STARTTLS,
// with the names that m4 has for them (cf/README).
var sendmailNeeds = []struct{ option, m4 string }{
	{"CACertPath", "confCACERT_PATH"}, {"CACertFile", "confCACERT"},
	{"ServerCertFile", "confSERVER_CERT"}, {"ServerKeyFile", "confSERVER_KEY"},
}

func (s *Server) sendmailFiles() {
	for _, n := range sendmailNeeds {
		if s.Off == "" && !s.isSet(strings.ToLower(n.option)) {
			s.Off = n.option + " (" + n.m4 + ") is not set"
		}
	}
	add := func(certOption, keyOption string, client bool) {
		certs, keys := strings.Split(s.setting(certOption), ","), strings.Split(s.setting(keyOption), ",")
		for n, cert := range certs { // two: RSA,ECDSA
			if cert == "" || n >= len(keys) || slices.ContainsFunc(s.Pairs, func(p Pair) bool { return p.Cert.Path == cert }) {
				continue
			}
			s.Pairs = append(s.Pairs, onePair(keys[n], cert, client))
		}
	}
	add("servercertfile", "serverkeyfile", false)
	add("clientcertfile", "clientkeyfile", true)
	if path := s.setting("cacertfile"); path != "" {
		s.CAs = append(s.CAs, lookAt(path, certificates))
	}
	if path := s.setting("crlfile"); path != "" {
		s.Lists = append(s.Lists, lookAt(path, revocations))
	}
	for _, name := range []string{"CACertPath", "CRLPath"} {
		path := s.setting(strings.ToLower(name))
		if path != "" && !slices.ContainsFunc(s.Dirs, func(d Dir) bool { return d.Path == path }) {
			s.Dirs = append(s.Dirs, lookInto(path, name, paths(s.CAs)...))
		}
	}
	if path := s.setting("dhparameters"); filepath.IsAbs(path) {
		dh := lookAt(path, parameters)
		s.DH = &dh
	}
}

// A cf is what of sendmail.cf matters here.
type cf struct {
	options map[string]string // names in lower case; the last one wins
	daemons []string          // DaemonPortOptions
	macros  map[string]string
}

// parseCF reads the lines that set options and macros (sendmail's doc/op section
// 5). What begins with blanks belongs to the line before.
func parseCF(text string) cf {
	c := cf{options: map[string]string{}, macros: map[string]string{}}
	line := ""
	for next := range strings.Lines(text + "\n#") {
		next = strings.TrimRight(next, "\r\n")
		if next != "" && (next[0] == ' ' || next[0] == '\t') {
			line += " " + strings.TrimSpace(next)
			continue
		}
		c.line(line)
		line = next
	}
	return c
}

func (c *cf) line(line string) {
	switch {
	case strings.HasPrefix(line, "O "):
		name, value, ok := strings.Cut(line[2:], "=")
		if !ok {
			return
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if name == "daemonportoptions" {
			c.daemons = append(c.daemons, value)
		}
		c.options[name] = value
	case len(line) > 2 && line[0] == 'D' && line[1] != '{':
		c.macros[line[1:2]] = line[2:]
	}
}

// hostname is $j where the file says it, "" where sendmail finds it out by itself.
func (c *cf) hostname() string {
	name := c.macros["j"]
	if name == "" || strings.Contains(name, "$") {
		return ""
	}
	return name
}

// ports are where the daemon listens: of every DaemonPortOptions one URL.
func (c *cf) ports() []string {
	if len(c.daemons) == 0 {
		return []string{"smtp://127.0.0.1:25"}
	}
	var urls []string
	for _, d := range c.daemons {
		host, port, scheme := "127.0.0.1", "25", "smtp"
		for field := range strings.SplitSeq(d, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
			switch strings.ToLower(name) {
			case "port":
				port = value
			case "addr", "address", "a":
				host = cmp0(strings.TrimPrefix(value, "IPv6:"), host)
			case "modify", "m":
				if strings.Contains(value, "s") {
					scheme = "smtps"
				}
			}
		}
		urls = append(urls, urlOf(scheme, host, port)...)
	}
	return urls
}

// daemonsWithoutTLS are those of DaemonPortOptions with the modifier S.
func daemonsWithoutTLS(options string) bool {
	for field := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		if (strings.EqualFold(name, "M") || strings.EqualFold(name, "Modify")) && strings.Contains(value, "S") {
			return true
		}
	}
	return false
}
