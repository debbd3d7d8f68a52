package revocation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"mailseal/internal/testpki/forge"
)

const (
	responderURL = "http://ocsp.example/"
	listURL      = "http://ca.example/ca.crl"
)

// asks is a world where Alice's certificate names a responder, and a place for CRLs.
func asks(answer func(w *world) []byte) *world {
	w := newWorld(forge.Responder(responderURL), forge.Points(forge.Point{Name: forge.FullName(forge.URI(listURL))})).sign()
	n := &net{crls: map[string][]byte{}, ocsp: map[string]func([]byte) []byte{}}
	if answer != nil {
		n.ocsp[responderURL] = func([]byte) []byte { return answer(w) }
	}
	w.fetch = n
	return w
}

// serves has a CRL of the CA be fetched.
func (w *world) serves(c forge.CRL) *world {
	w.fetch.(*net).crls[listURL] = c.Sign(w.issuer)
	return w
}

var seven = []byte{7}

// responder is a certificate for OCSP.
func responder(more ...[]byte) forge.Certificate {
	return forge.Certificate{Subject: forge.Name("Responder"), Serial: []byte{4}, Extensions: append([][]byte{forge.Usage(0), forge.Purposes(forge.ForOCSP)}, more...)}
}

// delegated answers by a responder that the CA, or whom it says, has certified.
func delegated(c forge.Certificate, by func(w *world) *forge.Issued) func(w *world) []byte {
	return func(w *world) []byte {
		issuer := w.issuer
		if by != nil {
			issuer = by(w)
		}
		r := c.Sign(issuer)
		return forge.Response{Of: w.issuer, Serial: seven, With: []*forge.Issued{r}}.Sign(r)
	}
}

