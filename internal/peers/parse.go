package peers

import (
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"mailseal/internal/mailaddr"
	"mailseal/internal/typo"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// settings are the keys of an entry.
var settings = map[string]func(*setting, string) error{
	"presume": func(s *setting, v string) error {
		s.presume.set = true
		return s.presume.value.UnmarshalText([]byte(v))
	},
	"cipher":     func(s *setting, v string) error { return cipher(&s.cipher, v) },
	"min_cipher": func(s *setting, v string) error { return cipher(&s.minCipher, v) },
	"oaep":       func(s *setting, v string) error { return oaep(&s.oaep, v) },
	"min_oaep":   func(s *setting, v string) error { return oaep(&s.minOAEP, v) },
}

// Parse reads a book as if it stood in the file of that name.
func Parse(name string, data []byte) (*Book, error) {
	var raw map[string]any
	if _, err := toml.Decode(strings.TrimPrefix(string(data), "\ufeff"), &raw); err != nil {
		if syntax := new(toml.ParseError); errors.As(err, syntax) {
			return nil, fmt.Errorf("%s:%d:%d: %s", name, syntax.Position.Line, syntax.Position.Col, syntax.Message)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b := &Book{name: name, entries: make(map[string]setting)}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		table, ok := raw[key].(map[string]any)
		if !ok {
			errs = append(errs, b.general.take(name, key, raw[key]))
			continue
		}
		who, err := pattern(key)
		if _, again := b.entries[who]; again && err == nil {
			err = errors.New("is there twice; want it once")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: [%q]: %w", name, key, err))
			continue
		}
		var s setting
		for _, k := range slices.Sorted(maps.Keys(table)) {
			errs = append(errs, s.take(fmt.Sprintf("%s: [%q]", name, key), k, table[k]))
		}
		b.entries[who] = s
	}
	if err := errors.Join(append(errs, b.check()...)...); err != nil {
		return nil, err
	}
	return b, nil
}

// check finds the contradictions, once everything is read.
func (b *Book) check() (errs []error) {
	if err := b.general.check(); err != nil {
		return []error{fmt.Errorf("%s: %w", b.name, err)}
	}
	for _, who := range slices.Sorted(maps.Keys(b.entries)) {
		local, domain, _ := cutLast(who)
		s := b.entries[who].or(b.of(mailaddr.Address{Local: local, Domain: domain}))
		if err := s.check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: [%q]: %w", b.name, who, err))
		}
	}
	return errs
}

// take sets one key.
func (s *setting) take(where, key string, value any) error {
	set, ok := settings[key]
	if !ok {
		names := slices.Sorted(maps.Keys(settings))
		want := "one of " + strings.Join(names, ", ") + `, or a table of an address as ["bob@partner.example"]`
		if near := typo.Nearest(strings.ToLower(key), names); near != "" {
			want = near
		}
		return fmt.Errorf("%s: %s: unknown key; want %s", where, key, want)
	}
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("%s: %s: %v; want text in quotes", where, key, value)
	}
	if err := set(s, text); err != nil {
		return fmt.Errorf("%s: %s: %w", where, key, err)
	}
	return nil
}

// pattern reads whom an entry is about: the form in which Book.entries has it.
func pattern(s string) (string, error) {
	local, domain, ok := cutLast(s)
	if !ok || local != "*" {
		a, err := mailaddr.Parse(s)
		if err != nil {
			return "", errors.New(`no address; want one, or all of a domain as "*@partner.example"`)
		}
		return a.Fold().String(), nil
	}
	sub, dot := strings.CutPrefix(domain, ".")
	d, err := mailaddr.Domain(sub)
	if err != nil {
		return "", fmt.Errorf(`%q is no domain; want one, as "*@partner.example"`, domain)
	}
	if dot {
		d = "." + d
	}
	return "*@" + d, nil
}

func cutLast(s string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// cipher reads the name of one that is written.
func cipher(to *option[content.Cipher], name string) error {
	var names []string
	for c := content.None + 1; c <= content.ChaCha20Poly1305; c++ {
		if !c.Writable() {
			continue
		}
		if strings.EqualFold(c.String(), name) {
			*to = option[content.Cipher]{c, true}
			return nil
		}
		names = append(names, word(c))
	}
	return fmt.Errorf("%q; want one of %s", name, strings.Join(names, ", "))
}

func word(c content.Cipher) string { return strings.ToLower(c.String()) }

// oaep reads the name of a digest.
func oaep(to *option[recipient.Transport], name string) error {
	t, ok := map[string]recipient.Transport{
		"off": {}, "sha1": recipient.OAEP(crypto.SHA1), "sha256": recipient.OAEP(crypto.SHA256),
		"sha384": recipient.OAEP(crypto.SHA384), "sha512": recipient.OAEP(crypto.SHA512),
	}[name]
	if !ok {
		return fmt.Errorf("%q; want sha1, sha256, sha384, sha512 or off", name)
	}
	*to = option[recipient.Transport]{t, true}
	return nil
}
