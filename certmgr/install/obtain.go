package install

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
)

// A Source is who issues: a CA in a folder, or behind a socket.
type Source interface {
	// Certificate issues one for hosts, for servers and clients, with a new
	// key. The first host is its CN.
	Certificate(ctx context.Context, hosts []string) (pki.Identity, error)
	// CRL makes a new list, in DER.
	CRL(ctx context.Context) ([]byte, error)
}

// Obtain makes the contents of what a plan writes. Where the source has failed,
// the contents are those that can do without it, beside the error. What was
// bought needs no source.
func (t Target) Obtain(ctx context.Context, p Plan, s State, from Source) (Contents, error) {
	c := Contents{}
	var failed error
	var id *pki.Identity
	if p.offer != nil {
		id = &pki.Identity{Key: p.offer.Key, Certificate: p.offer.Leaf, Chain: p.offer.Chain}
	} else if p.Issue {
		issued, err := from.Certificate(ctx, t.Hosts)
		if err != nil {
			failed = fmt.Errorf("%s: issue a certificate for %s: %w", t.Name, strings.Join(t.Hosts, ", "), err)
		} else {
			id = &issued
		}
	}
	list := t.CRL
	if p.NewCRL {
		var err error
		if list, err = from.CRL(ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: have a new list of what is revoked made: %w", t.Name, err))
			list = nil
		}
	}
	fresh, err := t.pairFiles(id, p, s)
	if err != nil {
		return c, errors.Join(failed, err)
	}
	for _, r := range p.Write {
		var content []byte
		switch r {
		case Key, Certificate, PairFile:
			if content = fresh[r]; !p.Issue && p.offer == nil {
				content = again(r, s.Files[r].Content)
			}
		case CA:
			content = t.anchorsFile(id, p, s, list)
		case CRL:
			if list != nil {
				content = pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list})
			}
		case DH:
			group, _ := t.parameters()
			content = group.PEM()
		}
		if content != nil {
			c[r] = content
		}
	}
	return c, failed
}

// anchorsFile is the file of CAs, nil where it has to wait for a certificate or
// a list.
func (t Target) anchorsFile(id *pki.Identity, p Plan, s State, list []byte) []byte {
	anchors, ours := p.anchors, p.anchors
	if t.Issuer == BySelf {
		if id != nil {
			anchors = []*x509.Certificate{id.Certificate}
		} else if p.Issue {
			return nil
		}
		if ours = anchors; p.leaf != nil {
			ours = append([]*x509.Certificate{p.leaf}, ours...)
		}
	}
	if t.Files[CA].List && t.CRL != nil && list == nil {
		list = t.CRL // until there is a new one
	}
	return t.authorityFile(anchors, ours, p.public, s.Files[CA].Content, list)
}

// pairFiles are the files of a new key and its certificate.
func (t Target) pairFiles(id *pki.Identity, p Plan, s State) (Contents, error) {
	if id == nil {
		return Contents{}, nil
	}
	// Not encrypted: no server could ask for a passphrase.
	key, err := ca.EncodeKey(id.Key, nil)
	if err != nil {
		return nil, err
	}
	certs := append([]*x509.Certificate{id.Certificate}, id.Chain...)
	if t.Files[Certificate].Append {
		certs = append(certs, t.appended(certs, p.leaf, s.Files[Certificate].Content)...)
	}
	text := ca.EncodeCertificates(certs...)
	return Contents{Key: key, Certificate: text, PairFile: slices.Concat(key, text)}, nil
}

// appended are the certificates of a file that stay behind ours: all but the
// server's own until now, those of the CA, and what comes with the new one.
func (t Target) appended(fresh []*x509.Certificate, leaf *x509.Certificate, file []byte) []*x509.Certificate {
	var stay []*x509.Certificate
	for _, c := range publicCAs(file) {
		ours := func(o *x509.Certificate) bool {
			return bytes.Equal(o.RawSubject, c.RawSubject) && bytes.Equal(o.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo)
		}
		if (leaf == nil || !leaf.Equal(c)) && !slices.ContainsFunc(fresh, ours) && !slices.ContainsFunc(t.Authority, ours) {
			stay = append(stay, c)
		}
	}
	return stay
}

// again is what a file holds that is right but for its owner, its mode or what
// stands beside the key: `openssl req` with one file for -keyout and -out leaves
// the certificate there. A key comes first, and none is in a file of certificates.
func again(r Role, content []byte) []byte {
	var keys, certs []byte
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			keys = append(keys, pem.EncodeToMemory(block)...)
		} else if strings.HasSuffix(block.Type, "CERTIFICATE") {
			certs = append(certs, pem.EncodeToMemory(block)...)
		}
	}
	switch r {
	case Key:
		return keys
	case PairFile:
		return append(keys, certs...)
	}
	if bytes.Contains(content, keyMark) {
		return certs
	}
	return content
}
