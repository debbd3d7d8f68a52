package capability_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/smime/capability"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// withRSA is all of a certificate that a choice looks at.
func withRSA(bits uint) *x509.Certificate {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &x509.Certificate{PublicKey: &rsa.PublicKey{N: n, E: 65537}}
}

func rsaPeer(l capability.List, floor content.Cipher) capability.Peer {
	return capability.Peer{Certificate: withRSA(2048), Capabilities: l, Floor: capability.Suite{Cipher: floor}}
}

func parsed(entries ...string) capability.List { return must(capability.Parse(list(entries...))) }

// One peer: what it says, what is presumed of it, what is the least.
func TestChoose(t *testing.T) {
	v15, oaep1, oaep256, oaep512 := recipient.Transport{}, recipient.OAEP(crypto.SHA1), recipient.OAEP(crypto.SHA256), recipient.OAEP(crypto.SHA512)
	shortMask := recipient.Transport{Hash: crypto.SHA256, MGFHash: crypto.SHA1}
	suite := func(c content.Cipher, t recipient.Transport) capability.Suite {
		return capability.Suite{Cipher: c, Transport: t}
	}
	silent := capability.List{}
	rsa2048, rsa1024 := withRSA(2048), withRSA(1024)
	for _, test := range []struct {
		name    string
		cert    *x509.Certificate
		says    capability.List
		presume capability.Profile
		floor   capability.Suite
		want    capability.Suite
		why     string
	}{
		{"unknown", rsa2048, nil, capability.Compatible, suite(0, v15), suite(content.AES256CBC, v15), "not known"},
		{"unknown, no RSA", &x509.Certificate{}, nil, capability.Modern, suite(0, v15), suite(content.AES256GCM, v15), "not known"},
		{"a password", nil, nil, capability.Compatible, suite(0, oaep256), suite(content.AES256CBC, v15), "not known"},
		{"unknown, by setting", rsa2048, nil, capability.Modern, suite(0, v15), suite(content.AES256GCM, oaep256), "not known"},
		{"says nothing", rsa2048, silent, capability.Modern, suite(0, v15), suite(content.AES256GCM, oaep256), "no cipher"},
		{"the first counts", rsa2048, parsed(aes128, aes256, gcm256), capability.Modern, suite(0, v15), suite(content.AES128CBC, oaep256), "first of its capabilities"},
		{"ours are left out", rsa2048, parsed(tripleDES, rc2of128, aes192), capability.Compatible, suite(0, v15), suite(content.AES192CBC, v15), "first of its"},
		{"never 3DES", rsa2048, parsed(tripleDES, rc2of40, des), capability.Compatible, suite(0, v15), suite(content.AES256CBC, v15), "no cipher that is written"},
		{"nor by a floor", rsa2048, parsed(tripleDES), capability.Compatible, suite(content.TripleDESCBC, v15), suite(content.AES256CBC, v15), "no cipher that is written"},
		{"floor of bits", rsa2048, parsed(aes128, aes256), capability.Compatible, suite(content.AES256CBC, v15), suite(content.AES256CBC, v15), "not below the override"},
		{"floor of a tag", rsa2048, parsed(aes256, gcm128), capability.Compatible, suite(content.AES128GCM, v15), suite(content.AES128GCM, v15), "not below the override"},
		{"nothing above the floor", rsa2048, parsed(aes256, aes128), capability.Compatible, suite(content.ChaCha20Poly1305, v15), suite(content.ChaCha20Poly1305, v15), "by override"},
		{"unknown, with a floor", rsa2048, nil, capability.Compatible, suite(content.AES128GCM, v15), suite(content.AES128GCM, v15), "by override"},
		{"a floor that is only read", rsa2048, nil, capability.Compatible, suite(content.AES192CCM, v15), suite(content.AES256GCM, v15), "by override"},
		{"OAEP of its own", rsa2048, parsed(oaepSHA1, aes128), capability.Compatible, suite(0, v15), suite(content.AES128CBC, oaep1), "OAEP with SHA-1 of its"},
		{"the first transport counts", rsa2048, parsed(pkcs1, oaepSHA1, aes128), capability.Modern, suite(0, v15), suite(content.AES128CBC, v15), "PKCS1-v1_5 of its"},
		{"OAEP by override", rsa2048, parsed(pkcs1, aes128), capability.Compatible, suite(0, oaep512), suite(content.AES128CBC, oaep512), "SHA-512 by override"},
		{"a better digest by override", rsa2048, parsed(oaepSHA1, aes128), capability.Compatible, suite(0, oaep256), suite(content.AES128CBC, oaep256), "SHA-256 by override"},
		{"a mask below", rsa2048, nil, capability.Modern, suite(0, shortMask), suite(content.AES256GCM, oaep256), "not known"},
		{"a floor that is no digest", rsa2048, nil, capability.Modern, suite(0, recipient.OAEP(crypto.Hash(99))), suite(content.AES256GCM, oaep256), "not known"},
		{"a key too short", rsa1024, append(capability.List{oaepEntry(oaep512)}, parsed(oaepSHA1, aes128)...), capability.Compatible, suite(0, v15), suite(content.AES128CBC, oaep1), "SHA-1 of its"},
	} {
		groups := capability.Choose(capability.Peer{Certificate: test.cert, Capabilities: test.says, Presume: test.presume, Floor: test.floor})
		if len(groups) != 1 || len(groups[0].Members) != 1 || groups[0].Weaker {
			t.Errorf("%s: %v", test.name, groups)
			continue
		}
		m := groups[0].Members[0]
		if got := suite(groups[0].Cipher, m.Transport); got != test.want || !strings.Contains(m.Why, test.why) {
			t.Errorf("%s: got %v, want %v; because %q, want %q", test.name, got, test.want, m.Why, test.why)
		}
	}
}

