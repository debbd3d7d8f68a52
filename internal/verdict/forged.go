package verdict

import (
	"regexp"
	"strings"

	"mailseal/internal/message"
)

// FieldName is the field that carries results (RFC 8601).
const FieldName = "Authentication-Results"

// method finds an S/MIME result among the methods of a field without its
// comments: "smime=", "smime/1 =".
var method = regexp.MustCompile(`(?i)(^|[;\s])smime\s*(/\s*[0-9]*\s*)?=`)

// Ours returns the occurrences, counted from 1, of the fields in the header
// that claim to come from authservID and must not reach the reader: those that
// carry an S/MIME result always, the others unless keepOthers says that a
// milter before us may write them (RFC 8601 section 5).
func Ours(h message.Header, authservID string, keepOthers bool) []int {
	var ns []int
	for i, f := range h.All(FieldName) {
		v := uncomment(f.Text())
		if !claims(v, authservID) {
			continue
		}
		if !keepOthers || method.MatchString(v) {
			ns = append(ns, i+1)
		}
	}
	return ns
}

// claims reports whether the field names the authserv-id. A field that cannot
// be read as the grammar has it claims whatever id stands anywhere in its
// first part: some reader may be laxer than we are.
func claims(value, id string) bool {
	head, _, _ := strings.Cut(value, ";")
	head = strings.ToLower(strings.NewReplacer(`"`, "", `\`, "", "\t", " ").Replace(head))
	id = strings.ToLower(id)
	for _, w := range strings.Fields(head) {
		if w == id {
			return true
		}
	}
	// "mx . example.jp" and the like: blanks are allowed nowhere in an id.
	return strings.ReplaceAll(head, " ", "") == id
}

// uncomment replaces comments by a blank (RFC 5322 section 3.2.2).
func uncomment(s string) string {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && (quoted || depth > 0) && i+1 < len(s):
			if depth == 0 {
				b.WriteString(s[i : i+2])
			}
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
			b.WriteByte(c)
		case c == '(' && !quoted:
			depth++
			b.WriteByte(' ')
		case c == ')' && !quoted && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	if depth > 0 {
		return s // an unclosed comment hides nothing
	}
	return b.String()
}
