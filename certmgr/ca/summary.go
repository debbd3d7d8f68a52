package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"mailseal/certmgr/ca/index"
)

// A Summary is what people want to know of a CA: `mailseal ca show`.
type Summary struct {
	Dir       string    `json:"dir"`
	Subject   string    `json:"subject"`
	Memo      string    `json:"memo,omitempty"`
	URL       string    `json:"url,omitempty"`
	Key       string    `json:"key"` // as "RSA 2048"
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Days      int       `json:"days"` // from begin to end
	DaysLeft  int       `json:"days_left"`
	YearsLeft float64   `json:"years_left"`
	// SHA256 and SHA1 are fingerprints of the certificate, as people compare
	// them: pairs of digits with colons between.
	SHA256 string `json:"sha256"`
	SHA1   string `json:"sha1"`
	// Issuer is "" for a root.
	Issuer      string   `json:"issuer,omitempty"`
	PermitDNS   []string `json:"permit_dns,omitempty"`
	PermitEmail []string `json:"permit_email,omitempty"`
	// Valid, Expired and Revoked are how many certificates are that.
	Valid   int `json:"valid"`
	Expired int `json:"expired"`
	Revoked int `json:"revoked"`
	// CRLEnds is the nextUpdate of the list, zero where there is none.
	CRLEnds time.Time `json:"crl_ends,omitzero"`
	// Notes are what somebody should put right.
	Notes []string `json:"notes,omitempty"`
}

// Summary tells about the CA itself.
func (c *CA) Summary() (Summary, error) {
	a, err := c.refresh()
	if err != nil {
		return Summary{}, fmt.Errorf("show: %w", err)
	}
	now, cert := c.now(), a.cert
	sha := sha1.Sum(cert.Raw)
	subject, err := index.Oneline(cert.RawSubject)
	if err != nil {
		return Summary{}, fmt.Errorf("show: %w", err)
	}
	s := Summary{
		Dir: c.dir, Subject: index.Readable(subject), Memo: a.settings.Memo, URL: a.settings.URL,
		Key: describeKey(cert.PublicKey), Serial: index.Serial(cert.SerialNumber), NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		Days: wholeDays(cert.NotBefore, cert.NotAfter), DaysLeft: daysLeft(cert.NotAfter, now),
		SHA256: fingerprint(cert), SHA1: colons(sha[:]), PermitDNS: cert.PermittedDNSDomains, PermitEmail: cert.PermittedEmailAddresses,
	}
	s.YearsLeft = float64(s.DaysLeft) / 365.25
	if len(a.chain) > 0 {
		issuer, err := index.Oneline(cert.RawIssuer)
		if err != nil {
			return s, fmt.Errorf("show: %w", err)
		}
		s.Issuer = index.Readable(issuer)
	}
	list, err := c.List(Query{})
	if err != nil {
		return s, err
	}
	for _, r := range list {
		switch r.Status {
		case Valid:
			s.Valid++
		case Expired:
			s.Expired++
		case Revoked:
			s.Revoked++
		}
	}
	if list, err := c.readCRL(); err == nil {
		s.CRLEnds = list.NextUpdate
	}
	if n := c.elsewhere(); n != "" {
		s.Notes = append(s.Notes, n)
	}
	return s, nil
}

// elsewhere says where the openssl command would work that is given the
// openssl.cnf of a folder that was copied: its dir is absolute.
func (c *CA) elsewhere() string {
	text, err := os.ReadFile(c.path(confFile))
	if err != nil {
		return "" // then openssl works nowhere
	}
	dir, ok := dirOf(string(text))
	if !ok || dir == c.dir {
		return ""
	}
	there, err := os.Stat(dir)
	here, herr := os.Stat(c.dir)
	if err == nil && herr == nil && os.SameFile(there, here) {
		return ""
	}
	return fmt.Sprintf("%s makes openssl ca work in %s; mailseal ca import -dir %s makes it anew", confFile, dir, c.dir)
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return colons(sum[:])
}

func colons(b []byte) string {
	pairs := make([]string, len(b))
	for i, c := range b {
		pairs[i] = fmt.Sprintf("%02X", c)
	}
	return strings.Join(pairs, ":")
}

func describeKey(pub crypto.PublicKey) string {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", pub.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + pub.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", pub)
}
