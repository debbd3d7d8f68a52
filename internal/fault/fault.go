// Package fault is the one table of what the other side of an SMTP session is
// told when a mail cannot be taken: a kind of fault has a name for logs and
// metrics, a reply code (RFC 5321 section 4.2), an enhanced code (RFC 3463)
// and a text. The cause of a fault belongs into our log; the text of a kind is
// all that leaves the house.
package fault

import (
	"errors"
	"fmt"
)

// A Kind is a class of fault. It is an error, so that a cause can be wrapped
// together with it: fmt.Errorf("spool body: %w: %w", fault.Storage, err).
// The zero Kind is Internal, a temporary fault.
type Kind int

// The kinds.
const (
	Internal          Kind = iota // a fault of ours: panic, edit that cannot be sent, broken input
	Deferred                      // no decision now, by policy or because something needed is away
	Timeout                       // the decision took too long
	Storage                       // the spool is full or broken
	TooManyRecipients             // one envelope holds no more
	TooLarge                      // the mail passes a size limit
	Malformed                     // the mail passes a limit on structure, or cannot be read
	Rejected                      // refused by policy
)

// One row a kind and nothing about a reply anywhere else: a code and an
// enhanced code that are kept in step by hand in two places will differ.
var table = [...]struct {
	name     string
	code     int
	enhanced string
	text     string
}{
	Internal:          {"internal", 451, "4.3.0", "temporary failure, try again later"},
	Deferred:          {"deferred", 451, "4.7.1", "not decided yet, try again later"},
	Timeout:           {"timeout", 451, "4.3.0", "processing took too long, try again later"},
	Storage:           {"storage", 452, "4.3.1", "insufficient system storage, try again later"},
	TooManyRecipients: {"too-many-recipients", 452, "4.5.3", "too many recipients"},
	TooLarge:          {"too-large", 552, "5.3.4", "message too large"},
	Malformed:         {"malformed", 554, "5.6.0", "message cannot be processed as it is"},
	Rejected:          {"rejected", 550, "5.7.1", "message refused by policy"},
}

// Kinds returns all kinds, in the order of their numbers.
func Kinds() []Kind {
	all := make([]Kind, len(table))
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

func (k Kind) row() int {
	if k < 0 || int(k) >= len(table) {
		return int(Internal)
	}
	return int(k)
}

// String returns the kind's name, a word for logs and metrics.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(table) {
		return fmt.Sprintf("fault(%d)", int(k))
	}
	return table[k].name
}

// Error returns the name: a kind stands in errors as its name.
func (k Kind) Error() string { return k.String() }

// Reply returns what the other side is told. A number that is no kind is told
// as Internal.
func (k Kind) Reply() (code int, enhanced, text string) {
	r := table[k.row()]
	return r.code, r.enhanced, r.text
}

// Temporary reports whether the peer may try the same mail again.
func (k Kind) Temporary() bool { return table[k.row()].code < 500 }

// Of returns the kind that err wraps, or Internal.
func Of(err error) Kind {
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return Internal
}
