package x5280

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"pgregory.net/rapid"

	"mailseal/internal/testpki/forge"
)

// Of what crypto/x509 reads, we read the same.
func TestCRLsAsOthers(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpora(t), "pkits", "crls", "*.crl"))
	if err != nil || len(files) < 150 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		der, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(f)
		ours, err := ParseCRL(der)
		if err != nil || len(ours.Faults) > 0 || len(ours.Unknown) > 0 != strings.HasPrefix(name, "Unknown") {
			t.Errorf("%s: %v, %v", name, err, ours)
			continue
		}
		theirs, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatalf("%s: crypto/x509 says %v", name, err)
		}
		if !slices.Equal(theirs.AuthorityKeyId, ours.AuthorityKeyID) || theirs.Number.Cmp(ours.Number) != 0 ||
			!theirs.ThisUpdate.Equal(ours.ThisUpdate) || !theirs.NextUpdate.Equal(ours.NextUpdate) ||
			!slices.Equal(theirs.RawIssuer, ours.Issuer.Raw) || len(theirs.RevokedCertificateEntries) != ours.Count {
			t.Errorf("%s: %v; crypto/x509 reads %v", name, ours, theirs)
		}
		for _, e := range theirs.RevokedCertificateEntries {
			var b cryptobyte.Builder
			b.AddASN1BigInt(e.SerialNumber)
			serial := b.BytesOrPanic()[2:]
			// The issuer is that of the entry, which crypto/x509 does not read.
			found := false
			for begin := range ours.about(minimal(serial)) {
				got, ok := ours.Find(ours.issuerAt(begin), serial)
				found = found || ok && got.Date.Equal(e.RevocationTime) && int(got.Reason) == e.ReasonCode
			}
			if !found {
				t.Errorf("%s: no entry %v of %v", name, e.SerialNumber, e.RevocationTime)
			}
		}
	}
}

func issuer(t testing.TB, by *forge.Issued) Name {
	t.Helper()
	c, err := Parse(by.DER)
	if err != nil {
		t.Fatal(err)
	}
	return c.Subject
}

// An entry is found if and only if it is there, at the first look-up and after.
func TestFind(t *testing.T) {
	by := forge.Certificate{Subject: forge.Name("CA"), Extensions: forge.CA}.Sign(nil)
	name := issuer(t, by)
	rapid.Check(t, func(t *rapid.T) {
		serial := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xff}), 1, 4)
		listed := rapid.SliceOfN(serial, 0, 20).Draw(t, "listed")
		crl := forge.CRL{}
		there := map[string]bool{}
		for _, s := range listed {
			crl.Entries = append(crl.Entries, forge.Entry{Serial: s, Reason: 1})
			there[number(s).String()] = true
		}
		c, err := ParseCRL(crl.Sign(by))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range append(rapid.SliceOfN(serial, 1, 20).Draw(t, "asked"), listed...) {
			if e, ok := c.Find(name, s); ok != there[number(s).String()] || ok && e.Reason != 1 {
				t.Fatalf("%x: %v, %v", s, ok, e)
			}
		}
	})
}

func TestEntries(t *testing.T) {
	by := forge.Certificate{Subject: forge.Name("CA"), Extensions: forge.CA}.Sign(nil)
	own, other := issuer(t, by), issuer(t, forge.Certificate{Subject: forge.Name("Other")}.Sign(nil))
	c, err := ParseCRL(forge.CRL{Entries: []forge.Entry{
		{Serial: []byte{1}, Extensions: [][]byte{forge.Extension("2.5.29.24", false, append([]byte{24, 15}, "20260102030405Z"...))}},
		{Serial: []byte{2}, Extensions: [][]byte{forge.CertificateIssuer(forge.Name("Other"))}},
		{Serial: []byte{3}, Reason: 3},
		{Serial: []byte{4}, Extensions: [][]byte{forge.CertificateIssuer(forge.Name("CA"))}},
	}}.Sign(by))
	if err != nil || len(c.Faults) > 0 {
		t.Fatal(err, c.Faults)
	}
	if e, ok := c.Find(own, []byte{1}); !ok || e.Invalidity.Format("2006-01-02 15:04:05") != "2026-01-02 03:04:05" || e.Reason.String() != "unspecified" {
		t.Errorf("%v, %v", ok, e)
	}
	for serial, of := range map[byte]Name{1: own, 2: other, 3: other, 4: own} {
		for _, asked := range []Name{own, other} {
			if _, ok := c.Find(asked, []byte{serial}); ok != asked.Equal(of) {
				t.Errorf("%d of %q: %v", serial, asked, ok)
			}
		}
	}
}

