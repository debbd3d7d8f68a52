package install

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/pki/x5280"
)

// anchors are the certificates that the file of CAs is there for: those of the
// private CA, and whatever else the server's own certificate needs.
func (j *judge) anchors() []*x509.Certificate {
	all := slices.Clone(j.target.Authority)
	switch {
	case j.target.Issuer == BySelf && j.leaf != nil:
		all = []*x509.Certificate{j.leaf}
	case j.target.Issuer == FromFiles && j.root != nil && !slices.ContainsFunc(all, j.root.Equal):
		all = append(all, j.root)
	}
	return all
}

// authority judges the file of CAs. It may have more than ours, unless it has the
// public ones: then what the system has withdrawn must go.
func (j *judge) authority() {
	f, ok := j.target.Files[CA]
	if !ok {
		return
	}
	want := j.anchors()
	path, content, ok := j.content(CA)
	certs, err := pki.ParseCertificates(content)
	switch {
	case !ok:
	case err != nil:
		j.find(Broken, path, "%v", err)
		j.write[CA] = true
	case j.target.Issuer == BySelf && j.issue:
		j.write[CA] = true // with the certificate that comes
	default:
		for _, c := range want {
			if !slices.ContainsFunc(certs, c.Equal) {
				j.find(NotCA, path, "does not hold the present certificate of %s", c.Subject)
				j.write[CA] = true
			}
		}
		if f.Public && len(j.public) > 0 {
			j.compare(path, certs, want)
		}
	}
	if j.write[CA] && len(want) == 0 && !(f.Public && len(j.public) > 0) && !(j.issue && j.target.Issuer == BySelf) {
		j.note("%s cannot be written: no CA is known", path)
		delete(j.write, CA)
	}
}

// compare wants the public CAs of the system, and no others.
func (j *judge) compare(path string, have, want []*x509.Certificate) {
	lacks, more := without(j.public, have), without(have, slices.Concat(want, j.public))
	if lacks+more > 0 {
		j.find(Outdated, path, "lacks %d certificates of %s, and has %d that are neither there nor ours", lacks, j.target.Bundle, more)
		j.write[CA] = true
	}
}

// without is how many certificates are not among others.
func without(certs, others []*x509.Certificate) int {
	known := map[string]bool{}
	for _, c := range others {
		known[string(c.Raw)] = true
	}
	n := 0
	for _, c := range certs {
		if !known[string(c.Raw)] {
			n++
		}
	}
	return n
}

// bundle reads the system's public CAs.
func (j *judge) bundle() {
	if !j.target.public() {
		return
	}
	f := j.state.Bundle
	switch j.public = publicCAs(f.Content); {
	case !f.Exists:
		j.note("%s is missing, which should hold the public CAs: install them (ca-certificates, ca_root_nss) or say where they are (system_bundle)", j.target.Bundle)
	case f.Err != "":
		j.note("%s, which should hold the public CAs, cannot be read: %s", j.target.Bundle, f.Err)
	case len(j.public) == 0:
		j.note("%s should hold the public CAs, and holds no certificate", j.target.Bundle)
	}
}

// publicCAs are the certificates of a system's bundle, but for those that nobody
// could use.
func publicCAs(content []byte) []*x509.Certificate {
	var certs []*x509.Certificate
	seen := map[string]bool{}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || seen[string(block.Bytes)] {
			continue
		}
		seen[string(block.Bytes)] = true
		if c, err := x5280.ParseX509(block.Bytes); err == nil {
			certs = append(certs, c)
		}
	}
	return certs
}

// inFile are the certificates of a file, as far as they can be read.
func (j *judge) inFile(r Role) []*x509.Certificate { return publicCAs(j.state.Files[r].Content) }

// list judges the CRL, and the CA's own: a list that has ended turns every
// verification of sendmail's to FAIL.
func (j *judge) list() {
	var files []Role
	if slices.Contains(j.target.roles(), CRL) {
		files = append(files, CRL)
	}
	if j.target.Files[CA].List && j.target.CRL != nil {
		files = append(files, CA)
	}
	if len(files) == 0 {
		return
	}
	path := j.target.Files[files[0]].Path
	latest, err := x509.ParseRevocationList(j.target.CRL)
	if err != nil {
		j.find(Broken, path, "the CA's own list cannot be read: %v", err)
		j.newList(files)
		return
	}
	due := latest.NextUpdate.Add(-latest.NextUpdate.Sub(latest.ThisUpdate) / 3)
	if j.now.Before(due) {
		j.until(due)
	} else {
		j.find(Expiring, path, "the CA's own list ends at %s", latest.NextUpdate.UTC().Format(time.RFC3339))
		j.newList(files)
	}
	for _, r := range files {
		f := j.state.Files[r]
		if r == CRL {
			if _, _, ok := j.content(CRL); !ok {
				continue
			}
		} else if !f.Exists || f.Err != "" {
			continue // said of the CAs
		}
		j.listIn(r, f.Content, latest)
	}
}

func (j *judge) newList(files []Role) {
	j.newCRL = true
	for _, r := range files {
		j.write[r] = true
	}
}

// listIn judges the list that a file holds.
func (j *judge) listIn(r Role, content []byte, latest *x509.RevocationList) {
	path := j.target.Files[r].Path
	lists := listsOf(content)
	switch {
	case len(lists) == 0:
		j.find(Broken, path, "holds no list in PEM")
	case !bytes.Equal(lists[0], j.target.CRL):
		j.find(Outdated, path, "is not the CA's present list, number %v", latest.Number)
	default:
		return
	}
	j.write[r] = true
}

func listsOf(content []byte) [][]byte {
	var lists [][]byte
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			lists = append(lists, block.Bytes)
		}
	}
	return lists
}

// authorityFile is the anchors; then the public CAs, or else what stood in a file
// that had ours before, as another site's CA; then the list.
func (t Target) authorityFile(anchors, ours, public []*x509.Certificate, old, list []byte) []byte {
	f := t.Files[CA]
	certs := slices.Clone(anchors)
	if f.Public && len(public) > 0 {
		for _, c := range public {
			if !slices.ContainsFunc(anchors, c.Equal) {
				certs = append(certs, c)
			}
		}
	} else {
		certs = append(certs, others(ours, old)...)
	}
	if len(certs) == 0 {
		return nil
	}
	content := ca.EncodeCertificates(certs...)
	if f.List && list != nil {
		content = append(content, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list})...)
	}
	return content
}

// others are the certificates in a file besides ours, if it had ours.
func others(ours []*x509.Certificate, file []byte) []*x509.Certificate {
	before, err := pki.ParseCertificates(file)
	if err != nil {
		return nil
	}
	had := false
	var rest []*x509.Certificate
	for _, b := range before {
		// Renewed: the same name and key.
		same := slices.ContainsFunc(ours, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, b.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
		})
		if same {
			had = true
		} else {
			rest = append(rest, b)
		}
	}
	if !had {
		return nil
	}
	return rest
}
