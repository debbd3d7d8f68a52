package install

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailseal/internal/certfile"
	"mailseal/internal/pki"
	"mailseal/internal/x509key"
)

// An Offer is a key and a certificate out of a folder, and what is above it.
type Offer struct {
	Key   crypto.Signer
	Leaf  *x509.Certificate
	Chain []*x509.Certificate // without the root
	Root  *x509.Certificate
	// Paths are the files of certificate and key.
	Paths []string
}

func (o Offer) String() string {
	return fmt.Sprintf("%s, serial %X, until %s", strings.Join(o.Paths, " and "), o.Leaf.SerialNumber, o.Leaf.NotAfter.UTC().Format(time.RFC3339))
}

// A heap is all that lies in a folder, in no order: the certificate may be in
// another file than its key, which was perhaps made on this host for a request.
type heap struct {
	keys     []lying[crypto.Signer]
	certs    []lying[*x509.Certificate]
	problems []string
}

type lying[T any] struct {
	what T
	path string
}

func (h *heap) problem(format string, a ...any) {
	h.problems = append(h.problems, fmt.Sprintf(format, a...))
}

// sort looks into files. Those that are not about certificates are passed over.
func sort(files []Dropped) *heap {
	h := &heap{}
	for _, f := range files {
		if f.Found.Err != "" {
			h.problem("%s cannot be read: %s", f.Path, f.Found.Err)
			continue
		}
		if archive(f.Path) {
			h.problem("%s: unpack it there", f.Path)
			continue
		}
		certs, keys, err := readDropped(f)
		if err != nil {
			h.problem("%s: %v", f.Path, err)
			continue
		}
		for _, c := range certs {
			if !slices.ContainsFunc(h.certs, func(l lying[*x509.Certificate]) bool { return l.what.Equal(c) }) {
				h.certs = append(h.certs, lying[*x509.Certificate]{c, f.Path})
			}
		}
		for _, k := range keys {
			signer, ok := k.(crypto.Signer)
			if !ok {
				continue
			}
			h.keys = append(h.keys, lying[crypto.Signer]{signer, f.Path})
			if anybody(f.Found.Mode, 0o044) {
				h.problem("%s has a private key, and others may read it: chmod 600 %s", f.Path, f.Path)
			}
		}
	}
	return h
}

func readDropped(f Dropped) ([]*x509.Certificate, []crypto.PrivateKey, error) {
	content, ending := f.Found.Content, strings.ToLower(filepath.Ext(f.Path))
	switch {
	case len(content) == 0:
		return nil, nil, nil // is being written
	case slices.Contains([]string{".p7b", ".p7c"}, ending), bytes.Contains(content, []byte("-----BEGIN PKCS7")):
		certs, err := certfile.Decode(content)
		return certs, nil, err
	case bytes.Contains(content, []byte("-----BEGIN ")), ending == ".p12", ending == ".pfx":
		return pki.ParseAll(content, f.Pass)
	case slices.Contains([]string{".cer", ".crt", ".der"}, ending):
		certs, err := certfile.Decode(content)
		return certs, nil, err
	}
	return nil, nil, nil
}

// choose finds the newest certificate in a folder that is right in every respect:
// its key is there, it is in time, covers the hosts and is for servers, and the
// certificates up to a root are there. The problems say of all that are newer, or
// of all where none is right, what is to be done about them.
func choose(files []Dropped, public []*x509.Certificate, hosts []string, now time.Time) (*Offer, []string) {
	h := sort(files)
	leaves := slices.DeleteFunc(slices.Clone(h.certs), func(l lying[*x509.Certificate]) bool { return l.what.IsCA })
	slices.SortStableFunc(leaves, func(a, b lying[*x509.Certificate]) int {
		return cmp.Or(b.what.NotBefore.Compare(a.what.NotBefore), b.what.NotAfter.Compare(a.what.NotAfter))
	})
	pool := slices.Clone(public)
	for _, c := range h.certs {
		pool = append(pool, c.what)
	}
	for _, l := range leaves {
		o, err := h.offer(l, pool, hosts, now)
		if err == nil {
			return o, h.problems
		}
		h.problem("%s (%s): %v", l.path, l.what.Subject, err)
	}
	if len(leaves) == 0 {
		h.waiting()
	}
	return nil, h.problems
}

