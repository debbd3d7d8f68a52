package spoof_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"mailseal/internal/gateway"
	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/internal/verdict"
)

// A crl is a list in the making.
type crl struct {
	by      *forge.Issued
	number  int64
	age     time.Duration
	expired bool
	revokes []*forge.Issued
	scope   []byte // issuingDistributionPoint
	delta   bool
	spoil   bool
}

func (w *world) crl(c crl) []byte {
	w.Helper()
	list := &x509.RevocationList{Number: big.NewInt(c.number), ThisUpdate: now().Add(-c.age - time.Minute), NextUpdate: now().AddDate(0, 1, 0)}
	if c.expired {
		list.NextUpdate = now().Add(-time.Second)
	}
	for _, r := range c.revokes {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: w.parse(r).SerialNumber, RevocationTime: list.ThisUpdate})
	}
	add := func(id asn1.ObjectIdentifier, value []byte) {
		list.ExtraExtensions = append(list.ExtraExtensions, pkix.Extension{Id: id, Critical: true, Value: value})
	}
	if c.scope != nil {
		add(asn1.ObjectIdentifier{2, 5, 29, 28}, c.scope)
	}
	if c.delta {
		add(asn1.ObjectIdentifier{2, 5, 29, 27}, []byte{2, 1, 1})
	}
	issuer := w.parse(c.by)
	issuer.KeyUsage = x509.KeyUsageCRLSign // as it says, or not
	der, err := x509.CreateRevocationList(rand.Reader, list, issuer, c.by.Key)
	if err != nil {
		w.Fatal(err)
	}
	if c.spoil {
		der[len(der)-1] ^= 1
	}
	return der
}

// What comes with a mail says nothing of revocation but what its CA signed: where it
// has to be known, and nothing is, it is no pass; and what is revoked stays so.
func TestForgedRevocation(t *testing.T) {
	w := newWorld(t)
	impostor := forge.Certificate{Subject: forge.Name("Trusted CA"), KeyOf: "impostor", Extensions: forge.CA}.Sign(nil)
	other := forge.Certificate{Subject: forge.Name("Other CA"), Serial: []byte{9}, Extensions: forge.CA}.Sign(w.root)
	noCRLs := forge.Certificate{Subject: forge.Name("No CRLs"), Serial: []byte{8}, Extensions: [][]byte{forge.Basic(true, -1), forge.Usage(5)}}.Sign(w.root)
	bad := []*forge.Issued{w.alice}
	local := func(c crl) []byte { return w.crl(c) }
	for _, tt := range []struct {
		name  string
		known []byte // to the postmaster
		mail  [][]byte
		also  []*forge.Issued
		want  verdict.Status
	}{
		{"a good list in the mail", nil, [][]byte{w.crl(crl{by: w.root})}, nil, verdict.Pass},
		{"a good list known", local(crl{by: w.root}), nil, nil, verdict.Pass},
		{"none", nil, nil, nil, verdict.TempError},
		{"of an impostor", nil, [][]byte{w.crl(crl{by: impostor})}, certs(impostor), verdict.TempError},
		{"of another CA", nil, [][]byte{w.crl(crl{by: other})}, certs(other), verdict.TempError},
		{"of Mallory", nil, [][]byte{w.crl(crl{by: &forge.Issued{DER: w.root.DER, Subject: w.root.Subject, Key: forge.Key("mallory")}})}, nil, verdict.TempError},
		{"of a CA that may sign none", nil, [][]byte{w.crl(crl{by: noCRLs})}, certs(noCRLs), verdict.TempError},
		{"with a bit changed", nil, [][]byte{w.crl(crl{by: w.root, spoil: true})}, nil, verdict.TempError},
		{"out of date", nil, [][]byte{w.crl(crl{by: w.root, age: 48 * time.Hour, expired: true})}, nil, verdict.TempError},
		{"for certificates of CAs alone", nil, [][]byte{w.crl(crl{by: w.root, scope: []byte{0x30, 3, 0x82, 1, 0xff}})}, nil, verdict.TempError},
		{"for attribute certificates alone", nil, [][]byte{w.crl(crl{by: w.root, scope: []byte{0x30, 3, 0x85, 1, 0xff}})}, nil, verdict.TempError},
		{"for some reasons", nil, [][]byte{w.crl(crl{by: w.root, scope: []byte{0x30, 4, 0x83, 2, 6, 0x40}})}, nil, verdict.TempError},
		{"a delta alone", nil, [][]byte{w.crl(crl{by: w.root, delta: true})}, nil, verdict.TempError},
		{"no list at all", nil, [][]byte{{0x30, 3, 2, 1, 1}}, nil, verdict.TempError},
		{"revoked in the mail's", nil, [][]byte{w.crl(crl{by: w.root, revokes: bad})}, nil, verdict.Fail},
		{"revoked in what is known, an older one in the mail", local(crl{by: w.root, number: 2, revokes: bad}), [][]byte{w.crl(crl{by: w.root, number: 1, age: 24 * time.Hour})}, nil, verdict.Fail},
		{"revoked in what is known, an impostor's newer one in the mail", local(crl{by: w.root, number: 2, age: time.Hour, revokes: bad}), [][]byte{w.crl(crl{by: impostor, number: 3})}, certs(impostor), verdict.Fail},
		{"revoked in what is known, a newer one with a bit changed in the mail", local(crl{by: w.root, number: 2, age: time.Hour, revokes: bad}), [][]byte{w.crl(crl{by: w.root, number: 3, spoil: true})}, nil, verdict.Fail},
		{"revoked in what is known, a newer one of narrow scope in the mail", local(crl{by: w.root, number: 2, age: time.Hour, revokes: bad}), [][]byte{w.crl(crl{by: w.root, number: 3, scope: []byte{0x30, 3, 0x82, 1, 0xff}})}, nil, verdict.Fail},
		{"revoked in a newer one in the mail", local(crl{by: w.root, number: 1, age: time.Hour}), [][]byte{w.crl(crl{by: w.root, number: 2, revokes: bad})}, nil, verdict.Fail},
		{"another one revoked by an impostor", local(crl{by: w.root}), [][]byte{w.crl(crl{by: impostor, number: 9, revokes: bad})}, certs(impostor), verdict.Pass},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var lists []*x5280.CRL
			if tt.known != nil {
				list, err := x5280.ParseCRL(tt.known)
				if err != nil {
					t.Fatal(err)
				}
				lists = append(lists, list)
			}
			b := newBench(t, w, func(c *gateway.Config) {
				c.Anchors = trust.New(trust.Sources{Mail: []*x509.Certificate{w.parse(w.root)}, Lists: revocation.NewLists(lists...)}, trust.Options{Revocation: revocation.Hard})
			})
			o := object{content: []byte(crlf(words)), detached: true, signers: []signer{by(w.alice)}, also: tt.also, crls: tt.mail}
			b.try(t, attack{mail: mail(alice, clearSigned(words, o.der())), want: tt.want})
		})
	}
}
