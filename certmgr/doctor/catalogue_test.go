package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var placeholder = regexp.MustCompile(`\{([a-z]+)\}`)

func placeholders(text string) []string {
	var all []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func ids() []string {
	var all []string
	for _, c := range hostChecks {
		all = append(all, c.id)
	}
	for _, c := range serverChecks {
		all = append(all, c.id)
	}
	return all
}

// Every language has all that is said, with the same places for arguments, and
// nothing else. What is wrong has a consequence and a cure.
func TestCatalogues(t *testing.T) {
	english, err := Language("en")
	if err != nil {
		t.Fatal(err)
	}
	severities := map[string]Severity{}
	for _, c := range hostChecks {
		severities[c.id] = c.severity
	}
	for _, c := range serverChecks {
		severities[c.id] = c.severity
	}
	for _, name := range Languages() {
		w, err := Language(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Sorted(maps.Keys(w.findings)), slices.Sorted(slices.Values(ids())); !slices.Equal(got, want) {
			t.Errorf("%s: the catalogue is about %v, the checks about %v", name, got, want)
		}
		if got, want := slices.Sorted(maps.Keys(w.words)), slices.Sorted(maps.Keys(english.words)); !slices.Equal(got, want) {
			t.Errorf("%s has the words %v, English %v", name, got, want)
		}
		for word := range english.words {
			if got, want := placeholders(w.words[word]), placeholders(english.words[word]); !slices.Equal(got, want) {
				t.Errorf("%s: %s has %v, in English %v", name, word, got, want)
			}
		}
		for id, e := range english.findings {
			mine := w.findings[id]
			for part, texts := range map[string][2]string{"text": {mine.Text, e.Text}, "consequence": {mine.Consequence, e.Consequence}, "cure": {mine.Cure, e.Cure}} {
				if got, want := placeholders(texts[0]), placeholders(texts[1]); !slices.Equal(got, want) || (texts[0] == "") != (texts[1] == "") {
					t.Errorf("%s: %s of %s has %v, in English %v", name, part, id, got, want)
				}
			}
			if mine.Text == "" || severities[id] >= Warning && (mine.Consequence == "" || mine.Cure == "") {
				t.Errorf("%s: %s lacks its text, its consequence or its cure", name, id)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		wanted []string
		want   string
	}{
		{nil, "en"},
		{[]string{"", "", "ja_JP.UTF-8"}, "ja"},
		{[]string{"", "", "ja_JP.utf8"}, "ja"},
		{[]string{"ja"}, "ja"},
		{[]string{"ja-JP"}, "ja"},
		{[]string{"C", "ja_JP.UTF-8"}, "en"}, // LC_ALL=C is above LANG
		{[]string{"POSIX"}, "en"},
		{[]string{"", "ja_JP.UTF-8", "en_US.UTF-8"}, "ja"},
		{[]string{"ja_JP.eucJP"}, "en"}, // could not be shown
		{[]string{"de_DE.UTF-8@euro"}, "en"},
		{[]string{"C.UTF-8"}, "en"},
		{[]string{"\x00"}, "en"},
	} {
		if got := Choose(tt.wanted...); got != tt.want {
			t.Errorf("Choose(%q) is %s, want %s", tt.wanted, got, tt.want)
		}
	}
	if _, err := Language("tlh"); err == nil {
		t.Error("a language that there is not")
	}
}

// What a certificate or a server says is nothing that a terminal acts on, and no
// place of ours.
func TestFill(t *testing.T) {
	for _, tt := range []struct{ text, value, want string }{
		{"{x}!", "a", "a!"},
		{"{x}{x}", "{x}", "{x}{x}"},
		{"{y} {x", "a", "{y} {x}"},
		{"{x}", "a\x1b[2Jb\n", `a\x1b[2Jb\n`},
		{"{x}", strings.Repeat("é", 501), strings.Repeat("é", 500) + "..."},
	} {
		if got := fill(tt.text, Args{"x": tt.value}); got != tt.want {
			t.Errorf("fill(%q, %q) is %q, want %q", tt.text, tt.value, got, tt.want)
		}
	}
}

func TestPrint(t *testing.T) {
	w, err := Language("en")
	if err != nil {
		t.Fatal(err)
	}
	all := []Finding{
		{ID: "ca.silent", Severity: Warning, Subject: "CA", Args: Args{"reason": "gone"}},
		{ID: "pair.ok", Severity: OK, Subject: "mx", Args: Args{"key": "/k"}},
		{ID: "certificate.expired", Severity: Error, Subject: "mx", Args: Args{"path": "/c", "time": "then"}, Kept: true, Commands: []string{"mailseal certmgr -once"}},
	}
	for _, colour := range []bool{false, true} {
		var b strings.Builder
		if err := w.Print(&b, all, map[string]string{"mx": "/etc/mail/sendmail.cf"}, colour); err != nil {
			t.Fatal(err)
		}
		got := b.String()
		if strings.Contains(got, "\x1b") != colour {
			t.Errorf("colour %v, and it prints %q", colour, got)
		}
		for _, want := range []string{"This host\n", "YELLOW", "mx (/etc/mail/sendmail.cf)\n", "RED", "/c has expired at then", "      # mailseal certmgr -once\n", "\n1 red, 1 yellow, 0 notes.\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
	}
	var b strings.Builder
	if err := w.Print(&b, nil, nil, false); err != nil || !strings.Contains(b.String(), "No mail server was found") {
		t.Errorf("%v: %q", err, b.String())
	}
	said, err := json.Marshal(w.Say(all[0]))
	if want := `{"id":"ca.silent","severity":"warning","subject":"CA","text":"certmgr does not answer: gone."`; err != nil || !strings.HasPrefix(string(said), want) {
		t.Errorf("%v: %s", err, said)
	}
	if got := fmt.Sprint(Severity(9)); got != "severity(9)" {
		t.Error(got)
	}
}
