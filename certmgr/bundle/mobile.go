package bundle

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"mailseal/internal/pki"
	"mailseal/smime/cms"
)

// A Profile is a configuration profile for Apple's devices: the root, if the
// bundle has one, and the identity, whose passphrase the device asks for.
type Profile struct {
	Organization string // who gives it out; "" is that of the certificate
	Description  string
	Account      *Account // nil: no mail account
	// Signer signs the profile. Where it has no certificate the bundle's own
	// identity does: the device then shows the profile as not verified until it
	// trusts the root.
	Signer pki.Identity
}

// An Account is a mail account that signs and encrypts with the identity.
type Account struct {
	Address string // "" is that of the certificate
	Name    string // of the person, as others see it
	// Login is the name to log in with, "" the address.
	Login string
	POP   bool // else IMAP
	// Incoming and Outgoing are hosts, which are spoken to by TLS from the beginning
	// on; Ports of 0 are those that are usual for it (RFC 8314).
	Incoming, Outgoing         string
	IncomingPort, OutgoingPort int
	// EncryptByDefault encrypts all mail for which there are certificates; else the
	// user switches it on for a mail.
	EncryptByDefault bool
}

// encode makes the profile and signs it.
func (p *Profile) encode(b Bundle, p12 []byte) ([]byte, error) {
	content, err := p.plist(b, p12)
	if err != nil {
		return nil, err
	}
	by := p.Signer
	if by.Certificate == nil {
		by = pki.Identity{Certificate: b.Certificate, Key: b.Key, Chain: b.Chain}
	}
	prefix, suffix, err := cms.SignOpaque(bytes.NewReader(content), int64(len(content)), cms.Signer{Certificate: by.Certificate, Key: by.Key, Chain: by.Chain})
	if err != nil {
		return nil, fmt.Errorf("sign the profile: %w", err)
	}
	return bytes.Join([][]byte{prefix, content, suffix}, nil), nil
}

// plist is the profile as a property list. Its identifiers are the same for
// every certificate that an address gets of a CA, so that a device replaces the
// profile by a newer one; its UUIDs are of the certificate.
func (p *Profile) plist(b Bundle, p12 []byte) ([]byte, error) {
	address := ""
	if as := pki.Addresses(b.Certificate); len(as) > 0 {
		address = as[0]
	}
	organization := p.Organization
	if organization == "" && len(b.Certificate.Subject.Organization) > 0 {
		organization = b.Certificate.Subject.Organization[0]
	}
	who := address
	if who == "" {
		who = b.Certificate.Subject.CommonName
	}
	id := "mailseal." + hex.EncodeToString(b.Certificate.AuthorityKeyId) + "." + who
	identity := uuid(b.Certificate, "identity")
	var payloads []dict
	if b.Root != nil {
		payloads = append(payloads, dict{
			{"PayloadType", "com.apple.security.root"},
			{"PayloadVersion", 1},
			{"PayloadIdentifier", id + ".root"},
			{"PayloadUUID", uuid(b.Certificate, "root")},
			{"PayloadDisplayName", b.Root.Subject.CommonName},
			{"PayloadCertificateFileName", "root.cer"},
			{"PayloadContent", b.Root.Raw},
		})
	}
	payloads = append(payloads, dict{
		{"PayloadType", "com.apple.security.pkcs12"},
		{"PayloadVersion", 1},
		{"PayloadIdentifier", id + ".identity"},
		{"PayloadUUID", identity},
		{"PayloadDisplayName", who},
		{"PayloadCertificateFileName", "identity.p12"},
		{"PayloadContent", p12},
	})
	if p.Account != nil {
		a, err := p.Account.payload(id, identity, address, b.Certificate)
		if err != nil {
			return nil, err
		}
		payloads = append(payloads, a)
	}
	top := dict{
		{"PayloadType", "Configuration"},
		{"PayloadVersion", 1},
		{"PayloadIdentifier", id},
		{"PayloadUUID", uuid(b.Certificate, "profile")},
		{"PayloadDisplayName", "S/MIME: " + who},
	}
	if organization != "" {
		top = append(top, entry{"PayloadOrganization", organization})
	}
	if p.Description != "" {
		top = append(top, entry{"PayloadDescription", p.Description})
	}
	return append(top, entry{"PayloadContent", payloads}).plist()
}

// payload is com.apple.mail.managed.
func (a *Account) payload(id, identity, address string, c *x509.Certificate) (dict, error) {
	if a.Address != "" {
		address = a.Address
	}
	switch {
	case a.Incoming == "" || a.Outgoing == "":
		return nil, errors.New("a mail account needs the host that mail is read from, and that it is sent to")
	case address == "":
		return nil, errors.New("a mail account needs an address, and the certificate has none")
	}
	login, kind, incoming, outgoing := a.Login, "EmailTypeIMAP", a.IncomingPort, a.OutgoingPort
	if login == "" {
		login = address
	}
	usual := 993
	if a.POP {
		kind, usual = "EmailTypePOP", 995
	}
	if incoming == 0 {
		incoming = usual
	}
	if outgoing == 0 {
		outgoing = 465
	}
	d := dict{
		{"PayloadType", "com.apple.mail.managed"},
		{"PayloadVersion", 1},
		{"PayloadIdentifier", id + ".mail"},
		{"PayloadUUID", uuid(c, "mail")},
		{"PayloadDisplayName", address},
		{"EmailAccountType", kind},
		{"EmailAccountDescription", address},
		{"EmailAddress", address},
		{"IncomingMailServerAuthentication", "EmailAuthPassword"},
		{"IncomingMailServerHostName", a.Incoming},
		{"IncomingMailServerPortNumber", incoming},
		{"IncomingMailServerUseSSL", true},
		{"IncomingMailServerUsername", login},
		{"OutgoingMailServerAuthentication", "EmailAuthPassword"},
		{"OutgoingMailServerHostName", a.Outgoing},
		{"OutgoingMailServerPortNumber", outgoing},
		{"OutgoingMailServerUseSSL", true},
		{"OutgoingMailServerUsername", login},
		{"OutgoingPasswordSameAsIncomingPassword", true},
		{"SMIMESigningEnabled", true},
		{"SMIMESigningCertificateUUID", identity},
		{"SMIMEEncryptionEnabled", true},
		{"SMIMEEncryptionCertificateUUID", identity},
		{"SMIMEEncryptByDefault", a.EncryptByDefault},
		{"SMIMEEnableEncryptionPerMessageSwitch", true},
	}
	if a.Name != "" {
		d = append(d, entry{"EmailAccountName", a.Name})
	}
	return d, nil
}

// uuid is one that is the same each time (RFC 9562 section 5.8: version 8).
func uuid(c *x509.Certificate, what string) string {
	h := sha256.Sum256(append([]byte(what+"\x00"), c.Raw...))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16]))
}
