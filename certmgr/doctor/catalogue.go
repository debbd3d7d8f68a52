package doctor

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/language"
)

//go:embed catalogue/en.json catalogue/ja.json
var catalogues embed.FS

// languages are those that there are; the first is for who wants any other.
var languages = []language.Tag{language.English, language.Japanese}

// Words are what is said, in one language.
type Words struct {
	words    map[string]string
	findings map[string]entry
}

// An entry is a finding in words.
type entry struct {
	Text        string `json:"text"`
	Consequence string `json:"consequence"`
	Cure        string `json:"cure"`
}

// Choose finds the language that somebody wants who has these settings, the most
// important first: tags as "ja", or locales of POSIX as "ja_JP.UTF-8". Words in
// another encoding than UTF-8 could not be shown: then it is English.
func Choose(wanted ...string) string {
	for _, w := range wanted {
		if w == "" {
			continue
		}
		name, _, _ := strings.Cut(w, "@")
		name, encoding, has := strings.Cut(name, ".")
		if has && !strings.EqualFold(strings.ReplaceAll(encoding, "-", ""), "utf8") {
			break
		}
		tag, err := language.Parse(strings.ReplaceAll(name, "_", "-"))
		if err != nil { // C and POSIX too
			break
		}
		_, n, _ := language.NewMatcher(languages).Match(tag)
		return languages[n].String()
	}
	return languages[0].String()
}

// Languages are the names of those that there are.
func Languages() []string {
	var all []string
	for _, l := range languages {
		all = append(all, l.String())
	}
	return all
}

// Language reads the words of a language.
func Language(name string) (*Words, error) {
	if !slices.Contains(Languages(), name) {
		return nil, fmt.Errorf("language %q; want one of %s", name, strings.Join(Languages(), ", "))
	}
	data, err := catalogues.ReadFile("catalogue/" + name + ".json")
	if err != nil {
		return nil, err
	}
	var c struct {
		Words    map[string]string `json:"words"`
		Findings map[string]entry  `json:"findings"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("catalogue %s: %w", name, err)
	}
	return &Words{words: c.Words, findings: c.Findings}, nil
}

// A Said is a finding in words, for programs.
type Said struct {
	ID          string   `json:"id"`
	Severity    Severity `json:"severity"`
	Subject     string   `json:"subject"`
	Text        string   `json:"text"`
	Consequence string   `json:"consequence,omitempty"`
	Cure        string   `json:"cure,omitempty"`
	Commands    []string `json:"commands,omitempty"`
	Kept        bool     `json:"kept,omitempty"`
	Args        Args     `json:"args,omitempty"`
}

// Say puts a finding into words.
func (w *Words) Say(f Finding) Said {
	e := w.findings[f.ID]
	said := Said{ID: f.ID, Severity: f.Severity, Subject: f.Subject, Args: f.Args, Commands: f.Commands, Kept: f.Kept}
	said.Text, said.Consequence, said.Cure = fill(e.Text, f.Args), fill(e.Consequence, f.Args), fill(e.Cure, f.Args)
	if f.Kept {
		said.Cure = w.words["kept"]
		if f.Bought {
			said.Cure = w.words["kept-bought"]
		}
	}
	return said
}

// fill puts arguments into their places. What comes from certificates and servers
// can hold anything: what does not print is nothing for a terminal.
func fill(text string, args Args) string {
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(text, "{")
		b.WriteString(before)
		if !open {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		if value, known := args[name]; closed && known {
			b.WriteString(short(printable(value)))
		} else {
			b.WriteString("{" + name + "}")
		}
		text = after
	}
}

// short bounds what a certificate puts into a sentence.
func short(s string) string {
	const most = 500
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// colours are those of a terminal (ECMA-48): green, none, yellow, red.
var colours = map[Severity]string{OK: "\x1b[32m", Note: "", Warning: "\x1b[33m", Error: "\x1b[31m"}

// Print writes findings for people. Conf names the file of a server's settings.
func (w *Words) Print(out io.Writer, all []Finding, conf map[string]string, colour bool) error {
	var b strings.Builder
	last := ""
	for _, f := range all {
		if f.Subject != last {
			w.heading(&b, f.Subject, conf)
			last = f.Subject
		}
		mark := w.words[f.Severity.String()]
		if c := colours[f.Severity]; colour && c != "" {
			mark = c + mark + "\x1b[0m"
		}
		s := w.Say(f)
		fmt.Fprintf(&b, "%s %s\n", mark, s.Text)
		if s.Consequence != "" {
			fmt.Fprintf(&b, "    %s\n", s.Consequence)
		}
		if s.Cure != "" {
			fmt.Fprintf(&b, "    %s %s\n", w.words["mend"], s.Cure)
		}
		for _, c := range s.Commands {
			fmt.Fprintf(&b, "      # %s\n", printable(c))
		}
	}
	if len(conf) == 0 {
		fmt.Fprintln(&b, w.words["nothing"])
	}
	fmt.Fprintf(&b, "\n%s\n", w.summary(all))
	_, err := io.WriteString(out, b.String())
	return err
}

func (w *Words) heading(b *strings.Builder, subject string, conf map[string]string) {
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	switch path, server := conf[subject]; {
	case !server:
		fmt.Fprintf(b, "%s\n", w.words["host"])
	case path == "":
		fmt.Fprintf(b, "%s\n", printable(subject))
	default:
		fmt.Fprintf(b, "%s\n", fill(w.words["server"], Args{"name": subject, "conf": path}))
	}
}

func (w *Words) summary(all []Finding) string {
	count := map[Severity]int{}
	for _, f := range all {
		count[f.Severity]++
	}
	return fill(w.words["summary"], Args{"errors": strconv.Itoa(count[Error]), "warnings": strconv.Itoa(count[Warning]), "notes": strconv.Itoa(count[Note])})
}

// Confs are the files of the servers' settings, by the servers' names.
func (f *Facts) Confs() map[string]string {
	all := map[string]string{}
	for _, s := range f.Servers {
		all[s.Name] = s.Conf
	}
	return all
}
