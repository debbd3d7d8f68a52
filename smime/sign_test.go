package smime_test

import (
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

const plain = `From: alice@corp.example
To: bob@partner.example
Subject: hello

Hello Bob.
`

func TestSignedMailVerifies(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	for _, kind := range []ca.KeyKind{ca.RSA2048, ca.P256, ca.P384, ca.Ed25519} {
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			t.Run(kind.String()+" "+format.String(), func(t *testing.T) {
				m := read(t, newSpool(t), plain)
				signed := sign(t, m, options(t, p.User("alice@corp.example", kind), format))
				if r := verify(t, signed); !good(r) {
					t.Errorf("%s\n%s", describe(r), whole(t, signed))
				}
			})
		}
	}
}
