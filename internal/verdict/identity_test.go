package verdict

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// The CAs of the tests: one for all mail, and one that partner.example and what is
// below it is trusted to.
var (
	generalCA = forge.Certificate{Subject: forge.Name("General CA"), Extensions: forge.CA}.Sign(nil)
	partnerCA = forge.Certificate{Subject: forge.Name("Partner CA"), Extensions: forge.CA}.Sign(nil)
)

func parsed(t testing.TB, c *forge.Issued) *x509.Certificate {
	t.Helper()
	x, err := x5280.ParseX509(c.DER)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// leaf is a certificate for the names.
func leaf(t testing.TB, by *forge.Issued, purposes []byte, names ...[]byte) *x509.Certificate {
	t.Helper()
	c := forge.Certificate{Subject: forge.Name("Somebody"), Serial: []byte{0x1a, 0x2b}}
	if len(names) > 0 {
		c.Extensions = append(c.Extensions, forge.AltNames(names...))
	}
	if purposes != nil {
		c.Extensions = append(c.Extensions, purposes)
	}
	return parsed(t, c.Sign(by))
}

// anchors trusts both CAs, and what is pinned.
func anchors(t testing.TB, pinned ...*x509.Certificate) *trust.Anchors {
	partners := []*x509.Certificate{parsed(t, partnerCA)}
	return trust.New(trust.Sources{
		Mail:    []*x509.Certificate{parsed(t, generalCA)},
		Domains: map[string][]*x509.Certificate{"partner.example": partners, ".partner.example": partners},
		Pinned:  pinned,
	}, trust.Options{Revocation: revocation.Off})
}

// signedBy is what smime finds in a mail with good signatures.
func signedBy(cs ...*x509.Certificate) *smime.Report {
	r := &smime.Report{Kind: smime.SignedDetached, Part: "2"}
	for _, c := range cs {
		r.Signers = append(r.Signers, smime.Signer{Result: cms.SignerResult{Certificate: c}})
	}
	return r
}

func fields(text string) (h message.Header) {
	for l := range strings.SplitSeq(text, "\n") {
		h = append(h, message.ParseField(l))
	}
	return h
}

var now = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

var forMail = forge.Purposes(forge.ForMail)

func TestPeople(t *testing.T) {
	alice := forge.Mail("alice@example.jp")
	sender, both := Settings{UseSender: true}, "From: boss@example.jp\nSender: alice@example.jp"
	for _, tt := range []struct {
		name     string
		header   string
		names    [][]byte
		settings Settings
		want     Status
		reason   string
		who      string
	}{
		{"rfc822Name", "From: alice@example.jp", [][]byte{alice}, Settings{}, Pass, "", "alice@example.jp"},
		{"one of several", "From: alice@example.jp", [][]byte{forge.Mail("bob@example.jp"), alice}, Settings{}, Pass, "", "alice@example.jp"},
		{"domain in other case", "From: alice@EXAMPLE.jp", [][]byte{alice}, Settings{}, Pass, "", "alice@example.jp"},
		{"local part in other case", "From: Alice@example.jp", [][]byte{alice}, Settings{}, Policy, wrongAddress, "alice@example.jp"},
		{"local part in other case, by setting", "From: Alice@example.jp", [][]byte{alice}, Settings{IgnoreLocalCase: true}, Pass, "", "alice@example.jp"},
		{"long s is no s", "From: bo\u017fs@example.jp", [][]byte{forge.Mail("boss@example.jp")}, Settings{IgnoreLocalCase: true}, Policy, wrongAddress, "boss@example.jp"},
		{"A-label", "From: alice@\u65e5\u672c\u8a9e.jp", [][]byte{forge.Mail("alice@xn--wgv71a119e.jp")}, Settings{}, Pass, "", "alice@xn--wgv71a119e.jp"},
		{"SmtpUTF8Mailbox", "From: \u7528\u6237@example.jp", [][]byte{forge.UTF8Mail("\u7528\u6237@example.jp")}, Settings{}, Pass, "", ""},
		{"SmtpUTF8Mailbox, U-labels", "From: \u7528\u6237@\u65e5\u672c\u8a9e.jp", [][]byte{forge.UTF8Mail("\u7528\u6237@\u65e5\u672c\u8a9e.jp")}, Settings{}, Pass, "", ""},
		{"SmtpUTF8Mailbox, not normalised", "From: e\u0301@example.jp", [][]byte{forge.UTF8Mail("\u00e9@example.jp")}, Settings{IgnoreLocalCase: true}, Policy, wrongAddress, ""},
		{"SmtpUTF8Mailbox of ASCII", "From: alice@example.jp", [][]byte{forge.UTF8Mail("alice@example.jp")}, Settings{}, Policy, wrongAddress, ""},
		{"an otherName that is another", "From: alice@example.jp", [][]byte{forge.Other("1.3.6.1.4.1.311.20.2.3", []byte("\x0c\x10alice@example.jp"))}, Settings{}, Policy, noAddress, ""},
		{"blank in the certificate", "From: alice@example.jp", [][]byte{forge.Mail("alice@example.jp ")}, Settings{}, Policy, wrongAddress, ""},
		{"display name", `From: "alice@example.jp" <eve@example.jp>`, [][]byte{alice}, Settings{}, Policy, wrongAddress, "alice@example.jp"},
		{"two From fields", "From: alice@example.jp\nFrom: alice@example.jp", [][]byte{alice}, Settings{}, Policy, severalAddresses, "alice@example.jp"},
		{"two addresses", "From: alice@example.jp, bob@example.jp", [][]byte{alice}, Settings{}, Policy, severalAddresses, "alice@example.jp"},
		{"both are the signer's", "From: alice@example.jp, bob@example.jp", [][]byte{alice, forge.Mail("bob@example.jp")}, Settings{}, Policy, severalAddresses, "alice@example.jp"},
		{"no From", "Sender: alice@example.jp", [][]byte{alice}, sender, Policy, "mail has no From", "alice@example.jp"},
		{"empty From", "From:", [][]byte{alice}, Settings{}, Policy, "From: field cannot be read as addresses", "alice@example.jp"},
		{"empty group", "From: undisclosed:;", [][]byte{alice}, Settings{}, Policy, "From: address group instead of an address", "alice@example.jp"},
		{"group", "From: us: alice@example.jp;", [][]byte{alice}, Settings{}, Policy, "From: address group instead of an address", "alice@example.jp"},
		{"Sender does not count", both, [][]byte{alice}, Settings{}, Policy, wrongAddress, "alice@example.jp"},
		{"Sender by setting", both, [][]byte{alice}, sender, Pass, senderSignature, "alice@example.jp"},
		{"From and Sender", "From: alice@example.jp\nSender: alice@example.jp", [][]byte{alice}, sender, Pass, "", "alice@example.jp"},
		{"From, another Sender", "From: alice@example.jp\nSender: eve@example.jp", [][]byte{alice}, sender, Pass, "", "alice@example.jp"},
		{"neither", "From: boss@example.jp\nSender: eve@example.jp", [][]byte{alice}, sender, Policy, wrongAddress, "alice@example.jp"},
		{"two Senders", both + "\nSender: alice@example.jp", [][]byte{alice}, sender, Policy, wrongAddress, "alice@example.jp"},
		{"two addresses in Sender", both + ", eve@example.jp", [][]byte{alice}, sender, Policy, wrongAddress, "alice@example.jp"},
		{"several From, with Sender", "From: boss@example.jp, bob@example.jp\nSender: alice@example.jp", [][]byte{alice}, sender, Policy, severalAddresses, "alice@example.jp"},
		{"no names at all", "From: alice@example.jp", nil, Settings{}, Policy, noAddress, ""},
		{"another RFC 3183 role", "From: review-authority@example.jp", [][]byte{forge.Mail("review-authority@example.jp")}, Settings{}, Policy, otherRole + "review-authority", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := Question{Settings: tt.settings, Anchors: anchors(t), At: now}.By(fields(tt.header))
			got := Judge(signedBy(leaf(t, generalCA, forMail, tt.names...)), q)
			if got.Status != tt.want || got.Reason != tt.reason || got.Identifier != tt.who || got.Domain {
				t.Errorf("%+v", got)
			}
			if got.Identifier == "" && (got.Serial != "1A2B" || got.Issuer == "") {
				t.Errorf("nobody is named: %+v", got)
			}
		})
	}
}

