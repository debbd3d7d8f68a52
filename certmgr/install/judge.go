package install

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailseal/certmgr/dh"
	"mailseal/internal/pki"
	"mailseal/internal/x509key"
)

// A judge collects what is wrong. Plan alone makes one.
type judge struct {
	target   Target
	state    State
	now      time.Time
	findings []Finding
	write    map[Role]bool
	issue    bool
	newCRL   bool
	relink   bool
	due      time.Time
}

func (j *judge) find(f Fault, path, format string, a ...any) {
	j.findings = append(j.findings, Finding{f, path, fmt.Sprintf(format, a...)})
}

// content is what a role's file holds; ok when there is something to judge.
func (j *judge) content(r Role) (path string, content []byte, ok bool) {
	path = j.target.Files[r].Path
	f := j.state.Files[r]
	switch {
	case !f.Exists:
		j.find(Missing, path, "is missing")
	case f.Err != "":
		j.find(Broken, path, "cannot be read: %s", f.Err)
	default:
		return path, f.Content, true
	}
	j.write[r] = true
	return path, nil, false
}

// pair judges key and certificate. Whatever is wrong with their contents, both
// are new then: a key without its certificate is of no use to anybody.
func (j *judge) pair() {
	before := len(j.findings)
	keyRole, certRole := j.target.pair()
	keyPath, keyPEM, hasKey := j.content(keyRole)
	certPath, certPEM, hasCert := keyPath, keyPEM, hasKey
	if certRole != keyRole {
		certPath, certPEM, hasCert = j.content(certRole)
	}
	var signer crypto.Signer
	if hasKey {
		key, err := pki.ParseKey(keyPEM, nil)
		if signer, _ = key.(crypto.Signer); err != nil || signer == nil {
			j.find(Broken, keyPath, "holds no key that a server can use: %v", err)
		}
	}
	var leaf *x509.Certificate
	if hasCert && (certRole != keyRole || signer != nil) { // of one file it is said once
		certs, err := pki.ParseCertificates(certPEM)
		if err != nil {
			j.find(Broken, certPath, "%v", err)
		} else {
			leaf = certs[0]
			j.certificate(certPath, leaf, certs[1:])
		}
	}
	if signer != nil && leaf != nil && !x509key.Pairs(leaf, signer) {
		j.find(Unpaired, certPath, "%s is not the key of this certificate", keyPath)
	}
	if len(j.findings) > before {
		j.issue, j.write[keyRole], j.write[certRole] = true, true, true
		return
	}
	first, _ := pem.Decode(keyPEM)
	switch {
	case certRole == keyRole:
		if !strings.HasSuffix(first.Type, "PRIVATE KEY") {
			j.find(Order, keyPath, "begins with %s; Postfix wants the key first", first.Type)
			j.write[keyRole] = true
		}
	case bytes.Contains(keyPEM, []byte("CERTIFICATE-----")):
		j.find(KeyBeside, keyPath, "holds a certificate besides the key")
		j.write[keyRole] = true
	}
}

func (j *judge) certificate(path string, leaf *x509.Certificate, rest []*x509.Certificate) {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	due := Due(leaf)
	switch {
	case !j.now.Before(leaf.NotAfter):
		j.find(Expired, path, "has expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case j.now.Before(leaf.NotBefore):
		j.find(NotYet, path, "is not valid before %s; is the clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	case !j.now.Before(due):
		j.find(Expiring, path, "ends at %s, and less than a third of %d days is left", leaf.NotAfter.UTC().Format(time.RFC3339), int(life.Hours()/24))
	default:
		j.until(due)
	}
	for _, host := range j.target.Hosts {
		if err := leaf.VerifyHostname(host); err != nil {
			j.find(Names, path, "does not cover %s", host)
		}
	}
	for _, use := range []struct {
		eku  x509.ExtKeyUsage
		name string
	}{{x509.ExtKeyUsageServerAuth, "servers"}, {x509.ExtKeyUsageClientAuth, "clients, which the server is when it sends"}} {
		if !slices.Contains(leaf.ExtKeyUsage, use.eku) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
			j.find(Purpose, path, "is not for %s", use.name)
		}
	}
	ca := j.target.Authority[0]
	if !bytes.Equal(leaf.RawIssuer, ca.RawSubject) || x509key.CheckSignature(ca, leaf) != nil {
		j.find(Issuer, path, "is not signed by the present CA, %s, but by %s", ca.Subject, leaf.Issuer)
		return
	}
	for _, c := range j.between() {
		if !slices.ContainsFunc(rest, c.Equal) {
			j.find(Chain, path, "does not hold the certificate of %s, without which nobody finds the root", c.Subject)
		}
	}
	if list, err := x509.ParseRevocationList(j.target.CRL); err == nil && j.target.CRL != nil {
		for _, e := range list.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
				j.find(Revoked, path, "was revoked at %s", e.RevocationTime.UTC().Format(time.RFC3339))
			}
		}
	}
}

