package cms

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/syntax"
)

func TestDescribeSigned(t *testing.T) {
	in := opaque(t, []byte("content"), rsa2048().signer(), p256().signer())
	d, err := Describe(bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	if d.TypeName != "signed-data" || d.ContentTypeName != "data" || d.ContentSize != 7 || !reflect.DeepEqual(d.Digests, []string{"SHA-256"}) {
		t.Errorf("got %+v", d)
	}
	algorithms := map[string]bool{}
	for _, s := range d.Signers {
		algorithms[s.Algorithm] = true
		if s.Issuer != "CN=Root,O=Example" || s.Serial == nil || s.Digest != "SHA-256" || s.SigningTime.IsZero() || len(s.Attributes) != 5 {
			t.Errorf("signer %+v", s)
		}
	}
	if len(d.Signers) != 2 || !algorithms["RSA-SHA256"] || !algorithms["ECDSA-SHA256"] {
		t.Errorf("algorithms %v", algorithms)
	}
	if len(d.Certificates) != 2 || d.Certificates[0].Issuer != "CN=Root,O=Example" || d.Certificates[0].Serial == nil {
		t.Errorf("certificates %+v", d.Certificates)
	}
	s, _ := read(t, in, nil)
	if again := s.Describe(); !reflect.DeepEqual(again, d) {
		t.Errorf("read, then described: %+v, described: %+v", again, d)
	}

	f := forge("x")
	f.outside, f.sid, f.certs = true, tlv(syntax.Context0, []byte{1, 2, 3}), [][]byte{tlv(der.SEQUENCE)}
	d, err = Describe(bytes.NewReader(f.build()))
	if err != nil {
		t.Fatal(err)
	}
	if d.ContentSize != -1 || !bytes.Equal(d.Signers[0].SubjectKeyID, []byte{1, 2, 3}) || d.Certificates[0].Err == nil {
		t.Errorf("detached, by key, with an unreadable certificate: %+v", d)
	}
}

// What OpenSSL encrypts, described. Nothing is decrypted here.
func TestDescribeOpenSSL(t *testing.T) {
	needTool(t, "openssl")
	dir := peerFolder(t, bytes.Repeat([]byte("content "), 1000))
	for _, test := range []struct{ options, want string }{
		{"-encrypt -aes256 rsa.pem", "enveloped-data data AES256-CBC 8016 ktri:RSA:CN=Root,O=Example"},
		{"-encrypt -aes256 -stream rsa.pem", "enveloped-data data AES256-CBC 8016 ktri:RSA:CN=Root,O=Example"},
		{"-encrypt -aes-128-gcm rsa.pem", "auth-enveloped-data data AES128-GCM 8000 ktri:RSA:CN=Root,O=Example"},
		{"-encrypt -aes-128-gcm -stream rsa.pem", "auth-enveloped-data data AES128-GCM 8000 ktri:RSA:CN=Root,O=Example"},
		{"-encrypt -aes256 -keyid rsa.pem", "enveloped-data data AES256-CBC 8016 ktri:RSA:key"},
		{"-encrypt -aes256 -recip rsa.pem -keyopt rsa_padding_mode:oaep", "enveloped-data data AES256-CBC 8016 ktri:RSA-OAEP:CN=Root,O=Example"},
		{"-encrypt -aes256 p256.pem", "enveloped-data data AES256-CBC 8016 kari:ECDH-SHA1KDF:CN=Root,O=Example"},
		{"-encrypt -aes256 -keyid p256.pem", "enveloped-data data AES256-CBC 8016 kari:ECDH-SHA1KDF:key"},
		{"-encrypt -des3 rsa.pem p384.pem", "enveloped-data data 3DES-CBC 8008 ktri:RSA:CN=Root,O=Example kari:ECDH-SHA1KDF:CN=Root,O=Example"},
		{"-encrypt -aes192 -pwri_password x", "enveloped-data data AES192-CBC 8016 pwri:PWRI-KEK:"},
		{"-encrypt -aes128 -secretkey 000102030405060708090A0B0C0D0E0F -secretkeyid C0FFEE", "enveloped-data data AES128-CBC 8016 kekri:AES128-wrap:key"},
		{"-EncryptedData_encrypt -aes128 -secretkey 000102030405060708090A0B0C0D0E0F", "encrypted-data data AES128-CBC 8016"},
		{"-digest_create -md sha256", "digested-data data SHA-256 8000"},
		{"-data_create", "data data  8000"},
	} {
		args := strings.Fields("openssl cms -binary -outform DER -in content -out object " + test.options)
		if _, err := run(dir, args...); err != nil {
			t.Errorf("%s: %v", test.options, err)
			continue
		}
		object := must(os.ReadFile(filepath.Join(dir, "object")))
		d, err := Describe(bytes.NewReader(object))
		if err != nil {
			t.Errorf("%s: %v", test.options, err)
			continue
		}
		got := fmt.Sprint(d.TypeName, " ", d.ContentTypeName, " ", d.ContentAlgorithm, " ", d.ContentSize)
		for _, r := range d.Recipients {
			who := r.Issuer
			if r.SubjectKeyID != nil {
				who = "key"
			}
			got += " " + r.Kind + ":" + r.Algorithm + ":" + who
		}
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.options, got, test.want)
		}
		for n := 0; n < len(object); n += 1 + n/50 {
			if _, err := Describe(bytes.NewReader(object[:n])); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %d of %d octets: %v", test.options, n, len(object), err)
			}
		}
		if _, err := ReadSignedData(bytes.NewReader(object), ReadOptions{}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: read as signed: %v", test.options, err)
		}
	}
}

func TestDescribeUnknown(t *testing.T) {
	oid := asn1.ObjectIdentifier{1, 2, 3}
	in := tlv(der.SEQUENCE, oidDER(oid), tlv(syntax.Explicit(0), tlv(der.SEQUENCE, []byte{2, 1, 0})))
	if got, err := Identify(bytes.NewReader(in)); err != nil || !got.Equal(oid) {
		t.Errorf("Identify: %v, %v", got, err)
	}
	if _, err := Describe(bytes.NewReader(in)); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "1.2.3") {
		t.Errorf("got %v", err)
	}
	enveloped := tlv(der.SEQUENCE, oidDER(OIDEnvelopedData), tlv(syntax.Explicit(0), tlv(der.SEQUENCE, []byte{2, 1, 0},
		tlv(der.SET, tlv(der.SEQUENCE, []byte{2, 1, 0}, tlv(der.NULL))))))
	if _, err := Describe(bytes.NewReader(enveloped)); !errors.Is(err, ErrMalformed) {
		t.Errorf("malformed recipient: %v", err)
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		name []pkix.AttributeTypeAndValue
		want string
	}{
		{nil, ""},
		{[]pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: `a, "b" <c>`}}, `CN=a\, \"b\" \<c\>`},
		{[]pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "山田 太郎"}}, "CN=山田 太郎"},
		{[]pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: " #\x1b[31m\u202e "}}, `CN=\ #\1b[31m\e2\80\ae\ `},
		{[]pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: "x"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "y"}}, "O=y,1.2.3.4=x"},
	} {
		var rdns pkix.RDNSequence
		for _, a := range test.name {
			rdns = append(rdns, pkix.RelativeDistinguishedNameSET{a})
		}
		if got := nameString(must(asn1.Marshal(rdns))); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
	if got := nameString([]byte("x")); got != "unreadable name" {
		t.Errorf("got %s", got)
	}
}
