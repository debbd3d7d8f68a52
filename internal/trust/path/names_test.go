package path

import (
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/internal/testpki/forge"
)

func permit(bases ...[]byte) []byte  { return forge.Constraints(bases, nil) }
func exclude(bases ...[]byte) []byte { return forge.Constraints(nil, bases) }

func dir(parts ...string) []byte { return forge.Directory(forge.Name(parts...)) }

// who is a leaf of a name, with others.
func who(subject []byte, more ...[]byte) forge.Certificate {
	c := user()
	if c.Subject = subject; len(more) > 0 {
		c.Extensions = append(c.Extensions, forge.AltNames(more...))
	}
	return c
}

// PKITS 4.13 on directory names.
func TestDirectoryNames(t *testing.T) {
	below := who(forge.Name("OU=in", "Alice"))
	outside := who(forge.Name("OU=out", "Alice"))
	self := func(c forge.Certificate) forge.Certificate { return again(c) }
	ou := func(tag asn1.Tag, s string) []byte {
		return forge.RDNs(forge.Attribute("2.5.4.10", asn1.UTF8String, "FORGE"), forge.Attribute("2.5.4.11", tag, s))
	}
	judge(t, []ruling{
		{"within", steps{ca("Root"), ca("A", permit(dir("OU=in"))), below}, "", nil},
		{"outside", steps{ca("Root"), ca("A", permit(dir("OU=in"))), outside}, Names, nil},
		{"the base itself", steps{ca("Root"), ca("A", permit(dir("OU=in"))), who(forge.Name("OU=in"))}, "", nil},
		{"the beginning of the base", steps{ca("Root"), ca("A", permit(dir("OU=in", "OU=deep"))), who(forge.Name("OU=in"))}, Names, nil},
		{"in other letters", steps{ca("Root"), ca("A", permit(forge.Directory(ou(asn1.PrintableString, "IN ")))), below}, "", nil},
		{"one of two", steps{ca("Root"), ca("A", permit(dir("OU=in"), dir("OU=out"))), outside}, "", nil},
		{"an alternative name outside", steps{ca("Root"), ca("A", permit(dir("OU=in"))), who(forge.Name("OU=in", "Alice"), dir("OU=out"))}, Names, nil},
		{"only as alternative name", steps{ca("Root"), ca("A", permit(dir("OU=in"))), who(forge.RDNs(), dir("OU=in"))}, "", nil},
		{"excluded", steps{ca("Root"), ca("A", exclude(dir("OU=out"))), outside}, Names, nil},
		{"not excluded", steps{ca("Root"), ca("A", exclude(dir("OU=out"))), below}, "", nil},
		{"excluded of permitted", steps{ca("Root"), ca("A", forge.Constraints([][]byte{dir("OU=in")}, [][]byte{dir("OU=in", "OU=x")})), who(forge.Name("OU=in", "OU=x", "A"))}, Names, nil},
		{"everything excluded", steps{ca("Root"), ca("A", exclude(forge.Directory(forge.RDNs()))), below}, Names, nil},
		{"two CAs, both agree", steps{ca("Root"), ca("A", permit(dir("OU=in"))), with(ca("B", permit(dir("OU=in", "OU=x"))), name("OU=in", "B")), who(forge.Name("OU=in", "OU=x", "A"))}, "", nil},
		{"two CAs, one permits", steps{ca("Root"), ca("A", permit(dir("OU=in"))), with(ca("B", permit(dir("OU=in", "OU=x"))), name("OU=in", "B")), below}, Names, nil},
		{"one cannot permit again", steps{ca("Root"), ca("A", permit(dir("OU=in"))), with(ca("B", permit(dir("OU=out"))), name("OU=in", "B")), outside}, Names, nil},
		{"a CA outside", steps{ca("Root"), ca("A", permit(dir("OU=in"))), ca("B"), below}, Names, nil},
		{"a self-issued CA outside", steps{ca("Root"), ca("A", permit(dir("OU=in"))), self(ca("A")), below}, "", nil},
		{"a self-issued leaf outside", steps{ca("Root"), ca("A", permit(dir("OU=in"))), again(with(user(), name("A")))}, Names, nil},
		{"the root's count", steps{ca("Root", permit(dir("OU=in"))), outside}, Names, nil},
		{"names of other forms", steps{ca("Root"), ca("A", permit(forge.DNS("a.example"))), outside}, "", nil},
		{"empty", steps{ca("Root"), ca("A", forge.Constraints(nil, nil)), below}, Malformed, nil},
	})
}

func name(parts ...string) func(*forge.Certificate) {
	return func(c *forge.Certificate) { c.Subject = forge.Name(parts...) }
}

