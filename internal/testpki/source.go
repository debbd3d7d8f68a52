package testpki

import (
	"context"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
)

// A Source issues from the CA what certmgr installs (install.Source).
type Source struct{ *PKI }

// Certificate issues one for hosts.
func (s Source) Certificate(_ context.Context, hosts []string) (pki.Identity, error) {
	return s.Issue(ca.Request{Profile: ca.Host, Hosts: hosts, Key: ca.P256}), nil
}

// CRL makes a list.
func (s Source) CRL(context.Context) ([]byte, error) {
	list, err := s.CA().IssueCRL(ca.CRLOptions{})
	if err != nil {
		return nil, err
	}
	return list.DER, nil
}
