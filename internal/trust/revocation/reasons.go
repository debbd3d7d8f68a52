package revocation

import "fmt"

// A stage is how far the check of a CRL came. What failed last is what a postmaster is
// told.
type stage int

const (
	absence stage = iota + 1
	onlyDelta
	scope
	signature
	signer
	staleness
	flaw
	partly
)

// reasons are why a status is unknown.
type reasons struct {
	stage stage
	text  string
	more  string
}

func (r *reasons) add(s stage, format string, args ...any) {
	if s > r.stage {
		r.stage, r.text = s, fmt.Sprintf(format, args...)
	}
}

func (r reasons) String() string {
	if r.more != "" {
		return r.text + "; " + r.more
	}
	return r.text
}

// A refusal is why a CRL does not count.
type refusal struct {
	stage stage
	text  string
	spent bool // for lack of work it was not looked at
}