// What is wrong is a fault, and what is no CRL an error.
func TestMalformedCRLs(t *testing.T) {
	by := forge.Certificate{Subject: forge.Name("CA"), Extensions: forge.CA}.Sign(nil)
	extension := func(id string, value ...byte) forge.CRL {
		return forge.CRL{Extensions: [][]byte{forge.Extension(id, false, value)}, Number: -1, NoKeyID: true}
	}
	entry := func(id string, value ...byte) forge.CRL {
		return forge.CRL{Entries: []forge.Entry{{Serial: []byte{1}, Extensions: [][]byte{forge.Extension(id, false, value)}}}}
	}
	for name, c := range map[string]forge.CRL{
		"cRLNumber, negative":                        extension("2.5.29.20", 2, 1, 0x80),
		"cRLNumber, long":                            extension("2.5.29.20", append([]byte{2, 33}, make([]byte, 33)...)...),
		"deltaCRLIndicator":                          extension("2.5.29.27", 5, 0),
		"authorityKeyIdentifier":                     extension("2.5.29.35", 5, 0),
		"freshestCRL, empty":                         extension("2.5.29.46", 0x30, 0),
		"freshestCRL, reasons alone":                 extension("2.5.29.46", 0x30, 6, 0x30, 4, 0x81, 2, 0, 2),
		"IDP, no sequence":                           extension("2.5.29.28", 5, 0),
		"IDP, boolean 1":                             extension("2.5.29.28", 0x30, 3, 0x81, 1, 1),
		"IDP, no names":                              extension("2.5.29.28", 0x30, 4, 0xa0, 2, 0xa0, 0),
		"IDP, two names":                             extension("2.5.29.28", 0x30, 12, 0xa0, 10, 0xa0, 3, 0x86, 1, 'x', 0xa0, 3, 0x86, 1, 'x'),
		"IDP, relative name of no kind":              extension("2.5.29.28", 0x30, 6, 0xa0, 4, 0xa1, 2, 5, 0),
		"IDP, reasons of nine unused":                extension("2.5.29.28", 0x30, 4, 0x83, 2, 9, 0),
		"reasonCode 7":                               entry("2.5.29.21", 10, 1, 7),
		"reasonCode of another type":                 entry("2.5.29.21", 2, 1, 1),
		"invalidityDate of another type":             entry("2.5.29.24", 2, 1, 1),
		"certificateIssuer without names":            entry("2.5.29.29", 0x30, 0),
		"certificateIssuer without a directory name": entry("2.5.29.29", 0x30, 3, 0x86, 1, 'x'),
		"version 1 and extensions of an entry":       {Version1: true, Entries: []forge.Entry{{Serial: []byte{1}, Reason: 1}}},
	} {
		got, err := ParseCRL(c.Sign(by))
		if err != nil || len(got.Faults) != 1 {
			t.Errorf("%s: %v, %v", name, err, got)
		}
	}
	der := forge.CRL{Entries: []forge.Entry{{Serial: []byte{1}, Reason: 1}}}.Sign(by)
	for i := range der {
		if _, err := ParseCRL(der[:i]); err == nil {
			t.Errorf("taken with %d of %d bytes", i, len(der))
		}
	}
	if _, err := ParseCRL(append(slices.Clone(der), 0)); err == nil {
		t.Error("taken with a byte behind it")
	}
	if _, err := ParseCRL(make([]byte, maxCRL+1)); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a large one: %v", err)
	}
}

func TestParseCRLs(t *testing.T) {
	by := forge.Certificate{Subject: forge.Name("CA"), Extensions: forge.CA}.Sign(nil)
	one, two := forge.CRL{}.Sign(by), forge.CRL{Number: 2}.Sign(by)
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for name, c := range map[string]struct {
		file []byte
		want int
	}{
		"DER": {one, 1}, "PEM": {block("X509 CRL", one), 1}, "nothing": {nil, 0}, "words": {[]byte("hello"), 0},
		"two, and a certificate": {slices.Concat(block("X509 CRL", one), forge.PEM(by), []byte("words\n"), block("X509 CRL", two)), 2},
		"one that is malformed":  {slices.Concat(block("X509 CRL", one), block("X509 CRL", one[1:])), 0},
		"one that is cut short":  {slices.Concat(block("X509 CRL", one), block("X509 CRL", two)[:200]), 0},
		"one that is damaged":    {slices.Concat(bytes.Replace(block("X509 CRL", one), []byte("M"), []byte("!"), 1), block("X509 CRL", two)), 0},
		"a certificate":          {forge.PEM(by), 0}, "a certificate in DER": {by.DER, 0},
	} {
		got, err := ParseCRLs(c.file)
		if len(got) != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s: %d, %v", name, len(got), err)
		}
	}
}

