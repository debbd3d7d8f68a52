package x5280

import "errors"

// A CRL is one that has been read. Nobody may change it.
type CRL struct{ Raw []byte }

// ParseCRL reads a CRL in DER.
func ParseCRL(der []byte) (*CRL, error) { return nil, errors.New("not yet") }
