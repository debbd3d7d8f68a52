package revocation

import (
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/testpki/forge"
)

var (
	earlier = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	month   = 40 * 24 * time.Hour
)

// older is a CRL of before that has not expired.
func older(entries ...forge.Entry) forge.CRL {
	return forge.CRL{From: earlier, To: earlier.Add(month), Entries: entries}
}

func TestAge(t *testing.T) {
	newest := forge.CRL{Number: 5, Entries: lost}
	inMail := func(w *world, crls ...forge.CRL) *world {
		for _, c := range crls {
			w.mail = append(w.mail, c.Sign(w.sign().issuer))
		}
		return w
	}
	judge(t, []ruling{
		{"not listed", newWorld().has(forge.CRL{}), Good, ""},
		{"listed", newWorld().has(newest), Revoked, "^keyCompromise$"},
		{"without a reason", newWorld().has(forge.CRL{Entries: []forge.Entry{{Serial: []byte{7}}}}), Revoked, "^unspecified$"},
		{"held", newWorld().has(forge.CRL{Entries: held}), Revoked, "^certificateHold$"},
		{"another is listed", newWorld().has(forge.CRL{Entries: []forge.Entry{{Serial: []byte{8}}, {Serial: []byte{6, 7}}}}), Good, ""},
		{"none", newWorld(), Unknown, "^there is no CRL of "},
		{"of another name", newWorld().has(forge.CRL{Issuer: forge.Name("Other")}), Unknown, "there is no CRL"},
		{"expired", newWorld().has(forge.CRL{From: earlier}), Unknown, "expired at 2026-10-08 00:00:00"},
		{"expired, and listed for ever", newWorld().has(forge.CRL{From: earlier, Entries: lost}), Revoked, "keyCompromise"},
		{"expired, and held then", newWorld().has(forge.CRL{From: earlier, Entries: held}), Unknown, "expired"},
		{"for ever", newWorld().has(forge.CRL{NoTo: true}), Unknown, "until when"},
		{"of tomorrow", newWorld().has(forge.CRL{From: at.Add(24 * time.Hour)}), Unknown, "not in force yet"},
		{"of a clock that is ahead", newWorld().has(forge.CRL{From: at.Add(time.Minute)}), Good, ""},
		{"of tomorrow and today", newWorld().has(forge.CRL{From: at.Add(24 * time.Hour), Entries: lost}, forge.CRL{}), Good, ""},

		{"an older one in the mail", inMail(newWorld().has(newest), older()), Revoked, "keyCompromise"},
		{"an older one that holds longer", newWorld().has(forge.CRL{From: earlier.Add(week), Entries: held}, older()), Unknown, "expired"},
		{"a newer one in the mail", inMail(newWorld().has(older()), newest), Revoked, "keyCompromise"},
		{"no longer held, says the mail", inMail(newWorld().has(older(held...)), forge.CRL{Number: 2}), Good, ""},
		{"held again", inMail(newWorld().has(forge.CRL{Number: 3, Entries: held}), forge.CRL{Number: 2}), Revoked, "certificateHold"},
		{"a newer one with another's signature", func() *world {
			w := inMail(newWorld().has(older(lost...)), forge.CRL{Number: 9})
			w.mail[0][len(w.mail[0])-1] ^= 1
			return w
		}(), Revoked, "keyCompromise"},
		{"a newer one of another", func() *world {
			w := newWorld().has(older(lost...))
			w.mail = append(w.mail, forge.CRL{Issuer: w.issuer.Subject}.Sign(w.alice))
			return w
		}(), Revoked, "keyCompromise"},
		{"only one of another", func() *world {
			w := newWorld().sign()
			w.mail = append(w.mail, forge.CRL{Issuer: w.issuer.Subject}.Sign(w.alice))
			return w
		}(), Unknown, "is not signed by"},
		{"no CRL at all", func() *world {
			w := newWorld()
			w.mail = [][]byte{nil, {0x30}, []byte("-----BEGIN X509 CRL-----")}
			return w
		}(), Unknown, "there is no CRL"},
	})
}

