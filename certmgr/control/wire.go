package control

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"time"

	"mailseal/certmgr/ca"
)

// What goes over the socket. Words stand for numbers that another version may
// count differently.

type nothing struct{}

// A hello is what Connect asks for.
type hello struct {
	Chain [][]byte `json:"chain"` // of the CA, in DER
}

type serialAsked struct {
	Serial string `json:"serial"`
}

// maxSerial is more than any serial has in digits and colons. Longer ones do
// not get as far as the audit file.
const maxSerial = 128

type listAsked struct {
	Status  ca.Status     `json:"status,omitempty"`
	Text    string        `json:"text,omitempty"`
	Serial  string        `json:"serial,omitempty"`
	Within  time.Duration `json:"within,omitempty"`
	Profile string        `json:"profile,omitempty"`
	Details bool          `json:"details,omitempty"`
	Sort    ca.Order      `json:"sort,omitempty"`
	Reverse bool          `json:"reverse,omitempty"`
}

func askList(q ca.Query) listAsked {
	return listAsked{q.Status, q.Text, q.Serial, q.Within, profileName(q.Profile), q.Details, q.Sort, q.Reverse}
}

func (l listAsked) query() (q ca.Query, err error) {
	q = ca.Query{Text: l.Text, Serial: l.Serial, Within: l.Within, Details: l.Details, Reverse: l.Reverse}
	var serr, oerr error
	q.Status, serr = ca.ParseStatus(string(l.Status))
	q.Sort, oerr = ca.ParseOrder(string(l.Sort))
	q.Profile, err = parseProfile(l.Profile)
	return q, errors.Join(serr, oerr, err)
}

type shown struct {
	ca.Record
	Certificate []byte `json:"certificate,omitempty"`
}

type issueAsked struct {
	Profile     string       `json:"profile"`
	Subject     ca.Subject   `json:"subject"`
	Emails      []string     `json:"emails,omitempty"`
	Hosts       []string     `json:"hosts,omitempty"`
	Addresses   []netip.Addr `json:"addresses,omitempty"`
	Authority   ca.Authority `json:"authority,omitempty"`
	PermitDNS   []string     `json:"permit_dns,omitempty"`
	PermitEmail []string     `json:"permit_email,omitempty"`
	Days        int          `json:"days,omitempty"`
	CSR         []byte       `json:"csr,omitempty"`
	PublicKey   []byte       `json:"public_key,omitempty"` // SubjectPublicKeyInfo
	Key         string       `json:"key,omitempty"`
	Memo        string       `json:"memo,omitempty"`
}

func askIssue(r ca.Request) (issueAsked, error) {
	a := issueAsked{profileName(r.Profile), r.Subject, r.Emails, r.Hosts, r.Addresses, r.Authority, r.PermitDNS, r.PermitEmail,
		r.Days, r.CSR, nil, r.Key.String(), r.Memo}
	var err error
	if r.PublicKey != nil {
		a.PublicKey, err = x509.MarshalPKIXPublicKey(r.PublicKey)
	}
	return a, err
}

func (a issueAsked) request() (r ca.Request, err error) {
	r = ca.Request{Subject: a.Subject, Emails: a.Emails, Hosts: a.Hosts, Addresses: a.Addresses, Authority: a.Authority,
		PermitDNS: a.PermitDNS, PermitEmail: a.PermitEmail, Days: a.Days, CSR: a.CSR, Memo: a.Memo}
	var perr, kerr error
	r.Profile, perr = parseProfile(a.Profile)
	r.Key, kerr = parseKey(a.Key)
	if a.PublicKey != nil {
		r.PublicKey, err = x509.ParsePKIXPublicKey(a.PublicKey)
	}
	return r, errors.Join(perr, kerr, err)
}

type renewAsked struct {
	Serial  string `json:"serial"`
	SameKey bool   `json:"same_key,omitempty"`
	Key     string `json:"key,omitempty"`
	CSR     []byte `json:"csr,omitempty"`
	Days    int    `json:"days,omitempty"`
	Memo    string `json:"memo,omitempty"`
	Profile string `json:"profile,omitempty"`
}

