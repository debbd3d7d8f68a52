package recipient

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"testing"
)

// A Ring finds what a List of the same keys finds, by each way to name a
// certificate, and no more than it may.
func TestRing(t *testing.T) {
	keys := make(List, 2*maxFound)
	for i := range keys {
		keys[i] = Key{Name: fmt.Sprint(i), Private: otherRSA(), Certificate: &x509.Certificate{
			RawIssuer: []byte{byte(i % 3)}, SerialNumber: big.NewInt(int64(i / 3)), SubjectKeyId: []byte{1, byte(i), byte(i >> 8)},
		}}
	}
	keys = append(keys, Key{Password: []byte("x")}) // nobody names it
	ring := NewRing(keys)
	var all []Identifier
	for i, k := range keys[:2*maxFound] {
		c := k.Certificate
		for _, id := range []Identifier{{Issuer: c.RawIssuer, Serial: c.SerialNumber}, {SubjectKeyID: c.SubjectKeyId}} {
			all = append(all, id)
			info := &Info{Kind: KeyTransport, Recipients: []Identifier{id}, way: transported{}}
			if found := ring.For(info); len(found) != 1 || found[0].Name != k.Name {
				t.Fatalf("%d: found %d", i, len(found))
			}
			if i%16 == 0 && len(keys.For(info)) != 1 { // a List looks at each key
				t.Fatalf("%d: a list found %d", i, len(keys.For(info)))
			}
		}
	}
	for _, id := range []Identifier{{Issuer: []byte{0}, Serial: big.NewInt(1000)}, {Issuer: []byte{9}, Serial: big.NewInt(0)}, {SubjectKeyID: []byte{1}}, {}} {
		if found := ring.For(&Info{Recipients: []Identifier{id}, way: transported{}}); len(found) != 0 {
			t.Errorf("%+v: found %d", id, len(found))
		}
	}
	if found := ring.For(&Info{Recipients: all, way: agreed{}}); len(found) != 0 {
		t.Errorf("keys of another kind: found %d", len(found))
	}
	many := ring.For(&Info{Recipients: append(all[:maxFound/2:maxFound/2], all...), way: transported{}})
	seen := map[string]bool{}
	for _, k := range many {
		seen[k.Name] = true
	}
	if len(many) != maxFound || len(seen) != maxFound {
		t.Errorf("all of them named: %d, %d different", len(many), len(seen))
	}
}
