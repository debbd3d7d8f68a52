package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailseal/internal/typo"
)

// A decoder fills a Config from what the library read.
type decoder struct {
	c      *Config
	text   string
	scan   *scanner
	errs   []error
	target *Target // of the keys below target
}

// A value is one value of the file, and where to complain about it.
type value struct {
	d    *decoder
	path path
	key  string // as errors name it: without the number of an element
	raw  any
}

// fail notes what is wrong with a value, in the words "what; want what".
func (v value) fail(format string, args ...any) {
	where := v.d.scan.values
	if _, ok := where[v.path]; !ok { // a table with a head of its own
		where = v.d.scan.keys
	}
	v.d.fail(where, v.path, v.key, format, args...)
}

func (d *decoder) fail(where map[path]int, p path, key, format string, args ...any) {
	at := Place{1, 1}
	if off, ok := where[p]; ok {
		at = place(d.text, off)
	}
	d.errs = append(d.errs, &Error{File: d.c.file.name, Place: at, Key: key, Err: fmt.Errorf(format, args...)})
}

// table goes through the keys of a table. Its name is its path without the
// numbers of elements.
func (d *decoder) table(prefix, name path, raw map[string]any) {
	for _, base := range slices.Sorted(maps.Keys(raw)) {
		p, full := prefix.key(base), name.key(base)
		v := value{d: d, path: p, key: string(full), raw: raw[base]}
		k, known := keys[string(full)]
		in, isTable := v.raw.(map[string]any)
		switch {
		case known:
			d.note(p)
			if p != full {
				d.c.file.places[full] = d.c.file.places[p]
			}
			if k.tables {
				d.tables(v)
			} else {
				k.set(v)
			}
		case isTable && hasTable(string(full)):
			d.table(p, full, in)
		case hasTable(string(full)):
			v.fail("%s; want the table [%s]", kind(v.raw), full)
		default:
			d.fail(d.scan.keys, p, string(full), "unknown key; want %s", d.suggest(name, base))
		}
	}
}

// note keeps the places of a key and its elements for Config.At.
func (d *decoder) note(p path) {
	at, ok := d.scan.values[p]
	if !ok {
		at = d.scan.keys[p] // a table
	}
	d.c.file.places[p] = place(d.text, at)
	for i := 0; ; i++ {
		at, ok := d.scan.values[p.element(i)]
		if !ok {
			return
		}
		d.c.file.places[p.element(i)] = place(d.text, at)
	}
}

// suggest names the one key that may have been meant, or all of the table.
func (d *decoder) suggest(prefix path, name string) string {
	shown := make(map[string]string) // what may stand there, and how it is written
	for _, p := range slices.SortedFunc(maps.Keys(keys), outermost) {
		k := keys[p]
		table, base := "", p
		if i := strings.LastIndexByte(p, '.'); i >= 0 {
			table, base = p[:i], p[i+1:]
		}
		switch {
		case table == string(prefix) && k.table:
			shown[base] = "[" + base + "]"
		case table == string(prefix) && k.tables:
			shown[base] = "[[" + base + "]]"
		case table == string(prefix):
			shown[base] = base
		case prefix == "" && !keys[table].tables:
			shown[table] = "[" + table + "]"
		}
		// The right key in the wrong table, most often above all tables.
		if base == name && table != "" && !keys[table].tables {
			return "it in the table [" + table + "]"
		} else if base == name {
			return "it above all tables"
		}
	}
	names := slices.Sorted(maps.Keys(shown))
	if near := typo.Nearest(strings.ToLower(name), names); near != "" {
		return shown[near]
	}
	for i, n := range names {
		names[i] = shown[n]
	}
	return "one of " + strings.Join(names, ", ")
}

// outermost orders keys: those above all tables first.
func outermost(a, b string) int {
	return cmp.Or(strings.Count(a, ".")-strings.Count(b, "."), cmp.Compare(a, b))
}

