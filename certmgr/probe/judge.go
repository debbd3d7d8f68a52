package probe

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"mailseal/certmgr/ca/index"
)

// judge says what is wrong with what a server has presented. What is next to be
// said of it, after Err, is a note.
func (w Want) judge(r *Result) {
	at := w.At
	if at.IsZero() {
		at = time.Now()
	}
	var failures []*Failure
	add := func(f *Failure) {
		if f != nil {
			failures = append(failures, f)
		}
	}
	leaf := r.Chain[0]
	add(w.leaf(leaf))
	f, note := path(r.Chain, w.CAs, at)
	add(f)
	if note != "" {
		r.Notes = append(r.Notes, note)
	}
	host := w.host(r.URL)
	add(covers(leaf, host))
	if r.version < w.MinVersion {
		add(&Failure{OldVersion, fmt.Sprintf("it speaks %s at best; %s is the least that is good enough", VersionName(r.version), VersionName(w.MinVersion)), nil})
	}
	if r.Banner != "" && !strings.EqualFold(r.Banner, host) && leaf.VerifyHostname(r.Banner) != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("it greets as %s, a name that its certificate does not cover", r.Banner))
	}
	for i, f := range failures {
		if i == 0 {
			r.Err = f
		} else {
			r.Notes = append(r.Notes, f.Text)
		}
	}
}

// host is the name that the certificate has to cover, "" for any.
func (w Want) host(u URL) string {
	for _, name := range []string{w.Host, u.Name, u.Host} {
		if name != "" && net.ParseIP(name) == nil {
			return name
		}
	}
	return ""
}

func (w Want) leaf(served *x509.Certificate) *Failure {
	if w.Leaf == nil || w.Leaf.Equal(served) {
		return nil
	}
	name := serial
	if served.SerialNumber.Cmp(w.Leaf.SerialNumber) == 0 { // as with self-signed ones
		name = func(c *x509.Certificate) string { return fmt.Sprintf("with SHA-256 %X...", sha256.Sum256(c.Raw))[:32] }
	}
	return &Failure{OtherLeaf, fmt.Sprintf("it serves the certificate %s of %s, valid until %s, and not %s, which is installed: "+
		"it has not read the new files, or it reads others", name(served), plain(served.Subject.String()), day(served.NotAfter), name(w.Leaf)), nil}
}

