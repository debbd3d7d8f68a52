// Package bought finds what to install among the files that a public CA has given
// to somebody, who has dropped them into a folder:
//
//	folder, err := bought.Read("/etc/ssl/incoming")
//	offer, problems := folder.Choose(publicCAs, []string{"mx.example.jp"}, time.Now())
//
// They have whatever names and forms the CA's web page gives them: PEM with
// everything or in several files, DER, PKCS #7, PKCS #12. The key may be one that
// was made here for a request and has been waiting there. What is not right is
// said so that somebody can mend it.
//
// RFC 5280 section 6 (the chain, by crypto/x509), RFC 6125 (names).
package bought

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
func (f Folder) sort() *heap {
	h := &heap{}
	for _, file := range f.Files {
		if file.Err != "" {
			h.problem("%s cannot be read: %s", file.Path, file.Err)
			continue
		}
		if slices.Contains([]string{".zip", ".gz", ".tgz", ".7z"}, strings.ToLower(filepath.Ext(file.Path))) {
			h.problem("%s: unpack it there", file.Path)
			continue
		}
		certs, keys, err := file.parse()
		if err != nil {
			h.problem("%s: %v", file.Path, err)
			continue
		}
		for _, c := range certs {
			if !slices.ContainsFunc(h.certs, func(l lying[*x509.Certificate]) bool { return l.what.Equal(c) }) {
				h.certs = append(h.certs, lying[*x509.Certificate]{c, file.Path})
			}
		}
		for _, k := range keys {
			signer, ok := k.(crypto.Signer)
			if !ok {
				continue
			}
			h.keys = append(h.keys, lying[crypto.Signer]{signer, file.Path})
			if file.Mode.Perm()&0o044 != 0 {
				h.problem("%s has a private key, and others may read it: chmod 600 %s", file.Path, file.Path)
			}
		}
	}
	return h
}

// parse finds certificates and keys.
func (f File) parse() ([]*x509.Certificate, []crypto.PrivateKey, error) {
	content, ending := f.Content, strings.ToLower(filepath.Ext(f.Path))
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

// Choose finds the newest certificate in a folder that is right in every respect:
// its key is there, it is in time, covers the hosts and is for servers, and the
// certificates up to a root are there or among the public ones. The problems say of
// all that are newer, or of all where none is right, what is to be done about them;
// and what is wrong with the folder.
func (f Folder) Choose(public []*x509.Certificate, hosts []string, now time.Time) (*Offer, []string) {
	switch {
	case !f.Exists:
		return nil, []string{fmt.Sprintf("the folder %s is missing; make it, mode 0700, and drop key and certificate there", f.Path)}
	case f.Err != "":
		return nil, []string{fmt.Sprintf("%s cannot be read: %s", f.Path, f.Err)}
	}
	h := f.sort()
	if f.Mode.Perm()&0o022 != 0 {
		h.problem("%s is writable by group or others, who could have another certificate served; chmod go-w %s", f.Path, f.Path)
	}
	if f.Owner != 0 {
		h.problem("%s belongs to user %d, who could have another certificate served, of a CA of his that the server believes then; chown root %s", f.Path, f.Owner, f.Path)
	}
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
		h.waiting(f.Path)
	}
	return nil, h.problems
}

// waiting says what is missing where there is no certificate at all.
func (h *heap) waiting(dir string) {
	if len(h.keys) == 0 {
		h.problem("%s has no certificate with its key; drop key, certificate and what came with it there, as PEM or .p12 (its passphrase in NAME.pass)", dir)
	}
	for _, k := range h.keys {
		h.problem("%s is a key that waits for its certificate; drop it there", k.path)
	}
}

func (h *heap) offer(l lying[*x509.Certificate], pool []*x509.Certificate, hosts []string, now time.Time) (*Offer, error) {
	fits := func(k lying[crypto.Signer]) bool { return x509key.Pairs(l.what, k.what) }
	i := slices.IndexFunc(h.keys, func(k lying[crypto.Signer]) bool { return k.path == l.path && fits(k) })
	if i < 0 {
		i = slices.IndexFunc(h.keys, fits) // renewed for the same key, it is in the older file
	}
	if i < 0 {
		return nil, fmt.Errorf("its private key is not there; drop it there, too")
	}
	switch {
	case !now.Before(l.what.NotAfter):
		return nil, fmt.Errorf("has expired at %s; drop a newer one there", l.what.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(l.what.NotBefore):
		return nil, fmt.Errorf("is not valid before %s", l.what.NotBefore.UTC().Format(time.RFC3339))
	case !IsFor(l.what, x509.ExtKeyUsageServerAuth):
		return nil, fmt.Errorf("is not for servers")
	}
	for _, host := range hosts {
		if l.what.VerifyHostname(host) != nil {
			return nil, fmt.Errorf("does not cover %s; it has %s", host, strings.Join(l.what.DNSNames, ", "))
		}
	}
	chain, err := Chain(l.what, nil, pool, now)
	if err != nil {
		return nil, err
	}
	o := &Offer{Key: h.keys[i].what, Leaf: l.what, Chain: chain[1 : len(chain)-1], Root: chain[len(chain)-1], Paths: []string{l.path}}
	if path := h.keys[i].path; path != l.path {
		o.Paths = append(o.Paths, path)
	}
	return o, nil
}

// Chain is a certificate, those between, and the root, of which all roots in the
// pool are good.
func Chain(leaf *x509.Certificate, between, pool []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range slices.Concat(between, pool) {
		if selfSigned(c) {
			roots.AddCert(c)
		} else if !c.Equal(leaf) {
			middle.AddCert(c)
		}
	}
	if selfSigned(leaf) {
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
				from = " (it is at " + at.IssuingCertificateURL[0] + ")"
			}
			return fmt.Errorf("the certificate of its issuer, %s, is neither there nor a public CA's; drop it there, too%s", at.Issuer, from)
		}
		if at = pool[i]; selfSigned(at) {
			break
		}
	}
	return fmt.Errorf("no chain to a root: %w", err)
}

// Remind is when somebody should drop a newer one: thirty days before the end, or
// when a third of a shorter life is left.
func Remind(c *x509.Certificate) time.Time {
	return c.NotAfter.Add(-min(30*24*time.Hour, c.NotAfter.Sub(c.NotBefore)/3))
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// IsFor reports whether a certificate is for a use. One that names none is for all
// (RFC 5280 section 4.2.1.12), as those are that openssl makes without extensions.
func IsFor(c *x509.Certificate, use x509.ExtKeyUsage) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, use) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}