func TestForm(t *testing.T) {
	with := func(e ...[]byte) forge.CRL { return forge.CRL{Extensions: e} }
	listed := func(e ...[]byte) forge.CRL {
		return forge.CRL{Entries: []forge.Entry{{Serial: []byte{9}, Extensions: e}}}
	}
	judge(t, []ruling{
		{"version 1", newWorld().has(forge.CRL{Version1: true}), Good, ""},
		{"version 1, listed", newWorld().has(forge.CRL{Version1: true, Entries: []forge.Entry{{Serial: []byte{7}}}}), Revoked, "unspecified"},
		{"version 1 with an entry's extensions", newWorld().has(forge.CRL{Version1: true, Entries: lost}), Unknown, "not of version 2"},
		{"no number, no key identifier", newWorld().has(forge.CRL{Number: -1, NoKeyID: true}), Good, ""},
		{"unknown", newWorld().has(with(forge.Extension("1.2.3.4", false, []byte{5, 0}))), Good, ""},
		{"unknown and critical", newWorld().has(with(forge.Extension("1.2.3.4", true, []byte{5, 0}))), Unknown, "critical extension that is not known here: 1.2.3.4"},
		{"unknown of an entry", newWorld().has(listed(forge.Extension("1.2.3.4", false, []byte{5, 0}))), Good, ""},
		{"unknown and critical of an entry", newWorld().has(listed(forge.Extension("1.2.3.4", true, []byte{5, 0}))), Unknown, "critical extension"},
		{"unknown and critical, before an older one", newWorld().has(with(forge.Extension("1.2.3.4", true, []byte{5, 0})), older()), Unknown, "critical extension"},
		{"malformed scope", newWorld().has(with(forge.Extension("2.5.29.28", true, []byte{5, 0}))), Unknown, "malformed"},
		{"a scope that is nothing", newWorld().has(with(forge.Scope{OnlyUsers: true, OnlyCAs: true}.Extension())), Unknown, "not about this certificate"},
		{"twice", newWorld().has(with(forge.Extension("2.5.29.20", false, []byte{2, 1, 9}))), Unknown, "twice"},
		{"malformed reason", newWorld().has(listed(forge.Extension("2.5.29.21", false, []byte{10, 1, 7}))), Unknown, "malformed"},
		{"a serial number with zeros before", newWorld().has(forge.CRL{Entries: []forge.Entry{{Serial: []byte{0, 0, 7}}}}), Revoked, ""},
		{"a negative serial number", newWorld().has(forge.CRL{Entries: []forge.Entry{{Serial: []byte{0xf9}}}}), Good, ""},
		{"taken back and revoked", newWorld().has(forge.CRL{Entries: []forge.Entry{{Serial: []byte{7}, Reason: 8}, {Serial: []byte{7}, Reason: 1}}}), Revoked, "keyCompromise"},
		{"taken back", newWorld().has(forge.CRL{Entries: []forge.Entry{{Serial: []byte{7}, Reason: 8}}}), Good, ""},
	})
}

// point is a distribution point by a directory name.
func point1(names ...string) forge.Point {
	return forge.Point{Name: forge.FullName(forge.Directory(forge.Name(names...)))}
}

func some(p forge.Point, reasons ...int) forge.Point {
	p.Reasons = reasons
	return p
}

func TestScope(t *testing.T) {
	name := func(names ...string) []byte { return point1(names...).Name }
	of := func(s forge.Scope, entries ...forge.Entry) forge.CRL {
		return forge.CRL{Extensions: [][]byte{s.Extension()}, Entries: entries}
	}
	url := forge.FullName(forge.URI("http://ca.example/1.crl"))
	relative := forge.RelativeName(forge.Attribute("2.5.4.3", asn1.UTF8String, "one"))
	rest := []int{3, 4, 5, 6, 7, 8}
	judge(t, []ruling{
		{"none, for a point", newWorld(forge.Points(point1("CA", "one"))).has(forge.CRL{}), Good, ""},
		{"empty", newWorld().has(of(forge.Scope{})), Good, ""},
		{"the point", newWorld(forge.Points(point1("CA", "one"))).has(of(forge.Scope{Name: name("CA", "ONE")})), Good, ""},
		{"another point", newWorld(forge.Points(point1("CA", "one"))).has(of(forge.Scope{Name: name("CA", "two")})), Unknown, "not about this certificate"},
		{"a point, and none in the certificate", newWorld().has(of(forge.Scope{Name: name("CA", "one")})), Unknown, "not about this certificate"},
		{"the issuer's own point", newWorld().has(of(forge.Scope{Name: name("CA")})), Good, ""},
		{"address", newWorld(forge.Points(forge.Point{Name: url})).has(of(forge.Scope{Name: url})), Good, ""},
		{"another address", newWorld(forge.Points(forge.Point{Name: url})).has(of(forge.Scope{Name: forge.FullName(forge.URI("http://ca.example/2.crl"))})), Unknown, "not about"},
		{"relative to full", newWorld(forge.Points(forge.Point{Name: relative})).has(of(forge.Scope{Name: name("CA", "one")})), Good, ""},
		{"full to relative", newWorld(forge.Points(point1("CA", "one"))).has(of(forge.Scope{Name: relative})), Good, ""},
		{"relative to relative", newWorld(forge.Points(forge.Point{Name: relative})).has(of(forge.Scope{Name: relative}, lost...)), Revoked, ""},
		{"the second point", newWorld(forge.Points(point1("CA", "two"), point1("CA", "one"))).has(of(forge.Scope{Name: name("CA", "one")})), Good, ""},
		{"users", newWorld().has(of(forge.Scope{OnlyUsers: true})), Good, ""},
		{"CAs", newWorld().has(of(forge.Scope{OnlyCAs: true})), Unknown, "not about"},
		{"attributes", newWorld().has(of(forge.Scope{OnlyAttributes: true})), Unknown, "not about"},
		{"CAs and users", newWorld().has(of(forge.Scope{OnlyCAs: true}), of(forge.Scope{OnlyUsers: true}, lost...)), Revoked, "keyCompromise"},

		{"some reasons", newWorld().has(of(forge.Scope{Reasons: []int{1, 2}})), Unknown, "all reasons"},
		{"some reasons, listed", newWorld().has(of(forge.Scope{Reasons: []int{1, 2}}, lost...)), Revoked, "keyCompromise"},
		{"all reasons in two", newWorld().has(of(forge.Scope{Reasons: []int{1, 2}}), of(forge.Scope{Reasons: rest})), Good, ""},
		{"all reasons in two, listed in the second", newWorld().has(of(forge.Scope{Reasons: []int{1, 2}}), of(forge.Scope{Reasons: rest}, held...)), Revoked, "certificateHold"},
		{"all but one", newWorld().has(of(forge.Scope{Reasons: []int{1, 2}}), of(forge.Scope{Reasons: rest[1:]})), Unknown, "all reasons"},
		{"a point of some reasons", newWorld(forge.Points(some(point1("CA", "one"), 1, 2))).has(of(forge.Scope{Name: name("CA", "one")})), Unknown, "all reasons"},
		{"two points of some reasons", newWorld(forge.Points(some(point1("CA", "one"), 1, 2), some(point1("CA", "two"), rest...))).has(
			of(forge.Scope{Name: name("CA", "one")}), of(forge.Scope{Name: name("CA", "two"), Reasons: rest})), Good, ""},
		{"two points, one expired", newWorld(forge.Points(some(point1("CA", "one"), 1, 2), some(point1("CA", "two"), rest...))).has(
			of(forge.Scope{Name: name("CA", "one")}), forge.CRL{From: earlier, Extensions: [][]byte{forge.Scope{Name: name("CA", "two"), Reasons: rest}.Extension()}}), Unknown, "all reasons"},
	})
}

