package install

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	"mailseal/certmgr/bought"
	"mailseal/internal/x509key"
)

// byCA judges a certificate that the private CA has signed.
func (j *judge) byCA(path string) {
	j.purpose(path)
	if len(j.target.Authority) == 0 {
		j.note("whether %s is signed by the present CA is not known: the CA is not", path)
		return
	}
	ca := j.target.Authority[0]
	if !bytes.Equal(j.leaf.RawIssuer, ca.RawSubject) || x509key.CheckSignature(ca, j.leaf) != nil {
		j.find(Issuer, path, "is not signed by the present CA, %s, but by %s", ca.Subject, j.leaf.Issuer)
		return
	}
	for _, c := range j.target.Authority {
		if !selfIssued(c) && !slices.ContainsFunc(j.rest, c.Equal) {
			j.find(Chain, path, "does not hold the certificate of %s, without which nobody finds the root", c.Subject)
		}
	}
	if list, err := x509.ParseRevocationList(j.target.CRL); err == nil && j.target.CRL != nil {
		for _, e := range list.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(j.leaf.SerialNumber) == 0 {
				j.find(Revoked, path, "was revoked at %s", e.RevocationTime.UTC().Format(time.RFC3339))
			}
		}
	}
}

// selfSigned judges a certificate that certifies itself.
func (j *judge) selfSigned(path string) {
	j.purpose(path)
	if !selfIssued(j.leaf) || x509key.CheckSignature(j.leaf, j.leaf) != nil {
		j.find(Issuer, path, "is not signed by itself, but by %s", j.leaf.Issuer)
	}
}

// bought judges a certificate by what lies in the folder, and where that is
// nothing good any more, by itself.
func (j *judge) bought(path string) {
	if !bought.IsFor(j.leaf, x509.ExtKeyUsageServerAuth) {
		j.find(Purpose, path, "is not for servers")
	}
	if !bought.IsFor(j.leaf, x509.ExtKeyUsageClientAuth) {
		// Public CAs issue no others any more, and most peers do not look.
		j.note("%s is not for clients: a peer that asks for the certificate of who sends (verify=) will not take it", path)
	}
	if j.offer == nil {
		chain, err := bought.Chain(j.leaf, j.rest, append(j.inFile(CA), j.public...), j.now)
		if err != nil {
			j.find(Chain, path, "%v", err)
			return
		}
		j.root = chain[len(chain)-1]
		return
	}
	if !j.leaf.Equal(j.offer.Leaf) {
		j.find(Outdated, path, "is not the newest of %s, which is %s", j.target.From, j.offer)
		return
	}
	for _, c := range j.offer.Chain {
		if !slices.ContainsFunc(j.rest, c.Equal) {
			j.find(Chain, path, "does not hold the certificate of %s, without which nobody finds the root", c.Subject)
		}
	}
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }
