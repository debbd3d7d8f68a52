package revocation

import "mailseal/internal/pki/x5280"

// Lists are CRLs that somebody has configured. They never change once made, and may
// be used by any number of goroutines.
type Lists struct {
	crls []*x5280.CRL
}

// NewLists makes them. Who signed the CRLs is looked at when one is needed.
func NewLists(crls ...*x5280.CRL) *Lists { return &Lists{crls} }
