package peers_test

import (
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"testing"

	"mailseal/internal/peers"
	"mailseal/smime/capability"
)

// Whatever a file says that is taken, nobody gets less than its least.
func FuzzParse(f *testing.F) {
	f.Add(sample, "bob@partner.example")
	f.Add("min_cipher = \"aes256-gcm\"\noaep = \"sha256\"\n[\"*@.example\"]\npresume = \"rfc8551\"", "a@b.example")
	f.Add("[\"*@example\"]\ncipher = \"aes128-cbc\"\n[\"a@example\"]\nmin_cipher = \"aes128-cbc\"\nmin_oaep = \"off\"", "A@EXAMPLE")
	key := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}
	f.Fuzz(func(t *testing.T, text, address string) {
		b, err := peers.Parse("f", []byte(text))
		if (err == nil) != (b != nil) {
			t.Fatalf("%v, %v", b, err)
		}
		if err != nil {
			return
		}
		p, err := b.Peer(&x509.Certificate{EmailAddresses: []string{address}, PublicKey: key})
		if err != nil {
			t.Fatalf("one address: %v", err)
		}
		g := capability.Choose(p)
		if got := (capability.Suite{Cipher: g[0].Cipher, Transport: g[0].Members[0].Transport}); !got.AtLeast(p.Floor) {
			t.Errorf("%v is below %v", got, p.Floor)
		}
		if p.Cipher != 0 && g[0].Cipher != p.Cipher {
			t.Errorf("%v, though %v is set", g[0].Cipher, p.Cipher)
		}
	})
}