// waiting says what is missing where there is no certificate at all.
func (h *heap) waiting() {
	if len(h.keys) == 0 {
		h.problem("there is no certificate with its key; drop key, certificate and what came with it there, as PEM or .p12 (its passphrase in NAME.pass)")
	}
	for _, k := range h.keys {
		h.problem("%s is a key that waits for its certificate; drop it there", k.path)
	}
}

func (h *heap) offer(l lying[*x509.Certificate], pool []*x509.Certificate, hosts []string, now time.Time) (*Offer, error) {
	i := slices.IndexFunc(h.keys, func(k lying[crypto.Signer]) bool { return x509key.Pairs(l.what, k.what) })
	if i < 0 {
		return nil, fmt.Errorf("its private key is not there; drop it there, too")
	}
	switch {
	case !now.Before(l.what.NotAfter):
		return nil, fmt.Errorf("has expired at %s; drop a newer one there", l.what.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(l.what.NotBefore):
		return nil, fmt.Errorf("is not valid before %s", l.what.NotBefore.UTC().Format(time.RFC3339))
	case !isFor(l.what, x509.ExtKeyUsageServerAuth):
		return nil, fmt.Errorf("is not for servers")
	}
	for _, host := range hosts {
		if l.what.VerifyHostname(host) != nil {
			return nil, fmt.Errorf("does not cover %s; it has %s", host, strings.Join(l.what.DNSNames, ", "))
		}
	}
	chain, err := chainOf(l.what, nil, pool, now)
	if err != nil {
		return nil, err
	}
	o := &Offer{Key: h.keys[i].what, Leaf: l.what, Chain: chain[1 : len(chain)-1], Root: chain[len(chain)-1], Paths: []string{l.path}}
	if path := h.keys[i].path; path != l.path {
		o.Paths = append(o.Paths, path)
	}
	return o, nil
}

// chainOf is a certificate, those between, and the root, of which all roots in the
// pool are good.
func chainOf(leaf *x509.Certificate, between, pool []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range slices.Concat(between, pool) {
		if selfIssued(c) {
			roots.AddCert(c)
		} else if !c.Equal(leaf) {
			middle.AddCert(c)
		}
	}
	if selfIssued(leaf) {
		return nil, fmt.Errorf(`is signed by itself and by no CA; want a bought one, or issuer = "self"`)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return nil, missing(leaf, slices.Concat(between, pool), err)
	}
	// The shortest: the least that every client has to be sent.
	return slices.MinFunc(chains, func(a, b []*x509.Certificate) int { return cmp.Compare(len(a), len(b)) }), nil
}

// missing says which certificate the way up ends without.
func missing(leaf *x509.Certificate, pool []*x509.Certificate, err error) error {
	at := leaf
	for range pool {
		i := slices.IndexFunc(pool, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, at.RawIssuer) && x509key.CheckSignature(c, at) == nil
		})
		if i < 0 {
			from := ""
			if len(at.IssuingCertificateURL) > 0 {
				from = ", which is at " + at.IssuingCertificateURL[0]
			}
			return fmt.Errorf("the certificate of its issuer, %s, is not there%s; drop it there, too", at.Issuer, from)
		}
		if at = pool[i]; selfIssued(at) {
			break
		}
	}
	return fmt.Errorf("no chain to a root: %w", err)
}

// remind is when somebody should drop a newer one: thirty days before the end, or
// when a third of a shorter life is left.
func remind(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-min(30*24*time.Hour, c.NotAfter.Sub(c.NotBefore)/3))
}
