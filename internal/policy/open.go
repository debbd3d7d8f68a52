package policy

import (
	"fmt"
	"slices"

	"mailseal/internal/mailaddr"
)

// An OpenPlan is what is to be done with an inbound mail before anybody knows
// what is in it. The zero OpenPlan leaves it as it is.
type OpenPlan struct {
	// Verify asks what the mail's signature is worth.
	Verify bool
	// Decrypt asks to open it, if each of For may have it.
	Decrypt bool
	For     []mailaddr.Address
	// Closed is why it is not to be opened, "" where it is.
	Closed Closed
	// Why is that in words.
	Why string
}

// Closed is why an encrypted mail stays as it came, in one word for our log.
type Closed string

const (
	// ClosedOff: the configuration says so.
	ClosedOff Closed = "off"
	// ClosedOutside: not all recipients are in local domains.
	ClosedOutside Closed = "outside"
	// ClosedForeign: there is no key for it here that serves its recipients.
	ClosedForeign Closed = "not-for-us"
	// ClosedMixed: it would open for some of its recipients and not for others.
	ClosedMixed Closed = "mixed"
	// ClosedLimited: too many mails of this client could not be decrypted.
	ClosedLimited Closed = "limited"
)

// Open says what of an inbound mail is to be opened. A mail has one body for all
// of its recipients: it is opened only if it may be for each of them. Whoever
// hands a captured mail in again, for himself or besides for those whom it was
// for, and whoever is to get it forwarded, gets it as it came.
func (s *Set) Open(f Facts) OpenPlan {
	if d, _ := s.direction(f); d != Inbound {
		return OpenPlan{}
	}
	p := OpenPlan{Verify: true}
	if !s.Decrypt {
		p.Closed, p.Why = ClosedOff, "decryption is off"
		return p
	}
	stranger := slices.IndexFunc(f.Recipients, func(a mailaddr.Address) bool { return !mailaddr.In(a.Domain, s.LocalDomains) })
	switch {
	case f.RecipientProblem != "":
		p.Closed, p.Why = ClosedOutside, f.RecipientProblem
	case len(f.Recipients) == 0:
		p.Closed, p.Why = ClosedOutside, "mail has no recipient"
	case stranger >= 0:
		p.Closed, p.Why = ClosedOutside, fmt.Sprintf("recipient %s is not of a local domain", f.Recipients[stranger])
	default:
		p.Decrypt, p.For = true, f.Recipients
	}
	return p
}

// A Treatment is what becomes of a mail whose signature or encryption is not as
// it should be. The zero Treatment delivers it. They are ordered by how much
// they hold back.
type Treatment int

const (
	Deliver Treatment = iota
	Tag               // delivered with words in front of its subject
	Quarantine
	Reject
)

func (t Treatment) String() string {
	switch t {
	case Deliver:
		return "deliver"
	case Tag:
		return "tag"
	case Quarantine:
		return "quarantine"
	case Reject:
		return "reject"
	}
	return fmt.Sprintf("treatment(%d)", int(t))
}

// Findings is what is known of an inbound mail in the end.
type Findings struct {
	// BadSignature: the mail is signed, and not so that it could be believed.
	BadSignature bool
	// Unopened: it is encrypted, all its recipients are ours, and it was not
	// opened, for whatever reason.
	Unopened bool
}

// An Ending is what becomes of an inbound mail.
type Ending struct {
	Treatment Treatment
	// Tags go in front of the subject, the first one foremost.
	Tags []string
	Why  []string
}

// End says what becomes of an inbound mail: what holds it back most.
func (s *Set) End(f Findings) Ending {
	var e Ending
	add := func(is bool, t Treatment, tag, why string) {
		if !is || t == Deliver {
			return
		}
		e.Treatment = max(e.Treatment, t)
		e.Why = append(e.Why, why+" = "+t.String())
		if t == Tag && tag != "" {
			e.Tags = append(e.Tags, tag)
		}
	}
	add(f.BadSignature, s.OnVerifyFail, s.VerifyFailTag, "on_verify_fail")
	add(f.Unopened, s.OnDecryptFail, s.DecryptFailTag, "on_decrypt_fail")
	return e
}

// OwnTags are the words that nobody but us may put into a subject.
func (s *Set) OwnTags() []string {
	tags := slices.Clone(s.SubjectTags)
	for _, t := range []string{s.VerifyFailTag, s.DecryptFailTag} {
		if t != "" && !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	return tags
}
