package doctor

import (
	"bytes"
	"crypto/x509"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"mailseal/internal/x509key"
)

// each runs a function over the pairs whose certificate was read.
func (s *Server) each(look func(p Pair, leaf *x509.Certificate) []hit) []hit {
	var all []hit
	for _, p := range s.Pairs {
		if leaf := p.Cert.Leaf(); leaf != nil {
			all = append(all, look(p, leaf)...)
		}
	}
	return all
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && x509key.CheckSignature(c, c) == nil
}

func signed(ca, c *x509.Certificate) bool {
	return bytes.Equal(ca.RawSubject, c.RawIssuer) && x509key.CheckSignature(ca, c) == nil
}

// ours reports whether the present CA has signed a certificate.
func (f *Facts) ours(c *x509.Certificate) bool { return f.CA.there() && signed(f.CA.Chain[0], c) }

// public reports whether this host's public CAs vouch for a certificate, whenever.
// Debian keeps a self-signed one among them (ssl-cert-snakeoil).
func (f *Facts) public(p Pair) bool {
	leaf := p.Cert.Leaf()
	if f.System == nil || leaf == nil || selfSigned(leaf) {
		return false
	}
	between := x509.NewCertPool()
	for _, c := range p.Cert.Certificates[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: f.System, Intermediates: between, CurrentTime: leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

func certificateOurs(f *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if !f.ours(leaf) {
			return nil
		}
		return said("path", p.Cert.Path)
	})
}

func certificatePublic(f *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if f.ours(leaf) || !f.public(p) {
			return nil
		}
		return said("path", p.Cert.Path, "issuer", leaf.Issuer.String())
	})
}

func certificateAlone(f *Facts, s *Server) []hit {
	if f.CA.File.State == Denied || f.CA.Dir != "" && f.CA.File.State == Broken {
		return nil // there may be one
	}
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if f.CA.there() || f.public(p) {
			return nil
		}
		return said("path", p.Cert.Path, "issuer", leaf.Issuer.String())
	})
}

// certificateOther: of a target that has a bought or self-signed certificate on
// purpose nothing is said.
func certificateOther(f *Facts, s *Server) []hit {
	if s.Kept && s.Issuer != "ca" {
		return nil
	}
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if !f.CA.there() || f.ours(leaf) || f.public(p) {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path, "issuer", leaf.Issuer.String(), "ca", f.CA.Chain[0].Subject.String()), commands: s.issue()}}
	})
}

// issue is the command that puts a new certificate of the CA in place, where nobody
// keeps it. Other servers have none.
func (s *Server) issue() []string {
	if s.Kept || s.Kind != Sendmail && s.Kind != Postfix {
		return nil
	}
	line := "mailseal setup " + string(s.Kind)
	switch dir := filepath.Dir(s.Conf); dir {
	case ".", "/etc/mail", "/etc/postfix", "/usr/local/etc/postfix":
	default:
		line += " -conf " + quote(dir)
	}
	return []string{line}
}

func certificateMissing(_ *Facts, s *Server) []hit {
	var all []hit
	for _, p := range s.Pairs {
		if p.Cert.State == Missing {
			all = append(all, hit{args: arguments("path", p.Cert.Path), commands: s.issue()})
		}
	}
	if len(s.Pairs) == 0 && s.Off == "" && s.Unread == "" && s.Kind != Exim {
		all = append(all, hit{args: arguments("path", s.Conf), commands: s.issue()})
	}
	return all
}

func certificateBroken(_ *Facts, s *Server) []hit {
	var all []hit
	for _, p := range s.Pairs {
		if p.Cert.State == Broken && p.Cert.Leaf() == nil {
			all = append(all, hit{args: arguments("path", p.Cert.Path, "reason", p.Cert.Err), commands: s.issue()})
		}
	}
	return all
}

// boot reports whether a certificate is one that FreeBSD's rc.d/sendmail has made
// at a boot, by a CA whose key it has thrown away.
func boot(c *x509.Certificate) bool {
	some := slices.Equal(c.Subject.Organization, []string{"Some-org"}) && slices.Equal(c.Subject.Country, []string{"XX"})
	return some && len(c.DNSNames) == 0 && bytes.Equal(c.RawSubject, c.RawIssuer)
}

