package namehash

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// An atv is one attribute; the type is the last number under 2.5.4.
type atv struct {
	kind  int
	tag   int
	value string
}

// name makes the DER of RDNs.
func name(t testing.TB, rdns ...[]atv) []byte {
	t.Helper()
	var name []asn1.RawValue
	for _, rdn := range rdns {
		var set [][]byte
		for _, a := range rdn {
			der, err := asn1.Marshal(attribute{asn1.ObjectIdentifier{2, 5, 4, a.kind}, asn1.RawValue{Tag: a.tag, Bytes: []byte(a.value)}})
			if err != nil {
				t.Fatal(err)
			}
			set = append(set, der)
		}
		name = append(name, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(set, nil)})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

const (
	c, o, ou, cn = 6, 10, 11, 3
	utf8String   = asn1.TagUTF8String
	printable    = asn1.TagPrintableString
)

func cn1(tag int, value string) [][]atv { return [][]atv{{{cn, tag, value}}} }

var names = []struct {
	what string
	rdns [][]atv
}{
	{"empty", nil},
	{"plain", [][]atv{{{c, printable, "JP"}}, {{o, utf8String, "MyCorp"}}, {{cn, utf8String, "Private CA"}}}},
	{"Japanese", [][]atv{{{c, printable, "JP"}}, {{o, utf8String, "株式会社例"}}, {{cn, utf8String, "私的認証局"}}}},
	{"emoji", cn1(utf8String, "Smile 🙂 CA")},
	{"multi-valued", [][]atv{{{c, printable, "JP"}}, {{ou, utf8String, "B"}, {cn, utf8String, "A"}}}},
	{"multi-valued, order changes with the case", [][]atv{{{cn, printable, "b"}, {cn, printable, "C"}}}},
	{"multi-valued, order changes with the kind", [][]atv{{{cn, utf8String, "a"}, {ou, printable, "zz"}}}},
	{"BMP", cn1(asn1.TagBMPString, "\x00M\x00y\x65\xe5\x67\x2c")},
	{"T61", cn1(asn1.TagT61String, "M\xfcller \xa9")},
	{"Universal", cn1(tagUniversal, "\x00\x00\x65\xe5\x00\x01\xf6\x42")},
	{"IA5", cn1(asn1.TagIA5String, "mail@Example.JP")},
	{"Numeric, copied", cn1(asn1.TagNumericString, "12  34")},
	{"case", cn1(utf8String, "PRIVATE ca É")},
	{"blanks round it", cn1(utf8String, "  Private CA ")},
	{"runs of blanks", cn1(utf8String, "Private   \t CA")},
	{"blanks of all kinds", cn1(utf8String, "\t\n\v\f\r a \r\n b\v")},
	{"no-break and ideographic spaces", cn1(utf8String, "\u00a0 a\u3000\u3000b\u00a0")},
	{"blanks alone", cn1(utf8String, "   ")},
	{"nothing", cn1(utf8String, "")},
	{"NUL", cn1(utf8String, "a\x00b")},
	{"long", cn1(utf8String, strings.Repeat("Long ", 60))},
	{"Latin-1 in T61", cn1(asn1.TagT61String, "\x80\xa0\xff")},
	{"surrogates in BMP", cn1(asn1.TagBMPString, "\xd8\x3d\xde\x42")},
	{"odd BMP", cn1(asn1.TagBMPString, "\x00a\x00")},
	{"broken UTF-8", cn1(utf8String, "a\xff")},
}

// openssl and we agree on every name, and on which have no hash.
func TestAsOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl command")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range names {
		t.Run(tt.what, func(t *testing.T) {
			raw := name(t, tt.rdns...)
			template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: raw, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
			der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("openssl", "x509", "-inform", "DER", "-noout", "-subject_hash", "-subject_hash_old")
			cmd.Stdin = bytes.NewReader(der)
			out, err := cmd.CombinedOutput()
			theirs := strings.Fields(string(out))
			ours, ourErr := Of(raw)
			if err != nil || len(theirs) != 2 {
				// It does not even read the certificate: no hash is right.
				if ourErr == nil {
					t.Errorf("hash %s, and openssl: %v\n%s", ours, err, out)
				}
				return
			}
			if ourErr != nil || ours != theirs[0] {
				t.Errorf("hash %s (%v), openssl's %s", ours, ourErr, theirs[0])
			}
			if old := Old(raw); old != theirs[1] {
				t.Errorf("old hash %s, openssl's %s", old, theirs[1])
			}
		})
	}
}

func TestOf(t *testing.T) {
	if got, err := Of(name(t)); err != nil || got != "eea339da" {
		t.Errorf("an empty name: %s, %v", got, err)
	}
	for _, bad := range []string{"", "\x30\x01", "\x31\x00", "\x30\x02\x30\x00", "\x30\x00\x00"} {
		if got, err := Of([]byte(bad)); err == nil {
			t.Errorf("%q has the hash %s", bad, got)
		}
	}
}

// Two ways to write a name have one hash, and no bytes make Of fail.
func FuzzOf(f *testing.F) {
	for _, n := range names {
		f.Add(name(f, n.rdns...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		hash, err := Of(raw)
		if (err == nil) != (len(hash) == 8) {
			t.Fatalf("%q, %v", hash, err)
		}
		if err != nil {
			return
		}
		canonical, err := canonical(raw)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: canonical})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Of(whole); err != nil || again != hash {
			t.Errorf("%s, and %s of its canonical form, %v", hash, again, err)
		}
	})
}
