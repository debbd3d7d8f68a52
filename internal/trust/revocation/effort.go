package revocation

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"mailseal/internal/pki/x5280"
)

// Bounds on what one mail has done. The work is what checks of signatures cost (see
// x509key.Cost). CRLs of the mail have their own, so that they cannot use up what the
// others need; and so have signers that are none of the path's: anybody may have sent
// their certificates, along with the mail or with what is fetched.
const (
	maxMailLists = 100     // CRLs of a mail that are looked at
	maxMailBytes = 8 << 20 // of them
	mailWork     = 50 * time.Millisecond
	sideWork     = 100 * time.Millisecond
	otherWork    = 100 * time.Millisecond
	maxSigners   = 16 // certificates that are tried as the signer of a CRL
	maxDepth     = 4  // issuers of CRLs whose certificates need CRLs, whose issuers...
	maxSearches  = 16 // issuers of CRLs that are none of a path's CAs
	maxFetches   = 12
	// maxCompared are names of CRLs of a mail and of distribution points: either can be
	// made as many as certificates and CRLs of a megabyte hold.
	maxCompared = 1 << 20
)

// An Effort bounds what all questions about one mail cost together, and knows what the
// first has parsed and fetched. It may be used by one goroutine.
type Effort struct {
	begun    bool              // the mail's CRLs have been parsed
	others   map[string][]list // CRLs besides the configured ones, by issuer
	more     bool              // there were more in the mail
	mail     time.Duration     // work left for CRLs of the mail
	side     time.Duration     // for others by signers who are none of a path's CAs
	work     time.Duration     // and by those
	searches int               // left
	compared int               // left, of maxCompared
	fetched  map[string]error  // by URL, and by what a responder was asked
	answered map[string][]byte // by what a responder was asked
	came     map[*known]download
}

// NewEffort is for a mail.
func NewEffort() *Effort {
	return &Effort{
		others: map[string][]list{}, mail: mailWork, side: sideWork, work: otherWork, searches: maxSearches, compared: maxCompared,
		fetched: map[string]error{}, answered: map[string][]byte{}, came: map[*known]download{},
	}
}

// A list is a CRL with where it is from.
type list struct {
	*known
	origin origin
}

type origin string

const (
	configured origin = "configured"
	mailed     origin = "came with the mail"
	fetched    origin = "fetched"
)

func (l list) String() string {
	s := fmt.Sprintf("CRL of %q of %s", l.Issuer, l.ThisUpdate.UTC().Format(time.DateTime))
	if l.Base != nil {
		s = "delta " + s
	}
	if l.Number != nil {
		s += ", number " + l.Number.String()
	}
	return s + " (" + string(l.origin) + ")"
}

// compare takes so many comparisons of names, if they are left.
func (e *Effort) compare(n int) bool {
	if n > e.compared {
		e.compared = 0
		return false
	}
	e.compared -= n
	return true
}

// addMail takes the CRLs that came with the mail. What is none says nothing.
func (k *checker) addMail() {
	left := maxMailBytes
	for i, der := range k.q.Mail {
		if left -= len(der); i == maxMailLists || left < 0 {
			k.more = true
			return
		}
		if l, err := k.parse(der); err == nil {
			k.add(list{l, mailed})
		}
	}
}

// parse reads a CRL in DER or PEM, unless it is known.
func (k *checker) parse(file []byte) (*known, error) {
	if l := k.memory.get(sha256.Sum256(file)); l != nil {
		return l, nil
	}
	all, err := x5280.ParseCRLs(file)
	if err != nil {
		return nil, err
	}
	if l := k.memory.get(sha256.Sum256(all[0].Raw)); l != nil { // it was PEM
		return l, nil
	}
	return &known{CRL: all[0]}, nil
}

// add takes a CRL, once.
func (k *checker) add(l list) {
	key := l.Issuer.Key()
	if !slices.ContainsFunc(k.lists(key), func(m list) bool { return string(m.Raw) == string(l.Raw) }) {
		k.others[key] = append(k.others[key], l)
	}
}

// lists are the CRLs of an issuer.
func (k *checker) lists(issuer string) (all []list) {
	if k.q.Local != nil {
		for _, l := range k.q.Local.byIssuer[issuer] {
			all = append(all, list{l, configured})
		}
	}
	return append(all, k.others[issuer]...)
}
