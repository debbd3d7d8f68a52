package capability_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailseal/smime/capability"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func unhex(s string) []byte { return must(hex.DecodeString(strings.ReplaceAll(s, " ", ""))) }

// Entries as they stand in an attribute.
const (
	aes256, aes192, aes128 = "300b060960864801650304012a ", "300b0609608648016503040116 ", "300b0609608648016503040102 "
	gcm256, gcm128         = "300b060960864801650304012e ", "300b0609608648016503040106 "
	tripleDES, des         = "300a06082a864886f70d0307 ", "300706052b0e030207 "
	rc2of128, rc2of40      = "300e06082a864886f70d030202020080 ", "300d06082a864886f70d0302020128 "
	oaepSHA1               = "300d06092a864886f70d0101073000 "
	pkcs1                  = "300d06092a864886f70d0101010500 "
)

// list is an attribute of these entries, together at most 127 octets.
func list(entries ...string) []byte {
	body := unhex(strings.Join(entries, ""))
	return append([]byte{0x30, byte(len(body))}, body...)
}

func oids(l capability.List) string {
	var names []string
	for _, c := range l {
		names = append(names, c.OID.String())
	}
	return strings.Join(names, " ")
}

func TestParse(t *testing.T) {
	const a256, a128, des3 = "2.16.840.1.101.3.4.1.42", "2.16.840.1.101.3.4.1.2", "1.2.840.113549.3.7"
	for name, test := range map[string]struct {
		in   []byte
		want string
		err  error
	}{
		"empty":                        {list(), "", nil},
		"twice":                        {list(aes256, aes128, aes256), a256 + " " + a128, nil},
		"one with two parameters":      {list(rc2of128, rc2of40), "1.2.840.113549.3.2 1.2.840.113549.3.2", nil},
		"parameters where are none":    {list("300d060960864801650304012a0500 ", tripleDES), a256 + " " + des3, nil},
		"unknown, with a string":       {list("300706032a03040c00 ", aes128), "1.2.3.4 " + a128, nil},
		"entry that is no sequence":    {list("0500 ", aes128), a128, nil},
		"entry without an identifier":  {list("30020500 ", "3000 ", aes128), a128, nil},
		"entry with more behind":       {list("300f060960864801650304012a05000500 ", aes128), a128, nil},
		"identifier beyond all arcs":   {list("300b0609ffffffffffffffff7f ", aes128), a128, nil},
		"nothing":                      {nil, "", capability.ErrMalformed},
		"more behind":                  {append(list(aes128), 5, 0), "", capability.ErrMalformed},
		"cut":                          {list(aes128, aes256)[:20], "", capability.ErrMalformed},
		"entry longer than the list":   {list("300c060960864801650304012a"), "", capability.ErrMalformed},
		"a set":                        {append([]byte{0x31}, list(aes128)[1:]...), "", capability.ErrMalformed},
		"indefinite":                   {unhex("3080" + aes128 + "0000"), "", capability.ErrMalformed},
		"two hundred and one, of null": {wrapped(bytes.Repeat([]byte{5, 0}, 201)), "", capability.ErrMalformed},
		"two hundred, of null":         {wrapped(bytes.Repeat([]byte{5, 0}, 200)), "", nil},
		"seventeen kilobytes":          {wrapped(append([]byte{4, 0x82, 0x44, 0}, make([]byte, 17<<10)...)), "", capability.ErrMalformed},
	} {
		got, err := capability.Parse(test.in)
		if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) || oids(got) != test.want || (got == nil) != (err != nil) {
			t.Errorf("%s: got %q, %v, want %q, %v", name, oids(got), err, test.want, test.err)
		}
	}
}

// wrapped is a SEQUENCE of more than 127 octets.
func wrapped(body []byte) []byte {
	return append([]byte{0x30, 0x82, byte(len(body) >> 8), byte(len(body))}, body...)
}

// lists draws what can be in an attribute.
func lists() *rapid.Generator[capability.List] {
	entry := rapid.Custom(func(t *rapid.T) capability.Capability {
		if rapid.Bool().Draw(t, "ours") {
			return rapid.SampledFrom(capability.Ours()).Draw(t, "known")
		}
		c := capability.Capability{OID: asn1.ObjectIdentifier{1, 2}}
		c.OID = append(c.OID, rapid.SliceOfN(rapid.IntRange(0, 1<<30), 1, 6).Draw(t, "arcs")...)
		if rapid.Bool().Draw(t, "with parameters") {
			c.Parameters = must(asn1.Marshal(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "parameters")))
		}
		return c
	})
	same := func(c capability.Capability) string { return c.OID.String() + " " + string(c.Parameters) }
	return rapid.Custom(func(t *rapid.T) capability.List {
		return append(capability.List{}, rapid.SliceOfNDistinct(entry, 0, 30, same).Draw(t, "list")...)
	})
}

func TestParseOfDER(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := lists().Draw(t, "list")
		got, err := capability.Parse(must(want.DER()))
		if err != nil || !cmp.Equal(got, want) {
			t.Fatalf("%v comes back as %v, %v", want, got, err)
		}
	})
}