// serial is a serial number as the openssl command and index.txt have it.
func serial(c *x509.Certificate) string { return index.Serial(c.SerialNumber) }

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// path looks for a way from a server's certificate up to one of ours that is
// self-signed. The note is about a way that not every peer finds.
func path(chain, cas []*x509.Certificate, at time.Time) (f *Failure, note string) {
	roots, served, known := x509.NewCertPool(), x509.NewCertPool(), x509.NewCertPool()
	for _, c := range cas {
		if selfSigned(c) {
			roots.AddCert(c)
		} else {
			known.AddCert(c)
		}
	}
	for _, c := range chain[1:] {
		served.AddCert(c)
		known.AddCert(c)
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: served, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	_, err := chain[0].Verify(o)
	if err == nil {
		return nil, ""
	}
	o.Intermediates = known
	if ways, err := chain[0].Verify(o); err == nil {
		return nil, missing(ways, chain)
	}
	return why(chain, cas, at, err), ""
}

// missing names what a server does not send although its peers may need it.
func missing(ways [][]*x509.Certificate, chain []*x509.Certificate) string {
	for _, c := range ways[0][1 : len(ways[0])-1] {
		if !contains(chain, c) {
			return fmt.Sprintf("it does not send the certificate of %s: peers that have the root alone cannot verify it", plain(c.Subject.String()))
		}
	}
	return ""
}

func contains(list []*x509.Certificate, c *x509.Certificate) bool {
	for _, l := range list {
		if l.Equal(c) {
			return true
		}
	}
	return false
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// why says what keeps a chain from being good. crypto/x509 says of most that its
// authority is unknown; why goes up to where it ends.
func why(chain, cas []*x509.Certificate, at time.Time, err error) *Failure {
	if e := (x509.CertificateInvalidError{}); errors.As(err, &e) && e.Reason == x509.Expired && e.Cert != nil {
		return outOfDate(e.Cert, e.Cert.Equal(chain[0]), at, err)
	} else if errors.As(err, &e) {
		return &Failure{Invalid, "its certificate is not acceptable: " + plain(err.Error()), err}
	}
	if e := (x509.UnknownAuthorityError{}); !errors.As(err, &e) {
		return &Failure{Invalid, "its certificate is not acceptable: " + plain(err.Error()), err}
	}
	c := chain[0]
	for range len(chain) + len(cas) {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			return atRoot(c, c == chain[0], cas, err)
		}
		up, problem := issuer(c, chain[1:], cas)
		switch {
		case problem != "":
			return &Failure{UnknownCA, problem, err}
		case up == nil && contains(cas, c):
			return &Failure{Incomplete, fmt.Sprintf("the CA file has %s, but not its root %s", plain(c.Subject.String()), plain(c.Issuer.String())), err}
		case up == nil:
			return nowhere(c, err)
		case at.After(up.NotAfter) || at.Before(up.NotBefore):
			return outOfDate(up, false, at, err)
		}
		c = up
	}
	return &Failure{Invalid, "its certificates lead round in a circle", err}
}

// nowhere is about a certificate whose issuer nobody has.
func nowhere(c *x509.Certificate, err error) *Failure {
	cause := UnknownCA
	if len(c.IssuingCertificateURL) > 0 {
		cause = Incomplete // a public CA says there where the one above is; none sends people to its root
	}
	return &Failure{cause, fmt.Sprintf("%s is issued by %s, and neither does the server send the certificate of that nor has the CA file it: "+
		"the chain is incomplete, or the CA unknown", plain(c.Subject.String()), plain(c.Issuer.String())), err}
}

func outOfDate(c *x509.Certificate, own bool, at time.Time, err error) *Failure {
	whose := "its certificate"
	if !own {
		whose = "the certificate of its CA " + plain(c.Subject.String())
	}
	if at.Before(c.NotBefore) {
		return &Failure{NotYet, fmt.Sprintf("%s is not valid before %s; is the clock right?", whose, day(c.NotBefore)), err}
	}
	return &Failure{Expired, fmt.Sprintf("%s has expired at %s", whose, day(c.NotAfter)), err}
}

// atRoot is about a chain that ends in a root which is not, or only seems to be,
// one of ours.
func atRoot(c *x509.Certificate, own bool, cas []*x509.Certificate, err error) *Failure {
	switch {
	case contains(cas, c):
		return &Failure{Invalid, "its certificate is not acceptable: " + plain(err.Error()), err}
	case own:
		return &Failure{SelfSigned, fmt.Sprintf("its certificate %s is self-signed: no CA vouches for it", plain(c.Subject.String())), err}
	}
	text := fmt.Sprintf("its root %s is not in the CA file", plain(c.Subject.String()))
	for _, ca := range cas {
		if bytes.Equal(ca.RawSubject, c.RawSubject) {
			text = fmt.Sprintf("its root %s has the name of a CA in the CA file, but another key: it is another CA", plain(c.Subject.String()))
		}
	}
	return &Failure{UnknownCA, text, err}
}

// issuer finds who has signed a certificate. The problem is about one that bears
// the issuer's name and has not.
func issuer(c *x509.Certificate, served, cas []*x509.Certificate) (up *x509.Certificate, problem string) {
	for i, list := range [][]*x509.Certificate{cas, served} {
		for _, s := range list {
			if !bytes.Equal(s.RawSubject, c.RawIssuer) {
				continue
			}
			err := s.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
			if err == nil {
				return s, ""
			}
			if weak := (x509.InsecureAlgorithmError(0)); errors.As(err, &weak) {
				problem = fmt.Sprintf("%s is signed with %s, which nobody should accept any more", plain(c.Subject.String()), x509.SignatureAlgorithm(weak))
			} else if i == 0 && problem == "" {
				problem = fmt.Sprintf("%s is issued by a CA named %s, but not by the one in the CA file: that has another key. "+
					"The server still has a certificate of an earlier CA, or of one that was made at boot", plain(c.Subject.String()), plain(c.Issuer.String()))
			}
		}
	}
	return nil, problem
}

// covers looks for a name in a certificate, and says which there are.
func covers(c *x509.Certificate, host string) *Failure {
	if host == "" {
		return nil
	}
	err := c.VerifyHostname(host)
	if err == nil {
		return nil
	}
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	text := fmt.Sprintf("its certificate does not cover %s; it covers %s", plain(host), plain(strings.Join(names, ", ")))
	if len(names) == 0 {
		text = fmt.Sprintf("its certificate does not cover %s: it has no subjectAltName, and its CN %q counts no more", plain(host), plain(c.Subject.CommonName))
	}
	return &Failure{OtherName, text, err}
}
