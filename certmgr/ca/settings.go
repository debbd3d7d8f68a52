package ca

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Settings are what a CA does by itself: ca.toml in its folder. What stands in
// its certificate, as name constraints, is not said here again.
type Settings struct {
	// Memo is what people want to know about the CA.
	Memo string `toml:"memo,omitempty"`
	// URL is where the CA is on the web. Certificates get the addresses below
	// it; without one they have none of these extensions.
	URL string `toml:"url,omitempty"`
	// Serials are random, or sequential as openssl ca has them at first.
	Serials Serials `toml:"serials"`
	// CRLDays is how long a list is good.
	CRLDays int `toml:"crl_days"`
	// Days are how long certificates are good that nobody says it of, by
	// profile, where it is not what the profile has.
	Days map[string]int `toml:"days,omitempty"`
	// UniqueSubject refuses a second valid certificate for a subject. It
	// stands in index.txt.attr, where openssl ca has it.
	UniqueSubject bool `toml:"-"`
}

// Serials are how serial numbers are made.
type Serials string

// The two ways. RandomSerials are what nobody foresees.
const (
	RandomSerials     Serials = "random"
	SequentialSerials Serials = "sequential"
)

// Where a CA's things are below its URL.
const (
	CRLPath  = "/ca.crl" // RFC 5280 section 4.2.1.13: DER
	CertPath = "/ca.cer" // section 4.2.2.1: DER
	OCSPPath = "/ocsp"
)

const (
	defaultCRLDays = 30
	maxCRLDays     = 3650
	maxMemo        = 1000
)

// DefaultSettings are those of a folder that has no ca.toml.
func DefaultSettings() Settings {
	return Settings{Serials: RandomSerials, CRLDays: defaultCRLDays}
}

func (s Settings) check() error {
	if err := checkMemo(s.Memo); err != nil {
		return err
	}
	if s.URL != "" {
		u, err := url.Parse(s.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" ||
			u.User != nil || strings.HasSuffix(s.URL, "/") || !isASCII(s.URL) || strings.ContainsAny(s.URL, " \"<>\\^`{|},;$#") {
			return fmt.Errorf("url %q: want an address as http://pki.example.jp, without a slash at its end", s.URL)
		}
	}
	if s.Serials != RandomSerials && s.Serials != SequentialSerials {
		return fmt.Errorf("serials %q: want random or sequential", s.Serials)
	}
	if s.CRLDays < 1 || s.CRLDays > maxCRLDays {
		return fmt.Errorf("crl_days %d: want 1 to %d", s.CRLDays, maxCRLDays)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Days)) {
		p, err := ParseProfile(name)
		if err != nil {
			return fmt.Errorf("days: %w", err)
		}
		if r := rules[p]; s.Days[name] < 1 || s.Days[name] > r.maxDays {
			return fmt.Errorf("days: %s = %d: want 1 to %d", name, s.Days[name], r.maxDays)
		}
	}
	return nil
}

// days are those of a certificate of which nobody says it.
func (s Settings) days(r rule) int {
	if days, ok := s.Days[r.name]; ok {
		return days
	}
	return r.days
}

func readSettings(dir string) (Settings, error) {
	s := DefaultSettings()
	meta, err := toml.DecodeFile(filepath.Join(dir, settingsFile), &s)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("%s: %w", settingsFile, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return s, fmt.Errorf("%s: %s: there is no such setting", settingsFile, unknown[0])
	}
	if err := s.check(); err != nil {
		return s, fmt.Errorf("%s: %w", settingsFile, err)
	}
	s.UniqueSubject, err = readUniqueSubject(filepath.Join(dir, attrFile))
	return s, err
}

// readUniqueSubject reads index.txt.attr. OpenSSL takes an absent file or key
// for yes, and for yes whatever begins with y, t or 1.
func readUniqueSubject(path string) (bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(key) == "unique_subject" {
			value = strings.ToLower(strings.TrimSpace(value))
			return value != "" && strings.Contains("yt1", value[:1]), nil
		}
	}
	return true, nil
}

func (s Settings) attr() string {
	if s.UniqueSubject {
		return "unique_subject = yes\n"
	}
	return "unique_subject = no\n"
}

func (s Settings) encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(settingsHead)
	err := toml.NewEncoder(&b).Encode(s)
	return b.Bytes(), err
}

const settingsHead = `# What this CA does by itself. Keys: memo; url, the address under which mailseal web shows it; serials, "random" or
# "sequential"; crl_days, how long a list is good; [days] by profile. After a change by hand the same may be wanted in
# openssl.cnf, for the openssl command. unique_subject stands in index.txt.attr.
`

// Settings are the CA's own.
func (c *CA) Settings() Settings {
	s := c.current.Load().settings
	s.Days = maps.Clone(s.Days)
	return s
}

// SetSettings changes the CA's settings, and with them what openssl.cnf and
// index.txt.attr say. An openssl.cnf that somebody has edited is kept as
// openssl.cnf.old.
func (c *CA) SetSettings(s Settings, by string) error {
	if err := s.check(); err != nil {
		return c.refuse("set", by, nil, fmt.Errorf("set: %w", refusal{err}))
	}
	err := c.locked(func(a *authority) error {
		if err := c.writeSettings(s, &a.settings); err != nil {
			return err
		}
		if _, err := c.refresh(); err != nil {
			return err
		}
		return c.audit("set", by, map[string]string{"url": s.URL, "serials": string(s.Serials), "crl_days": fmt.Sprint(s.CRLDays)})
	})
	if err != nil {
		return fmt.Errorf("set: %w", err)
	}
	return nil
}

// writeSettings writes the three files. before is what they said, nil where
// nothing is known.
func (c *CA) writeSettings(s Settings, before *Settings) error {
	text, err := s.encode()
	if err != nil {
		return err
	}
	conf, err := opensslConf(c.dir, s)
	if err != nil {
		return err
	}
	if err := c.keepConf(conf, before); err != nil {
		return err
	}
	if err := c.write(settingsFile, text, 0o644); err != nil {
		return err
	}
	if err := c.write(attrFile, []byte(s.attr()), 0o644); err != nil {
		return err
	}
	return c.write(confFile, conf, 0o644)
}

// keepConf puts an openssl.cnf aside that is not as we have written it.
func (c *CA) keepConf(next []byte, before *Settings) error {
	old, err := os.ReadFile(c.path(confFile))
	if errors.Is(err, fs.ErrNotExist) || bytes.Equal(old, next) {
		return nil
	}
	if err != nil {
		return err
	}
	if before != nil {
		if ours, err := opensslConf(c.dir, *before); err != nil || bytes.Equal(old, ours) {
			return err
		}
	}
	return c.write(confFile+".old", old, 0o600)
}