// What is read can be written, is read again as the same, and a choice can be made of it.
func FuzzParse(f *testing.F) {
	f.Add(must(capability.OursDER()))
	f.Add(list(aes256, tripleDES, rc2of128, rc2of40, des, oaepSHA1))
	f.Add(list("0500 ", aes128, "3000 ", aes128))
	f.Fuzz(func(t *testing.T, in []byte) {
		first, err := capability.Parse(in)
		if err != nil {
			if !errors.Is(err, capability.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		out, err := first.DER()
		if err != nil || len(out) > len(in)+4 {
			t.Fatalf("%x is written as %x, %v", in, out, err)
		}
		if again, err := capability.Parse(out); err != nil || !cmp.Equal(first, again) {
			t.Fatalf("%v comes back as %v, %v", first, again, err)
		}
		if g := capability.Choose(rsaPeer(first, content.AES128GCM)); len(g) != 1 || !g[0].Cipher.Authenticated() {
			t.Fatalf("%v below the floor", g)
		}
	})
}

// corpus returns a folder of the corpora, which are beside the repository or where MAILSEAL_CORPORA says.
func corpus(t *testing.T, name string) string {
	t.Helper()
	base := os.Getenv("MAILSEAL_CORPORA")
	if base == "" {
		base = filepath.Join("..", "..", "..", "shared", "corpora")
	}
	if _, err := os.Stat(base); err != nil {
		t.Skip("corpora are not there: set MAILSEAL_CORPORA")
	}
	return filepath.Join(base, name)
}

// attributeOf is the SMIMECapabilities of the first signer.
func attributeOf(t *testing.T, object []byte) []byte {
	t.Helper()
	sd, err := cms.ReadSignedData(bytes.NewReader(object), cms.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range sd.Signers[0].SignedAttributes {
		if a.Type.Equal(capability.OID) && len(a.Values) == 1 {
			return a.Values[0]
		}
	}
	t.Fatal("no SMIMECapabilities")
	return nil
}

// What mail programs say, and what they get.
func TestReal(t *testing.T) {
	for _, test := range []struct {
		who     string
		in      []byte
		entries int
		want    content.Cipher
	}{
		{"OpenSSL", list(aes256, aes192, aes128, tripleDES, rc2of128, "300d06082a864886f70d0302020140 ", des, rc2of40), 8, content.AES256CBC},
		{"gpgsm", list(aes128, tripleDES), 2, content.AES128CBC},
		{"Outlook, with digests", list(aes256, aes192, aes128, tripleDES, "300706052b0e03021a ", "300b0609608648016503040201 "), 6, content.AES256CBC},
		{"Outlook Express", list(tripleDES, rc2of128, des, rc2of40), 4, content.AES256CBC}, // nothing of it is written here
		{"RFC 8551", list(gcm256, gcm128, aes128), 3, content.AES256GCM},
		{"who wants it short", list(gcm128, gcm256), 2, content.AES128GCM},
	} {
		got, err := capability.Parse(test.in)
		if err != nil || len(got) != test.entries {
			t.Errorf("%s: %d entries, %v, want %d", test.who, len(got), err, test.entries)
		}
		if g := capability.Choose(capability.Peer{Capabilities: got}); len(g) != 1 || g[0].Cipher != test.want {
			t.Errorf("%s gets %v, want %v", test.who, g, test.want)
		}
	}
}

func TestCorpora(t *testing.T) {
	file := func(name string) []byte { return must(os.ReadFile(corpus(t, name))) }
	kmail := file("kmail/smime-opaque-sign.mbox")
	_, armor, _ := bytes.Cut(kmail[bytes.Index(kmail, []byte("base64")):], []byte("\n\n"))
	opaque, _ := base64.StdEncoding.AppendDecode(nil, bytes.ReplaceAll(armor, []byte("\n"), nil))
	for _, test := range []struct {
		who     string
		object  []byte
		entries int
		want    content.Cipher
	}{
		{"Thunderbird", file("asn1crypto/smime-signature-generated-by-thunderbird.p7s"), 7, content.AES256CBC},
		{"OpenSSL", file("asn1crypto/pkcs7-signed.der"), 8, content.AES256CBC},
		{"RustCrypto", file("rustcrypto-cms/sd.cms"), 8, content.AES256CBC},
		{"KMail", opaque, 2, content.AES128CBC},
		{"RFC 4134", file("rfc4134/4.10.bin"), 2, content.AES256CBC}, // two that nobody knows
	} {
		got, err := capability.Parse(attributeOf(t, test.object))
		if err != nil || len(got) != test.entries {
			t.Errorf("%s: %d entries, %v, want %d", test.who, len(got), err, test.entries)
		}
		if g := capability.Choose(capability.Peer{Capabilities: got}); len(g) != 1 || g[0].Cipher != test.want {
			t.Errorf("%s gets %v, want %v", test.who, g, test.want)
		}
	}
	// Dana's certificate says that she agrees with X25519 and wraps with AES-128: no cipher, so that one is presumed.
	p, _ := pem.Decode(file("rfc9216/24-Dana_s_Encryption_End_Entity_Certificate.pem"))
	dana := must(x509.ParseCertificate(p.Bytes))
	got, err := capability.FromCertificate(dana)
	if err != nil || len(got) != 1 || !slices.ContainsFunc(capability.Ours(), func(c capability.Capability) bool { return cmp.Equal(c, got[0]) }) {
		t.Errorf("Dana says %v, %v", got, err)
	}
	if g := capability.Choose(capability.Peer{Certificate: dana, Capabilities: got}); len(g) != 1 || g[0].Cipher != content.AES256CBC {
		t.Errorf("Dana gets %v", g)
	}
	if got, err := capability.FromCertificate(&x509.Certificate{}); got != nil || err != nil {
		t.Errorf("a certificate that says nothing: %v, %v", got, err)
	}
}