// largeCRL has n entries of 37 bytes or so.
func largeCRL(n int) []byte {
	c := forge.CRL{Entries: make([]forge.Entry, n)}
	for i := range c.Entries {
		v := uint64(i) * 0x9e3779b97f4a7c15
		c.Entries[i] = forge.Entry{Serial: append([]byte{1}, big.NewInt(0).SetUint64(v|1<<63).Bytes()...), Reason: 1}
	}
	return c.Sign(forge.Certificate{Subject: forge.Name("CA"), Extensions: forge.CA}.Sign(nil))
}

// Reading a large CRL takes little memory besides its bytes.
func TestCRLMemory(t *testing.T) {
	const n = 20000
	der := largeCRL(n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, err := ParseCRL(der)
	if err != nil || c.Count != n {
		t.Fatal(err, c)
	}
	serial := append([]byte{1}, make([]byte, 8)...)
	for range 3 {
		c.Find(c.Issuer, serial)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(len(der)/2) {
		t.Errorf("%d bytes are allocated for a CRL of %d", got, len(der))
	}
	if e, ok := c.Find(c.Issuer, append([]byte{1}, 0x80, 0, 0, 0, 0, 0, 0, 0)); !ok || e.Reason != 1 {
		t.Errorf("%v, %v", ok, e)
	}
}

func FuzzParseCRL(f *testing.F) {
	by := forge.Certificate{Subject: forge.Name("CA"), Extensions: forge.CA}.Sign(nil)
	f.Add(forge.CRL{}.Sign(by), []byte{1})
	f.Add(forge.CRL{Version1: true, Entries: []forge.Entry{{Serial: []byte{1}}}}.Sign(by), []byte{1})
	f.Add(forge.CRL{Base: 1, Number: 2, Entries: []forge.Entry{{Serial: []byte{1}, Reason: 1}, {Serial: []byte{2}, Extensions: [][]byte{forge.CertificateIssuer(forge.Name("B"))}}},
		Extensions: [][]byte{forge.Scope{Name: forge.FullName(forge.URI("x:y")), Indirect: true, Reasons: []int{1}}.Extension(),
			forge.Freshest(forge.Point{Name: forge.FullName(forge.Directory(forge.Name("C")))})}}.Sign(by), []byte{2})
	f.Fuzz(func(t *testing.T, der, serial []byte) {
		c, err := ParseCRL(der)
		if err != nil {
			return
		}
		if c.Count > len(der)/4 || len(c.Faults) > 10 || len(c.Unknown) > 10 || c.Issuer.String() == "\x00" {
			t.Errorf("%d entries, %d faults", c.Count, len(c.Faults))
		}
		all := 0
		for rest := c.entries; !rest.Empty(); all++ {
			e, ok := readEntry(&rest)
			if !ok {
				t.Fatal("an entry that was taken is malformed")
			}
			first, was := c.Find(c.Issuer, e.serial)
			again, is := c.Find(c.Issuer, e.serial)
			if was != is || first.Reason != again.Reason {
				t.Fatalf("%x: %v, %v", e.serial, first, again)
			}
			if all > 100 {
				return
			}
		}
		if _, ok := c.Find(c.Issuer, serial); ok && all == 0 {
			t.Error("found in nothing")
		}
		if s := fmt.Sprint(c.Scope != nil && len(c.Scope.Name.Under(c.Issuer)) > maxPoints); s == "true" {
			t.Error("too many names")
		}
	})
}

func BenchmarkParseCRL(b *testing.B) {
	der := largeCRL(100000)
	b.SetBytes(int64(len(der)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCRL(der); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	c, err := ParseCRL(largeCRL(100000))
	if err != nil {
		b.Fatal(err)
	}
	serial := append([]byte{1}, 0x80, 1, 2, 3, 4, 5, 6, 7)
	c.Find(c.Issuer, serial)
	c.Find(c.Issuer, serial)
	for b.Loop() {
		c.Find(c.Issuer, serial)
	}
}

func BenchmarkIndexCRL(b *testing.B) {
	der := largeCRL(100000)
	for b.Loop() {
		c, err := ParseCRL(der)
		if err != nil {
			b.Fatal(err)
		}
		c.sort()
	}
}
