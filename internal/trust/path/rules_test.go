package path

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/testpki/forge"
)

// Signatures, times, names: PKITS 4.1 to 4.3.
func TestBasicRules(t *testing.T) {
	day := 24 * time.Hour
	when := func(c forge.Certificate, from, to time.Time) forge.Certificate { c.From, c.To = from, to; return c }
	printable := func(tag asn1.Tag, o, cn string) []byte {
		return forge.RDNs(forge.Attribute("2.5.4.10", tag, o), forge.Attribute("2.5.4.3", tag, cn))
	}
	subject := func(n []byte) forge.Certificate { return forge.Certificate{Subject: n, Extensions: forge.CA} }
	from := func(c forge.Certificate, issuer []byte) forge.Certificate { c.Issuer = issuer; return c }
	multi := forge.Name("Multi")
	judge(t, []ruling{
		{"directly below the root", steps{ca("Root"), user()}, "", nil},
		{"two CAs", steps{ca("Root"), ca("Sub"), ca("SubSub"), user()}, "", nil},
		{"trusted as itself", steps{user()}, "", nil},
		{"expired", steps{ca("Root"), when(user(), at.Add(-9*day), at.Add(-day))}, Expired, nil},
		{"its last second", steps{ca("Root"), when(user(), at.Add(-9*day), at)}, "", nil},
		{"its first second", steps{ca("Root"), when(user(), at, at.Add(day))}, "", nil},
		{"not yet valid", steps{ca("Root"), when(user(), at.Add(time.Second), at.Add(day))}, NotYetValid, nil},
		{"of 1950", steps{ca("Root"), when(user(), time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC), at.Add(day))}, "", nil},
		{"until 1999", steps{ca("Root"), when(user(), time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))}, Expired, nil},
		{"until 2060", steps{ca("Root"), when(user(), at, time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC))}, "", nil},
		{"expired CA", steps{ca("Root"), when(ca("Sub"), at.Add(-9*day), at.Add(-day)), user()}, Expired, nil},
		{"expired root", steps{when(ca("Root"), at.Add(-9*day), at.Add(-day)), user()}, Expired, nil},
		{"another issuer's name", steps{ca("Root"), from(user(), forge.Name("Toor"))}, NameChaining, nil},
		{"another order of names", steps{subject(forge.Name("OU=a", "OU=b")), from(user(), forge.Name("OU=b", "OU=a"))}, NameChaining, nil},
		{"capitals", steps{subject(forge.Name("The CA")), from(user(), forge.Name("the ca"))}, "", nil},
		{"spaces", steps{subject(forge.Name("The CA")), from(user(), forge.Name("  The    CA "))}, "", nil},
		{"a space less", steps{subject(forge.Name("The CA")), from(user(), forge.Name("TheCA"))}, NameChaining, nil},
		{"another string type", steps{subject(printable(asn1.PrintableString, "A b", "c")), from(user(), printable(asn1.UTF8String, "a B", "C"))}, "", nil},
		{"Latin-1 and UTF-8", steps{subject(printable(asn1.T61String, "M\xfcller", "c")), from(user(), printable(asn1.UTF8String, "MÜLLER", "c"))}, "", nil},
		{"composed and not", steps{subject(printable(asn1.UTF8String, "Mu\u0308ller", "c")), from(user(), printable(asn1.UTF8String, "Müller", "c"))}, "", nil},
		{"sharp s", steps{subject(printable(asn1.UTF8String, "Straße", "c")), from(user(), printable(asn1.UTF8String, "STRASSE", "c"))}, "", nil},
		{"not UTF-8", steps{subject(printable(asn1.UTF8String, "\xff", "c")), from(user(), printable(asn1.UTF8String, "\xfe", "c"))}, NameChaining, nil},
		{"serial number of 20 octets", steps{ca("Root"), with(user(), func(c *forge.Certificate) { c.Serial = slices.Repeat([]byte{0x7f}, 20) })}, "", nil},
		{"negative serial number", steps{ca("Root"), with(user(), func(c *forge.Certificate) { c.Serial = []byte{0xff} })}, "", nil},
		{"version 1", steps{ca("Root"), forge.Certificate{Subject: multi, Version: 1, NoKeyIDs: true}}, "", nil},
		{"extensions in version 1", steps{ca("Root"), with(user(), func(c *forge.Certificate) { c.Version = 1 })}, Malformed, nil},
	})
}

