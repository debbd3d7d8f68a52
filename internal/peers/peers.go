// Package peers is what a postmaster has recorded of how to encrypt to others: a
// file that says what to presume of whom, what is the least that they may get,
// and what they want, whatever their certificates and mails say.
//
//	presume = "compatible"            # of everybody that is not named below
//
//	["*@partner.example"]             # all of a domain; "*@.partner.example" is all below it
//	presume    = "rfc8551"            # AES-256-GCM and RSAES-OAEP, where nothing is known
//	min_cipher = "aes128-gcm"         # never weaker than that
//	min_oaep   = "sha256"
//
//	["bob@partner.example"]
//	cipher = "aes256-cbc"             # this and nothing else
//	oaep   = "off"                    # RSAES-PKCS1-v1_5
//
// The nearest entry that sets a key decides on it: that of the address, of its
// domain, of the domains above that, and what stands above all of them.
//
//	book, err := peers.Read("peers.toml")
//	peer, err := book.Peer(cert)
//	groups := capability.Choose(peer)
package peers

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
	"mailseal/smime/capability"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// maxFile bounds a file: some ten thousand peers.
const maxFile = 1 << 20

// A Book is such a file. The zero Book records nothing of anybody. It may be used
// from several goroutines once it is no longer changed.
type Book struct {
	name    string
	general setting
	entries map[string]setting // by address, folded, or "*@domain"
}

// A setting is one entry.
type setting struct {
	presume           option[capability.Profile]
	cipher, minCipher option[content.Cipher]
	oaep, minOAEP     option[recipient.Transport]
}

// An option is a value that may be left open.
type option[T comparable] struct {
	value T
	set   bool
}

// or is o, or what stands further away.
func (o option[T]) or(far option[T]) option[T] {
	if o.set {
		return o
	}
	return far
}

func (s setting) or(far setting) setting {
	return setting{
		s.presume.or(far.presume), s.cipher.or(far.cipher), s.minCipher.or(far.minCipher), s.oaep.or(far.oaep), s.minOAEP.or(far.minOAEP),
	}
}

func (s setting) floor() capability.Suite {
	return capability.Suite{Cipher: s.minCipher.value, Transport: s.minOAEP.value}
}

// check says what contradicts itself.
func (s setting) check() error {
	floor := s.floor()
	if s.cipher.set && !(capability.Suite{Cipher: s.cipher.value, Transport: floor.Transport}).AtLeast(floor) {
		return fmt.Errorf("cipher %s is below min_cipher %s; want one of them changed", word(s.cipher.value), word(floor.Cipher))
	}
	if s.oaep.set && !(capability.Suite{Cipher: floor.Cipher, Transport: s.oaep.value}).AtLeast(floor) {
		return errors.New("oaep is below min_oaep; want one of them changed")
	}
	return nil
}

// Read reads a file. Its error, one line each, is all that is wrong with it.
func Read(name string) (*Book, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than 1 MiB; this is no file of peers", name)
	}
	return Parse(name, data)
}

// Presume sets what is presumed of everybody of whom the book says nothing
// nearer.
func (b *Book) Presume(p capability.Profile) {
	b.general.presume = option[capability.Profile]{p, true}
}

// Peer is the holder of a certificate, as far as the book knows; nil is somebody
// with a password. Capabilities are the caller's to fill in. The error says
// that the book treats the addresses of the certificate differently.
func (b *Book) Peer(c *x509.Certificate) (capability.Peer, error) {
	s, known := b.general, ""
	if c != nil {
		for _, text := range pki.Addresses(c) {
			a, err := mailaddr.ParseIA5(text)
			if err != nil {
				continue // nobody can have recorded it
			}
			one := b.of(a)
			if known != "" && one != s {
				return capability.Peer{}, fmt.Errorf("%s: the certificate of %s is of %s too, and they have different settings; want them the same", b.name, known, text)
			}
			s, known = one, text
		}
	}
	p := capability.Peer{Certificate: c, Presume: s.presume.value, Cipher: s.cipher.value, Floor: s.floor()}
	if s.oaep.set {
		p.Transport = &s.oaep.value
	}
	return p, nil
}

// of is what is recorded of an address.
func (b *Book) of(a mailaddr.Address) setting {
	s := b.entries[a.Fold().String()].or(b.entries["*@"+a.Domain])
	for _, above, ok := strings.Cut(a.Domain, "."); ok; _, above, ok = strings.Cut(above, ".") {
		s = s.or(b.entries["*@."+above])
	}
	return s.or(b.general)
}
