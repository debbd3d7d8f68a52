package cms

import (
	"fmt"

	"mailseal/smime/capability"
)

// Capabilities returns what the signer says that it reads (RFC 8551 section 2.5.2), nil where it says nothing. It is worth as
// much as the signature.
func (si *SignerInfo) Capabilities() (capability.List, error) {
	var list capability.List
	found := false
	for _, a := range si.SignedAttributes {
		if !a.Type.Equal(capability.OID) {
			continue
		}
		if found || len(a.Values) != 1 {
			return nil, fmt.Errorf("%w: there must be one", capability.ErrMalformed)
		}
		found = true
		var err error
		if list, err = capability.Parse(a.Values[0]); err != nil {
			return nil, err
		}
	}
	return list, nil
}
