// Package subject edits a mail's subject: it takes away words that only a
// gateway may write there, as "[signed OK]", however a sender has written them,
// and puts some in front. Whatever has none of these words, nor what turns the
// order of letters round, stays byte for byte.
//
//	f, changed := tags.Strip(field)
//	f = subject.Tag(f, "[not verified]")
//
// RFC 2047 (encoded words), RFC 5322 section 2.2 (line ends and lengths).
package subject

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"mailseal/internal/message"
)

// Tags are the words to take away, in the form in which they are compared.
type Tags struct {
	tags [][]rune
}

// NewTags takes the words. Case, blanks, and width and style of letters do not
// count; a word of which nothing is left then is none.
func NewTags(words []string) *Tags {
	t := &Tags{}
	for _, w := range words {
		var tag []rune
		for _, r := range w {
			tag = append(tag, seen(r)...)
		}
		if len(tag) > 0 {
			t.tags = append(t.tags, tag)
		}
	}
	return t
}

// seen is what a reader sees of a character: nothing of blanks and of those that
// take no room, and otherwise letters without case, width or style. Those of
// another script that look alike stay other ones.
func seen(r rune) (rs []rune) {
	for _, c := range norm.NFKC.String(string(r)) {
		if unicode.IsSpace(c) || !unicode.IsPrint(c) || unicode.In(c, unseen...) {
			continue
		}
		rs = append(rs, unicode.ToLower(unicode.ToUpper(c)))
	}
	return rs
}

// unseen are accents, and letters and symbols that are blank, as the fillers of
// Hangul and the Braille cell without dots.
var unseen = []*unicode.RangeTable{
	unicode.Mn, unicode.Me, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point,
	{R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}}},
}

// turning shows all that follows from right to left, so that a word stands there
// backwards. No honest subject has it.
const turning = '\u202e'

// maxLength bounds a subject that is read closely. A longer one, of which no
// reader shows all, keeps its beginning if it has to be changed.
const maxLength = 64 << 10

// Strip returns the field without the words, and whether there were any. What is
// left of a changed subject is written anew.
func (t *Tags) Strip(f message.Field) (message.Field, bool) {
	raw := f.Text()
	if len(raw) > maxLength {
		raw = raw[:maxLength]
	}
	// Some readers decode a word that is not quite one, and some show it as it is.
	strict, a := t.without(decode(raw, false))
	text := raw
	if a {
		text = strict
	}
	text, b := t.without(decode(text, true))
	if !a && !b {
		return f, false
	}
	return message.NewField(f.Name(), " "+encode(strings.Join(strings.Fields(text), " "))), true
}

// without takes away all of the tags, also those that come together when others
// are gone.
func (t *Tags) without(s string) (string, bool) {
	type char struct {
		raw  string // what it is written as
		seen rune
	}
	var kept []char
	var blanks string // that nobody sees, before the next character
	changed := false
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		raw := s[:n]
		s = s[n:]
		if r == turning {
			changed = true
			continue
		}
		rs := seen(r)
		if r == utf8.RuneError && n == 1 {
			rs = []rune{r}
		}
		if len(rs) == 0 {
			blanks += raw
			continue
		}
		for i, c := range rs {
			one := char{raw, c}
			if len(rs) > 1 { // any of them may be a word's
				one.raw = string(c)
			}
			if i == 0 {
				one.raw, blanks = blanks+one.raw, ""
			}
			kept = append(kept, one)
			for _, tag := range t.tags {
				if len(kept) < len(tag) {
					continue
				}
				tail := kept[len(kept)-len(tag):]
				same := true
				for j := range tag {
					same = same && tail[j].seen == tag[j]
				}
				if same {
					kept, changed = kept[:len(kept)-len(tag)], true
					blanks += " "
				}
			}
		}
	}
	var b strings.Builder
	for _, c := range kept {
		b.WriteString(c.raw)
	}
	return b.String() + blanks, changed
}

// Tag returns the field with a word in front of what it says.
func Tag(f message.Field, word string) message.Field {
	value := clean(f.Value())
	if word = encode(word); strings.HasPrefix(word, "=?") && strings.HasPrefix(strings.TrimSpace(value), "=?") {
		word += " =?utf-8?Q?_?=" // blanks between encoded words are not shown
	}
	if strings.TrimSpace(value) == "" {
		return message.NewField(f.Name(), " "+word)
	}
	first, _, _ := strings.Cut(value, "\n")
	sep := ""
	if !strings.HasPrefix(value, " ") && !strings.HasPrefix(value, "\t") {
		sep = " "
	}
	if len(f.Name())+2+len(word)+len(first) > 78 && strings.TrimSpace(first) != "" {
		sep = "\r\n" + sep
	}
	return message.NewField(f.Name(), " "+word+sep+value)
}

// Clean returns the field so that an MTA carries it.
func Clean(f message.Field) message.Field { return message.NewField(f.Name(), clean(f.Value())) }

// clean makes a value one that an MTA carries: no control characters but folds,
// and none of these with a line of blanks alone.
func clean(value string) string {
	lines := strings.Split(strings.ReplaceAll(value, "\r\n", "\n"), "\n")
	kept := lines[:0]
	for _, l := range lines {
		l = strings.Map(func(r rune) rune {
			if r == '\r' || r == 0 {
				return ' '
			}
			return r
		}, l)
		if strings.TrimSpace(l) != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\r\n")
}

// encode writes a text as it may stand in a field: as it is if it is ASCII that
// nobody decodes, else as encoded words of one line each.
func encode(s string) string {
	plain := !strings.Contains(s, "=?")
	for i := 0; i < len(s); i++ {
		plain = plain && s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return fold(s)
	}
	var words []string
	for len(s) > 0 {
		n := min(len(s), 42) // 56 characters in base64, of 75 that a word may have
		for n < len(s) && n > 38 && !utf8.RuneStart(s[n]) {
			n--
		}
		words = append(words, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(strings.ToValidUTF8(s[:n], "\ufffd")))+"?=")
		s = s[n:]
	}
	return strings.Join(words, "\r\n ")
}

// fold breaks lines at blanks.
func fold(s string) string {
	var b strings.Builder
	line := len("Subject: ")
	for i, w := range strings.Split(s, " ") {
		switch {
		case i > 0 && line+1+len(w) > 76 && w != "":
			b.WriteString("\r\n ")
			line = 1
		case i > 0:
			b.WriteByte(' ')
			line++
		}
		for ; len(w) > 900; w = w[900:] { // RFC 5322 section 2.1.1 has 998
			b.WriteString(w[:900] + "\r\n ")
		}
		b.WriteString(w)
		line += len(w)
	}
	return b.String()
}
