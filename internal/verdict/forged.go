package verdict

import (
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
)

// FieldName is the field that carries results (RFC 8601).
const FieldName = "Authentication-Results"

// A Claim is a field of a mail that speaks in our name.
type Claim struct {
	Index int // in the header
	Drop  message.DropField
}

// Claims returns, in order, the fields that claim to come from authservID and
// must not reach the reader unless it was us who wrote them (RFC 8601 section
// 5). With keepOthers those stay that a milter before us may have written.
//
// Readers are lax, and each in its own way, so what one of them might take for
// ours is ours: with quotes, encoded words or odd blanks, or behind a CR that is
// no line end.
func Claims(h message.Header, authservID string, keepOthers bool) []Claim {
	var cs []Claim
	seen, counted := make(map[string]int), 0
	others := earlier{authservID: authservID}
	for i, f := range h {
		values := f.Hidden(FieldName)
		behind := len(values) > 0
		if f.Is(FieldName) {
			values = append(values, f.Text())
		}
		claim := func(v string) bool { return ours(v, authservID) }
		if f.Name() == "" || !slices.ContainsFunc(values, claim) || keepOthers && !behind && others.wrote(f) {
			continue
		}
		for ; counted <= i; counted++ {
			seen[strings.ToLower(h[counted].Name())]++
		}
		cs = append(cs, Claim{i, message.DropField{Name: f.Name(), Occurrence: seen[strings.ToLower(f.Name())]}})
	}
	return cs
}

// ours reports whether a value is one of Claims.
func ours(value, id string) bool {
	readings := []string{value}
	if strings.Contains(value, "=?") {
		if v, err := new(mime.WordDecoder).DecodeHeader(value); err == nil {
			readings = append(readings, v)
		}
		readings = append(readings, decodeWords(value))
	}
	for _, v := range readings {
		if v, regular := message.Uncomment(v); claims(v, id, regular) {
			return true
		}
	}
	return false
}

// encodedWord is one for lax readers, who take blanks in it and any character set
// (RFC 2047 section 2 does not).
var encodedWord = regexp.MustCompile(`=\?[^?]*\?[BbQq]\?.*?\?=`)

// decodeWords decodes encoded words as lax readers do. All character sets are
// taken for one that has ASCII in it; what is between the letters of wider ones
// claims leaves out.
func decodeWords(value string) string {
	return encodedWord.ReplaceAllStringFunc(value, func(word string) string {
		parts := strings.SplitN(strings.TrimSuffix(word, "?="), "?", 4)
		if parts[2] == "B" || parts[2] == "b" {
			text := strings.TrimRight(strings.Join(strings.Fields(parts[3]), ""), "=")
			b, _ := base64.RawStdEncoding.DecodeString(text) // as far as it goes
			return string(b)
		}
		text := strings.NewReplacer("_", " ", "\r", "", "\n", "").Replace(parts[3])
		b, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(text)))
		if err != nil {
			return text
		}
		return string(b)
	})
}

// claims reports whether the value names the id where an authserv-id stands. A
// value with open comments or quotes claims whatever id stands anywhere in it.
func claims(value, id string, regular bool) bool {
	if regular {
		value = firstPart(value)
	}
	words := strings.FieldsFunc(value, apart)
	for _, w := range words {
		if named(w, id) {
			return true
		}
	}
	// "mx . example.jp" and the like: blanks are allowed nowhere in an id.
	return named(strings.Join(words, ""), id)
}

// apart is what cannot be within a host name, in whatever script.
func apart(r rune) bool {
	return r < 0x80 && r != '.' && r != '-' && r != '_' && !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') ||
		r >= 0x80 && !unicode.IsPrint(r)
}

func named(word, id string) bool {
	word = strings.Trim(word, ".")
	if strings.EqualFold(word, id) {
		return true
	}
	for _, r := range word {
		if r >= 0x80 { // only then has IDNA anything to say
			d, err := mailaddr.Domain(word)
			return err == nil && d == id
		}
	}
	return false
}

// firstPart is what stands before the first ";" that has anything before it.
func firstPart(s string) string {
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			if strings.TrimSpace(s[start:i]) != "" {
				return s[start:i]
			}
			start = i + 1
		}
	}
	return s[start:]
}
