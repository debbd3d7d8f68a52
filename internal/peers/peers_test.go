package peers_test

import (
	"crypto"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/internal/peers"
	"mailseal/internal/testpki"
	"mailseal/smime/capability"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

const sample = `presume = "compatible"

["*@partner.example"]
presume    = "rfc8551"
min_cipher = "aes128-gcm"

["*@.partner.example"]
min_oaep = "sha256"

["*@.example"]
min_cipher = "AES256-CBC"

["Bob@Partner.Example"]
cipher = "aes256-gcm"
oaep   = "sha512"

["old@partner.example"]
min_cipher = "aes128-cbc"
cipher     = "aes256-cbc"
oaep       = "off"
`

func of(addresses ...string) *x509.Certificate { return &x509.Certificate{EmailAddresses: addresses} }

// The nearest entry that sets a key decides on it.
func TestPeer(t *testing.T) {
	v15, oaep256, oaep512 := recipient.Transport{}, recipient.OAEP(crypto.SHA256), recipient.OAEP(crypto.SHA512)
	for _, tt := range []struct {
		of   string
		want capability.Peer
	}{
		{"", capability.Peer{}},
		{"eve@elsewhere.test", capability.Peer{}},
		{"not an address", capability.Peer{}},
		{"carol@partner.example", capability.Peer{Presume: capability.Modern, Floor: capability.Suite{Cipher: content.AES128GCM}}},
		{"bob@partner.example", capability.Peer{
			Presume: capability.Modern, Cipher: content.AES256GCM, Transport: &oaep512, Floor: capability.Suite{Cipher: content.AES128GCM},
		}},
		{"BOB@PARTNER.example", capability.Peer{
			Presume: capability.Modern, Cipher: content.AES256GCM, Transport: &oaep512, Floor: capability.Suite{Cipher: content.AES128GCM},
		}},
		{"old@partner.example", capability.Peer{
			Presume: capability.Modern, Cipher: content.AES256CBC, Transport: &v15, Floor: capability.Suite{Cipher: content.AES128CBC},
		}},
		{"dave@a.b.partner.example", capability.Peer{Floor: capability.Suite{Cipher: content.AES256CBC, Transport: oaep256}}},
		{"dave@other.example", capability.Peer{Floor: capability.Suite{Cipher: content.AES256CBC}}},
	} {
		b, err := peers.Parse("peers.toml", []byte(sample))
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Peer(of(tt.of))
		same := got.Presume == tt.want.Presume && got.Cipher == tt.want.Cipher && got.Floor == tt.want.Floor &&
			(got.Transport == nil) == (tt.want.Transport == nil) && (got.Transport == nil || *got.Transport == *tt.want.Transport)
		if err != nil || !same || got.Certificate == nil {
			t.Errorf("%s: got %+v, %v; want %+v", tt.of, got, err, tt.want)
		}
	}
}

// Presume goes before the general setting alone; the zero book knows nobody.
func TestPresume(t *testing.T) {
	b, err := peers.Parse("peers.toml", []byte("[\"bob@partner.example\"]\npresume = \"compatible\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	b.Presume(capability.Modern)
	for address, want := range map[string]capability.Profile{"bob@partner.example": capability.Compatible, "carol@partner.example": capability.Modern} {
		if got, err := b.Peer(of(address)); err != nil || got.Presume != want {
			t.Errorf("%s: got %v, %v", address, got.Presume, err)
		}
	}
	zero := new(peers.Book)
	zero.Presume(capability.Modern)
	if got, err := zero.Peer(nil); err != nil || got.Presume != capability.Modern || got.Certificate != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

// A certificate of several addresses has one setting, or the user is asked to
// say which.
func TestSeveralAddresses(t *testing.T) {
	b, err := peers.Parse("peers.toml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Peer(of("carol@partner.example", "dave@partner.example")); err != nil || got.Floor.Cipher != content.AES128GCM {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = b.Peer(of("bob@partner.example", "bob@elsewhere.test"))
	if err == nil || err.Error() != "peers.toml: the certificate of bob@partner.example is of bob@elsewhere.test too, and they have different settings; want them the same" {
		t.Errorf("got %v", err)
	}
}

// All that is wrong with a file is told, with what is wanted.
func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"presume = \"new\"", `f: presume: "new"; want compatible or rfc8551`},
		{"presume = 1", `f: presume: 1; want text in quotes`},
		{"chipher = \"aes256-gcm\"", `f: chipher: unknown key; want cipher`},
		{"zzz = 1", `f: zzz: unknown key; want one of cipher, min_cipher, min_oaep, oaep, presume, or a table of an address as ["bob@partner.example"]`},
		{"[bob]\n", `f: ["bob"]: no address; want one, or all of a domain as "*@partner.example"`},
		{"[\"*@a b\"]\n", `f: ["*@a b"]: "a b" is no domain; want one, as "*@partner.example"`},
		{"[\"bob@a.test\"]\n[\"Bob@A.test\"]\n", `f: ["bob@a.test"]: is there twice; want it once`},
		{"[\"bob@a.test\"]\ncipher = \"3des-cbc\"\noaep = \"md5\"\n", `f: ["bob@a.test"]: cipher: "3des-cbc"; want one of aes128-cbc, aes192-cbc, aes256-cbc, aes128-gcm, aes256-gcm, chacha20-poly1305` +
			"\n" + `f: ["bob@a.test"]: oaep: "md5"; want sha1, sha256, sha384, sha512 or off`},
		{"cipher = \"aes256-cbc\"\nmin_cipher = \"aes128-gcm\"", `f: cipher aes256-cbc is below min_cipher aes128-gcm; want one of them changed`},
		{"min_oaep = \"sha256\"\n[\"*@.a.test\"]\noaep = \"off\"", `f: ["*@.a.test"]: oaep is below min_oaep; want one of them changed`},
		{"presume = ", `f:1:10: unexpected EOF; expected value`},
	} {
		b, err := peers.Parse("f", []byte(tt.text))
		if err == nil || err.Error() != tt.want || b != nil {
			t.Errorf("%q: got %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestRead(t *testing.T) {
	name := testpki.Write(t, "peers.toml", []byte(sample))
	b, err := peers.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Peer(of("old@partner.example")); err != nil || got.Cipher != content.AES256CBC {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := peers.Read(filepath.Join(t.TempDir(), "absent")); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
	large := testpki.Write(t, "peers.toml", make([]byte, 1<<20+1))
	if _, err := peers.Read(large); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("got %v", err)
	}
}