// between are the CAs between the certificate and the root.
func (j *judge) between() []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(j.target.Authority), func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawSubject, c.RawIssuer)
	})
}

// until says that there is nothing to do before an instant.
func (j *judge) until(at time.Time) {
	if j.due.IsZero() || at.Before(j.due) {
		j.due = at
	}
}

// Due is when a certificate is renewed: when a third of its life is left, and up
// to a thirtieth earlier, so that a fleet does not do it at once. The same
// certificate has the same instant.
func Due(c *x509.Certificate) time.Time {
	life := c.NotAfter.Sub(c.NotBefore)
	sum := sha256.Sum256(c.Raw)
	jitter := time.Duration(float64(life/30) * float64(binary.BigEndian.Uint32(sum[:])) / (1 << 32))
	return c.NotAfter.Add(-life/3 - jitter)
}

// authority judges the file of CAs. It may have more than ours.
func (j *judge) authority() {
	if _, ok := j.target.Files[CA]; !ok {
		return
	}
	path, content, ok := j.content(CA)
	if !ok {
		return
	}
	certs, err := pki.ParseCertificates(content)
	if err != nil {
		j.find(Broken, path, "%v", err)
		j.write[CA] = true
		return
	}
	for _, ca := range j.target.Authority {
		if !slices.ContainsFunc(certs, ca.Equal) {
			j.find(NotCA, path, "does not hold the present certificate of %s", ca.Subject)
			j.write[CA] = true
		}
	}
}

// list judges the CRL, and the CA's own: a list that has ended turns every
// verification of sendmail's to FAIL.
func (j *judge) list() {
	if !slices.Contains(j.target.roles(), CRL) {
		return
	}
	path, content, ok := j.content(CRL)
	latest, err := x509.ParseRevocationList(j.target.CRL)
	if err != nil {
		j.find(Broken, path, "the CA's own list cannot be read: %v", err)
		j.newCRL, j.write[CRL] = true, true
		return
	}
	due := latest.NextUpdate.Add(-latest.NextUpdate.Sub(latest.ThisUpdate) / 3)
	if j.now.Before(due) {
		j.until(due)
	} else {
		j.find(Expiring, path, "the CA's own list ends at %s", latest.NextUpdate.UTC().Format(time.RFC3339))
		j.newCRL, j.write[CRL] = true, true
	}
	if !ok {
		return
	}
	block, _ := pem.Decode(content)
	switch {
	case block == nil || block.Type != "X509 CRL":
		j.find(Broken, path, "holds no list in PEM")
	case !bytes.Equal(block.Bytes, j.target.CRL):
		j.find(Outdated, path, "is not the CA's present list, number %v", latest.Number)
	default:
		return
	}
	j.write[CRL] = true
}

// group judges the Diffie-Hellman parameters.
func (j *judge) group() {
	if _, ok := j.target.Files[DH]; !ok {
		return
	}
	path, content, ok := j.content(DH)
	if !ok {
		return
	}
	p, err := dh.Parse(content)
	if err != nil {
		j.find(Broken, path, "%v", err)
		j.write[DH] = true
		return
	}
	if want := j.target.Group.Parameters(); p.P.Cmp(want.P) != 0 || p.G.Cmp(want.G) != 0 {
		j.find(Changed, path, "is not %s, but a group of %d bits", j.target.Group, p.P.BitLen())
		j.write[DH] = true
	}
}
