package install

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"mailseal/certmgr/bought"
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
	notes    []string
	write    map[Role]bool
	issue    bool
	newCRL   bool
	relink   bool
	remap    bool
	generate int
	due      time.Time
	// leaf and rest are the file's certificates when they are read.
	leaf *x509.Certificate
	rest []*x509.Certificate
	// public are the system's CAs, as far as they are wanted.
	public []*x509.Certificate
	// offer is what the folder From has, and root where its chain ends, or that
	// of what is installed; of FromFiles alone.
	offer *bought.Offer
	root  *x509.Certificate
}

// keyMark is in a file that has a private key of any kind, however broken.
var keyMark = []byte("PRIVATE KEY-----")

func (j *judge) find(f Fault, path, format string, a ...any) {
	j.findings = append(j.findings, Finding{f, path, fmt.Sprintf(format, a...)})
}

func (j *judge) note(format string, a ...any) { j.notes = append(j.notes, fmt.Sprintf(format, a...)) }

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
	if hasCert && (certRole != keyRole || signer != nil) { // of one file it is said once
		certs, err := pki.ParseCertificates(certPEM)
		if err != nil {
			j.find(Broken, certPath, "%v", err)
		} else {
			j.leaf, j.rest = certs[0], certs[1:]
			j.certificate(certPath)
		}
	}
	if signer != nil && j.leaf != nil && !x509key.Pairs(j.leaf, signer) {
		j.find(Unpaired, certPath, "%s is not the key of this certificate", keyPath)
	}
	if len(j.findings) > before {
		j.renew(keyRole, certRole)
		return
	}
	first, _ := pem.Decode(keyPEM)
	switch {
	case certRole == keyRole:
		if !strings.HasSuffix(first.Type, "PRIVATE KEY") {
			j.find(Order, keyPath, "begins with %s; the key belongs first", first.Type)
			j.write[keyRole] = true
		}
	case bytes.Contains(keyPEM, []byte("CERTIFICATE-----")):
		j.find(KeyBeside, keyPath, "holds a certificate besides the key")
		j.write[keyRole] = true
	}
	if certRole != keyRole && bytes.Contains(certPEM, keyMark) {
		j.find(KeyBeside, certPath, "holds a private key, and is for everybody to read")
		j.write[certRole] = true
	}
}

// renew has key and certificate made anew, or taken from where they are dropped.
// Where nothing good lies there, both stay as they are.
func (j *judge) renew(key, certificate Role) {
	can := j.target.Issuer != FromFiles || j.offer != nil
	j.issue = can && j.offer == nil
	j.write[key], j.write[certificate] = can, can
}

func (j *judge) certificate(path string) {
	j.lifetime(path)
	for _, host := range j.target.Hosts {
		if err := j.leaf.VerifyHostname(host); err != nil {
			j.find(Names, path, "does not cover %s", host)
		}
	}
	switch j.target.Issuer {
	case BySelf:
		j.selfSigned(path)
	case FromFiles:
		j.bought(path)
	default:
		j.byCA(path)
	}
}

func (j *judge) lifetime(path string) {
	ends := j.leaf.NotAfter.UTC().Format(time.RFC3339)
	due := Due(j.leaf)
	if j.target.Issuer == FromFiles {
		due = bought.Remind(j.leaf)
	}
	switch {
	case !j.now.Before(j.leaf.NotAfter):
		j.find(Expired, path, "has expired at %s", ends)
	case j.now.Before(j.leaf.NotBefore):
		j.find(NotYet, path, "is not valid before %s; is the clock right?", j.leaf.NotBefore.UTC().Format(time.RFC3339))
	case j.now.Before(due):
		j.until(due)
	case j.target.Issuer == FromFiles:
		j.note("%s ends at %s: drop a newer one into %s", path, ends, j.target.From)
		j.until(j.leaf.NotAfter)
	default:
		j.find(Expiring, path, "ends at %s, and less than a third of %d days is left", ends, int(j.leaf.NotAfter.Sub(j.leaf.NotBefore).Hours()/24))
	}
}

// purpose wants a certificate to be for all that a mail server is.
func (j *judge) purpose(path string) {
	if !bought.IsFor(j.leaf, x509.ExtKeyUsageServerAuth) {
		j.find(Purpose, path, "is not for servers")
	}
	if !bought.IsFor(j.leaf, x509.ExtKeyUsageClientAuth) {
		j.find(Purpose, path, "is not for clients, which the server is when it sends")
	}
}

// dropped looks at what lies in the folder From.
func (j *judge) dropped() {
	if j.target.Issuer != FromFiles {
		return
	}
	var problems []string
	if j.offer, problems = j.state.From.Choose(j.public, j.target.Hosts, j.now); j.offer != nil {
		j.root = j.offer.Root
	}
	j.notes = append(j.notes, problems...)
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

// group judges the Diffie-Hellman parameters.
func (j *judge) group() {
	if _, ok := j.target.Files[DH]; !ok {
		return
	}
	if j.target.Own.P == nil {
		j.generate = j.target.OwnPrime
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
	want, name := j.target.parameters()
	if p.P.Cmp(want.P) == 0 && p.G.Cmp(want.G) == 0 {
		return
	}
	if j.generate > 0 && p.P.BitLen() >= j.generate {
		return // may serve until there is another
	}
	j.find(Changed, path, "is not %s, but a group of %d bits", name, p.P.BitLen())
	j.write[DH] = true
}

// parameters are those of the file of role DH, and what they are called.
func (t Target) parameters() (dh.Parameters, string) {
	if t.Own.P != nil {
		return t.Own, "the host's own group"
	}
	return t.Group.Parameters(), t.Group.String()
}
