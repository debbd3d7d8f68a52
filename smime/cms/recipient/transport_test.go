package recipient

import (
	"crypto"
	"errors"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

// A transport comes back as it was written; a label is more than it can say.
func TestTransportIdentifier(t *testing.T) {
	hashes := []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
	all := []Transport{{}}
	for _, h := range hashes {
		for _, mask := range hashes {
			all = append(all, Transport{Hash: h, MGFHash: mask})
		}
	}
	for _, want := range all {
		s := input(must(want.DER()))
		a, ok := syntax.ReadAlgorithm(&s, der.SEQUENCE)
		if got, err := ParseTransport(a); !ok || err != nil || got != want {
			t.Errorf("%v comes back as %v, %v", want, got, err)
		}
	}
	if got, want := string(must(Transport{Hash: crypto.SHA256}.DER())), string(must(OAEP(crypto.SHA256).DER())); got != want {
		t.Errorf("OAEP with the mask of its digest is %x, want %x", got, want)
	}
	for name, parameters := range map[string][]byte{
		"a label": oaepParameters(crypto.SHA256, crypto.SHA256, []byte("label"), false), "no parameters": nil, "a cut": {0x30, 2, 0xa0},
	} {
		s := cryptobyte.String(syntax.Algorithm(oidOAEP, parameters))
		a, _ := syntax.ReadAlgorithm(&s, der.SEQUENCE)
		if _, err := ParseTransport(a); !errors.Is(err, ErrUnsupported) {
			t.Errorf("with %s: %v", name, err)
		}
	}
}
