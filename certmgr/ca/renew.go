package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"mailseal/certmgr/ca/index"
)

// A Renewal is what Renew is asked for.
type Renewal struct {
	Serial string
	// SameKey certifies the old key again; who has it keeps it. Otherwise a
	// new one is made, of the kind Key, or taken from CSR.
	SameKey bool
	Key     KeyKind
	CSR     []byte
	// Days and Memo are the profile's default and the old certificate's memo
	// where they are not given. Profile has to be said where the certificate
	// does not show it.
	Days    int
	Memo    string
	Profile Profile
	By      string
}

// Renew issues a certificate again: the same subject, byte for byte, and the
// same names. The old one stays valid; revoke it as superseded when the new
// one is installed. What is renewed must still be permitted.
func (c *CA) Renew(r Renewal) (*Issued, error) {
	old, err := c.Show(r.Serial)
	if err != nil {
		return nil, c.refuse("renew", r.By, map[string]string{"serial": r.Serial}, fmt.Errorf("renew: %w", err))
	}
	request, err := r.request(old)
	if err != nil {
		return nil, c.refuse("renew", r.By, map[string]string{"serial": r.Serial}, fmt.Errorf("renew: %w", refusal{err}))
	}
	return c.Issue(request)
}

// request is what would be asked for to get the old certificate again.
func (r Renewal) request(old Shown) (Request, error) {
	if old.Certificate == nil {
		return Request{}, fmt.Errorf("%s has no %s.pem any more", newCerts, old.Serial)
	}
	if old.Status == Revoked {
		return Request{}, fmt.Errorf("%s was revoked; issue a new one", old.Serial)
	}
	if r.SameKey && r.CSR != nil {
		return Request{}, errors.New("the same key and a certificate request; want one of them")
	}
	cert := old.Certificate
	if r.Profile == 0 {
		var err error
		if r.Profile, err = ParseProfile(old.Profile); err != nil {
			if r.Profile, err = profileOf(cert); err != nil {
				return Request{}, err
			}
		}
	}
	if r.Memo == "" {
		r.Memo = old.Memo
	}
	request := Request{
		Profile: r.Profile, Subject: SubjectOf(cert.Subject), rawSubject: cert.RawSubject,
		Emails: cert.EmailAddresses, Hosts: cert.DNSNames,
		PermitDNS: cert.PermittedDNSDomains, PermitEmail: cert.PermittedEmailAddresses,
		Days: r.Days, Key: r.Key, CSR: r.CSR, Memo: r.Memo, By: r.By, renews: index.Serial(cert.SerialNumber),
	}
	for _, ip := range cert.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			request.Addresses = append(request.Addresses, a)
		}
	}
	if r.SameKey {
		request.PublicKey = cert.PublicKey
	}
	if a := Authority(request.Subject.CommonName); r.Profile == Gateway && a != "" {
		if _, err := ParseAuthority(string(a)); err == nil {
			request.Authority = a
		}
	}
	return request, nil
}

// profileOf is the profile that makes certificates like this one.
func profileOf(cert *x509.Certificate) (Profile, error) {
	has := func(u x509.ExtKeyUsage) bool { return slices.Contains(cert.ExtKeyUsage, u) }
	switch {
	case cert.IsCA:
		return SubCA, nil
	case has(x509.ExtKeyUsageServerAuth):
		return Host, nil
	case has(x509.ExtKeyUsageEmailProtection) && len(cert.DNSNames) > 0:
		return Gateway, nil
	case has(x509.ExtKeyUsageEmailProtection):
		return User, nil
	case has(x509.ExtKeyUsageClientAuth):
		return Client, nil
	}
	return 0, errors.New("its extensions do not show which profile it is of: say it")
}