func TestDelta(t *testing.T) {
	base := func(n int, entries ...forge.Entry) forge.CRL { return forge.CRL{Number: n, Entries: entries} }
	delta := func(n, base int, entries ...forge.Entry) forge.CRL {
		return forge.CRL{Number: n, Base: base, Entries: entries, From: at.Add(-time.Hour)}
	}
	removed := forge.Entry{Serial: []byte{7}, Reason: 8}
	users := forge.Scope{OnlyUsers: true}.Extension()
	judge(t, []ruling{
		{"alone", newWorld().has(delta(2, 1)), Unknown, "only changes"},
		{"nothing new", newWorld().has(base(1), delta(2, 1)), Good, ""},
		{"revoked since", newWorld().has(base(1), delta(2, 1, lost...)), Revoked, "keyCompromise"},
		{"released since", newWorld().has(base(1, held...), delta(2, 1, removed)), Good, ""},
		{"released before the base", newWorld().has(base(3, held...), delta(3, 1, removed)), Revoked, "certificateHold"},
		{"held, then lost", newWorld().has(base(1, held...), delta(2, 1, lost...)), Revoked, "keyCompromise"},
		{"of a later base", newWorld().has(base(1, held...), delta(3, 2, removed)), Revoked, "certificateHold"},
		{"of an earlier base", newWorld().has(base(2, held...), delta(3, 1, removed)), Good, ""},
		{"the newest", newWorld().has(base(1, held...), delta(3, 1, removed), delta(2, 1, lost...)), Good, ""},
		{"expired", newWorld().has(base(1, held...), forge.CRL{Number: 2, Base: 1, From: earlier, Entries: []forge.Entry{removed}}), Revoked, "certificateHold"},
		{"of another scope", newWorld().has(base(1, held...), forge.CRL{Number: 2, Base: 1, Entries: []forge.Entry{removed}, Extensions: [][]byte{users}}), Revoked, "certificateHold"},
		{"of the same scope", newWorld().has(forge.CRL{Number: 1, Entries: held, Extensions: [][]byte{users}},
			forge.CRL{Number: 2, Base: 1, Entries: []forge.Entry{removed}, Extensions: [][]byte{users}}), Good, ""},
		{"without key identifier", newWorld().has(base(1, held...), forge.CRL{Number: 2, Base: 1, Entries: []forge.Entry{removed}, NoKeyID: true}), Revoked, "certificateHold"},
		{"to an expired base", newWorld().has(forge.CRL{Number: 1, From: earlier}, delta(2, 1)), Unknown, "expired"},
		{"of another's key", func() *world {
			w := newWorld().has(base(1, held...))
			w.mail = [][]byte{forge.CRL{Number: 2, Base: 1, Issuer: w.issuer.Subject, Entries: []forge.Entry{removed}}.Sign(w.alice)}
			return w
		}(), Revoked, "certificateHold"},
	})
}