func TestOCSP(t *testing.T) {
	says := func(r forge.Response) func(w *world) []byte {
		return func(w *world) []byte {
			if r.Serial == nil {
				r.Serial = seven
			}
			return r.Sign(w.issuer)
		}
	}
	raw := func(b []byte) func(*world) []byte { return func(*world) []byte { return b } }
	expired := responder(forge.NoCheck())
	expired.To = earlier
	judge(t, []ruling{
		{"good", asks(says(forge.Response{})), Good, ""},
		{"revoked", asks(says(forge.Response{Revoked: true, Reason: 1})), Revoked, "^keyCompromise$"},
		{"held", asks(says(forge.Response{Revoked: true, Reason: 6})), Revoked, "certificateHold"},
		{"unknown", asks(says(forge.Response{Unknown: true})), Unknown, "does not know the certificate"},
		{"by key", asks(says(forge.Response{ByKey: true})), Good, ""},
		{"SHA-256", asks(says(forge.Response{SHA256: true})), Good, ""},
		{"another serial number", asks(says(forge.Response{Serial: []byte{8}})), Unknown, "for other certificates"},
		{"another issuer's name", asks(says(forge.Response{Issuer: forge.Name("Other")})), Unknown, "for other certificates"},
		{"another issuer's key", asks(func(w *world) []byte {
			return forge.Response{Of: w.alice, Issuer: w.issuer.Subject, Serial: seven}.Sign(w.issuer)
		}), Unknown, "for other certificates"},
		{"signed by another", asks(func(w *world) []byte { return forge.Response{Of: w.issuer, Serial: seven}.Sign(w.root) }), Unknown, "neither by the issuer"},
		{"signed by another who says it is the issuer", asks(func(w *world) []byte {
			r := &forge.Issued{Subject: w.issuer.Subject, Key: w.root.Key}
			return forge.Response{Of: w.issuer, Serial: seven}.Sign(r)
		}), Unknown, "neither by the issuer"},
		{"expired", asks(says(forge.Response{From: earlier})), Unknown, "expired at 2026-10-08"},
		{"of tomorrow", asks(says(forge.Response{From: at.Add(24 * time.Hour)})), Unknown, "not in force before"},
		{"for ever, and old", asks(says(forge.Response{NoTo: true})), Unknown, "expired at 2026-10-31 01:00:00"},
		{"for ever, of now", asks(says(forge.Response{NoTo: true, From: at.Add(-time.Minute)})), Good, ""},
		{"critical extension", asks(says(forge.Response{Critical: true})), Unknown, "critical extension"},
		{"critical extension of the response", asks(says(forge.Response{Extensions: [][]byte{forge.Extension("1.2.3.4", true, nil)}})), Unknown, "critical extension"},
		{"try later", asks(raw(ocsp.TryLaterErrorResponse)), Unknown, "tryLater"},
		{"unauthorized", asks(raw(ocsp.UnauthorizedErrorResponse)), Unknown, "unauthorized"},
		{"nonsense", asks(raw([]byte("<html>"))), Unknown, "malformed"},
		{"nothing there", asks(nil), Unknown, "connection refused"},

		{"delegated", asks(delegated(responder(forge.NoCheck()), nil)), Good, ""},
		{"delegated for anything", asks(delegated(forge.Certificate{Subject: forge.Name("Responder"), Extensions: [][]byte{forge.Usage(0), forge.NoCheck()}}, nil)), Unknown, "not for OCSP"},
		{"delegated for mail", asks(delegated(forge.Certificate{Subject: forge.Name("Responder"), Extensions: [][]byte{forge.Purposes(forge.ForMail), forge.NoCheck()}}, nil)), Unknown, "not for OCSP"},
		{"delegated by the root", asks(delegated(responder(forge.NoCheck()), func(w *world) *forge.Issued { return w.root })), Unknown, "names another issuer"},
		{"delegated by itself", asks(func(w *world) []byte {
			r := responder(forge.NoCheck())
			r.Issuer = w.issuer.Subject
			self := r.Sign(nil)
			return forge.Response{Of: w.issuer, Serial: seven, With: []*forge.Issued{self}}.Sign(self)
		}), Unknown, "is not signed by the key"},
		{"delegated, expired", asks(delegated(expired, nil)), Unknown, "expired"},
		{"delegated, certificate not there", asks(func(w *world) []byte {
			return forge.Response{Of: w.issuer, Serial: seven}.Sign(responder().Sign(w.issuer))
		}), Unknown, "neither by the issuer"},
		{"delegated, to be asked for", asks(delegated(responder(), nil)), Unknown, "may have been revoked"},
		{"delegated, revoked", asks(delegated(responder(), nil)).has(forge.CRL{Entries: []forge.Entry{{Serial: []byte{4}}},
			Extensions: [][]byte{forge.Scope{Reasons: []int{1}}.Extension()}}), Unknown, "all reasons.*may have been revoked"},
	})
}

// A responder that CRLs say is not revoked is believed.
func TestResponderAskedFor(t *testing.T) {
	a := asks(delegated(responder(), nil)).has(forge.CRL{}).check(t).Answers[0]
	if a.Status != Good || !strings.HasPrefix(a.Source, "OCSP responder \"CN=Responder") {
		t.Errorf("%s by %s", a.Status, a.Source)
	}
}

// OCSP is asked first, then CRLs are fetched; a newer CRL is believed more than a
// responder.
func TestOCSPAndLists(t *testing.T) {
	good := func(w *world) []byte { return forge.Response{Serial: seven}.Sign(w.issuer) }
	judge(t, []ruling{
		{"fetched", asks(nil).serves(forge.CRL{}), Good, ""},
		{"fetched, revoked", asks(nil).serves(forge.CRL{Entries: lost}), Revoked, "keyCompromise"},
		{"fetched, newer than the mail's", func() *world {
			w := asks(nil).serves(forge.CRL{Entries: lost})
			w.mail = [][]byte{older().Sign(w.issuer)}
			return w
		}(), Revoked, "keyCompromise"},
		{"fetched, of another", func() *world {
			w := asks(nil)
			w.fetch.(*net).crls[listURL] = forge.CRL{Issuer: w.issuer.Subject}.Sign(w.alice)
			return w
		}(), Unknown, "is not signed by"},
		{"fetched, no CRL", func() *world {
			w := asks(nil)
			w.fetch.(*net).crls[listURL] = []byte("<html>")
			return w
		}(), Unknown, "is no CRL"},
		{"neither", asks(nil), Unknown, "there is no CRL.*fetching a CRL failed: connection refused; the OCSP responder at \"http://ocsp.example/\": connection refused"},
		{"unknown, and not listed", asks(func(w *world) []byte { return forge.Response{Serial: seven, Unknown: true}.Sign(w.issuer) }).serves(forge.CRL{}), Good, ""},
		{"good, and nothing fetched", asks(good).serves(forge.CRL{From: at, Entries: lost}), Good, ""},
		{"good, and since then revoked", asks(good).has(forge.CRL{From: at.Add(-time.Hour), Entries: lost}), Revoked, "keyCompromise"},
		{"good since it was held", asks(good).has(older(held...)), Good, ""},
	})
	w := asks(nil).has(forge.CRL{})
	w.fetch = nil
	if a := w.check(t).Answers[0]; a.Status != Good {
		t.Errorf("without a network: %s %s", a.Status, a.Reason)
	}
}

