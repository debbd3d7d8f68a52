package ca

import (
	"bufio"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// An entry is one line of index.txt: six columns, parted by tabs.
type entry struct {
	status  string // V valid, R revoked, E expired
	expiry  string
	revoked string // date[,reason[,more]]; empty when valid
	serial  string
	file    string // "unknown" always
	subject string // see oneline: for reading, and for unique_subject
}

func newEntry(cert *x509.Certificate) (entry, error) {
	subject, err := oneline(cert.RawSubject)
	return entry{status: "V", expiry: indexTime(cert.NotAfter), serial: serialHex(cert.SerialNumber), file: "unknown", subject: subject}, err
}

// line writes the entry. A tab inside a column gets a backslash before it.
func (e entry) line() string {
	columns := []string{e.status, e.expiry, e.revoked, e.serial, e.file, e.subject}
	for i, c := range columns {
		columns[i] = strings.ReplaceAll(c, "\t", "\\\t")
	}
	return strings.Join(columns, "\t") + "\n"
}

// indexTime writes a time as ASN.1 does: with two digits of the year up to
// 2049, with four beyond (RFC 5280 section 4.1.2.5).
func indexTime(t time.Time) string {
	if t = t.UTC(); t.Year() < 2050 {
		return t.Format("060102150405Z")
	}
	return t.Format("20060102150405Z")
}

// readIndex calls f for every entry of an index file, in order.
func readIndex(r io.Reader, name string, f func(entry) error) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for n := 1; scanner.Scan(); n++ {
		line := scanner.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseEntry(line)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return scanner.Err()
}

func parseEntry(line string) (entry, error) {
	columns := strings.Split(line, "\t")
	// A tab that is part of a value has a backslash before it.
	for i := 0; i < len(columns)-1; {
		if c := columns[i]; strings.HasSuffix(c, "\\") {
			columns[i] = strings.TrimSuffix(c, "\\") + "\t" + columns[i+1]
			columns = append(columns[:i+1], columns[i+2:]...)
			continue
		}
		i++
	}
	if len(columns) != 6 {
		return entry{}, fmt.Errorf("%d columns; want 6, parted by tabs", len(columns))
	}
	e := entry{columns[0], columns[1], columns[2], columns[3], columns[4], columns[5]}
	if e.status != "V" && e.status != "R" && e.status != "E" {
		return entry{}, fmt.Errorf("status %q; want V, R or E", e.status)
	}
	return e, nil
}

// eachEntry reads the folder's index.txt.
func (c *CA) eachEntry(f func(entry) error) error {
	file, err := os.Open(c.path(indexFile))
	if err != nil {
		return err
	}
	defer file.Close()
	return readIndex(file, c.path(indexFile), f)
}

// checkUnique refuses a second valid certificate for a subject in a folder
// that wants them unique. In those that Init makes this costs nothing.
func (c *CA) checkUnique(cert *x509.Certificate) error {
	unique, err := c.uniqueSubject()
	if err != nil || !unique {
		return err
	}
	wanted, err := newEntry(cert)
	if err != nil {
		return err
	}
	return c.eachEntry(func(e entry) error {
		if e.status == "V" && e.subject == wanted.subject {
			return fmt.Errorf("%s already has the certificate %s, and %s says unique_subject = yes; revoke that one first", e.subject, e.serial, attrFile)
		}
		return nil
	})
}

// uniqueSubject reads index.txt.attr. OpenSSL takes an absent file or key for
// yes, and for yes whatever begins with y, t or 1.
func (c *CA) uniqueSubject() (bool, error) {
	b, err := os.ReadFile(c.path(attrFile))
	if os.IsNotExist(err) {
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
