package message

import (
	"errors"
	"fmt"
)

// An Edit is one change to a mail, as a value. Occurrences always count the
// fields of the mail as it was received, whatever other edits there are, and a
// field keeps its place even when it is dropped before it is set. Otherwise
// edits take effect in order; Message.Apply says exactly how.
type Edit interface{ edit() }

// AddField puts a field on top, above everything, as a trace field stands. Of
// several the last is topmost. It counts for no other edit.
type AddField struct{ Field Field }

// SetField leaves exactly one field of that name: the first is replaced in its
// place, the others go; where there is none it is added at the end.
type SetField struct{ Field Field }

// DropField removes one field.
type DropField struct {
	Name string
	// Occurrence counts the fields of that name from 1.
	Occurrence int
}

// ReplaceBody puts another body in the place of the old one. A verdict that
// holds it owns the body.
type ReplaceBody struct{ Body Body }

// DropRcpt removes a recipient from the envelope, AddRcpt adds one.
type (
	DropRcpt struct{ Address string }
	AddRcpt  struct{ Recipient Recipient }
)

// ReturnHeaders has a notice of what could not be delivered quote the header
// alone, whatever the sender asked for (RET=HDRS, RFC 3461 section 4.3). The
// rest of the envelope stays.
type ReturnHeaders struct{}

func (AddField) edit()      {}
func (SetField) edit()      {}
func (DropField) edit()     {}
func (ReplaceBody) edit()   {}
func (DropRcpt) edit()      {}
func (AddRcpt) edit()       {}
func (ReturnHeaders) edit() {}

// An Action is what becomes of a mail. The zero Action is Defer.
type Action int

const (
	Defer      Action = iota // answered 4xx: the peer tries again
	Accept                   // delivered, with the edits
	Reject                   // answered 5xx
	Discard                  // accepted and dropped
	Quarantine               // accepted with the edits and held by the MTA
)

func (a Action) String() string {
	switch a {
	case Defer:
		return "defer"
	case Accept:
		return "accept"
	case Reject:
		return "reject"
	case Discard:
		return "discard"
	case Quarantine:
		return "quarantine"
	}
	return fmt.Sprintf("action(%d)", int(a))
}

// A Reply is an SMTP answer (RFC 5321 section 4.2, RFC 3463). Its text reaches
// the other side: it never holds names of files or keys.
type Reply struct {
	Code     int    // 4xx or 5xx; 0 leaves it to the action
	Enhanced string // as "4.7.1"
	Text     string // for Quarantine: the reason
}

// A Verdict is what the gateway wants done with a mail.
type Verdict struct {
	Action Action
	Reply  Reply
	Edits  []Edit
}

// Close frees the bodies that the edits hold.
func (v Verdict) Close() error {
	var errs []error
	for _, e := range v.Edits {
		if b, ok := e.(ReplaceBody); ok {
			errs = append(errs, b.Body.Close())
		}
	}
	return errors.Join(errs...)
}
