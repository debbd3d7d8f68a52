package ca

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"mailseal/certmgr/ca/index"
)

// A Status is what a certificate is at one instant.
type Status string

// What it can be. A revoked one stays revoked when it has ended.
const (
	Valid   Status = "valid"
	Expired Status = "expired"
	Revoked Status = "revoked"
)

// ParseStatus reads a status. An empty one is any.
func ParseStatus(s string) (Status, error) {
	switch st := Status(s); st {
	case "", Valid, Expired, Revoked:
		return st, nil
	}
	return "", fmt.Errorf("status %q: want valid, expired or revoked", s)
}

// A Record is one certificate as List tells it.
type Record struct {
	Serial   string    `json:"serial"`
	Status   Status    `json:"status"`
	Subject  string    `json:"subject"` // as index.txt has it, readable
	NotAfter time.Time `json:"not_after"`
	// DaysLeft are whole days; below zero it has ended.
	DaysLeft int       `json:"days_left"`
	Revoked  time.Time `json:"revoked,omitzero"`
	Reason   string    `json:"reason,omitempty"`
	// Details are there where Query.Details asks for them, and in what Show
	// and Revoke return.
	Details
}

// A Query says which certificates List returns. The zero Query is all of
// them, in the order in which they were issued.
type Query struct {
	Status Status // "" for any
	// Text is looked for in subject, names and memo, whatever the case.
	Text string
	// Serial is how a serial begins.
	Serial string
	// Within keeps those that are valid and end in this time. So does
	// Profile with those of a profile.
	Within  time.Duration
	Profile Profile
	// Details are read from a file a certificate, which takes longer. Text
	// and Profile need them all.
	Details bool
	Sort    Order
	Reverse bool
}

// An Order is how a list is sorted.
type Order string

// The orders. The zero Order is that of index.txt.
const (
	ByIssue   Order = ""
	ByEnd     Order = "end"
	BySubject Order = "subject"
	BySerial  Order = "serial"
)

// ParseOrder reads an order's name.
func ParseOrder(s string) (Order, error) {
	switch o := Order(s); o {
	case ByIssue, ByEnd, BySubject, BySerial:
		return o, nil
	case "issue":
		return ByIssue, nil
	}
	return "", fmt.Errorf("order %q: want issue, end, subject or serial", s)
}

// List returns the certificates that a query is about.
func (c *CA) List(q Query) ([]Record, error) {
	list, _, err := c.Page(q, 0, 0)
	return list, err
}

// Page returns a part of a list: up to limit certificates behind the first
// offset, 0 for all, and how many there are in all. Details are read for these
// alone, unless all have to be searched for Text or Profile.
func (c *CA) Page(q Query, offset, limit int) (page []Record, total int, err error) {
	lock, err := c.reading()
	if err != nil {
		return nil, 0, fmt.Errorf("list: %w", err)
	}
	defer lock.Close()
	list, err := c.query(q)
	if err != nil {
		return nil, 0, fmt.Errorf("list: %w", err)
	}
	sortRecords(list, q.Sort)
	if q.Reverse {
		slices.Reverse(list)
	}
	total = len(list)
	page = list[min(max(offset, 0), total):]
	if limit > 0 && len(page) > limit {
		page = page[:limit]
	}
	if !q.Details || q.searches() {
		return page, total, nil
	}
	for i := range page {
		if page[i].Details, err = c.detailsOf(page[i].Serial); err != nil {
			return nil, 0, fmt.Errorf("list: %w", err)
		}
	}
	return page, total, nil
}

// searches reports whether details decide.
func (q Query) searches() bool { return q.Text != "" || q.Profile != 0 }

// query is what a query is about, in the order of index.txt.
func (c *CA) query(q Query) ([]Record, error) {
	now := c.now()
	serial := strings.ToUpper(strings.ReplaceAll(q.Serial, ":", ""))
	text := strings.ToLower(q.Text)
	var list []Record
	err := c.index.Each(func(e index.Entry) error {
		r := newRecord(e, now)
		if (q.Status != "" && r.Status != q.Status) || !begins(r.Serial, serial) ||
			(q.Within > 0 && (r.Status != Valid || r.NotAfter.After(now.Add(q.Within)))) {
			return nil
		}
		if q.searches() {
			var err error
			if r.Details, err = c.detailsOf(e.Serial); err != nil {
				return err
			}
			if !r.matches(text) || (q.Profile != 0 && r.Profile != q.Profile.String()) {
				return nil
			}
		}
		list = append(list, r)
		return nil
	})
	return list, err
}