// In no setting is any but the one From, or by setting the one Sender, the signer.
func TestNoAddressCheck(t *testing.T) {
	c := leaf(t, generalCA, forMail, forge.Mail("alice@example.jp"))
	q := Question{NoAddressCheck: true, Anchors: anchors(t), At: now}.By(fields("From: a@x.example, b@x.example"))
	if got := Judge(signedBy(c), q); got.Status != Pass || got.Identifier != "alice@example.jp" {
		t.Errorf("%+v", got)
	}
}

func TestDomainSignatures(t *testing.T) {
	dns := func(names ...string) (ns [][]byte) {
		for _, n := range names {
			ns = append(ns, forge.DNS(n))
		}
		return ns
	}
	authority := [][]byte{forge.Mail("domain-signing-authority@partner.example")}
	for _, tt := range []struct {
		name     string
		from     string
		by       *forge.Issued // nil: pinned
		purposes []byte
		names    [][]byte
		want     Status
		reason   string
		who      string
	}{
		{"dNSName", "bob@partner.example", partnerCA, forMail, dns("partner.example"), Pass, domainSignature, "@partner.example"},
		{"dNSName in capitals", "bob@partner.example", partnerCA, forMail, dns("PARTNER.example"), Pass, domainSignature, "@partner.example"},
		{"no purpose", "bob@partner.example", partnerCA, nil, dns("partner.example"), Pass, domainSignature, "@partner.example"},
		{"any purpose", "bob@partner.example", partnerCA, forge.Purposes(forge.ForAny), dns("partner.example"), Policy, noAddress, ""},
		{"for servers", "bob@partner.example", partnerCA, forge.Purposes(forge.ForServers), dns("partner.example"), Fail, string(trust.Purpose), ""},
		{"for servers and mail", "bob@partner.example", partnerCA, forge.Purposes(forge.ForServers, forge.ForMail), dns("partner.example"), Pass, domainSignature, "@partner.example"},
		{"pinned", "bob@partner.example", nil, forMail, dns("partner.example"), Pass, domainSignature, "@partner.example"},
		{"pinned, for another domain", "bob@other.example", nil, forMail, dns("partner.example"), Policy, noAddress, ""},
		{"general CA", "bob@partner.example", generalCA, forMail, dns("partner.example"), Policy, untrustedDomain, "@partner.example"},
		{"general CA, authority", "bob@partner.example", generalCA, forMail, authority, Policy, untrustedDomain, "@partner.example"},
		{"the partner's CA for another domain", "bob@other.example", partnerCA, forMail, dns("other.example"), Fail, string(trust.Unknown), "@other.example"},
		{"sub-domain, name without", "bob@sub.partner.example", partnerCA, forMail, dns("partner.example"), Policy, noAddress, ""},
		{"wildcard", "bob@sub.partner.example", partnerCA, forMail, dns("*.partner.example"), Pass, domainSignature, "@sub.partner.example"},
		{"wildcard, deeper", "bob@a.b.partner.example", partnerCA, forMail, dns("*.partner.example"), Pass, domainSignature, "@a.b.partner.example"},
		{"wildcard, the domain itself", "bob@partner.example", partnerCA, forMail, dns("*.partner.example"), Policy, noAddress, ""},
		{"wildcard, another that ends so", "bob@evilpartner.example", partnerCA, forMail, dns("*.partner.example"), Fail, string(trust.Unknown), ""},
		{"wildcard of a part", "bob@apartner.partner.example", partnerCA, forMail, dns("a*.partner.example", "*", "*.*.example"), Policy, noAddress, ""},
		{"blank in the name", "bob@partner.example", partnerCA, forMail, dns("partner.example ", " partner.example", "partner.example."), Policy, noAddress, ""},
		{"authority", "bob@partner.example", partnerCA, forMail, authority, Pass, domainSignature, "@partner.example"},
		{"authority in capitals", "bob@partner.example", partnerCA, forMail, [][]byte{forge.Mail("Domain-Signing-Authority@PARTNER.example")}, Pass, domainSignature, "@partner.example"},
		{"authority above", "bob@a.b.partner.example", partnerCA, forMail, authority, Pass, domainSignature, "@partner.example"},
		{"authority below", "bob@partner.example", partnerCA, forMail, [][]byte{forge.Mail("domain-signing-authority@sub.partner.example")}, Policy, wrongAddress, "@sub.partner.example"},
		{"authority of a name that ends so", "bob@partner.example", partnerCA, forMail, [][]byte{forge.Mail("domain-signing-authority@ner.example")}, Policy, wrongAddress, "@ner.example"},
		{"authority as From", "domain-signing-authority@partner.example", generalCA, forMail, authority, Policy, untrustedDomain, "@partner.example"},
		{"review authority", "bob@partner.example", partnerCA, forMail, [][]byte{forge.Mail("review-authority@partner.example")}, Policy, otherRole + "review-authority", ""},
		{"confidentiality authority", "bob@partner.example", partnerCA, forMail, [][]byte{forge.Mail("domain-confidentiality-authority@partner.example")}, Policy, otherRole + "domain-confidentiality-authority", ""},
		{"a person's of the partner's CA", "bob@partner.example", partnerCA, forMail, [][]byte{forge.Mail("bob@partner.example")}, Pass, "", "bob@partner.example"},
		{"another person's", "bob@partner.example", partnerCA, forMail, [][]byte{forge.Mail("eve@partner.example")}, Policy, wrongAddress, "eve@partner.example"},
		{"a gateway with an address", "bob@partner.example", partnerCA, forMail, [][]byte{forge.Mail("gateway@partner.example"), forge.DNS("partner.example")}, Pass, domainSignature, "@partner.example"},
		{"the gateway's own mail", "gateway@partner.example", partnerCA, forMail, [][]byte{forge.Mail("gateway@partner.example"), forge.DNS("partner.example")}, Pass, "", "gateway@partner.example"},
		{"IDNA", "bob@b\u00fccher.partner.example", partnerCA, forMail, dns("xn--bcher-kva.partner.example"), Pass, domainSignature, "@xn--bcher-kva.partner.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := leaf(t, tt.by, tt.purposes, tt.names...)
			a := anchors(t)
			if tt.by == nil {
				a = anchors(t, c)
			}
			got := Judge(signedBy(c), Question{Anchors: a, At: now}.By(fields("From: "+tt.from)))
			if got.Status != tt.want || got.Reason != tt.reason || got.Identifier != tt.who || got.Domain != (got.Identifier != "" && got.Identifier[0] == '@' && tt.reason != wrongAddress) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The kind that a signature says it is (RFC 3183) has to be one that its
// certificate can make.
func TestSignatureKinds(t *testing.T) {
	person := leaf(t, partnerCA, forMail, forge.Mail("bob@partner.example"))
	domain := leaf(t, partnerCA, forMail, forge.Mail("domain-signing-authority@partner.example"))
	kind := func(ns ...int) cms.Attribute {
		var ids []asn1.ObjectIdentifier
		for _, n := range ns {
			ids = append(ids, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 9, n})
		}
		der, err := asn1.Marshal(ids)
		if err != nil {
			t.Fatal(err)
		}
		return cms.Attribute{Type: oidSignatureType, Values: [][]byte{der}}
	}
	attributes := func(as ...cms.Attribute) []cms.Attribute { return as }
	for _, tt := range []struct {
		name       string
		by         *x509.Certificate
		attributes []cms.Attribute
		want       Status
		reason     string
		kinds      string
	}{
		{"person, none", person, nil, Pass, "", "[]"},
		{"domain, none", domain, nil, Pass, domainSignature, "[]"},
		{"person, originator", person, attributes(kind(1)), Pass, "", "[originator]"},
		{"person, domain", person, attributes(kind(2)), Policy, notAnOriginator, "[domain]"},
		{"person, review", person, attributes(kind(4)), Policy, notAnOriginator, "[review]"},
		{"domain, domain", domain, attributes(kind(2)), Pass, domainSignature, "[domain]"},
		{"domain, originator", domain, attributes(kind(1)), Policy, notADomain, "[originator]"},
		{"domain, review and domain", domain, attributes(kind(4, 2)), Pass, domainSignature, "[review domain]"},
		{"unknown", domain, attributes(kind(99)), Policy, notADomain, "[1.2.840.113549.1.9.16.9.99]"},
		{"twice", domain, attributes(kind(2), kind(2)), PermError, "signed attributes break the rules", "[]"},
		{"two values", domain, attributes(cms.Attribute{Type: oidSignatureType, Values: [][]byte{kind(2).Values[0], kind(2).Values[0]}}), PermError, "signed attributes break the rules", "[]"},
		{"empty", domain, attributes(cms.Attribute{Type: oidSignatureType, Values: [][]byte{{0x30, 0}}}), PermError, "signed attributes break the rules", "[]"},
		{"none of it", domain, attributes(cms.Attribute{Type: oidSignatureType, Values: [][]byte{{0x05, 0}}}), PermError, "signed attributes break the rules", "[]"},
		{"many", domain, attributes(kind(2, 2, 2, 2, 2, 2, 2, 2, 2)), PermError, "signed attributes break the rules", "[]"},
	} {
		r := signedBy(tt.by)
		r.Signers[0].Result.Info = &cms.SignerInfo{SignedAttributes: tt.attributes}
		got := Judge(r, Question{Anchors: anchors(t), At: now}.By(fields("From: bob@partner.example")))
		if got.Status != tt.want || got.Reason != tt.reason || fmt.Sprint(got.Kinds) != tt.kinds {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestMappedSigners(t *testing.T) {
	bare := leaf(t, generalCA, forMail)
	addressed := leaf(t, generalCA, forMail, forge.Mail("eve@example.jp"))
	host := leaf(t, generalCA, forMail, forge.DNS("mx.partner.example"))
	stranger := leaf(t, forge.Certificate{Subject: forge.Name("Stranger"), Extensions: forge.CA}.Sign(nil), forMail)
	sum := func(c *x509.Certificate) string { return fmt.Sprintf("sha256:%X ", sha256.Sum256(c.Raw)) }
	for _, tt := range []struct {
		name    string
		c       *x509.Certificate
		mapping string
		from    string
		want    Status
		reason  string
		who     string
	}{
		{"by fingerprint", bare, sum(bare) + "bob@partner.example", "bob@partner.example", Pass, mappedSignature, "bob@partner.example"},
		{"by issuer and serial number", bare, fmt.Sprintf("serial:1a2b issuer:%q bob@partner.example", bare.Issuer), "bob@partner.example", Pass, mappedSignature, "bob@partner.example"},
		{"one of several", bare, sum(bare) + "a@partner.example, bob@partner.example", "bob@partner.example", Pass, mappedSignature, "bob@partner.example"},
		{"for somebody else", bare, sum(bare) + "a@partner.example", "bob@partner.example", Policy, wrongAddress, "a@partner.example"},
		{"for a domain", bare, sum(bare) + "@partner.example", "bob@partner.example", Pass, domainSignature, "@partner.example"},
		{"for a domain, not those below", bare, sum(bare) + "@partner.example", "bob@sub.partner.example", Policy, wrongAddress, ""},
		{"for what is below", bare, sum(bare) + "@.partner.example", "bob@sub.partner.example", Pass, domainSignature, "@sub.partner.example"},
		{"another certificate", bare, sum(host) + "bob@partner.example", "bob@partner.example", Policy, noAddress, ""},
		{"a host of the partner's", host, sum(host) + "@partner.example", "bob@partner.example", Pass, domainSignature, "@partner.example"},
		{"mapped elsewhere, its own name stays untrusted", host, sum(host) + "@other.example", "root@mx.partner.example", Policy, untrustedDomain, "@mx.partner.example"},
		{"it has an address", addressed, sum(addressed) + "bob@partner.example", "bob@partner.example", Policy, wrongAddress, "eve@example.jp"},
		{"not trusted", stranger, sum(stranger) + "bob@partner.example", "bob@partner.example", Fail, string(trust.Unknown), "bob@partner.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ParseMapping("signers", []byte(tt.mapping))
			if err != nil {
				t.Fatal(err)
			}
			got := Judge(signedBy(tt.c), Question{Settings: Settings{Mapping: m}, Anchors: anchors(t), At: now}.By(fields("From: "+tt.from)))
			if got.Status != tt.want || got.Reason != tt.reason || got.Identifier != tt.who {
				t.Errorf("%+v", got)
			}
		})
	}
}

// What is one address and what is another does not depend on how From is written.
func TestSameIsStrict(t *testing.T) {
	a := mailaddr.Address{Local: "alice", Domain: "example.jp"}
	for _, b := range []mailaddr.Address{{Local: "Alice", Domain: "example.jp"}, {Local: "alice ", Domain: "example.jp"}, {Local: "alice", Domain: "example.com"}, {}} {
		if (Question{}).same(a, b) {
			t.Errorf("%v is %v", a, b)
		}
	}
}
