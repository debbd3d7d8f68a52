package setup

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// An option is one of sendmail's, as sendmail.cf and sendmail.mc name it.
type option struct {
	name, macro string
	value       string // "" leaves it out
}

// tlsOptions are those of STARTTLS (cf/README, STARTTLS). Sendmail offers it when
// the first four are there. It is a client with the same key and certificate.
func tlsOptions(f Files) []option {
	all := []option{
		{"CACertPath", "confCACERT_PATH", f.Dir},
		{"CACertFile", "confCACERT", f.CA},
		{"ServerCertFile", "confSERVER_CERT", f.Certificate},
		{"ServerKeyFile", "confSERVER_KEY", f.Key},
		{"ClientCertFile", "confCLIENT_CERT", f.Certificate},
		{"ClientKeyFile", "confCLIENT_KEY", f.Key},
		{"CRLFile", "confCRL", f.CRL},
		{"DHParameters", "confDH_PARAMETERS", f.DH},
	}
	// What the target does not have is left as it is.
	return slices.DeleteFunc(all, func(o option) bool { return o.value == "" })
}

// cfOption is what a sendmail.cf says of an option, the last time. Names of
// options are not told apart by case.
func cfOption(text, name string) string {
	value := ""
	for _, line := range lines(text) {
		if n, v, ok := cfLine(line); ok && strings.EqualFold(n, name) {
			value = v
		}
	}
	return value
}

// cfOptions are all that a sendmail.cf says of an option that may be there often.
func cfOptions(text, name string) []string {
	var all []string
	for _, line := range lines(text) {
		if n, v, ok := cfLine(line); ok && strings.EqualFold(n, name) {
			all = append(all, v)
		}
	}
	return all
}

// cfLine reads a line "O Name=value".
func cfLine(line string) (name, value string, ok bool) {
	rest, ok := strings.CutPrefix(line, "O")
	if !ok || !strings.HasPrefix(rest, " ") {
		return "", "", false
	}
	name, value, ok = strings.Cut(rest, "=")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok
}

// editSendmailCF sets options in a sendmail.cf that nobody builds: in its line,
// or where the line stands as a comment, or behind the last option.
func editSendmailCF(text string, set []option) string {
	all := lines(text)
	for _, o := range set {
		all = setCFOption(all, o)
	}
	return strings.Join(all, "")
}

func setCFOption(all []string, o option) []string {
	line := "O " + o.name + "=" + o.value + "\n"
	if o.value == "" {
		line = "#O " + o.name + "\n"
	}
	is := func(l string) bool {
		n, _, ok := cfLine(l)
		return ok && strings.EqualFold(n, o.name)
	}
	at := slices.IndexFunc(all, is)
	if at < 0 && o.value == "" {
		return all
	}
	if at < 0 {
		at = slices.IndexFunc(all, func(l string) bool {
			rest, comment := strings.CutPrefix(l, "#")
			n, _, _ := strings.Cut(strings.TrimPrefix(rest, "O "), "=")
			return comment && strings.HasPrefix(rest, "O ") && strings.EqualFold(strings.TrimSpace(n), o.name)
		})
	}
	if at < 0 {
		for i, l := range all {
			if _, _, ok := cfLine(l); ok {
				at = i
			}
		}
		return slices.Insert(all, at+1, line)
	}
	all[at] = line
	rest := slices.DeleteFunc(slices.Clone(all[at+1:]), is)
	return append(all[:at+1], rest...)
}

// mcDefine is a definition in an mc file, not behind dnl. The value may be quoted,
// over several lines too.
var mcDefine = regexp.MustCompile("(?m)^[ \t]*define\\(`?(conf[A-Z_0-9]+)'?,[^)]*\\)(dnl)?")

// mcMailers is where definitions have to come before.
var mcMailers = regexp.MustCompile("(?m)^[ \t]*(MAILER_DEFINITIONS|MAILER\\()")

// editSendmailMC sets options in the file that sendmail.cf is built from: in their
// definitions, or in new ones before the mailers.
func editSendmailMC(text string, set []option) string {
	var fresh strings.Builder
	for _, o := range set {
		define := fmt.Sprintf("define(`%s', `%s')dnl", o.macro, o.value)
		if o.value == "" {
			define = fmt.Sprintf("undefine(`%s')dnl", o.macro)
		}
		found := false
		text = mcDefine.ReplaceAllStringFunc(text, func(old string) string {
			if mcDefine.FindStringSubmatch(old)[1] != o.macro {
				return old
			}
			if found = true; !strings.HasSuffix(old, "dnl") {
				return strings.TrimSuffix(define, "dnl")
			}
			return define
		})
		if !found {
			fresh.WriteString(define + "\n")
		}
	}
	if fresh.Len() == 0 {
		return text
	}
	block := "dnl # STARTTLS with the files that mailseal keeps\n" + fresh.String()
	at := mcMailers.FindStringIndex(text)
	if at == nil {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		return text + block
	}
	return text[:at[0]] + block + text[at[0]:]
}

// rules are the lines of a sendmail.cf that mean something: all but comments and
// blank ones, for m4 writes into them who built it and when.
func rules(cf string) []string {
	return slices.DeleteFunc(lines(cf), func(l string) bool {
		return strings.HasPrefix(l, "#") || strings.TrimSpace(l) == ""
	})
}
