package forge

import (
	"math/big"
	"strings"

	"golang.org/x/crypto/cryptobyte/asn1"
)

// Name is a Name of one organisation, and below it what is said: attributes as
// "OU=x" or "CN=y", a common name without.
func Name(parts ...string) []byte {
	rdns := [][]byte{Attribute("2.5.4.10", asn1.PrintableString, "Forge")}
	for _, p := range parts {
		id := "2.5.4.3"
		if kind, value, ok := strings.Cut(p, "="); ok {
			p = value
			id = map[string]string{"O": "2.5.4.10", "OU": "2.5.4.11", "CN": "2.5.4.3", "mail": "1.2.840.113549.1.9.1"}[kind]
		}
		tag := asn1.UTF8String
		if id == "1.2.840.113549.1.9.1" {
			tag = asn1.IA5String
		}
		rdns = append(rdns, Attribute(id, tag, p))
	}
	return RDNs(rdns...)
}

// Attribute is an RDN of one attribute in a string type of choice.
func Attribute(id string, tag asn1.Tag, value string) []byte {
	return tlv(asn1.SET, sequence(dotted(id), tlv(tag, []byte(value))))
}

// RDNs is a Name of these.
func RDNs(rdns ...[]byte) []byte { return sequence(rdns...) }

// Extension is one.
func Extension(id string, critical bool, value []byte) []byte {
	parts := [][]byte{dotted(id)}
	if critical {
		parts = append(parts, tlv(asn1.BOOLEAN, []byte{0xff}))
	}
	return sequence(append(parts, tlv(asn1.OCTET_STRING, value))...)
}

// CA is what a CA's certificate has at least.
var CA = [][]byte{Basic(true, -1), Usage(5, 6)}

// Basic is basicConstraints; below 0 there is no path length.
func Basic(ca bool, pathLen int) []byte {
	var parts [][]byte
	if ca {
		parts = append(parts, tlv(asn1.BOOLEAN, []byte{0xff}))
	}
	if pathLen >= 0 {
		parts = append(parts, integer(asn1.INTEGER, pathLen))
	}
	return Extension("2.5.29.19", true, sequence(parts...))
}

func integer(tag asn1.Tag, n int) []byte {
	b := big.NewInt(int64(n)).Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return tlv(tag, b)
}

// Usage is keyUsage: 0 digitalSignature, 5 keyCertSign, 6 cRLSign.
func Usage(bits ...int) []byte {
	b, unused := byte(0), byte(0)
	for _, n := range bits {
		b |= 0x80 >> n
	}
	for ; b != 0 && b&(1<<unused) == 0; unused++ {
	}
	return Extension("2.5.29.15", true, tlv(asn1.BIT_STRING, []byte{unused, b}))
}

// Purposes for extKeyUsage.
const (
	ForMail    = "1.3.6.1.5.5.7.3.4"
	ForServers = "1.3.6.1.5.5.7.3.1"
	ForAny     = "2.5.29.37.0"
)

// Purposes is extKeyUsage.
func Purposes(ids ...string) []byte { return Extension("2.5.29.37", false, identifiers(ids)) }

func identifiers(ids []string) []byte {
	var parts [][]byte
	for _, id := range ids {
		parts = append(parts, dotted(id))
	}
	return sequence(parts...)
}

// AnyPolicy is what stands for all.
const AnyPolicy = "2.5.29.32.0"

// Policies is certificatePolicies.
func Policies(ids ...string) []byte {
	var parts [][]byte
	for _, id := range ids {
		parts = append(parts, sequence(dotted(id)))
	}
	return Extension("2.5.29.32", true, sequence(parts...))
}

// Mappings is policyMappings, in pairs of the issuer's and the subject's policy.
func Mappings(pairs ...string) []byte {
	var parts [][]byte
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, sequence(dotted(pairs[i]), dotted(pairs[i+1])))
	}
	return Extension("2.5.29.33", true, sequence(parts...))
}

// PolicyConstraints has no field that is below 0.
func PolicyConstraints(explicit, inhibitMapping int) []byte {
	var parts [][]byte
	for i, n := range []int{explicit, inhibitMapping} {
		if n >= 0 {
			parts = append(parts, integer(context(i, false), n))
		}
	}
	return Extension("2.5.29.36", true, sequence(parts...))
}

// InhibitAny is inhibitAnyPolicy.
func InhibitAny(n int) []byte { return Extension("2.5.29.54", true, integer(asn1.INTEGER, n)) }

// Mail, and those that follow, are GeneralNames.
func Mail(s string) []byte { return tlv(context(1, false), []byte(s)) }

// DNS is a dNSName.
func DNS(s string) []byte { return tlv(context(2, false), []byte(s)) }

// Directory is a directoryName.
func Directory(name []byte) []byte { return tlv(context(4, true), name) }

// URI is a uniformResourceIdentifier.
func URI(s string) []byte { return tlv(context(6, false), []byte(s)) }

// IP is an iPAddress: an address, or one and a mask.
func IP(b ...byte) []byte { return tlv(context(7, false), b) }

// RegisteredID is a registeredID.
func RegisteredID(id string) []byte { return tlv(context(8, false), dotted(id)[2:]) }

// UTF8Mail is SmtpUTF8Mailbox (RFC 9598).
func UTF8Mail(s string) []byte {
	return Other("1.3.6.1.5.5.7.8.9", tlv(asn1.UTF8String, []byte(s)))
}

// Other is an otherName.
func Other(id string, value []byte) []byte {
	return tlv(context(0, true), dotted(id), tlv(context(0, true), value))
}

// AltNames is subjectAltName.
func AltNames(names ...[]byte) []byte { return Extension("2.5.29.17", false, sequence(names...)) }

// Constraints is nameConstraints.
func Constraints(permitted, excluded [][]byte) []byte {
	var parts [][]byte
	for i, bases := range [][][]byte{permitted, excluded} {
		var trees [][]byte
		for _, b := range bases {
			trees = append(trees, sequence(b))
		}
		if len(trees) > 0 {
			parts = append(parts, tlv(context(i, true), trees...))
		}
	}
	return Extension("2.5.29.30", true, sequence(parts...))
}
