package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/smime/cms/recipient"
)

// corpusKey reads a certificate and its private key.
func corpusKey(t *testing.T, folder, cert, key string) recipient.Key {
	t.Helper()
	dir := corpus(t, folder)
	c, err := x509.ParseCertificate(corpusObject(t, dir, cert))
	if err != nil {
		t.Fatal(err)
	}
	der := corpusObject(t, dir, key)
	var private crypto.PrivateKey
	if private, err = x509.ParsePKCS8PrivateKey(der); err != nil {
		private, err = x509.ParsePKCS1PrivateKey(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return recipient.Key{Certificate: c, Private: private}
}

// Every encrypted object of the corpora is decrypted, or refused for the reason that stands here.
func TestCorporaEnveloped(t *testing.T) {
	bob := corpusKey(t, "rfc4134", "BobRSASignByCarl.cer", "BobPrivRSAEncrypt.pri")
	will := corpusKey(t, "asn1crypto", "keys/test-der.crt", "keys/test-der.key")
	password := recipient.Key{Password: []byte("password")}
	const lorem, encapsulated = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed", "This is the message to encapsulate in PKCS#7/CMS\n"
	for _, test := range []struct {
		folder, name string
		key          recipient.Key
		want         error
		begins       string
	}{
		{"rfc4134", "5.1.bin", bob, nil, "This is some sample content."},
		{"rfc4134", "5.2.bin", bob, ErrUnsupported, ""}, // RC2
		{"asn1crypto", "cms-enveloped.der", will, nil, encapsulated},
		{"asn1crypto", "cms-enveloped.pem", will, nil, encapsulated},
		{"asn1crypto", "cms-enveloped.der", bob, ErrNoRecipient, ""},
		{"asn1crypto", "cms-encrypted.der", will, ErrUnsupported, ""}, // EncryptedData: no recipients at all
		{"rustcrypto-cms", "enveloped_data_pwri.bin", password, nil, lorem},
		{"rustcrypto-cms", "enveloped_data_multi.bin", password, nil, lorem},
		{"rustcrypto-cms", "enveloped_data_multi.bin", will, ErrNoRecipient, ""},
		{"rustcrypto-cms", "enveloped_data_ktri.bin", will, ErrNoRecipient, ""},
		{"rustcrypto-cms", "enveloped_data_kari.bin", will, ErrNoRecipient, ""},
		{"rustcrypto-cms", "enveloped_data_kekri.bin", password, ErrNoRecipient, ""},
		{"rustcrypto-cms", "kms_ciphertext_for_recipient_1.ber", will, ErrNoRecipient, ""},
		{"rustcrypto-cms", "kms_ciphertext_for_recipient_2.ber", will, ErrNoRecipient, ""},
		{"rustcrypto-cms", "kms_ciphertext_for_recipient_3.ber", will, ErrNoRecipient, ""},
		{"rustcrypto-cms", "kms_ciphertext_for_recipient_4.ber", will, ErrNoRecipient, ""},
		{"rustcrypto-cms", "1.3.6.1.4.1.22554.5.6.1_ML-KEM-512-ipd_kemri_auth.der", will, ErrNoRecipient, ""},
		{"rustcrypto-cms", "1.3.6.1.4.1.22554.5.6.1_ML-KEM-512-ipd_kemri_ukm.der", will, ErrNoRecipient, ""},
		{"rustcrypto-cms", "1.3.6.1.4.1.22554.5.6.1_ML-KEM-512-ipd_kemri_id-alg-hkdf-with-sha256.der", will, ErrNoRecipient, ""},
		{"lamps-pqc-kemri/example", "ML-KEM-512.cms", will, ErrNoRecipient, ""}, // Go has no ML-KEM-512
	} {
		object := corpusObject(t, corpus(t, test.folder), test.name)
		_, got, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: recipient.List{test.key}})
		wantErr(t, test.name, err, test.want)
		if !strings.HasPrefix(string(got), test.begins) {
			t.Errorf("%s: decrypted to %q", test.name, got)
		}
	}
	message := must(os.ReadFile(filepath.Join(corpus(t, "rfc4134"), "5.3.eml")))
	armor := bytes.TrimSpace(message[bytes.Index(message, []byte("MII")):])
	object := base64.NewDecoder(base64.StdEncoding, bytes.NewReader(armor))
	if _, got, err := decrypted(t, object, ReadEnvelopedOptions{Keys: recipient.List{bob}}); err != nil || !bytes.HasPrefix(got, []byte("This is some")) {
		t.Errorf("5.3.eml: %q, %v", got, err)
	}
}

// The sample keys of RFC 9216 open what is encrypted to their certificates.
func TestCorporaRFC9216Encrypted(t *testing.T) {
	for cert, key := range map[string]string{
		"06-Alice_s_Encryption_End_Entity_Certificate.pem":  "07-Alice_s_Decryption_Private_Key_Material.pem",
		"11-Bob_s_Encryption_End_Entity_Certificate.pem":    "12-Bob_s_Decryption_Private_Key_Material.pem",
		"19-Carlos_s_Encryption_End_Entity_Certificate.pem": "20-Carlos_s_Decryption_Private_Key_Material.pem", // X25519
		"24-Dana_s_Encryption_End_Entity_Certificate.pem":   "25-Dana_s_Decryption_Private_Key_Material.pem",
	} {
		k := corpusKey(t, "rfc9216", cert, key)
		for _, c := range written {
			object := encrypted(t, mail, true, Encryption{To: []recipient.To{{Certificate: k.Certificate}}, Cipher: c})
			_, got, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: recipient.List{k}})
			if err != nil || !bytes.Equal(got, mail) {
				t.Errorf("%s, %v: %q, %v", cert, c, got, err)
			}
		}
	}
}

func TestCorporaCompressedDigested(t *testing.T) {
	compressed := func(in io.Reader, out io.Writer) error {
		_, err := ReadCompressed(in, ReadOptions{Content: out})
		return err
	}
	digested := func(in io.Reader, out io.Writer) error {
		_, err := ReadDigested(in, ReadOptions{Content: out})
		return err
	}
	for _, test := range []struct {
		folder, name string
		read         func(io.Reader, io.Writer) error
		want         error
		begins       string
	}{
		{"asn1crypto", "cms-compressed.der", compressed, nil, "This is the message"},
		{"asn1crypto", "cms-compressed.pem", compressed, nil, "This is the message"},
		{"asn1crypto", "meca2_compressed.der", compressed, ErrMalformed, "Content-Type: application"}, // a line end behind
		{"rustcrypto-cms", "compressed_data.bin", compressed, nil, "Lorem ipsum"},
		{"asn1crypto", "cms-digested.der", digested, nil, "This is the message"},
		{"asn1crypto", "cms-digested.pem", digested, nil, "This is the message"},
		{"rustcrypto-cms", "digested_data.bin", digested, nil, "Lorem ipsum"},
		{"rfc4134", "6.0.bin", digested, nil, "This is some sample content."},
	} {
		var out bytes.Buffer
		err := test.read(bytes.NewReader(corpusObject(t, corpus(t, test.folder), test.name)), &out)
		wantErr(t, test.name, err, test.want)
		if !strings.HasPrefix(out.String(), test.begins) {
			t.Errorf("%s: %.60q", test.name, out.String())
		}
	}
}
