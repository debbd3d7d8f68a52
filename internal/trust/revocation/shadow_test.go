package revocation

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"testing"

	"mailseal/internal/testpki/forge"
)

// What must not count says nothing against an older CRL that revokes.
func TestShadow(t *testing.T) {
	critical := forge.Extension("1.2.3.4", true, []byte{5, 0})
	entry := forge.Entry{Serial: []byte{9}, Extensions: [][]byte{critical}}
	changes := forge.CRL{Number: 2, Base: 1, From: earlier, Entries: lost}
	noKeyID := func(c forge.CRL) forge.CRL {
		c.NoKeyID = true
		return c
	}
	judge(t, []ruling{
		{"unknown and critical", newWorld().has(older(lost...), forge.CRL{Number: 2, Extensions: [][]byte{critical}}), Revoked, "keyCompromise"},
		{"unknown and critical of an entry", newWorld().has(older(lost...), forge.CRL{Number: 2, Entries: []forge.Entry{entry}}), Revoked, "keyCompromise"},
		{"unknown and critical, and held before", newWorld().has(older(held...), forge.CRL{Number: 2, Extensions: [][]byte{critical}}), Revoked, "certificateHold"},
		{"by who may be revoked", func() *world {
			w := newWorld().has(noKeyID(older(lost...))).with(signs("CA"), noKeyID(forge.CRL{Number: 2}))
			w.noRoot = true
			return w
		}(), Revoked, "keyCompromise"},
		{"by who may be revoked, and held before", func() *world {
			w := newWorld().has(noKeyID(older())).with(signs("CA"), noKeyID(forge.CRL{Number: 2, Entries: held}))
			w.noRoot = true
			return w
		}(), Revoked, "certificateHold"},
		{"changes of long ago", newWorld().has(forge.CRL{Number: 1}, changes), Revoked, "keyCompromise"},
		{"changes of long ago, held", newWorld().has(forge.CRL{Number: 1}, forge.CRL{Number: 2, Base: 1, From: earlier, Entries: held}), Good, ""},
		{"changes of long ago, released since", newWorld().has(forge.CRL{Number: 1, Entries: held}, changes,
			forge.CRL{Number: 3, Base: 1, Entries: []forge.Entry{{Serial: []byte{7}, Reason: 8}}}), Good, ""},
	})
}

// following is a CRL that by its key identifier follows those of the CA, and lists nobody.
func (w *world) following(t failer) forge.CRL {
	id := parse(t, w.issuer.DER).SubjectKeyID
	keyID := append([]byte{0x30, byte(len(id) + 2), 0x80, byte(len(id))}, id...)
	return forge.CRL{Number: 9, From: at, NoKeyID: true, Extensions: [][]byte{forge.Extension("2.5.29.35", false, keyID)}}
}

// Certificates that bear the names of the CAs, with CRLs of theirs, use up what is
// spent on looking for ways to the anchor, and shadow nothing.
func TestFloodOfSigners(t *testing.T) {
	for _, entries := range [][]forge.Entry{lost, held} {
		w := newWorld().has(forge.CRL{Entries: entries})
		for _, of := range []string{"Root", "CA"} {
			for i := range 40 {
				seed := fmt.Sprint(of, i/10)
				s := forge.Certificate{Subject: forge.Name(of), KeyOf: seed, Serial: []byte{byte(i)}, Extensions: forge.CA}.Sign(w.alice)
				w.others = append(w.others, s)
				if i%10 == 0 {
					w.mail = append(w.mail, forge.CRL{Number: 5, From: at, NoKeyID: true}.Sign(s), forge.CRL{Number: 5, From: at}.Sign(s))
				}
			}
		}
		shadow := forge.Certificate{Subject: forge.Name("CA"), KeyOf: "Root0", Serial: []byte{99}, Extensions: forge.CA}.Sign(w.alice)
		w.others = append([]*forge.Issued{shadow}, w.others...)
		w.mail = append(w.mail, w.following(t).Sign(shadow))
		q, r := w.question(t), w.result(t)
		report := Check(context.Background(), r, q)
		if a := report.Answers[0]; a.Status != Revoked {
			t.Errorf("%s", told(report))
		}
	}
}