func askRenew(r ca.Renewal) renewAsked {
	return renewAsked{r.Serial, r.SameKey, r.Key.String(), r.CSR, r.Days, r.Memo, profileName(r.Profile)}
}

func (a renewAsked) renewal() (r ca.Renewal, err error) {
	r = ca.Renewal{Serial: a.Serial, SameKey: a.SameKey, CSR: a.CSR, Days: a.Days, Memo: a.Memo}
	var kerr error
	r.Key, kerr = parseKey(a.Key)
	r.Profile, err = parseProfile(a.Profile)
	return r, errors.Join(kerr, err)
}

// previewed is a Preview with the profile by its name.
type previewed struct {
	Profile  string    `json:"profile"`
	Subject  string    `json:"subject"`
	Names    []string  `json:"names"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Days     int       `json:"days"`
	Warnings []string  `json:"warnings,omitempty"`
}

type issued struct {
	Certificate []byte   `json:"certificate"`
	Key         []byte   `json:"key,omitempty"` // PKCS #8, to root alone
	Chain       [][]byte `json:"chain,omitempty"`
	Warnings    []string `json:"warnings,omitempty"`
}

func tellIssued(i *ca.Issued) (issued, error) {
	a := issued{Certificate: i.Certificate.Raw, Chain: raw(i.Chain), Warnings: i.Warnings}
	var err error
	if i.Key != nil {
		a.Key, err = x509.MarshalPKCS8PrivateKey(i.Key)
	}
	return a, err
}

func (a issued) issued() (*ca.Issued, error) {
	i := &ca.Issued{Warnings: a.Warnings}
	var err, kerr, cerr error
	i.Certificate, err = x509.ParseCertificate(a.Certificate)
	i.Chain, cerr = parse(a.Chain)
	if a.Key != nil {
		var key any
		if key, kerr = x509.ParsePKCS8PrivateKey(a.Key); kerr == nil {
			i.Key, _ = key.(crypto.Signer)
		}
	}
	return i, errors.Join(err, kerr, cerr)
}

type revokeAsked struct {
	Serial string    `json:"serial"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
}

func (a revokeAsked) revocation() (r ca.Revocation, err error) {
	if len(a.Serial) > maxSerial {
		return r, fmt.Errorf("serial of %d characters: want up to %d", len(a.Serial), maxSerial)
	}
	r = ca.Revocation{Serial: a.Serial, Since: a.Since}
	if a.Reason != "" {
		r.Reason, err = ca.ParseReason(a.Reason)
	}
	return r, err
}

type crlAsked struct {
	Days int `json:"days,omitempty"`
}

type crl struct {
	Number     *big.Int  `json:"number"`
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update"`
	Revoked    int       `json:"revoked"`
	DER        []byte    `json:"der"`
}

func tellCRL(l *ca.CRL) crl { return crl{l.Number, l.ThisUpdate, l.NextUpdate, l.Revoked, l.DER} }

func (l crl) crl() *ca.CRL {
	return &ca.CRL{Number: l.Number, ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Revoked: l.Revoked, DER: l.DER}
}

type renewedCRL struct {
	List *crl `json:"list,omitempty"` // none where none was due
}

type dueAt struct {
	At time.Time `json:"at"`
}

func profileName(p ca.Profile) string {
	if p == 0 {
		return ""
	}
	return p.String()
}

func parseProfile(s string) (ca.Profile, error) {
	if s == "" {
		return 0, nil
	}
	return ca.ParseProfile(s)
}

func parseKey(s string) (ca.KeyKind, error) {
	if s == "" {
		return 0, nil
	}
	return ca.ParseKeyKind(s)
}

func raw(certs []*x509.Certificate) [][]byte {
	var all [][]byte
	for _, c := range certs {
		all = append(all, c.Raw)
	}
	return all
}

func parse(all [][]byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, der := range all {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}