func TestFetchDelta(t *testing.T) {
	const deltaURL = "https://ca.example/delta.crl"
	w := newWorld(forge.Freshest(forge.Point{Name: forge.FullName(forge.URI("ldap://ca.example/x"), forge.URI(deltaURL))})).has(forge.CRL{})
	w.fetch = &net{crls: map[string][]byte{deltaURL: forge.CRL{Number: 2, Base: 1, Entries: lost}.Sign(w.issuer)}}
	judge(t, []ruling{{"the certificate says where", w, Revoked, "keyCompromise"}})
	v := newWorld().has(forge.CRL{Extensions: [][]byte{forge.Freshest(forge.Point{Name: forge.FullName(forge.URI(deltaURL))})}})
	v.fetch = w.fetch
	judge(t, []ruling{{"the CRL says where", v, Revoked, "keyCompromise"}})
}

// However many places there are to ask, few are asked.
func TestFetchBound(t *testing.T) {
	var points []forge.Point
	for i := range 60 {
		points = append(points, forge.Point{Name: forge.FullName(forge.URI("http://a.example/"+string(rune('A'+i))), forge.URI("http://b.example/"+string(rune('A'+i))))})
	}
	w := newWorld(forge.Points(points...))
	n := &net{}
	w.fetch = n
	if a := w.check(t).Answers[0]; a.Status != Unknown || n.asks != maxFetches || len(a.Reason) > 2000 {
		t.Errorf("%d asked: %s", n.asks, a.Reason)
	}
}

// What x/crypto/ocsp makes is read, and what we ask it reads.
func TestOCSPAsOthers(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := asks(nil)
	issuer := forge.Certificate{Subject: forge.Name("CA"), Key: key, Extensions: forge.CA}.Sign(w.root)
	leaf := w.leaf
	leaf.Algorithm = forge.ECDSAWithSHA256
	w.issuer, w.alice = issuer, leaf.Sign(issuer)
	for _, c := range []struct {
		status int
		want   Status
	}{{ocsp.Good, Good}, {ocsp.Revoked, Revoked}, {ocsp.Unknown, Unknown}} {
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			w.fetch.(*net).ocsp[responderURL] = func(request []byte) []byte {
				r, err := ocsp.ParseRequest(request)
				if err != nil || r.SerialNumber.Cmp(big.NewInt(7)) != 0 || r.HashAlgorithm != crypto.SHA1 {
					t.Errorf("asked %v, %v", r, err)
				}
				ca := parse(t, issuer.DER).X509
				der, err := ocsp.CreateResponse(ca, ca, ocsp.Response{Status: c.status, SerialNumber: r.SerialNumber, ThisUpdate: at, NextUpdate: at.Add(time.Hour),
					RevokedAt: earlier, RevocationReason: ocsp.Superseded, IssuerHash: hash}, key)
				if err != nil {
					t.Error(err)
				}
				return der
			}
			a := w.check(t).Answers[0]
			if a.Status != c.want || a.Status == Revoked && (a.Reason != "superseded" || !a.When.Equal(earlier)) {
				t.Errorf("%s %s %v; want %s", a.Status, a.Reason, a.When, c.want)
			}
		}
	}
}
