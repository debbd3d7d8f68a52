package revocation

import (
	"context"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
)

// split takes elements out of a row of them.
func split(row []byte) (all [][]byte) {
	for s := cryptobyte.String(row); !s.Empty() && len(all) < 20; {
		var one cryptobyte.String
		if !s.ReadASN1Element(&one, asn1.SEQUENCE) {
			break
		}
		all = append(all, one)
	}
	return all
}

// Whatever comes with a mail and from the network: nothing panics, work is bounded, who
// is on a configured CRL is revoked, and without anything that the CA has signed nobody
// is good.
func FuzzCheck(f *testing.F) {
	w := asks(nil)
	w.fetch = nil
	r := w.result(f)
	revoked := NewLists(parseCRL(f, forge.CRL{Entries: lost}.Sign(w.issuer)), parseCRL(f, forge.CRL{}.Sign(w.root)))
	stranger := signs("CA").Sign(w.alice)
	f.Add(forge.CRL{}.Sign(stranger), stranger.DER, forge.Response{Of: w.issuer, Serial: seven}.Sign(stranger))
	f.Add(forge.CRL{Issuer: w.issuer.Subject}.Sign(w.alice), responder().Sign(w.alice).DER, delegated(responder(forge.NoCheck()), func(*world) *forge.Issued { return w.alice })(w))
	f.Add(append(forge.CRL{Number: 2, Base: 1, Issuer: w.issuer.Subject, Entries: held}.Sign(w.alice),
		forge.CRL{Issuer: w.issuer.Subject, Extensions: [][]byte{forge.Scope{Indirect: true, Name: point1("CA").Name}.Extension()}}.Sign(w.alice)...),
		signs("CA").Sign(nil).DER, forge.Response{Revoked: true, ByKey: true, Of: w.issuer, Serial: seven}.Sign(w.alice))
	f.Fuzz(func(t *testing.T, crls, certs, response []byte) {
		var extra []*x5280.Certificate
		for _, der := range split(certs) {
			if c, err := x5280.Parse(der); err == nil {
				extra = append(extra, c)
			}
		}
		n := &net{crls: map[string][]byte{listURL: crls}, ocsp: map[string]func([]byte) []byte{responderURL: func([]byte) []byte { return response }}}
		q := Question{At: at, Local: revoked, Mail: split(crls), Extra: extra, Fetch: n}
		if report := Check(context.Background(), r, q); report.Answers[0].Status != Revoked {
			t.Errorf("on a CRL: %s", told(report))
		}
		q.Local = NewLists(parseCRL(t, forge.CRL{}.Sign(w.root)))
		k := newChecker(context.Background(), r, q)
		a := k.ask(r.Path[0], r.Path[1:])
		if a.Status != Unknown || a.Reason == "" || len(a.Reason) > 4000 {
			t.Errorf("%s %s", a.Status, a.Reason)
		}
		if k.mail < 0 || k.side < 0 || k.work < 0 || n.asks > 4*maxFetches {
			t.Errorf("left %v, %v and %v, %d asked", k.mail, k.side, k.work, n.asks)
		}
	})
}
