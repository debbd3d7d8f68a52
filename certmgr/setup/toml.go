package setup

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Table is a [[target]] of mailseal.toml; "" and nil leave a key out.
type Table struct {
	Name, Server string
	Hosts        []string
	Dir          string
	Reload       string
	Probe        []string
	Issuer, From string
	Bundle       string
}

// text writes the table.
func (t Table) text() string {
	var b strings.Builder
	b.WriteString("\n# Made by mailseal setup.\n[[target]]\n")
	key := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-6s = %s\n", name, tomlString(value))
		}
	}
	if t.Name != t.Server {
		key("name", t.Name)
	}
	key("server", t.Server)
	fmt.Fprintf(&b, "%-6s = %s\n", "hosts", tomlStrings(t.Hosts))
	key("dir", t.Dir)
	key("reload", t.Reload)
	if len(t.Probe) > 0 {
		fmt.Fprintf(&b, "%-6s = %s\n", "probe", tomlStrings(t.Probe))
	}
	key("issuer", t.Issuer)
	key("from", t.From)
	key("bundle", t.Bundle)
	return b.String()
}

// A Head is what a new mailseal.toml begins with, and what one that is there is
// given where it has not got it.
type Head struct {
	AuthservID   string
	LocalDomains []string
	// CADir and PassphraseFile are those of [ca], State that of [certmgr], Socket
	// that of ca; "" leaves them alone.
	CADir, PassphraseFile, Socket string
	State                         string
}

// EditTOML adds to a mailseal.toml what it lacks, and a target to its end.
func EditTOML(text string, h Head, t *Table) string {
	if strings.TrimSpace(text) == "" {
		text = fmt.Sprintf("# mailseal.toml(5) has all keys. Made by mailseal setup.\nauthserv_id   = %s\nlocal_domains = %s\n",
			tomlString(h.AuthservID), tomlStrings(h.LocalDomains))
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	text = addKeys(text, "ca", []setting{{"dir", h.CADir}, {"passphrase_file", h.PassphraseFile}, {"socket", h.Socket}})
	text = addKeys(text, "certmgr", []setting{{"state", h.State}})
	if t != nil {
		text += t.text()
	}
	return text
}

// addKeys adds keys to a table of the file, which is made where it is not there.
func addKeys(text, table string, keys []setting) string {
	keys = slices.DeleteFunc(keys, func(k setting) bool { return k.value == "" })
	if len(keys) == 0 {
		return text
	}
	width := 0
	for _, k := range keys {
		width = max(width, len(k.name))
	}
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%-*s = %s\n", width, k.name, tomlString(k.value))
	}
	head := regexp.MustCompile(`(?m)^[ \t]*\[[ \t]*` + table + `[ \t]*\][ \t]*(#.*)?\n`).FindStringIndex(text)
	if head == nil {
		return text + "\n[" + table + "]\n" + b.String()
	}
	return text[:head[1]] + b.String() + text[head[1]:]
}

// tomlString writes a basic string. Go's quoting is TOML's but for \x, \a and \v,
// which stand for what no path or name has.
func tomlString(s string) string {
	return strings.NewReplacer(`\x`, `\u00`, `\a`, `\u0007`, `\v`, `\u000b`).Replace(strconv.Quote(s))
}

func tomlStrings(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = tomlString(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