// begins reports whether a serial begins so. Some print it without the zero that
// makes its digits even.
func begins(serial, with string) bool {
	return strings.HasPrefix(serial, with) || strings.HasPrefix(strings.TrimPrefix(serial, "0"), with)
}

func sortRecords(list []Record, o Order) {
	switch o {
	case ByEnd:
		slices.SortStableFunc(list, func(a, b Record) int { return a.NotAfter.Compare(b.NotAfter) })
	case BySubject:
		slices.SortStableFunc(list, func(a, b Record) int { return cmp.Compare(strings.ToLower(a.Subject), strings.ToLower(b.Subject)) })
	case BySerial:
		slices.SortStableFunc(list, func(a, b Record) int {
			return cmp.Or(cmp.Compare(len(a.Serial), len(b.Serial)), cmp.Compare(a.Serial, b.Serial))
		})
	}
}

func (r Record) matches(text string) bool {
	if text == "" || strings.Contains(strings.ToLower(r.Subject), text) || strings.Contains(strings.ToLower(r.Memo), text) {
		return true
	}
	return slices.ContainsFunc(r.Names, func(n string) bool { return strings.Contains(strings.ToLower(n), text) })
}

func newRecord(e index.Entry, now time.Time) Record {
	end := e.NotAfter()
	r := Record{Serial: e.Serial, Status: Valid, Subject: index.Readable(e.Subject), NotAfter: end, DaysLeft: daysLeft(end, now)}
	switch {
	case e.Status == index.Revoked:
		revocation, _ := index.ParseRevocation(e.Revocation) // it was read before
		r.Status, r.Revoked = Revoked, revocation.At
		if revocation.Reason != Unspecified {
			r.Reason = revocation.Reason.String()
		}
	case end.Before(now):
		r.Status = Expired
	}
	return r
}

func daysLeft(end, now time.Time) int { return int(math.Floor(end.Sub(now).Hours() / 24)) }

// detailsOf reads what is known of a certificate; of one that openssl ca
// issued, what stands in it.
func (c *CA) detailsOf(serial string) (Details, error) {
	n, err := index.ParseSerial(serial)
	if err != nil {
		return Details{}, err
	}
	d, err := c.details(n)
	if err != nil || d.Profile != "" {
		return d, err
	}
	cert, err := readCertificate(c.newCert(n, "pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	d.Names = namesOf(cert)
	if p, err := profileOf(cert); err == nil {
		d.Profile = p.String()
	}
	return d, nil
}

func namesOf(cert *x509.Certificate) []string {
	names := append(slices.Clone(cert.EmailAddresses), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func (c *CA) recordOf(e index.Entry) (Record, error) {
	r := newRecord(e, c.now())
	var err error
	r.Details, err = c.detailsOf(e.Serial)
	return r, err
}

// Shown is one certificate with what is known of it.
type Shown struct {
	Record
	// Certificate is nil where newcerts has lost it.
	Certificate *x509.Certificate
}

// Show finds a certificate by its serial. The error is ErrNotFound where there
// is none.
func (c *CA) Show(serial string) (Shown, error) {
	lock, err := c.reading()
	if err != nil {
		return Shown{}, fmt.Errorf("show: %w", err)
	}
	defer lock.Close()
	e, err := c.find(serial)
	if err != nil {
		return Shown{}, fmt.Errorf("show: %w", err)
	}
	r, err := c.recordOf(e)
	if err != nil {
		return Shown{}, fmt.Errorf("show: %w", err)
	}
	cert, err := readCertificate(c.newCert(mustSerial(e.Serial), "pem"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Shown{}, fmt.Errorf("show: %w", err)
	}
	return Shown{r, cert}, nil
}

// mustSerial reads a serial that was read from index.txt.
func mustSerial(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 16)
	return n
}
