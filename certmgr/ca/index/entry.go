// Package index is openssl ca's database of certificates, index.txt: a line
// a certificate with six columns parted by tabs (the CA database format of
// OpenSSL 3, crypto/txt_db).
//
//	V  271121203127Z                                01  unknown  /C=JP/CN=mx.example.jp
//	R  271121203127Z  261121203127Z,keyCompromise   02  unknown  /CN=old.example.jp
//
// Lines are checked as openssl ca does before it works on a file, so that what
// is read here and what is written here is good there too.
package index

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// A Status is what the first column says. It does not follow the clock: a
// certificate that has ended stays Valid until somebody writes Expired.
type Status byte

// The three of them.
const (
	Valid   Status = 'V'
	Revoked Status = 'R'
	Expired Status = 'E'
)

// An Entry is one line, as it stands in the file.
type Entry struct {
	Status     Status
	Expiry     string // see Time
	Revocation string // see ParseRevocation; empty unless revoked
	Serial     string // see Serial
	File       string // "unknown" always
	Subject    string // see Oneline: for reading, and for unique_subject
}

// New is the entry of a certificate that is valid.
func New(cert *x509.Certificate) (Entry, error) {
	subject, err := Oneline(cert.RawSubject)
	return Entry{Status: Valid, Expiry: Time(cert.NotAfter), Serial: Serial(cert.SerialNumber), File: "unknown", Subject: subject}, err
}

// Line writes the entry. A tab inside a column gets a backslash before it.
func (e Entry) Line() string {
	columns := []string{string(rune(e.Status)), e.Expiry, e.Revocation, e.Serial, e.File, e.Subject}
	for i, c := range columns {
		columns[i] = strings.ReplaceAll(c, "\t", "\\\t")
	}
	return strings.Join(columns, "\t") + "\n"
}

// NotAfter is when the certificate ends.
func (e Entry) NotAfter() time.Time {
	t, _ := parseTime(e.Expiry) // Parse has looked at it
	return t
}

// Parse reads one line, without the newline.
func Parse(line string) (Entry, error) {
	columns, err := split(line)
	if err != nil {
		return Entry{}, err
	}
	if len(columns[0]) != 1 || strings.Trim(columns[0], "VRE") != "" {
		return Entry{}, fmt.Errorf("status %q; want V, R or E", columns[0])
	}
	e := Entry{Status(columns[0][0]), columns[1], columns[2], columns[3], columns[4], columns[5]}
	if _, err := scanTime(e.Expiry); err != nil {
		return Entry{}, fmt.Errorf("end %w", err)
	}
	if err := checkSerial(e.Serial); err != nil {
		return Entry{}, err
	}
	if e.Status != Revoked {
		if e.Revocation != "" {
			return Entry{}, fmt.Errorf("status %c with a revocation, %q", e.Status, e.Revocation)
		}
		return e, nil
	}
	_, err = ParseRevocation(e.Revocation)
	return e, err
}

// split finds the columns. A tab that is part of a value has a backslash
// before it.
func split(line string) ([6]string, error) {
	var columns [6]string
	n, from, escaped := 0, 0, false
	for i := 0; ; i++ {
		next := strings.IndexByte(line[i:], '\t')
		if next < 0 {
			break
		}
		if i += next; i > 0 && line[i-1] == '\\' {
			escaped = true
			continue
		}
		if n < 5 {
			columns[n] = line[from:i]
		}
		n, from = n+1, i+1
	}
	if n != 5 {
		return columns, fmt.Errorf("%d columns; want 6, parted by tabs", n+1)
	}
	columns[5] = line[from:]
	if escaped {
		for i, c := range columns {
			columns[i] = strings.ReplaceAll(c, "\\\t", "\t")
		}
	}
	return columns, nil
}

// Serial writes a serial as the database has it: capital hexadecimal digits,
// an even number of them.
func Serial(serial *big.Int) string {
	b := serial.Bytes()
	if len(b) == 0 {
		b = []byte{0}
	}
	return strings.ToUpper(hex.EncodeToString(b))
}

// ParseSerial reads a serial as people write it: hexadecimal digits of either
// case, perhaps with colons between or 0x before.
func ParseSerial(s string) (*big.Int, error) {
	digits := strings.ReplaceAll(s, ":", "")
	if after, ok := strings.CutPrefix(digits, "0x"); ok {
		digits = after
	}
	if digits == "" || len(digits) > 2*maxSerial || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
		return nil, fmt.Errorf("serial number %q: want up to %d hexadecimal digits", s, 2*maxSerial)
	}
	n, _ := new(big.Int).SetString(digits, 16)
	return n, nil
}

const maxSerial = 32 // octets; RFC 5280 section 4.1.2.2 has 20, old CAs may have more

var isHex = func() (is [256]bool) {
	for _, c := range "0123456789ABCDEFabcdef" {
		is[c] = true
	}
	return is
}()

func checkSerial(s string) error {
	if len(s) == 0 || len(s)%2 != 0 || len(s) > 2*maxSerial {
		return fmt.Errorf("serial number %q; want an even number of hexadecimal digits", s)
	}
	for i := range len(s) {
		if !isHex[s[i]] {
			return fmt.Errorf("serial number %q; want hexadecimal digits", s)
		}
	}
	return nil
}

// Time writes a time as ASN.1 does: with two digits of the year up to 2049,
// with four beyond (RFC 5280 section 4.1.2.5).
func Time(t time.Time) string {
	if t = t.UTC(); t.Year() < 2050 && t.Year() >= 1950 {
		return t.Format("060102150405Z")
	}
	return t.Format("20060102150405Z")
}

// parseTime reads what Time writes. Other forms of ASN.1 have no place in a
// certificate.
func parseTime(s string) (time.Time, error) {
	n, err := scanTime(s)
	if err != nil {
		return time.Time{}, err
	}
	return time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC), nil
}

// scanTime reads a time's six numbers. Every line has one or two: nothing is
// made of them here.
func scanTime(s string) ([6]int, error) {
	var n [6]int
	digits, ok := strings.CutSuffix(s, "Z")
	if !ok || (len(digits) != 12 && len(digits) != 14) {
		return n, fmt.Errorf("%q; want YYMMDDHHMMSSZ, or YYYYMMDDHHMMSSZ", s)
	}
	short := len(digits) == 12
	for i := range len(digits) {
		c := digits[i] - '0'
		if c > 9 {
			return n, fmt.Errorf("%q; want digits and Z", s)
		}
		at := i / 2
		if !short {
			at = max(0, at-1)
		}
		n[at] = 10*n[at] + int(c)
	}
	if short {
		if n[0] += 1900; n[0] < 1950 {
			n[0] += 100
		}
	}
	if n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > daysIn(n[0], n[1]) || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return n, fmt.Errorf("%q; there is no such instant", s)
	}
	return n, nil
}

func daysIn(year, month int) int {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

// each calls do for every line of an index with its number, comments left out.
// A last line without its newline is an error.
func each(path, text string, do func(n int, line string) error) error {
	for n := 1; text != ""; n++ {
		line, rest, ended := strings.Cut(text, "\n")
		text = rest
		if !ended {
			return fmt.Errorf("%s:%d: the last line has no end; mend it", path, n)
		}
		if err := do(n, line); err != nil {
			return err
		}
	}
	return nil
}

// parseLines calls do for every entry. All entries share the text's memory.
func parseLines(path, text string, do func(Entry) error) error {
	return each(path, text, func(n int, line string) error {
		if strings.HasPrefix(line, "#") {
			return nil
		}
		e, err := Parse(line)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
		return do(e)
	})
}