// oaepEntry is what a peer says that reads t.
func oaepEntry(t recipient.Transport) capability.Capability {
	der := must(t.DER())
	return must(capability.Parse(append([]byte{0x30, byte(len(der))}, der...)))[0]
}

// Several peers: one message where that is possible.
func TestChooseTogether(t *testing.T) {
	unknown := capability.Peer{}
	modern := capability.Peer{Presume: capability.Modern}
	gpgsm := capability.Peer{Capabilities: parsed(aes128, tripleDES)}
	outlook := capability.Peer{Capabilities: parsed(aes256, aes192, aes128, tripleDES)}
	newest := capability.Peer{Capabilities: parsed(gcm256, gcm128, aes256, aes128)}
	onlyGCM := capability.Peer{Capabilities: parsed(gcm256)}
	onlyShort := capability.Peer{Capabilities: parsed(gcm128)}
	strict := capability.Peer{Capabilities: parsed(gcm256, aes256), Floor: capability.Suite{Cipher: content.AES128GCM}}
	for name, test := range map[string]struct {
		peers []capability.Peer
		want  string
	}{
		"nobody":                      {nil, ""},
		"two of whom nothing is said": {[]capability.Peer{unknown, unknown}, "AES256-CBC 0 1"},
		"one with short keys":         {[]capability.Peer{outlook, unknown, gpgsm, newest}, "AES128-CBC 0 1 2 3"},
		"old and new":                 {[]capability.Peer{newest, outlook}, "AES256-CBC 0 1"},
		"two new ones":                {[]capability.Peer{newest, modern}, "AES256-GCM 0 1"},
		"nothing in common":           {[]capability.Peer{unknown, onlyGCM, outlook, newest}, "AES256-GCM 1; AES256-CBC 0 2 3 weaker"},
		"held up by an override":      {[]capability.Peer{strict, gpgsm}, "AES256-GCM 0; AES128-CBC 1 weaker"},
		"neither is weaker":           {[]capability.Peer{onlyShort, outlook, outlook, {Capabilities: parsed(aes256)}}, "AES128-GCM 0; AES256-CBC 1 2 3"},
	} {
		if got := summary(capability.Choose(test.peers...)); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if why := capability.Choose(newest, gpgsm)[0].Members[0].Why; why != "AES128-CBC, which all 2 recipients read, instead of AES256-GCM, the first of its capabilities that is written here" {
		t.Error(why)
	}
}

func summary(groups []capability.Group) string {
	var all []string
	for _, g := range groups {
		words := []string{g.Cipher.String()}
		for _, m := range g.Members {
			words = append(words, string(rune('0'+m.Peer)))
		}
		if g.Weaker {
			words = append(words, "weaker")
		}
		all = append(all, strings.Join(words, " "))
	}
	return strings.Join(all, "; ")
}

func peers() *rapid.Generator[capability.Peer] {
	hash := rapid.SampledFrom([]crypto.Hash{0, crypto.SHA1, crypto.SHA256, crypto.SHA512})
	return rapid.Custom(func(t *rapid.T) capability.Peer {
		p := capability.Peer{
			Certificate: rapid.SampledFrom([]*x509.Certificate{nil, {}, withRSA(2048), withRSA(1024)}).Draw(t, "certificate"),
			Presume:     rapid.SampledFrom([]capability.Profile{capability.Compatible, capability.Modern}).Draw(t, "presume"),
			Floor: capability.Suite{
				Cipher:    content.Cipher(rapid.IntRange(0, int(content.ChaCha20Poly1305)).Draw(t, "floor")),
				Transport: recipient.OAEP(hash.Draw(t, "floor of transport")),
			},
		}
		if rapid.Bool().Draw(t, "known") {
			p.Capabilities = lists().Draw(t, "capabilities")
		}
		return p
	})
}

// weaker is said in other words than the code under test has: in bits, and in what is lost.
func weaker(c, than content.Cipher) bool {
	strength := map[content.Cipher]int{content.TripleDESCBC: 112, content.None: 0}
	bits := func(c content.Cipher) int {
		if n, ok := strength[c]; ok {
			return n
		}
		return c.KeySize() * 8
	}
	return bits(c) < bits(than) || than.Authenticated() && !c.Authenticated()
}

// Everybody is in one group, gets what can be written, never less than its floor, and the same in whatever order.
func TestChooseLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(peers(), 1, 6).Draw(t, "peers")
		groups := capability.Choose(all...)
		type gets struct {
			cipher    content.Cipher
			transport recipient.Transport
			weaker    bool
			why       string
		}
		got := map[int]gets{}
		for _, g := range groups {
			if !g.Cipher.Writable() {
				t.Fatalf("%v cannot be written", g.Cipher)
			}
			for _, m := range g.Members {
				if _, twice := got[m.Peer]; twice {
					t.Fatalf("%d is in two groups", m.Peer)
				}
				got[m.Peer] = gets{g.Cipher, m.Transport, g.Weaker, m.Why}
				floor := all[m.Peer].Floor
				if weaker(g.Cipher, floor.Cipher) {
					t.Fatalf("%v is weaker than %v", g.Cipher, floor.Cipher)
				}
				isRSA := all[m.Peer].Certificate != nil && all[m.Peer].Certificate.PublicKey != nil
				if isRSA && floor.Transport.Hash != 0 && (m.Transport.Hash == 0 || m.Transport.Hash.Size() < floor.Transport.Hash.Size()) {
					t.Fatalf("%v is weaker than %v", m.Transport, floor.Transport)
				}
			}
			for _, other := range groups {
				if !g.Weaker && weaker(g.Cipher, other.Cipher) && !weaker(other.Cipher, g.Cipher) {
					t.Fatalf("%v is not told to be weaker than %v", g.Cipher, other.Cipher)
				}
			}
		}
		if len(got) != len(all) {
			t.Fatalf("%d peers, %d chosen for", len(all), len(got))
		}
		order := rapid.Permutation(indices(len(all))).Draw(t, "order")
		var shuffled []capability.Peer
		for _, i := range order {
			shuffled = append(shuffled, all[i])
		}
		for _, g := range capability.Choose(shuffled...) {
			for _, m := range g.Members {
				if again := (gets{g.Cipher, m.Transport, g.Weaker, m.Why}); again != got[order[m.Peer]] {
					t.Fatalf("%v, in another order %v", got[order[m.Peer]], again)
				}
			}
		}
	})
}

// With no floor a single peer gets the first of its ciphers.
func TestFirstOfItsList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		says := lists().Draw(t, "capabilities")
		first := content.AES256CBC
		for _, c := range says {
			i := slices.IndexFunc(writable(), func(w content.Cipher) bool { return w.OID().Equal(c.OID) })
			if i >= 0 {
				first = writable()[i]
				break
			}
		}
		if got := capability.Choose(capability.Peer{Capabilities: says})[0].Cipher; got != first {
			t.Fatalf("got %v, want %v", got, first)
		}
	})
}

func indices(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func writable() (list []content.Cipher) {
	for c := content.None; c <= content.ChaCha20Poly1305; c++ {
		if c.Writable() {
			list = append(list, c)
		}
	}
	return list
}
