package message

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// parseTyped reads the value of Content-Type (RFC 2045 section 5.1) or
// Content-Disposition (RFC 2183): a word in lower case, as "multipart/signed"
// or "attachment", "" where it cannot be read, and parameters.
//
// Whatever cannot be read in one way only is told in problem. The rest is
// there all the same, but a boundary only when no reader could see another.
// Unquoted values may hold what should be quoted, as protocol=application/x:
// every peer takes them up to the semicolon.
func parseTyped(value string) (word string, values map[string]string, problem string) {
	s := cursor{s: value}
	s.blanks()
	word = strings.ToLower(s.word("/;("))
	s.blanks()
	if !isToken(word) {
		return "", nil, "no type"
	}
	if s.take('/') { // blanks and comments may stand round it
		s.blanks()
		sub := strings.ToLower(s.word("/;("))
		s.blanks()
		if !isToken(sub) {
			return "", nil, "no subtype"
		}
		word += "/" + sub
	}
	var p params
	if strings.ContainsFunc(value, isControl) {
		p.spoil("boundary", "a control character")
	}
	p.parse(&s)
	if p.extended {
		p.join()
	}
	if p.unclear {
		delete(p.values, "boundary")
	}
	return word, p.values, p.problem
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// maxParams bounds the parameters of one field. A file name in so many pieces
// (RFC 2231 section 3) has some 60,000 characters; who sends more wants to see
// us work, as every one costs us more than it does to write.
const maxParams = 1000

// params collects parameters.
type params struct {
	values   map[string]string // by lower-case name; before join with RFC 2231's marks
	problem  string            // the first
	extended bool              // a name has one of RFC 2231's marks
	unclear  bool              // the boundary is not the only one possible
}

func (p *params) parse(s *cursor) {
	for n := 0; !s.done(); {
		if n == maxParams {
			p.complain("too many parameters")
			p.unclear = true // another may be among the rest
			return
		}
		n++
		if !s.take(';') {
			p.complain("more than a type")
			if !p.skip(s) {
				return
			}
			continue
		}
		s.blanks()
		if s.done() || s.peek() == ';' {
			continue // a common slip that changes nothing
		}
		name := strings.ToLower(s.word(`=;("`))
		s.blanks()
		if !isToken(name) || !s.take('=') {
			p.spoil(name, "a parameter without a value")
			if !p.skip(s) {
				return
			}
			continue
		}
		s.blanks()
		start := s.i
		value, ok := s.value()
		s.blanks()
		if !ok || !s.done() && s.peek() != ';' {
			p.spoilNamed(name, "not quoted as it should be")
			if !p.skip(s) {
				return
			}
			value = strings.Trim(s.s[start:s.i], " \t") // name=holiday picture.jpg
		}
		p.add(name, value)
	}
}

func (p *params) complain(problem string) {
	if p.problem == "" {
		p.problem = problem
	}
}

// complainNamed names the parameter. Only the first name is quoted, as there may
// be thousands.
func (p *params) complainNamed(name, problem string) {
	if p.problem == "" {
		p.problem = "parameter " + short(name) + " " + problem
	}
}

func (p *params) spoilNamed(name, problem string) {
	p.complainNamed(name, problem)
	p.spoil(name, problem)
}

// spoil complains about a parameter, after which a boundary may not be certain.
func (p *params) spoil(name, problem string) {
	p.complain(problem)
	if base, _, _ := strings.Cut(name, "*"); base == "boundary" {
		p.unclear = true
	}
}

// skip goes to the next semicolon. It returns false where peers would differ
// in what that is, as with quotes on the way.
func (p *params) skip(s *cursor) bool {
	start, depth := s.i, 0
	clear := true
	for clear && !s.done() && (s.peek() != ';' || depth > 0) {
		switch s.peek() {
		case '(':
			depth++
		case ')':
			depth--
		case ';', '"', '\\':
			clear = false
		}
		s.i++
	}
	end := s.i
	if !clear {
		end = len(s.s) // it may be anywhere
	}
	if strings.Contains(strings.ToLower(s.s[start:end]), "boundary") {
		p.unclear = true
	}
	return clear
}

func (p *params) add(name, value string) {
	if old, twice := p.values[name]; !twice {
		if p.values == nil {
			p.values = make(map[string]string)
		}
		p.values[name] = value
		p.extended = p.extended || strings.Contains(name, "*")
	} else if old == value {
		p.complainNamed(name, "twice")
	} else {
		p.spoilNamed(name, "twice")
	}
}

// join puts parameters that come in pieces together and decodes those with a
// character set (RFC 2231 sections 3 and 4).
func (p *params) join() {
	joined := make(map[string]string, len(p.values))
	extended := make(map[string]bool)
	used := 0
	// In order, so that the same mail always means the same: a name sorts
	// before its extended forms.
	for _, key := range slices.Sorted(maps.Keys(p.values)) {
		name, mark, marked := strings.Cut(key, "*")
		value := p.values[key]
		_, first := p.values[name+"*0"]
		switch {
		case !marked:
			joined[name] = value
			used++
			continue
		case mark == "":
			value = decodeExtended(value)
			used++
		case mark == "0" || mark == "0*" && !first:
			var n int
			value, n = p.pieces(name)
			used += n
		default:
			continue // pieces takes it, or it fits nowhere
		}
		// The extended form is for those who can read it, but there must not
		// be two boundaries to choose from.
		_, plain := joined[name]
		if extended[name] || plain && name == "boundary" {
			p.spoilNamed(name, "twice")
		}
		joined[name], extended[name] = value, true
	}
	if used < len(p.values) {
		p.complain("a parameter in pieces that do not fit together")
		for key := range p.values {
			p.unclear = p.unclear || strings.HasPrefix(key, "boundary*")
		}
	}
	p.values = joined
}

// short quotes a name from outside for a problem's text.
func short(name string) string {
	if len(name) > 40 {
		name = name[:40] + "..."
	}
	return strconv.Quote(name)
}

// pieces joins name*0, name*1 and so on and tells how many there are.
func (p *params) pieces(name string) (value string, n int) {
	var b strings.Builder
	charset := ""
	for ; ; n++ {
		key := name + "*" + strconv.Itoa(n)
		if plain, ok := p.values[key]; ok {
			b.WriteString(plain)
			continue
		}
		coded, ok := p.values[key+"*"]
		if !ok {
			return toUTF8(charset, b.String()), n
		}
		if n == 0 {
			charset, coded = cutCharset(coded)
		}
		b.WriteString(percentDecode(coded))
	}
}

func decodeExtended(value string) string {
	charset, coded := cutCharset(value)
	return toUTF8(charset, percentDecode(coded))
}

// cutCharset parts charset'language'value.
func cutCharset(s string) (charset, value string) {
	if parts := strings.SplitN(s, "'", 3); len(parts) == 3 {
		return strings.ToLower(parts[0]), parts[2]
	}
	return "", s
}

// percentDecode undoes %XX and leaves a lone % as it is.
func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, ok := hexByte(s[i+1], s[i+2]); ok {
				b = append(b, c)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// toUTF8 converts what it can: parameters are read to know a mail's structure
// and its file names' suffixes, not to show them.
func toUTF8(charset, s string) string {
	if charset != "iso-8859-1" {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}
