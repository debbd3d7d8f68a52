package interop

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms"
	"mailseal/test/peers"
)

var errEncoding = errors.New("always writes the other encoding")

// idX25519 is its identifier in DER (RFC 8410 section 3), in which RFC 8418
// wants the sender's key.
var idX25519 = []byte{6, 3, 0x2b, 0x65, 0x6e}

// asWanted holds a mail against its recipe: programs leave out, or choose for
// themselves, what they do not know.
func asWanted(mail []byte, r peers.Recipe, of row) error {
	object, content, err := peers.Object(mail)
	if err != nil {
		return err
	}
	if of.encoding && (object[1] == 0x80) != r.BER {
		return errEncoding
	}
	d, err := cms.Describe(bytes.NewReader(object))
	if err != nil {
		return err
	}
	switch r.Type {
	case peers.Signed:
		if r.Detached != (content != nil) || r.Detached != (d.ContentSize < 0) {
			return fmt.Errorf("content of %d octets in the object, and %d beside it", d.ContentSize, len(content))
		}
		return signedAsWanted(d, r)
	case peers.Encrypted:
		if r.To[0].Who == "x25519" && !bytes.Contains(object, idX25519) {
			return errors.New("made without the identifier of X25519")
		}
		return encryptedAsWanted(d, r, of.cipher)
	}
	return nil
}

func signedAsWanted(d *cms.Description, r peers.Recipe) error {
	if len(d.Signers) != len(r.Signers) {
		return fmt.Errorf("made %d signers, want %d", len(d.Signers), len(r.Signers))
	}
	if (len(d.Certificates) == 0) != r.NoCertificates {
		return fmt.Errorf("made with %d certificates", len(d.Certificates))
	}
	for i, got := range d.Signers {
		want := r.Signers[i]
		switch {
		case len(r.Signers) > 1: // in any order
		case want.Digest != "" && got.Digest != want.Digest:
			return fmt.Errorf("made with digest %s, want %s", got.Digest, want.Digest)
		case want.KeyID != (got.SubjectKeyID != nil):
			return fmt.Errorf("made with key identifier %x", got.SubjectKeyID)
		case want.PSS != strings.Contains(got.Algorithm, "PSS"):
			return fmt.Errorf("made with %s", got.Algorithm)
		}
		if r.Bare != (len(got.Attributes) == 0) {
			return fmt.Errorf("made with signed attributes %v", got.Attributes)
		}
	}
	return nil
}

func encryptedAsWanted(d *cms.Description, r peers.Recipe, exactly bool) error {
	name := "enveloped-data"
	if !strings.HasSuffix(r.Cipher, "-CBC") && !r.Misplaced {
		name = "auth-enveloped-data"
	}
	if cipher := strings.Replace(r.Cipher, "AES-", "AES", 1); d.TypeName != name || exactly && d.ContentAlgorithm != cipher {
		return fmt.Errorf("made %s with %s, want %s with %s", d.TypeName, d.ContentAlgorithm, name, cipher)
	}
	if len(d.Recipients) != len(r.To) {
		return fmt.Errorf("made for %d recipients, want %d", len(d.Recipients), len(r.To))
	}
	for i, got := range d.Recipients {
		want := r.To[i]
		switch {
		case len(r.To) > 1: // in any order
		case want.KeyID != (got.SubjectKeyID != nil):
			return fmt.Errorf("made with key identifier %x", got.SubjectKeyID)
		case (want.OAEP != "") != strings.Contains(got.Algorithm, "OAEP"):
			return fmt.Errorf("made with %s", got.Algorithm)
		case want.KDF != "" && !want.Cofactor && !strings.Contains(got.Algorithm, strings.ReplaceAll(want.KDF, "-", "")+"KDF"):
			return fmt.Errorf("made with %s", got.Algorithm)
		case (want.Password != "") != (got.Kind == "pwri"):
			return fmt.Errorf("made for a %s", got.Kind)
		}
	}
	return nil
}

// apart separates DER elements that stand behind each other.
func apart(b []byte) [][]byte {
	var all [][]byte
	for s := cryptobyte.String(b); len(s) > 0; {
		var element cryptobyte.String
		if !s.ReadAnyASN1Element(&element, new(asn1.Tag)) {
			return append(all, s)
		}
		all = append(all, element)
	}
	return all
}

func inOrder(all [][]byte) []byte {
	slices.SortFunc(all, bytes.Compare)
	return bytes.Join(all, nil)
}
