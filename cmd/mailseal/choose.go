package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"mailseal/internal/config"
	"mailseal/internal/peers"
	"mailseal/internal/pki"
	"mailseal/smime/capability"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// An encryption is one run of encrypt, as far as it is about recipients.
type encryption struct {
	to, seen, cas           list
	cipher                  cipherFlag
	oaep                    oaepFlag
	presume                 presumeFlag
	peers, config, password string
	verbose, json           bool
}

// choose reads the recipients and says how one mail is encrypted for all of
// them.
func (e *encryption) choose(ctx context.Context, env Env) (content.Cipher, []recipient.To, error) {
	to, err := recipients(env, e.to, e.password)
	if err != nil {
		return 0, nil, err
	}
	book, err := e.book()
	if err != nil {
		return 0, nil, err
	}
	seen, err := e.sightings(ctx, env)
	if err != nil {
		return 0, nil, err
	}
	all := make([]capability.Peer, len(to))
	sources := make([]string, len(to))
	for i, t := range to {
		if all[i], err = book.Peer(t.Certificate); err != nil {
			return 0, nil, fail(exDataErr, err)
		}
		if err := e.insist(&all[i]); err != nil {
			return 0, nil, fail(exDataErr, err)
		}
		if all[i].Capabilities, sources[i], err = seen.of(t.Certificate, time.Now()); err != nil {
			fmt.Fprintf(env.Stderr, "warning: the certificate of %s: %v; taken as if it had none\n", peerName(t.Certificate), err)
		}
	}
	groups := capability.Choose(all...)
	if len(groups) > 1 {
		return 0, nil, fail(exDataErr, apart(groups, all))
	}
	for _, m := range groups[0].Members {
		to[m.Peer].Transport = m.Transport
	}
	return groups[0].Cipher, to, e.tell(env, groups[0], all, sources)
}

// book reads what is recorded of peers.
func (e *encryption) book() (*peers.Book, error) {
	name, book := e.peers, new(peers.Book)
	if e.config != "" {
		c, err := loadConfig(e.config)
		if err != nil {
			return nil, err
		}
		if name == "" {
			name = c.SMIME.Peers
		}
		if len(e.cas) == 0 {
			e.cas = c.SMIME.Trust
		}
	}
	if name != "" {
		var err error
		if book, err = peers.Read(name); err != nil {
			return nil, fail(exConfig, err)
		}
	}
	if e.presume.set {
		book.Presume(e.presume.Profile)
	}
	return book, nil
}

// warnPeers tells what is wrong with the file of peers, which the daemon does
// not read.
func warnPeers(c *config.Config) (ws []error) {
	if c.SMIME.Peers == "" {
		return nil
	}
	_, err := peers.Read(c.SMIME.Peers)
	for _, e := range unjoin(err) {
		if e != nil {
			ws = append(ws, c.At("smime.peers", e))
		}
	}
	return ws
}

// insist puts the flags in the place of what is recorded, but never below the
// least that is.
func (e *encryption) insist(p *capability.Peer) error {
	asked := capability.Suite{Cipher: p.Floor.Cipher, Transport: p.Floor.Transport}
	if e.cipher.Cipher != content.None {
		p.Cipher, asked.Cipher = e.cipher.Cipher, e.cipher.Cipher
	}
	if !asked.AtLeast(p.Floor) {
		return fmt.Errorf("-cipher %s is below what is recorded for %s, min_cipher %s; leave the flag out, or change the record",
			cipherName(asked.Cipher), peerName(p.Certificate), cipherName(p.Floor.Cipher))
	}
	if e.oaep.Transport != nil {
		p.Transport, asked.Transport = e.oaep.Transport, *e.oaep.Transport
	}
	if !asked.AtLeast(p.Floor) && isRSA(p.Certificate) {
		return fmt.Errorf("-oaep is below the min_oaep that is recorded for %s; leave the flag out, or change the record", peerName(p.Certificate))
	}
	return nil
}

func isRSA(c *x509.Certificate) bool {
	if c == nil {
		return false
	}
	_, ok := c.PublicKey.(*rsa.PublicKey)
	return ok
}

// apart says who has no cipher in common, and what can be done. The same mail
// twice would be worth no more than the weaker of the two (RFC 8551 section
// 2.7.3), so that is not for us to do.
func apart(groups []capability.Group, all []capability.Peer) error {
	var parts []string
	for _, g := range groups {
		var names []string
		for _, m := range g.Members {
			names = append(names, peerName(all[m.Peer].Certificate))
		}
		parts = append(parts, cipherName(g.Cipher)+" for "+strings.Join(names, ", "))
	}
	return errors.New("the recipients have no cipher in common: " + strings.Join(parts, "; ") +
		"; choose one for all with -cipher, or leave some out: the same mail sent to each in its own way is as safe as the weakest of them")
}

// tell says which cipher was chosen, and why.
func (e *encryption) tell(env Env, g capability.Group, all []capability.Peer, sources []string) error {
	type chosen struct {
		Recipient string `json:"recipient"`
		Why       string `json:"why"`
		From      string `json:"capabilities_of,omitempty"`
	}
	told := struct {
		Cipher     string   `json:"cipher"`
		Recipients []chosen `json:"recipients"`
	}{Cipher: cipherName(g.Cipher)}
	for _, m := range g.Members {
		told.Recipients = append(told.Recipients, chosen{peerName(all[m.Peer].Certificate), m.Why, sources[m.Peer]})
	}
	switch {
	case e.json:
		return writeJSON(env.Stderr, told)
	case e.verbose:
		fmt.Fprintf(env.Stderr, "cipher %s\n", told.Cipher)
		for _, c := range told.Recipients {
			from := ""
			if c.From != "" {
				from = " (capabilities of " + c.From + ")"
			}
			fmt.Fprintf(env.Stderr, "%s: %s%s\n", c.Recipient, c.Why, from)
		}
	}
	return nil
}

// peerName is a recipient for people.
func peerName(c *x509.Certificate) string {
	if c == nil {
		return "the password"
	}
	if as := pki.Addresses(c); len(as) > 0 {
		return fmt.Sprintf("%+q", as[0])
	}
	return fmt.Sprintf("%+q", c.Subject.String())
}

// A presumeFlag takes the name of a profile.
type presumeFlag struct {
	capability.Profile
	set bool
}

func (p *presumeFlag) String() string { return "" }

func (p *presumeFlag) Set(s string) error {
	p.set = true
	return p.UnmarshalText([]byte(s))
}
