package pki

import (
	"crypto/sha256"
	"crypto/x509"

	"mailseal/internal/recent"
)

// parserSize is how many certificates a Parser remembers: a few KiB each.
const parserSize = 1000

// A Parser parses certificates and remembers them: most mails come with one
// that has been seen before, and parsing takes longer than the signature over
// a short mail. It may be used by any number of goroutines.
type Parser struct {
	seen *recent.Cache[[sha256.Size]byte, *x509.Certificate]
}

// NewParser makes one that has seen nothing yet.
func NewParser() *Parser {
	return &Parser{recent.New[[sha256.Size]byte, *x509.Certificate](parserSize)}
}

// Parse is x509.ParseCertificate. Nobody may change what it returns.
func (p *Parser) Parse(der []byte) (*x509.Certificate, error) {
	sum := sha256.Sum256(der)
	if c, ok := p.seen.Get(sum); ok {
		return c, nil
	}
	c, err := x509.ParseCertificate(der)
	if err == nil {
		p.seen.Put(sum, c)
	}
	return c, err
}