func certificateBoot(_ *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if !boot(leaf) {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path, "time", date(leaf.NotAfter)), commands: s.issue()}}
	})
}

func certificateSelf(_ *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if boot(leaf) || !selfSigned(leaf) {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path), commands: s.issue()}}
	})
}

func certificateExpired(f *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if f.Now.Before(leaf.NotAfter) {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path, "time", date(leaf.NotAfter)), commands: s.issue()}}
	})
}

// certificateEnding warns a month before the end; or, as certmgr renews when a third
// of the life is left, a day after that at the latest.
func certificateEnding(f *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		left := leaf.NotAfter.Sub(f.Now)
		third := leaf.NotAfter.Sub(leaf.NotBefore) / 3
		late := s.Kept && s.Issuer == "ca" && left < third-day
		if left <= 0 || left >= min(30*day, third) && !late {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path, "time", date(leaf.NotAfter), "days", days(left)), commands: s.issue()}}
	})
}

func certificateNotYet(f *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if !f.Now.Before(leaf.NotBefore) {
			return nil
		}
		return said("path", p.Cert.Path, "time", date(leaf.NotBefore), "now", date(f.Now))
	})
}

// certificateLong: Apple's systems take no more, from private CAs too.
func certificateLong(_ *Facts, s *Server) []hit {
	const most = 825
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		life := leaf.NotAfter.Sub(leaf.NotBefore)
		if life <= most*day+day || p.Client {
			return nil
		}
		return said("path", p.Cert.Path, "days", days(life))
	})
}

func hasSAN(c *x509.Certificate) bool { return len(c.DNSNames)+len(c.IPAddresses) > 0 }

func certificateNoSAN(_ *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if hasSAN(leaf) || p.Client || boot(leaf) {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path, "name", leaf.Subject.CommonName), commands: s.issue()}}
	})
}

// names are those that a server's certificate should cover: those that are
// configured, else that by which the server calls itself.
func (s *Server) names() []string {
	if len(s.Hosts) > 0 {
		return s.Hosts
	}
	if strings.Contains(s.Hostname, ".") && net.ParseIP(s.Hostname) == nil {
		return []string{s.Hostname}
	}
	return nil
}

func certificateName(_ *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		var all []hit
		for _, name := range s.names() {
			if hasSAN(leaf) && !p.Client && leaf.VerifyHostname(name) != nil {
				all = append(all, hit{args: arguments("path", p.Cert.Path, "name", name, "names", strings.Join(leaf.DNSNames, ", ")), commands: s.issue()})
			}
		}
		return all
	})
}

// purpose reports whether a certificate may be used so. One that says nothing may.
func purpose(c *x509.Certificate, use x509.ExtKeyUsage) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, use) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func certificateNotServer(_ *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if p.Client || purpose(leaf, x509.ExtKeyUsageServerAuth) {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path), commands: s.issue()}}
	})
}

// certificateNotClient: a mail server that sends shows its certificate too.
func certificateNotClient(_ *Facts, s *Server) []hit {
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		if !p.Client && !s.showsAsClient(p) || purpose(leaf, x509.ExtKeyUsageClientAuth) {
			return nil
		}
		return []hit{{args: arguments("path", p.Cert.Path), commands: s.issue()}}
	})
}

// showsAsClient reports whether a server's pair is also the one for sending.
func (s *Server) showsAsClient(p Pair) bool {
	for _, name := range []string{"smtp_tls_chain_files", "smtp_tls_cert_file", "clientcertfile"} {
		if slices.Contains(listOf(s.setting(name)), p.Cert.Path) {
			return true
		}
	}
	return false
}

func certificateRevoked(f *Facts, s *Server) []hit {
	files := append([]File{f.CA.CRL}, s.Lists...)
	return s.each(func(p Pair, leaf *x509.Certificate) []hit {
		for _, file := range files {
			for _, l := range file.CRLs {
				if !bytes.Equal(l.RawIssuer, leaf.RawIssuer) {
					continue
				}
				for _, e := range l.RevokedCertificateEntries {
					if e.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
						return []hit{{args: arguments("path", p.Cert.Path, "time", date(e.RevocationTime), "list", file.Path), commands: s.issue()}}
					}
				}
			}
		}
		return nil
	})
}