// One name against one constraint, permitted and excluded.
func TestConstraints(t *testing.T) {
	const in, out, refused = "in", "out", "refused"
	mail, dns, uri := forge.Mail, forge.DNS, forge.URI
	for _, tt := range []struct {
		what       string
		base, name []byte
		want       string // where the name is; refused: neither can be said
	}{
		{"mailbox", mail("a@b.example"), mail("a@B.example"), in},
		{"another mailbox", mail("a@b.example"), mail("c@b.example"), out},
		{"mailbox below", mail("a@b.example"), mail("a@c.b.example"), out},
		{"mail host", mail("b.example"), mail("a@b.example"), in},
		{"mail host below", mail("b.example"), mail("a@c.b.example"), out},
		{"mail host that ends so", mail("b.example"), mail("a@xb.example"), out},
		{"mail domain", mail(".b.example"), mail("a@c.b.example"), in},
		{"mail domain itself", mail(".b.example"), mail("a@b.example"), out},
		{"mail with a root dot", mail("b.example"), mail("a@b.example."), in},
		{"mail with two @", mail("b.example"), mail("a@c.example@b.example"), in},
		{"no mail address", mail("b.example"), mail("b.example"), refused},
		{"UTF-8 mail", mail("b.example"), forge.UTF8Mail("ä@b.example"), in},
		{"UTF-8 mail elsewhere", mail("b.example"), forge.UTF8Mail("ä@c.example"), out},
		{"UTF-8 mail and another form", forge.Other("1.2.3", []byte{5, 0}), forge.UTF8Mail("ä@c.example"), refused},
		{"host", dns("b.example"), dns("B.EXAMPLE"), in},
		{"host below", dns("b.example"), dns("c.b.example"), in},
		{"host that ends so", dns("b.example"), dns("xb.example"), out},
		{"domain", dns(".b.example"), dns("c.b.example"), in},
		{"domain itself", dns(".b.example"), dns("b.example"), out},
		{"any host", dns(""), dns("b.example"), in},
		{"wildcard below", dns("b.example"), dns("*.c.b.example"), in},
		{"wildcard above", dns("c.b.example"), dns("*.example"), out},
		{"URI host", uri("b.example"), uri("https://b.example:8/x"), in},
		{"URI host below", uri("b.example"), uri("https://c.b.example/"), out},
		{"URI domain", uri(".b.example"), uri("https://u@c.b.example/"), in},
		{"URI domain itself", uri(".b.example"), uri("https://b.example/"), out},
		{"URI elsewhere in the path", uri("b.example"), uri("https://c.example/b.example"), out},
		{"URI with an address", uri("b.example"), uri("https://192.0.2.1/"), refused},
		{"URI with an IPv6 address", uri("b.example"), uri("https://[2001:db8::1]/"), refused},
		{"URI without host", uri("b.example"), uri("mailto:a@b.example"), refused},
		{"address", forge.IP(192, 0, 2, 0, 255, 255, 255, 0), forge.IP(192, 0, 2, 7), in},
		{"address elsewhere", forge.IP(192, 0, 2, 0, 255, 255, 255, 0), forge.IP(192, 0, 3, 7), out},
		{"address of another version", forge.IP(192, 0, 2, 0, 255, 255, 255, 0), forge.IP(make([]byte, 16)...), out},
		{"address of another length", forge.IP(192, 0, 2, 0, 255, 255, 255, 0), forge.IP(1, 2, 3), refused},
		{"registered ID", forge.RegisteredID("1.2.3"), forge.RegisteredID("1.2.3"), refused},
		{"other name", forge.Other("1.2.3", []byte{5, 0}), forge.Other("1.2.3", []byte{5, 0}), refused},
		{"other form", dns("b.example"), mail("a@c.example"), refused[:0]},
	} {
		for _, excluded := range []bool{false, true} {
			constraint := permit(tt.base)
			if excluded {
				constraint = exclude(tt.base)
			}
			want := Names
			if tt.want == "" || tt.want == in && !excluded || tt.want == out && excluded {
				want = ""
			}
			path := readAll(t, sign(steps{ca("Root"), ca("A", constraint), who(forge.Name("Alice"), tt.name)}))
			r := Validate(path, Options{At: at})
			if _, broken := r.Broke(Names); broken != (want == Names) || r.Good() == broken {
				t.Errorf("%s, excluded %v: %v", tt.what, excluded, r.Failures)
			}
		}
	}
}

// Where a name may be taken for another, what is excluded is more.
func TestExcludedIsMore(t *testing.T) {
	judge(t, []ruling{
		{"wildcard for an excluded host", steps{ca("Root"), ca("A", exclude(forge.DNS("c.b.example"))), who(forge.Name("Alice"), forge.DNS("*.b.example"))}, Names, nil},
		{"wildcard below an excluded domain", steps{ca("Root"), ca("A", exclude(forge.DNS(".b.example"))), who(forge.Name("Alice"), forge.DNS("*.b.example"))}, Names, nil},
		{"wildcard beside it", steps{ca("Root"), ca("A", exclude(forge.DNS("c.b.example"))), who(forge.Name("Alice"), forge.DNS("*.a.example"))}, "", nil},
		{"local part in capitals", steps{ca("Root"), ca("A", exclude(forge.Mail("a@b.example"))), who(forge.Name("Alice"), forge.Mail("A@b.example"))}, Names, nil},
		{"and permitted", steps{ca("Root"), ca("A", permit(forge.Mail("a@b.example"))), who(forge.Name("Alice"), forge.Mail("A@b.example"))}, Names, nil},
		{"address in the subject", steps{ca("Root"), ca("A", permit(forge.Mail("b.example"))), who(forge.Name("Alice", "mail=a@c.example"))}, Names, nil},
		{"beside one that is permitted", steps{ca("Root"), ca("A", permit(forge.Mail("b.example"))), who(forge.Name("Alice", "mail=a@c.example"), forge.Mail("a@b.example"))}, Names, nil},
		{"permitted in the subject", steps{ca("Root"), ca("A", permit(forge.Mail("b.example"))), who(forge.Name("Alice", "mail=a@b.example"))}, "", nil},
	})
}
