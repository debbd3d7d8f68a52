package message

import "fmt"

// Limits bound what one mail may cost. A zero field is the default.
type Limits struct {
	// Depth is how deep parts may be nested (32), Parts how many there may
	// be besides the root (1000).
	Depth, Parts int
	// Header is the greatest size of one entity's header in bytes (1 MiB),
	// and Fields how many fields it may have (10000). The headers of all
	// parts together may have four times either.
	Header int64
	Fields int
}

func (l Limits) withDefaults() Limits {
	if l.Depth <= 0 {
		l.Depth = 32
	}
	if l.Parts <= 0 {
		l.Parts = 1000
	}
	if l.Header <= 0 {
		l.Header = 1 << 20
	}
	if l.Fields <= 0 {
		l.Fields = 10000
	}
	return l
}

// A LimitError says which bound of Limits a mail passed.
type LimitError struct {
	Bound string // one of the Bound constants
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("mail has more than %d %s", e.Limit, e.Bound)
}

// The bounds that a LimitError names.
const (
	BoundDepth  = "levels of parts"
	BoundParts  = "parts"
	BoundHeader = "bytes of header"
	BoundFields = "header fields"
)
