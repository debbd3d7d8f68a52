package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
)

// A Profile is what a certificate is for.
type Profile int

// The profiles. A Request has to choose: there is no default.
const (
	// User signs, and is encrypted to, for mail addresses.
	User Profile = iota + 1
	// Gateway signs, and is encrypted to, for mail domains.
	Gateway
	// Host is a server, and the client that a mail server is to its peers.
	Host
	// Client only proves who it is.
	Client
	// SubCA issues certificates, but no other CA's.
	SubCA
)

// A rule is what all certificates of a profile have.
type rule struct {
	name    string
	days    int // by default
	maxDays int
	usage   []x509.ExtKeyUsage
	// sign is the key usage of every key; encrypt says that RSA keys have
	// keyEncipherment too, agree that elliptic curves have keyAgreement.
	sign      x509.KeyUsage
	encrypt   bool
	agree     bool
	names     names // those that may stand in the SAN
	named     bool  // one must
	hostCN    bool  // the common name is a host name or an address
	authority bool  // it may have a name of RFC 3183
	isCA      bool
}

// names are the kinds of subject alternative names.
type names struct{ emails, hosts, addresses bool }

func (n names) String() string {
	var kinds []string
	for _, k := range []struct {
		has  bool
		name string
	}{{n.emails, "an e-mail address"}, {n.hosts, "a host or domain name"}, {n.addresses, "an IP address"}} {
		if k.has {
			kinds = append(kinds, k.name)
		}
	}
	return strings.Join(kinds, " or ")
}

const signAndCommit = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment // alias nonRepudiation

// caUsage is what a CA signs: certificates, lists, and OCSP answers, which are
// neither (RFC 5280 section 4.2.1.3; CA/Browser Forum, TLS baseline section
// 7.1.2.1.3).
const caUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature

// 825 days are the most that clients take (CA/Browser Forum, S/MIME baseline
// section 6.3.2; Apple for servers of private CAs).
var rules = map[Profile]rule{
	User: {name: "user", days: 730, maxDays: 825, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		sign: signAndCommit, encrypt: true, agree: true, names: names{emails: true}, named: true},
	Gateway: {name: "gateway", days: 730, maxDays: 825, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		sign: signAndCommit, encrypt: true, agree: true, names: names{emails: true, hosts: true}, named: true, authority: true},
	Host: {name: "host", days: 397, maxDays: 825, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		sign: x509.KeyUsageDigitalSignature, encrypt: true, names: names{hosts: true, addresses: true}, named: true, hostCN: true},
	Client: {name: "client", days: 730, maxDays: 825, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		sign: x509.KeyUsageDigitalSignature, names: names{emails: true, hosts: true}},
	SubCA: {name: "sub-ca", days: 3650, maxDays: maxCADays, sign: caUsage, isCA: true},
}

func (p Profile) String() string {
	if r, ok := rules[p]; ok {
		return r.name
	}
	return fmt.Sprintf("profile(%d)", int(p))
}

// ParseProfile reads a profile's name, as "user" or "sub-ca".
func ParseProfile(s string) (Profile, error) {
	for p, r := range rules {
		if s == r.name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("profile %q: want user, gateway, host, client or sub-ca", s)
}

// keyUsage is what a key may do under the rule. keyEncipherment is RSA's;
// elliptic curves agree on keys instead and must not have it (RFC 8813
// section 3), and Ed25519 does neither (RFC 8410 section 5). In TLS they sign
// only, and agree by other keys (RFC 8422 section 2.1).
func (r rule) keyUsage(pub crypto.PublicKey) x509.KeyUsage {
	switch pub.(type) {
	case *rsa.PublicKey:
		if r.encrypt {
			return r.sign | x509.KeyUsageKeyEncipherment
		}
	case *ecdsa.PublicKey:
		if r.agree {
			return r.sign | x509.KeyUsageKeyAgreement
		}
	}
	return r.sign
}
