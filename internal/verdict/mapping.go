package verdict

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"

	"mailseal/internal/mailaddr"
)

// A Mapping says who the holders of certificates are that have no address of their
// own: the file smime.signers. The zero Mapping, and nil, name nobody. It never
// changes once made.
//
//	# SHA-256 fingerprint, as openssl x509 -fingerprint -sha256 prints it
//	sha256:AB:CD:...                        orders@partner.example
//	# serial number in hexadecimal, and issuer as RFC 4514 has it, in quotes
//	serial:1A2B issuer:"CN=Old CA,O=Partner"   @partner.example
type Mapping struct {
	holders map[string]holder
}

// A holder is who may sign with a certificate.
type holder struct {
	people  []mailaddr.Address
	domains []string
}

// Bounds on the file.
const (
	maxMapping     = 16 << 20
	maxMappingLine = 8 << 10
)

// LoadMapping reads the file. Its errors name file and line.
func LoadMapping(file string) (*Mapping, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMapping+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxMapping {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, maxMapping)
	}
	return ParseMapping(file, text)
}

// ParseMapping reads the text of a file. All that is wrong is told at once.
func ParseMapping(file string, text []byte) (*Mapping, error) {
	m := &Mapping{holders: map[string]holder{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxMappingLine)
	var errs []error
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := m.line(line); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", file, n, err))
		}
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("%s:%d: line longer than %d bytes", file, n+1, maxMappingLine))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return m, nil
}

const wantSigner = `want "sha256:FINGERPRINT", or "serial:HEX issuer:\"NAME\"", and addresses or @domains`

// line reads one.
func (m *Mapping) line(line string) error {
	words, err := mappingWords(line)
	if err != nil {
		return err
	}
	key, rest, err := mappingKey(words)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return errors.New("no address; want addresses or @domains behind the certificate")
	}
	if _, ok := m.holders[key]; ok {
		return errors.New("this certificate is there twice; want it once, with all its addresses")
	}
	var h holder
	for _, w := range rest {
		if d, ok := strings.CutPrefix(w, "@"); ok {
			d, below := strings.CutPrefix(d, ".")
			domain, err := mailaddr.Domain(d)
			if err != nil || strings.HasPrefix(domain, "[") {
				return fmt.Errorf("%q is not a domain; want one as @partner.example, or @.partner.example for those below it", w)
			}
			if below {
				domain = "." + domain
			}
			h.domains = append(h.domains, domain)
			continue
		}
		a, err := mailaddr.Parse(w)
		if err != nil {
			return fmt.Errorf("%q is not an address; want one as orders@partner.example, or @partner.example for a domain", w)
		}
		h.people = append(h.people, a)
	}
	m.holders[key] = h
	return nil
}

// mappingWords splits a line at blanks and commas that are not within quotes.
func mappingWords(line string) (words []string, err error) {
	quoted, start := false, -1
	for i := 0; i <= len(line); i++ {
		switch {
		case i == len(line) || !quoted && strings.IndexByte(" \t,", line[i]) >= 0:
			if start >= 0 {
				words = append(words, line[start:i])
			}
			start = -1
		default:
			if start < 0 {
				start = i
			}
			switch {
			case line[i] == '"':
				quoted = !quoted
			case quoted && line[i] == '\\' && i+1 < len(line):
				i++
			}
		}
	}
	if quoted {
		return nil, errors.New("a quote is not closed")
	}
	return words, nil
}

// mappingKey reads what names the certificate, and returns the other words.
func mappingKey(words []string) (key string, rest []string, err error) {
	kind, value, _ := strings.Cut(words[0], ":")
	switch strings.ToLower(kind) {
	case "sha256":
		sum, err := hex.DecodeString(strings.ReplaceAll(value, ":", ""))
		if err != nil || len(sum) != sha256.Size {
			return "", nil, fmt.Errorf("%q is not a SHA-256 fingerprint; want 64 hexadecimal digits", value)
		}
		return fingerprintKey(sum), words[1:], nil
	case "serial":
		serial, ok := new(big.Int).SetString(strings.ReplaceAll(value, ":", ""), 16)
		if !ok {
			return "", nil, fmt.Errorf("%q is not a serial number; want hexadecimal digits", value)
		}
		if len(words) < 2 || !strings.HasPrefix(strings.ToLower(words[1]), "issuer:") {
			return "", nil, errors.New(`serial number without issuer; want issuer:"NAME" behind it`)
		}
		issuer := words[1][len("issuer:"):]
		if bare, ok := strings.CutPrefix(issuer, `"`); ok && strings.HasSuffix(bare, `"`) {
			issuer = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(strings.TrimSuffix(bare, `"`))
		}
		if issuer == "" {
			return "", nil, errors.New(`empty issuer; want issuer:"NAME" as mailseal verify shows it`)
		}
		return serialKey(serial, issuer), words[2:], nil
	}
	return "", nil, fmt.Errorf("%q names no certificate; %s", words[0], wantSigner)
}

func fingerprintKey(sum []byte) string { return "sha256:" + string(sum) }

func serialKey(n *big.Int, issuer string) string { return "serial:" + n.Text(16) + ":" + issuer }

// find returns who holds a certificate.
func (m *Mapping) find(c *x509.Certificate) (h holder, ok bool) {
	if m == nil || len(m.holders) == 0 {
		return h, false
	}
	sum := sha256.Sum256(c.Raw)
	if h, ok = m.holders[fingerprintKey(sum[:])]; !ok {
		h, ok = m.holders[serialKey(c.SerialNumber, c.Issuer.String())]
	}
	return h, ok
}
