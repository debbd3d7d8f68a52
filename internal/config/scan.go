package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// The TOML library tells where a mistake of syntax is, but not where a key or
// a value stands. A scanner finds them: it walks text that the library has
// read, so it need not be strict, only right about where things begin.

// A Place is a position in a file, from 1. Columns count characters.
type Place struct{ Line, Column int }

// A path names a key or a value: keys joined by dots, as TOML writes them, and
// elements of arrays in brackets.
type path string

func (p path) key(name string) path {
	name = toml.Key{name}.String()
	if p == "" {
		return path(name)
	}
	return p + "." + path(name)
}

func (p path) element(i int) path { return path(fmt.Sprintf("%s[%d]", p, i)) }

// A scanner is at one byte of its text.
type scanner struct {
	text   string
	at     int
	keys   map[path]int // offset of the part of a key that names it, where it first occurs
	values map[path]int // offset of the value
	tables map[path]int // arrays of tables: how many elements so far
	again  []again
}

// again is a key that is defined a second time, which the library lets pass
// in places.
type again struct {
	path       path
	at, before int
}

var errScan = errors.New("cannot find the keys")

// scan finds the places of all keys and values.
func scan(text string) (*scanner, error) {
	s := &scanner{text: text, keys: map[path]int{}, values: map[path]int{}, tables: map[path]int{}}
	var table path
	for s.blank(); s.at < len(s.text); s.blank() {
		if s.text[s.at] == '[' {
			t, err := s.header()
			if err != nil {
				return nil, err
			}
			table = t
			continue
		}
		if err := s.pair(table); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// header reads [a.b] or [[a.b]].
func (s *scanner) header() (path, error) {
	s.at++
	array := s.peek() == '['
	if array {
		s.at++
	}
	names, offsets, err := s.dotted()
	if err != nil {
		return "", err
	}
	var p path
	for i, name := range names {
		p = p.key(name)
		s.note(p, offsets[i])
		n, many := s.tables[p]
		if last := i == len(names)-1; last && array {
			s.tables[p] = n + 1
			p = p.element(n)
			s.note(p, offsets[i])
		} else if many {
			p = p.element(n - 1)
		}
	}
	for s.peek() == ']' {
		s.at++
	}
	return p, nil
}

// pair reads key = value.
func (s *scanner) pair(table path) error {
	names, offsets, err := s.dotted()
	if err != nil {
		return err
	}
	p := table
	for i, name := range names {
		p = p.key(name)
		if first, ok := s.keys[p]; ok && i == len(names)-1 {
			s.again = append(s.again, again{p, offsets[i], first})
		}
		s.note(p, offsets[i])
	}
	if s.peek() != '=' {
		return errScan
	}
	s.at++
	s.space()
	return s.value(p)
}

func (s *scanner) note(p path, at int) {
	if _, ok := s.keys[p]; !ok {
		s.keys[p] = at
	}
}

// dotted reads a key of one or more parts and the blanks round them.
func (s *scanner) dotted() (names []string, offsets []int, err error) {
	for {
		s.space()
		offsets = append(offsets, s.at)
		name, err := s.name()
		if err != nil {
			return nil, nil, err
		}
		names = append(names, name)
		s.space()
		if s.peek() != '.' {
			return names, offsets, nil
		}
		s.at++
	}
}

func (s *scanner) name() (string, error) {
	from := s.at
	switch s.peek() {
	case '"':
		if err := s.quoted(); err != nil {
			return "", err
		}
		// Let the library undo the escapes; it has read them before.
		var v struct{ K string }
		if _, err := toml.Decode("K="+s.text[from:s.at], &v); err != nil {
			return "", errScan
		}
		return v.K, nil
	case '\'':
		err := s.quoted()
		return strings.Trim(s.text[from:s.at], "'"), err
	}
	for s.at < len(s.text) && !strings.ContainsRune(" \t.=]\r\n", rune(s.text[s.at])) {
		s.at++
	}
	if s.at == from {
		return "", errScan
	}
	return s.text[from:s.at], nil
}

// value notes where a value is, and its elements, and passes over it.
func (s *scanner) value(p path) error {
	s.values[p] = s.at
	switch s.peek() {
	case '"', '\'':
		return s.quoted()
	case '[':
		return s.list(']', func(i int) error { return s.value(p.element(i)) })
	case '{':
		return s.list('}', func(int) error { return s.pair(p) })
	}
	for s.at < len(s.text) && !strings.ContainsRune(",]}#\r\n", rune(s.text[s.at])) {
		s.at++
	}
	return nil
}

// list reads what is between brackets, item by item.
func (s *scanner) list(end byte, item func(int) error) error {
	s.at++
	for i := 0; ; i++ {
		s.blank()
		if s.peek() == end {
			s.at++
			return nil
		}
		if err := item(i); err != nil {
			return err
		}
		s.blank()
		switch s.peek() {
		case ',':
			s.at++
		case end:
		default:
			return errScan
		}
	}
}

// quoted passes over a string of any of the four kinds.
func (s *scanner) quoted() error {
	quote := s.text[s.at]
	end := string(quote)
	if triple := strings.Repeat(end, 3); strings.HasPrefix(s.text[s.at:], triple) {
		end = triple
	}
	for s.at += len(end); s.at < len(s.text); s.at++ {
		switch {
		case s.text[s.at] == '\\' && quote == '"':
			s.at++
		case strings.HasPrefix(s.text[s.at:], end):
			s.at += len(end)
			for len(end) == 3 && s.peek() == quote { // up to two quotes before the end belong to it
				s.at++
			}
			return nil
		}
	}
	return errScan
}

func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// space passes over blanks, blank over line ends and comments too.
func (s *scanner) space() {
	for c := s.peek(); c == ' ' || c == '\t'; c = s.peek() {
		s.at++
	}
}

func (s *scanner) blank() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		case '#':
			n := strings.IndexByte(s.text[s.at:], '\n')
			if n < 0 {
				n = len(s.text) - s.at
			}
			s.at += n
		default:
			return
		}
	}
}

// place turns an offset into line and column.
func place(text string, at int) Place {
	at = min(max(at, 0), len(text))
	start := strings.LastIndexByte(text[:at], '\n') + 1
	return Place{Line: 1 + strings.Count(text[:at], "\n"), Column: 1 + utf8.RuneCountInString(text[start:at])}
}

// syntax makes an Error of what the library found.
func syntax(name, text string, err error) error {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		return &Error{File: name, Place: Place{1, 1}, Err: err}
	}
	at := pe.Position.Start
	for at < len(text) && (text[at] == ' ' || text[at] == '\t') { // it may point before the culprit
		at++
	}
	msg := strings.TrimSuffix(pe.Message, ".")
	if r, n := utf8.DecodeRuneInString(msg); n > 0 {
		msg = strings.ToLower(string(r)) + msg[n:]
	}
	key, want := pe.LastKey, "want TOML, in which text stands in quotes"
	switch {
	case strings.Contains(msg, "already been defined"):
		want = "want it once"
	case strings.Contains(msg, "UTF-"):
		want = "want UTF-8"
	case strings.Contains(msg, "top-level item"):
		key = "" // the library names the table only
	}
	return &Error{File: name, Place: place(text, at), Key: key, Err: errors.New(msg + "; " + want)}
}

func (a again) error(name, text string) error {
	first := place(text, a.before)
	return &Error{File: name, Place: place(text, a.at), Key: string(a.path),
		Err: errors.New("set twice, first on line " + strconv.Itoa(first.Line) + "; want it once")}
}
