package capability_test

import (
	"crypto"
	"testing"

	"mailseal/smime/capability"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// What is set goes before what a peer says, and a floor before both.
func TestSet(t *testing.T) {
	v15, oaep1, oaep256 := recipient.Transport{}, recipient.OAEP(crypto.SHA1), recipient.OAEP(crypto.SHA256)
	says := append(parsed(gcm256, aes128), capability.List{oaepEntry(oaep256)}...)
	for _, test := range []struct {
		name      string
		cipher    content.Cipher
		transport *recipient.Transport
		floor     capability.Suite
		want      capability.Suite
		why       string
	}{
		{"both", content.AES128CBC, &v15, capability.Suite{}, capability.Suite{Cipher: content.AES128CBC}, "AES128-CBC, as set; RSAES-PKCS1-v1_5 as set"},
		{"cipher", content.AES256CBC, nil, capability.Suite{}, capability.Suite{Cipher: content.AES256CBC, Transport: oaep256}, "AES256-CBC, as set; RSAES-OAEP with SHA-256 of its capabilities"},
		{"transport", 0, &oaep1, capability.Suite{}, capability.Suite{Cipher: content.AES256GCM, Transport: oaep1}, "AES256-GCM, the first of its capabilities that is written here; RSAES-OAEP with SHA-1 as set"},
		{"below a floor", content.AES128CBC, &v15, capability.Suite{Cipher: content.AES256CBC, Transport: oaep256}, capability.Suite{Cipher: content.AES256CBC, Transport: oaep256}, "AES256-CBC, by override; RSAES-OAEP with SHA-256 by override"},
	} {
		groups := capability.Choose(capability.Peer{Certificate: withRSA(2048), Capabilities: says, Cipher: test.cipher, Transport: test.transport, Floor: test.floor})
		if len(groups) != 1 || len(groups[0].Members) != 1 {
			t.Fatalf("%s: %v", test.name, groups)
		}
		m := groups[0].Members[0]
		if got := (capability.Suite{Cipher: groups[0].Cipher, Transport: m.Transport}); got != test.want || m.Why != test.why {
			t.Errorf("%s: got %v because %q; want %v because %q", test.name, got, m.Why, test.want, test.why)
		}
		if got := (capability.Suite{Cipher: groups[0].Cipher, Transport: m.Transport}); !got.AtLeast(test.floor) {
			t.Errorf("%s: %v is below the floor", test.name, got)
		}
	}
	if (capability.Suite{Cipher: content.AES256GCM}).AtLeast(capability.Suite{Transport: oaep1}) || (capability.Suite{}).AtLeast(capability.Suite{Cipher: content.AES128CBC}) {
		t.Error("a weaker suite is not below the floor")
	}
}
