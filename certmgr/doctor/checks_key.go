package doctor

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strconv"

	"mailseal/internal/x509key"
)

func pairs(c *x509.Certificate, key crypto.PublicKey) bool {
	public, ok := x509key.Public(c).(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key)
}

func pairOK(_ *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if p.Key.Key == nil || !pairs(leaf, p.Key.Key) {
			return nil
		}
		return said("key", p.Key.Path, "path", p.Cert.Path)
	})
}

func pairMismatch(_ *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if p.Key.Key == nil || pairs(leaf, p.Key.Key) {
			return nil
		}
		return []hit{{args: arguments("key", p.Key.Path, "path", p.Cert.Path), commands: s.issue()}}
	})
}

func pairNoKey(_ *Facts, s *Server) []hit {
	var all []hit
	for _, p := range s.Pairs {
		if p.Key.State == Missing && p.Key.Path != p.Cert.Path {
			all = append(all, hit{args: arguments("key", p.Key.Path), commands: s.issue()})
		}
	}
	return all
}

func keyBroken(_ *Facts, s *Server) []hit {
	var all []hit
	for _, p := range s.Pairs {
		if p.Key.State == Broken && p.Key.Key == nil && !p.Key.Encrypted {
			all = append(all, hit{args: arguments("path", p.Key.Path, "reason", p.Key.Err), commands: s.issue()})
		}
	}
	return all
}

func keyEncrypted(_ *Facts, s *Server) []hit {
	var all []hit
	for _, p := range s.Pairs {
		if p.Key.Encrypted {
			path := quote(p.Key.Path)
			all = append(all, hit{args: arguments("path", p.Key.Path), commands: []string{
				"(umask 077; openssl pkey -in " + path + " -out " + path + ".new && mv " + path + ".new " + path + ")"}})
		}
	}
	return all
}

const minRSA = 2048

func keySmall(_ *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		k, ok := leaf.PublicKey.(*rsa.PublicKey)
		if !ok || k.N.BitLen() >= minRSA {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path, "bits", strconv.Itoa(k.N.BitLen())), commands: s.issue()}}
	})
}

// signatures says which certificates, but for roots, whose own signature nobody
// looks at, are signed by one of the algorithms.
func (s *Server) signatures(algorithms ...x509.SignatureAlgorithm) []hit {
	var all []hit
	for _, p := range s.Pairs {
		for n, c := range p.Cert.Certificates {
			if slices.Contains(algorithms, c.SignatureAlgorithm) && (n == 0 || !bytes.Equal(c.RawSubject, c.RawIssuer)) {
				all = append(all, hit{args: arguments("path", p.Cert.Path, "subject", c.Subject.String()), commands: s.issue()})
			}
		}
	}
	return all
}

func signatureMD5(_ *Facts, s *Server) []hit {
	return s.signatures(x509.MD2WithRSA, x509.MD5WithRSA)
}

func signatureSHA1(_ *Facts, s *Server) []hit {
	return s.signatures(x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1)
}

// chainIncomplete: from the certificate up through its file one must come to a
// root, or to what a root has signed that this host knows.
func chainIncomplete(f *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		top := p.top(leaf)
		if selfSigned(top) || f.public(p) || f.rootSigned(s, top) {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path, "issuer", top.Issuer.String())}}
	})
}

// maxChain bounds how many certificates of a file may be between one and its root.
const maxChain = 50

// top is where one comes to from a certificate up through its file.
func (p Pair) top(leaf *x509.Certificate) *x509.Certificate {
	top := leaf
	file := p.Cert.Certificates[:min(len(p.Cert.Certificates), maxChain)]
	for range file {
		for _, c := range file {
			if !c.Equal(top) && !selfSigned(top) && signed(c, top) {
				top = c
			}
		}
	}
	return top
}

// rootSigned reports whether a root that is known here has signed a certificate: of
// the CA or of the server's file of CAs.
func (f *Facts) rootSigned(s *Server, c *x509.Certificate) bool {
	known := slices.Clone(f.CA.Chain)
	for _, file := range s.CAs {
		known = append(known, file.Certificates...)
	}
	return slices.ContainsFunc(known, func(root *x509.Certificate) bool { return signed(root, c) && selfSigned(root) })
}