// Who could not have certified Alice cannot say that she is not revoked either.
func TestForeignSigner(t *testing.T) {
	subCA := func(more ...[]byte) *world {
		w := newWorld().has(older(lost...)).sign()
		sub := ca("Sub", more...).Sign(w.root)
		s := forge.Certificate{Subject: forge.Name("CA"), KeyOf: "another", Extensions: [][]byte{forge.Usage(6)}}.Sign(sub)
		w.others = append(w.others, sub, s)
		w.mail = append(w.mail, w.following(t).Sign(s))
		w.local = append(w.local, forge.CRL{}.Sign(sub))
		return w
	}
	mailOf := func(d string) []byte { return forge.Constraints([][]byte{forge.Mail(d)}, nil) }
	judge(t, []ruling{
		{"name constraints", subCA(mailOf("partner.example")), Revoked, "keyCompromise"},
		{"of web servers", subCA(forge.Purposes("1.3.6.1.5.5.7.3.1")), Revoked, "keyCompromise"},
		{"any purpose", subCA(forge.Purposes("2.5.29.37.0")), Good, ""},
	})
}

// Names by the thousand, in the certificate and in CRLs of the mail, cost a bounded
// number of comparisons, and hide nothing that is configured.
func TestManyPoints(t *testing.T) {
	var names, issuers [][]byte
	var points []forge.Point
	for i := range 80 {
		names, issuers = append(names, forge.URI(fmt.Sprint("a", i))), append(issuers, forge.Directory(forge.Name("CA")))
	}
	for range 80 {
		points = append(points, forge.Point{Name: forge.FullName(names...), Issuers: issuers})
	}
	for _, tt := range []struct {
		local  []forge.CRL
		status Status
		says   string
	}{
		{nil, Unknown, "not all were looked at"},
		{[]forge.CRL{{}}, Good, ""},
		{[]forge.CRL{{Entries: lost}}, Revoked, ""},
	} {
		w := newWorld(forge.Points(points...)).has(tt.local...)
		for i := range 20 {
			var scope [][]byte
			for j := range 80 {
				scope = append(scope, forge.URI(fmt.Sprint("b", i, j)))
			}
			w.mail = append(w.mail, forge.CRL{Extensions: [][]byte{forge.Scope{Name: forge.FullName(scope...)}.Extension()}}.Sign(w.issuer))
		}
		q, r := w.question(t), w.result(t)
		if n := len(pointsOf(r.Path[0])[0].issuers); n != 1 {
			t.Fatalf("%d issuers", n)
		}
		q.Effort = NewEffort()
		report := Check(context.Background(), r, q)
		if !holds(Report{Status: report.Answers[0].Status, Answers: report.Answers[:1]}, tt.status, tt.says) {
			t.Errorf("want %s: %s", tt.status, told(report))
		}
		if q.Effort.compared != 0 {
			t.Errorf("%d comparisons are left", q.Effort.compared)
		}
	}
}

// Keys that are dear to check, in an answer on the way of which anybody may write, or in
// the mail, leave what it takes to check a CRL by the CA itself.
func TestDearSigners(t *testing.T) {
	for _, bits := range []uint{44680, 44690} { // all of otherWork but for what an Ed25519 key costs
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 1<<16 + 1})
		if err != nil {
			t.Fatal(err)
		}
		dear := func(subject, key string) *forge.Issued {
			return forge.Certificate{Subject: forge.Name(subject), KeyOf: key, SPKI: spki, Extensions: forge.CA}.Sign(nil)
		}
		answered := asks(func(w *world) []byte {
			by := dear("Responder", "Responder")
			return forge.Response{Of: w.issuer, Serial: seven, With: []*forge.Issued{by}}.Sign(by)
		}).has(forge.CRL{Entries: lost})
		// A CRL by a key of the CA that nobody knows is tried with whoever bears its name.
		mailed := newWorld().sign()
		mailed.others = []*forge.Issued{dear("CA", "another key")}
		mailed.local = [][]byte{forge.CRL{}.Sign(forge.Certificate{Subject: forge.Name("CA"), KeyOf: "another key"}.Sign(nil))}
		mailed.has(forge.CRL{Entries: lost})
		judge(t, []ruling{
			{"a responder", answered, Revoked, "keyCompromise"},
			{"who bears the CA's name", mailed, Revoked, "keyCompromise"},
		})
	}
}
