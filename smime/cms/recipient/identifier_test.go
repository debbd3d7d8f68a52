package recipient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// TestIdentifier: names are compared octet by octet; a certificate without key identifier is known by the usual one.
func TestIdentifier(t *testing.T) {
	c := *person(5, otherRSA()).Certificate
	for name, test := range map[string]struct {
		id   Identifier
		want bool
	}{
		"issuer and serial":     {Identifier{Issuer: issuer, Serial: c.SerialNumber}, true},
		"another issuer":        {Identifier{Issuer: []byte{0x30, 1, 0}, Serial: c.SerialNumber}, false},
		"key identifier":        {Identifier{SubjectKeyID: c.SubjectKeyId}, true},
		"another key":           {Identifier{SubjectKeyID: []byte("another")}, false},
		"nothing":               {Identifier{}, false},
		"key identifier, upper": {Identifier{SubjectKeyID: []byte(strings.ToUpper(string(c.SubjectKeyId)))}, false},
	} {
		if got := placeOf(&c, []Identifier{test.id}); (got == 0) != test.want {
			t.Errorf("%s: place %d", name, got)
		}
	}
	bare := c
	bare.SubjectKeyId, bare.RawSubjectPublicKeyInfo = nil, unhex("300a300506032b656e030100")
	if sum := keyDigest(&bare); placeOf(&bare, []Identifier{{SubjectKeyID: []byte("x")}, {SubjectKeyID: sum}}) != 1 || len(sum) != 20 {
		t.Errorf("not known by %x", sum)
	}
	bare.RawSubjectPublicKeyInfo = nil
	if placeOf(&bare, []Identifier{{}, {SubjectKeyID: []byte{}}}) >= 0 {
		t.Error("a certificate with nothing is named by nothing")
	}
}

// TestAskingIsCheap: a forger may name thousands, and each of them is held against each of our keys. Nothing is reckoned with a
// key until one is named.
func TestAskingIsCheap(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k := person(5, must(ecdsa.GenerateKey(curve, rand.Reader)))
		one := element(der.SEQUENCE, element(der.SEQUENCE, []byte{0x30, 0}, []byte{2, 1, 1}), []byte{4, 0})
		originator := element(syntax.Explicit(1), syntax.Algorithm(oidEC, nil), []byte{3, 2, 0, 4})
		i := must(Parse(agreementInfo(originator, nil, syntax.Algorithm(wraps[2].oid, nil), schemes[2].oid, one)))
		if i.For(k) {
			t.Fatal("for somebody else")
		}
		if n := testing.AllocsPerRun(10, func() { i.For(k) }); n > 4 { // to make an ECDH key takes more
			t.Errorf("%s: %v allocations", curve.Params().Name, n)
		}
		if got, want := i.way.takes(k), curve != elliptic.P224(); got != want {
			t.Errorf("%s is taken: %t", curve.Params().Name, got)
		}
	}
	bare := *person(5, otherRSA()).Certificate
	bare.SubjectKeyId, bare.RawSubjectPublicKeyInfo = nil, unhex("300a300506032b656e030100")
	ids := func(n int) []Identifier { return slices.Repeat([]Identifier{{SubjectKeyID: []byte("another")}}, n) }
	cost := func(n int) float64 { return testing.AllocsPerRun(10, func() { placeOf(&bare, ids(n)) }) }
	if one, many := cost(1), cost(1000); many > one+1 {
		t.Errorf("a thousand key identifiers make %v allocations, one %v", many, one)
	}
}
