package crl

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"mailseal/certmgr/ca/index"
	"mailseal/certmgr/ca/sign"
)

// signed is the DER of a list with some entries.
func signed(t testing.TB, entries ...index.Entry) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name, err := asn1.Marshal([]asn1.RawValue{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	list := &List{Issuer: name, KeyID: []byte("key"), Number: big.NewInt(0x80), ThisUpdate: at, NextUpdate: at.AddDate(30, 0, 0)}
	for _, e := range entries {
		if err := list.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	s, err := sign.For(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	der, err := s.Sign(key, &x509.Certificate{PublicKey: key.Public(), PublicKeyAlgorithm: x509.ECDSA}, list.Encode(s.ID))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

var entries = []index.Entry{
	{Status: index.Valid, Serial: "01"},
	{Status: index.Revoked, Serial: "00", Revocation: "261121203127Z"},
	{Status: index.Revoked, Serial: "FF", Revocation: "261121203127Z,keyCompromise"},
	{Status: index.Revoked, Serial: "0080FF", Revocation: "20560101000000Z,keyTime,20260101000000Z"},
	{Status: index.Revoked, Serial: "7F", Revocation: "261121203127Z,removeFromCRL"},
	{Status: index.Revoked, Serial: "10", Revocation: "261121203127Z,holdInstruction,holdInstructionReject"},
}

// crypto/x509 reads what we write: numbers, times on both sides of 2050, and
// the reasons; one that would make a certificate good again is not there.
func TestEncode(t *testing.T) {
	for _, some := range [][]index.Entry{nil, entries} {
		list, err := x509.ParseRevocationList(signed(t, some...))
		if err != nil {
			t.Fatal(err)
		}
		if list.Number.Int64() != 0x80 || string(list.AuthorityKeyId) != "key" || list.NextUpdate.Year() != 2056 {
			t.Errorf("%+v", list)
		}
		want := []struct {
			serial int64
			reason int
		}{{0, 0}, {0xFF, 1}, {0x80FF, 1}, {0x7F, 0}, {0x10, 6}}
		if some == nil {
			want = nil
		}
		if len(list.RevokedCertificateEntries) != len(want) {
			t.Fatalf("%d entries, want %d", len(list.RevokedCertificateEntries), len(want))
		}
		for i, e := range list.RevokedCertificateEntries {
			if e.SerialNumber.Int64() != want[i].serial || e.ReasonCode != want[i].reason {
				t.Errorf("%v has the reason %d, want %v", e.SerialNumber, e.ReasonCode, want[i])
			}
		}
	}
}

// What we read of a list is what crypto/x509 reads of it, where that reads it.
func FuzzParse(f *testing.F) {
	f.Add(signed(f))
	f.Add(signed(f, entries...))
	f.Fuzz(func(t *testing.T, der []byte) {
		ours, err := Parse(der)
		theirs, theirErr := x509.ParseRevocationList(der)
		if theirErr != nil || theirs.NextUpdate.IsZero() {
			return // we look at less; but a list says when the next comes (section 5.1.2.5)
		}
		if err != nil {
			t.Fatalf("x509 reads it, and we: %v", err)
		}
		if ours.Revoked != len(theirs.RevokedCertificateEntries) || !ours.ThisUpdate.Equal(theirs.ThisUpdate) || !ours.NextUpdate.Equal(theirs.NextUpdate) ||
			(theirs.Number != nil && ours.Number.Cmp(theirs.Number) != 0) {
			t.Errorf("%+v, x509: %+v", ours, theirs)
		}
	})
}
