package verdict

import (
	"regexp"
	"slices"
	"strings"

	"mailseal/internal/message"
)

// earlier tells, from the top of a header down, which fields in our name milters
// before us may have written. That is as far as the header alone can tell: it
// does not say where what came with the mail begins, so one that looks as if a
// milter had written it stays unless there is a better one above. Only who
// looked at the mail before those milters knows (Gateway.Before).
type earlier struct {
	authservID string
	methods    []string // that fields further up have results of
}

// maxEarlier bounds a field of a milter before us. OpenDKIM takes a longer one
// for none and leaves it, whoever it is from.
const maxEarlier = 2000

// wrote reports whether the field stays. A milter writes in plain words and not
// of S/MIME; and above what came with the mail, so of each method the first
// result counts.
func (e *earlier) wrote(f message.Field) bool {
	if len(f.Raw()) > maxEarlier || !strings.HasPrefix(f.Raw()[len(f.Name()):], ":") {
		return false
	}
	text := f.Text()
	if len(text) < len(e.authservID) || !strings.EqualFold(text[:len(e.authservID)], e.authservID) {
		return false
	}
	rest := text[len(e.authservID):]
	if !plainResults.MatchString(rest) || smimeResult.MatchString(rest) {
		return false
	}
	var methods []string
	_, results, _ := strings.Cut(aside.ReplaceAllString(rest, ""), ";")
	for r := range strings.SplitSeq(results, ";") {
		method, _, _ := strings.Cut(r, "=")
		methods = append(methods, strings.ToLower(strings.TrimSpace(method)))
	}
	if slices.ContainsFunc(methods, func(m string) bool { return slices.Contains(e.methods, m) }) {
		return false
	}
	e.methods = append(e.methods, methods...)
	return true
}

// plainResults is what follows the authserv-id (RFC 8601 section 2.2), in the
// words that milters use: no quoted pairs, no nested comments, no blanks round
// a "=", which OpenDKIM and many readers do not understand, or each otherwise.
var plainResults = regexp.MustCompile(`^( 1)?;[ \t]*(none|` + oneResult + `(;[ \t]*` + oneResult + `)*)$`)

const (
	oneResult = `[A-Za-z][A-Za-z0-9-]*=[a-z]+([ \t]+(` + comment + `|reason=` + quoted + `|[a-z]+\.[A-Za-z0-9-]+=(` + quoted + `|` + plainValue + `)))*`

	plainValue = `[^\x00-\x20"()\\;=,\x7f-\x{10ffff}]+`
	quoted     = `"[^\x00-\x1f"\\\x7f-\x{10ffff}]*"`
	comment    = `\([^\x00-\x1f()"\\\x7f-\x{10ffff}]*\)`
)

// smimeResult is one for who looks for words, in a comment too.
var smimeResult = regexp.MustCompile(`(?i)smime[ \t/0-9]*=`)

// aside is what may hold anything.
var aside = regexp.MustCompile(`"[^"]*"|\([^()]*\)`)
