package cms

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"slices"
	"testing"

	"mailseal/smime/capability"
)

// What a signer says is in its attribute, which there is once.
func TestCapabilities(t *testing.T) {
	signed, _ := read(t, opaque(t, []byte("content"), p256().signer()), nil)
	got, err := signed.Signers[0].Capabilities()
	if err != nil || !slices.Equal(got.Words(), capability.Ours().Words()) {
		t.Errorf("got %v, %v", got, err)
	}
	ours, err := capability.OursDER()
	if err != nil {
		t.Fatal(err)
	}
	one := Attribute{Type: capability.OID, Values: [][]byte{ours}}
	for _, tt := range []struct {
		name       string
		attributes []Attribute
		malformed  bool
	}{
		{"none", []Attribute{{Type: OIDData, Values: [][]byte{ours}}}, false},
		{"twice", []Attribute{one, one}, true},
		{"without a value", []Attribute{{Type: capability.OID}}, true},
		{"with two values", []Attribute{{Type: capability.OID, Values: [][]byte{ours, ours}}}, true},
		{"noise", []Attribute{{Type: capability.OID, Values: [][]byte{{5, 0}}}}, true},
	} {
		si := &SignerInfo{SignedAttributes: tt.attributes}
		if got, err := si.Capabilities(); got != nil || errors.Is(err, capability.ErrMalformed) != tt.malformed || (err != nil) != tt.malformed {
			t.Errorf("%s: got %v, %v", tt.name, got, err)
		}
	}
}

// Certificates that say what their holder reads are described with it.
func TestDescribeCapabilities(t *testing.T) {
	ours, err := capability.OursDER()
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{RawSubject: []byte{0x30, 0}, RawIssuer: []byte{0x30, 0}, Extensions: []pkix.Extension{{Id: capability.OID, Value: ours}}}
	if got := describeCertificate(c).Capabilities; !slices.Equal(got, capability.Ours().Words()) {
		t.Errorf("got %v", got)
	}
	c.Extensions[0].Value = bytes.Clone(ours)[1:]
	if got := describeCertificate(c).Capabilities; !slices.Equal(got, []string{"malformed"}) {
		t.Errorf("got %v", got)
	}
	c.Extensions = nil
	if got := describeCertificate(c).Capabilities; got != nil {
		t.Errorf("got %v", got)
	}
}
