package pki

import (
	"crypto/sha256"
	"crypto/x509"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/recent"
)

// A Parser remembers so many certificates, and none that is larger: anybody may
// send some of a megabyte, and parsed they take up to eight times their size.
const (
	parserSize    = 1000
	maxRemembered = 4 << 10 // bytes; a certificate for mail has 1 to 3 KiB
)

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

// Parse is x5280.ParseX509: it takes valid certificates too that crypto/x509
// refuses. Nobody may change what it returns.
func (p *Parser) Parse(der []byte) (*x509.Certificate, error) {
	if len(der) > maxRemembered {
		return x5280.ParseX509(der)
	}
	sum := sha256.Sum256(der)
	if c, ok := p.seen.Get(sum); ok {
		return c, nil
	}
	c, err := x5280.ParseX509(der)
	if err == nil {
		p.seen.Put(sum, c)
	}
	return c, err
}