// hostTables are what a file may have that is about a host's certificates alone.
var hostTables = []string{"ca", "web", "certmgr", "notify", "target", "log", "metrics"}

// required complains of keys that have no default. They are about mail: a file
// that is about certificates alone need not have them.
func (d *decoder) required() {
	host := d.c.CA.Dir != "" && d.c.IsSet("ca.dir") || len(d.c.Targets) > 0
	for p := range d.c.file.places {
		table, _, _ := strings.Cut(string(p), ".")
		table, _, _ = strings.Cut(table, "[")
		host = host && slices.Contains(hostTables, table)
	}
	before := len(d.errs)
	for _, p := range slices.Sorted(maps.Keys(keys)) {
		if k := keys[p]; k.required != "" && !strings.HasPrefix(p, "target.") && !d.c.IsSet(p) {
			d.fail(nil, path(p), p, "missing; want %s", k.required)
		}
	}
	if host {
		d.c.file.missing = slices.Clone(d.errs[before:])
		d.errs = d.errs[:before]
	}
}

// finish makes paths absolute.
func (d *decoder) finish() {
	c := d.c
	all := []*string{&c.State, &c.SMIME.Identities, &c.SMIME.Peers, &c.SMIME.Signers, &c.CA.Dir, &c.CA.PassphraseFile, &c.Certmgr.State}
	for _, list := range slices.Concat([][]string{c.SMIME.Trust, c.SMIME.CRLs, c.SMIME.Pinned}, slices.Collect(maps.Values(c.DomainCAs))) {
		all = append(all, pointers(list)...)
	}
	for i := range c.Targets {
		all = append(all, c.Targets[i].paths()...)
	}
	for _, p := range all {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(c.file.dir, *p)
		}
	}
	for _, t := range c.Targets {
		for role, p := range t.Files {
			if !filepath.IsAbs(p) {
				t.Files[role] = filepath.Join(cmp.Or(t.Dir, c.file.dir), p)
			}
		}
	}
}

func pointers(ss []string) []*string {
	var ps []*string
	for i := range ss {
		ps = append(ps, &ss[i])
	}
	return ps
}

func sortErrors(errs []error) {
	slices.SortStableFunc(errs, func(a, b error) int {
		var x, y *Error
		if !errors.As(a, &x) || !errors.As(b, &y) {
			return 0
		}
		return cmp.Or(x.Line-y.Line, x.Column-y.Column)
	})
}

// kind is a value in words, for errors.
func kind(raw any) string {
	switch r := raw.(type) {
	case string:
		return strconv.Quote(r)
	case int64, float64, bool:
		return fmt.Sprint(r)
	case time.Time:
		return "a date"
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("%T", raw)
}

// str takes a string.
func (v value) str(want string) (string, bool) {
	s, ok := v.raw.(string)
	if !ok {
		v.fail("%s; want %s", kind(v.raw), want)
		return "", false
	}
	return s, true
}

func (v value) boolean(to *bool) {
	b, ok := v.raw.(bool)
	if !ok {
		v.fail("%s; want true or false", kind(v.raw))
		return
	}
	*to = b
}

// list takes a list, whose elements item reads.
func (v value) list(want string, item func(value)) {
	in, ok := v.raw.([]any)
	if !ok {
		v.fail("%s; want a list of %s", kind(v.raw), want)
		return
	}
	for i, raw := range in {
		item(value{d: v.d, path: v.path.element(i), key: v.key, raw: raw})
	}
}

// word takes one of some words.
func word[T any](v value, to *T, words []option[T]) {
	var names []string
	s, isString := v.raw.(string)
	for _, w := range words {
		if isString && s == w.word {
			*to = w.value
			return
		}
		names = append(names, strconv.Quote(w.word))
	}
	last := len(names) - 1
	v.fail("%s; want %s or %s", kind(v.raw), strings.Join(names[:last], ", "), names[last])
}

type option[T any] struct {
	word  string
	value T
}