// A CA without a name issues nothing, though everything fits.
func TestNoIssuer(t *testing.T) {
	path := readAll(t, sign(steps{with(ca("Root"), func(c *forge.Certificate) { c.Subject = forge.RDNs() }), user()}))
	check(t, "validated", Validate(path, Options{At: at}), []Rule{Malformed})
	check(t, "found", NewStore(path[1:]).Among(nil, Options{At: at}).Path(path[0]), []Rule{NoIssuer})
}

func with(c forge.Certificate, set func(*forge.Certificate)) forge.Certificate { set(&c); return c }

// Who may certify others: PKITS 4.6, 4.7 and 4.16, and what mail asks for besides.
func TestCARules(t *testing.T) {
	plain := func(name string, extensions ...[]byte) forge.Certificate {
		return forge.Certificate{Subject: forge.Name(name), Extensions: extensions}
	}
	unknown := func(critical bool) []byte { return forge.Extension("1.2.3.4", critical, []byte{5, 0}) }
	notCritical := forge.Extension("2.5.29.19", false, []byte{0x30, 3, 1, 1, 0xff})
	old := forge.Certificate{Subject: forge.Name("Old"), Version: 1, NoKeyIDs: true}
	judge(t, []ruling{
		{"no basicConstraints", steps{ca("Root"), plain("Sub", forge.Usage(5)), user()}, NotCA, nil},
		{"cA false", steps{ca("Root"), plain("Sub", forge.Basic(false, -1), forge.Usage(5)), user()}, NotCA, nil},
		{"cA not critical", steps{ca("Root"), plain("Sub", notCritical), user()}, "", nil},
		{"no keyUsage", steps{ca("Root"), plain("Sub", forge.Basic(true, -1)), user()}, "", nil},
		{"no keyCertSign", steps{ca("Root"), plain("Sub", forge.Basic(true, -1), forge.Usage(0, 6)), user()}, CAKeyUsage, nil},
		{"nor in the root", steps{plain("Root", forge.Basic(true, -1), forge.Usage(6)), user()}, CAKeyUsage, nil},
		{"root without basicConstraints", steps{plain("Root"), user()}, NotCA, nil},
		{"root of version 1", steps{old, user()}, "", nil},
		{"CA of version 1", steps{ca("Root"), old, user()}, NotCA, nil},
		{"a user certifies", steps{ca("Root"), user(), who(forge.Name("Bob"))}, NotCA, nil},
		{"trusted as himself he certifies", steps{user(), who(forge.Name("Bob"))}, NotCA, nil},
		{"pathLen 0, leaf", steps{ca("Root"), limited("Sub", 0), user()}, "", nil},
		{"pathLen 0, CA", steps{ca("Root"), limited("Sub", 0), ca("SubSub"), user()}, PathLength, nil},
		{"pathLen 0, the leaf is a CA", steps{ca("Root"), limited("Sub", 0), with(ca("SubSub"), func(c *forge.Certificate) { c.Extensions = [][]byte{forge.Basic(true, 5), forge.Usage(0, 5)} })}, "", nil},
		{"pathLen 0 of the root", steps{limited("Root", 0), ca("Sub"), user()}, PathLength, nil},
		{"pathLen 6 then 0", steps{ca("Root"), limited("A", 6), limited("B", 0), user()}, "", nil},
		{"pathLen 6, 4, 1", steps{ca("Root"), limited("A", 6), limited("B", 4), limited("C", 1), ca("D"), user()}, "", nil},
		{"pathLen 6, 1, then two", steps{ca("Root"), limited("A", 6), limited("B", 1), ca("C"), ca("D"), user()}, PathLength, nil},
		{"a larger one below counts for nothing", steps{ca("Root"), limited("A", 1), limited("B", 9), ca("C"), user()}, PathLength, nil},
		{"pathLen 0 and self-issued", steps{ca("Root"), limited("A", 0), again(limited("A", 0)), user()}, "", nil},
		{"pathLen 0, self-issued, and a CA", steps{ca("Root"), limited("A", 0), again(limited("A", 0)), ca("B"), user()}, PathLength, nil},
		{"pathLen 1, self-issued on both levels", steps{ca("Root"), limited("A", 1), again(limited("A", 1)), ca("B"), again(ca("B")), user()}, "", nil},
		{"unknown extension", steps{ca("Root"), user(unknown(false))}, "", nil},
		{"unknown critical extension", steps{ca("Root"), user(unknown(true))}, Critical, nil},
		{"in a CA", steps{ca("Root"), ca("Sub", unknown(true)), user()}, Critical, nil},
		{"in the root", steps{ca("Root", unknown(true)), user()}, Critical, nil},
		{"an extension twice", steps{ca("Root"), user(unknown(false), unknown(false))}, Malformed, nil},
		{"malformed extension", steps{ca("Root"), user(forge.Extension("2.5.29.17", false, []byte{5, 0}))}, Malformed, nil},
		{"for mail", steps{ca("Root"), user(forge.Purposes(forge.ForServers, forge.ForMail))}, "", nil},
		{"for anything", steps{ca("Root"), user(forge.Purposes(forge.ForAny))}, "", nil},
		{"for servers", steps{ca("Root"), user(forServers())}, Purpose, nil},
		{"CA for servers", steps{ca("Root"), ca("Sub", forServers()), user()}, Purpose, nil},
		{"root for servers", steps{ca("Root", forServers()), user()}, Purpose, nil},
		{"for encryption", steps{ca("Root"), plain("Bob", forge.Usage(2))}, KeyUsage, nil},
		{"for nothing", steps{ca("Root"), plain("Bob", forge.Usage())}, KeyUsage, nil},
		{"non-repudiation", steps{ca("Root"), plain("Bob", forge.Usage(1))}, "", nil},
		{"CRLs", steps{ca("Root"), plain("CRLs", forge.Usage(6))}, "", func(o *Options) { o.Use = SignCRL }},
		{"no CRLs", steps{ca("Root"), user()}, KeyUsage, func(o *Options) { o.Use = SignCRL }},
		{"OCSP", steps{ca("Root"), user(forge.Purposes("1.3.6.1.5.5.7.3.9"))}, "", func(o *Options) { o.Use = SignOCSP }},
		{"no OCSP", steps{ca("Root"), user(forge.Purposes(forge.ForMail))}, Purpose, func(o *Options) { o.Use = SignOCSP }},
	})
}

// A certificate of version 1 does not say whether it is a CA's: only a root is taken
// for one, and not whoever is trusted as himself.
func TestAnchorOfVersion1(t *testing.T) {
	root := ca("Root").Sign(nil)
	old := forge.Certificate{Subject: forge.Name("Old"), Version: 1, NoKeyIDs: true}
	for _, tt := range []struct {
		anchor *forge.Issued
		good   bool
	}{{old.Sign(nil), true}, {old.Sign(root), false}} {
		r := Validate(readAll(t, []*forge.Issued{user().Sign(tt.anchor), tt.anchor}), Options{At: at})
		if _, broken := r.Broke(NotCA); r.Good() != tt.good || broken == tt.good {
			t.Errorf("want %t: %s", tt.good, r.Text())
		}
		if r := Validate(readAll(t, []*forge.Issued{tt.anchor}), Options{At: at}); !r.Good() {
			t.Errorf("as itself: %s", r.Text())
		}
	}
}
