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
// the contents are those that can do without it, beside the error.
func (t Target) Obtain(ctx context.Context, p Plan, s State, from Source) (Contents, error) {
	c := Contents{}
	var failed error
	var issued Contents
	if p.Issue {
		var err error
		if issued, err = t.issue(ctx, from); err != nil {
			failed = fmt.Errorf("%s: issue a certificate for %s: %w", t.Name, strings.Join(t.Hosts, ", "), err)
		}
	}
	list := t.CRL
	if p.NewCRL {
		var err error
		if list, err = from.CRL(ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: have a new list of what is revoked made: %w", t.Name, err))
		}
	}
	for _, r := range p.Write {
		switch r {
		case Key, Certificate, PairFile:
			if p.Issue && issued == nil {
				continue
			}
			if c[r] = issued[r]; !p.Issue {
				c[r] = again(r, s.Files[r].Content)
			}
		case CA:
			c[r] = t.authorityFile(s.Files[r].Content)
		case CRL:
			if list == nil {
				continue
			}
			c[r] = pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list})
		case DH:
			c[r] = t.Group.Parameters().PEM()
		}
	}
	return c, failed
}

func (t Target) issue(ctx context.Context, from Source) (Contents, error) {
	id, err := from.Certificate(ctx, t.Hosts)
	if err != nil {
		return nil, err
	}
	// Not encrypted: no server could ask for a passphrase.
	key, err := ca.EncodeKey(id.Key, nil)
	if err != nil {
		return nil, err
	}
	certs := ca.EncodeCertificates(append([]*x509.Certificate{id.Certificate}, id.Chain...)...)
	return Contents{Key: key, Certificate: certs, PairFile: slices.Concat(key, certs)}, nil
}

// again is what a file holds that is right but for its owner, its mode or what
// stands beside the key: `openssl req` with one file for -keyout and -out leaves
// the certificate there. A key comes first.
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
	return content
}

// authorityFile is the CA and those above it; and what else stood in a file that
// was about this CA before, as another site's CA.
func (t Target) authorityFile(old []byte) []byte {
	certs := append([]*x509.Certificate{}, t.Authority...)
	before, err := pki.ParseCertificates(old)
	if err != nil {
		return ca.EncodeCertificates(certs...)
	}
	ours := false
	var others []*x509.Certificate
	for _, b := range before {
		same := false
		for _, c := range t.Authority {
			// Renewed: the same name and key.
			same = same || bytes.Equal(c.RawSubject, b.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
		}
		if same {
			ours = true
		} else {
			others = append(others, b)
		}
	}
	if ours {
		certs = append(certs, others...)
	}
	return ca.EncodeCertificates(certs...)
}
