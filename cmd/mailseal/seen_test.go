package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"testing"
	"time"

	"mailseal/smime/capability"
)

// The newest mail of whoever has the address counts, in whatever order they are
// read, and not one dated ahead.
func TestSightings(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	entry := func(last int) capability.List { return capability.List{{OID: []int{1, 2, last}}} }
	holder := func(raw byte, addresses ...string) *x509.Certificate {
		return &x509.Certificate{Raw: []byte{raw}, EmailAddresses: addresses}
	}
	saw := func(file string, c *x509.Certificate, days, last int) sighting {
		return sighting{file, c, capability.Seen{Verified: true, SigningTime: now.AddDate(0, 0, days), Capabilities: entry(last)}}
	}
	bob, carol, nobody := holder(1, "bob@partner.example"), holder(2, "carol@partner.example"), holder(3)
	all := sightings{
		saw("old", holder(4, "bob@partner.example"), -9, 1),
		saw("new", holder(5, "x@partner.example", "Bob@PARTNER.example"), -1, 2),
		saw("middle", bob, -5, 3),
		saw("ahead", bob, 30, 4),
		saw("of nobody", nobody, -1, 5),
	}
	for _, tt := range []struct {
		of   *x509.Certificate
		want string
		last int
	}{
		{bob, "new, signed 2026-11-21T12:00:00Z", 2},
		{nobody, "of nobody, signed 2026-11-21T12:00:00Z", 5},
		{carol, "", 0},
		{nil, "", 0},
	} {
		list, from, err := all.of(tt.of, now)
		if err != nil || from != tt.want || (tt.last == 0) != (list == nil) || tt.last != 0 && list[0].OID[2] != tt.last {
			t.Errorf("%q: got %v from %q, %v", tt.want, list, from, err)
		}
	}
}

// Without a mail the certificate may say it (RFC 4262).
func TestSightingsCertificate(t *testing.T) {
	ours, err := capability.OursDER()
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{Extensions: []pkix.Extension{{Id: capability.OID, Value: ours}}}
	if list, from, err := (sightings{}).of(c, time.Now()); err != nil || from != "the certificate" || len(list) != len(capability.Ours()) {
		t.Errorf("got %v from %q, %v", list, from, err)
	}
	c.Extensions[0].Value = []byte{5, 0}
	if list, from, err := (sightings{}).of(c, time.Now()); !errors.Is(err, capability.ErrMalformed) || from != "" || list != nil {
		t.Errorf("got %v from %q, %v", list, from, err)
	}
}
