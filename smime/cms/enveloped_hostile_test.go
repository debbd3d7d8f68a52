package cms

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
	"mailseal/smime/cms/syntax"
	"mailseal/test/hostile"
)

// openedShells are objects for one recipient up to somewhere, everything open and of indefinite length.
func openedShells(t failer, to recipient.To) map[string][]byte {
	shells := map[string][]byte{
		"compressed": slices.Concat([]byte{0x30, 0x80}, oidDER(OIDCompressedData), []byte{0xa0, 0x80, 0x30, 0x80, 2, 1, 0},
			syntax.Algorithm(oidZlib, nil), []byte{0x30, 0x80}, oidDER(OIDData), []byte{0xa0, 0x80, 0x24, 0x80}),
		"digested": slices.Concat([]byte{0x30, 0x80}, oidDER(OIDDigestedData), []byte{0xa0, 0x80, 0x30, 0x80, 2, 1, 0},
			syntax.Algorithm(syntax.SHA256, nil), []byte{0x30, 0x80}, oidDER(OIDData), []byte{0xa0, 0x80, 0x24, 0x80}),
	}
	for _, c := range []content.Cipher{content.AES256CBC, content.AES256GCM, content.ChaCha20Poly1305} {
		s, err := Encryption{To: []recipient.To{to}, Cipher: c}.envelope()
		if err != nil {
			t.Fatalf("%v", err)
		}
		start, _ := s.indefinite()
		recipients := bytes.Index(start, s.head) + 3 // behind the version
		shells[c.String()+" ciphertext"] = start
		shells[c.String()+" piece"] = append(bytes.Clone(start), 0x24, 0x80)
		shells[c.String()+" recipients"] = start[:recipients]
		shells[c.String()+" RecipientInfo"] = append(bytes.Clone(start[:recipients]), 0x31, 0x80)
		shells[c.String()+" key agreement"] = append(bytes.Clone(start[:recipients]), 0x31, 0x80, 0xa1, 0x80, 2, 1, 3)
		shells[c.String()+" originator"] = append(bytes.Clone(start[:recipients]), 0xa0, 0x80)
		shells[c.String()+" content info"] = start[:len(start)-len(s.info)-2]
		shells[c.String()+" attributes"] = append(append(bytes.Clone(start), 0, 0, 0, 0), 0xa1, 0x80)
		shells[c.String()+" end"] = append(bytes.Clone(start), 0, 0, 0, 0)
	}
	return shells
}

// opened reads what is not signed in every way there is.
func opened(in []byte) (enveloped, compressed, digested error) {
	o := ReadEnvelopedOptions{Keys: recipient.List{p256().opener()}, Spool: func() (Spool, error) { return &memory{}, nil }}
	_, enveloped = ReadEnveloped(bytes.NewReader(in), o)
	_, compressed = ReadCompressed(bytes.NewReader(in), ReadOptions{})
	_, digested = ReadDigested(bytes.NewReader(in), ReadOptions{})
	return enveloped, compressed, digested
}

// The shapes that end or stall the known libraries, wherever they may stand in what is encrypted, compressed or digested.
func TestHostileEnveloped(t *testing.T) {
	shells := openedShells(t, p256().recipient())
	shells["nothing"] = nil
	for _, shape := range hostile.Shapes(slowness) {
		name, in := shape.Name, shape.Bytes
		for part, prefix := range shells {
			if slowness > 1 && len(in) > 200 && part != "AES256-GCM ciphertext" && part != "AES256-GCM RecipientInfo" && part != "nothing" {
				continue // under the race detector the long shapes are for a few places
			}
			in := slices.Concat(prefix, in)
			// The spool keeps what is decrypted; everything else is constant.
			cheaply(t, name+" as "+part, 24<<20+6*uint64(len(in)), func() {
				enveloped, compressed, digested := opened(in)
				if enveloped == nil || compressed == nil || digested == nil || errors.Is(enveloped, ErrDecrypt) {
					t.Errorf("%s as %s: taken for an object: %v, %v, %v", name, part, enveloped, compressed, digested)
				}
			})
		}
	}
}

// Our name a thousand times: the work is that of four, and an honest recipient among them is of no help.
func TestHostileRecipients(t *testing.T) {
	p := takeApart(t, encrypted(t, mail, true, Encryption{To: []recipient.To{rsa2048().recipient()}, Cipher: content.AES256GCM}))
	other := takeApart(t, encrypted(t, mail, true, Encryption{To: []recipient.To{rsa2048().recipient()}, Cipher: content.AES256GCM}))
	p.recipients = append(slices.Repeat(other.recipients, 1000), p.recipients[0])
	var s spools
	cheaply(t, "a thousand recipients", 16<<20, func() {
		_, err := ReadEnveloped(bytes.NewReader(p.build()), ReadEnvelopedOptions{Keys: recipient.List{rsa2048().opener()}, Spool: s.spool})
		wantErr(t, "a thousand recipients", err, ErrDecrypt)
	})
	if len(s) != 1 { // the four give one key
		t.Errorf("%d attempts", len(s))
	}
}

// Memory does not depend on the size, whatever the encoding, and a ciphertext in single octets costs as little.
func TestEnvelopedMemory(t *testing.T) {
	for _, c := range []content.Cipher{content.AES256CBC, content.AES256GCM, content.ChaCha20Poly1305} {
		for what, piece := range map[string]int{"DER": 0, "BER": -1, "pieces of one octet": 1, "pieces of 4096": 4096} {
			size := (8 << 20) / slowness
			if piece == 1 {
				size = (1 << 20) / slowness
			}
			plaintext := make([]byte, size)
			object := encrypted(t, plaintext, piece >= 0, Encryption{To: []recipient.To{p256().recipient()}, Cipher: c})
			if piece > 0 {
				object = inPieces(t, object, size+1024, piece)
			}
			out := make([]byte, size+64)
			cheaply(t, c.String()+" in "+what, 512<<10, func() {
				e, err := ReadEnveloped(bytes.NewReader(object), ReadEnvelopedOptions{
					Keys:  recipient.List{p256().opener()},
					Spool: func() (Spool, error) { return &fixed{b: out}, nil },
				})
				if err != nil || e.Content.Size() != int64(size) {
					t.Errorf("%v in %s: %v", c, what, err)
				}
			})
		}
	}
}

// inPieces cuts the ciphertext of an object in DER.
func inPieces(t testing.TB, object []byte, max, piece int) []byte {
	t.Helper()
	p := takeApart(t, object)
	in := input(p.ciphertext)
	var text, list []byte
	if !in.ReadASN1Bytes(&text, syntax.Context0) {
		t.Fatal("no ciphertext")
	}
	for ; len(text) > 0; text = text[min(piece, len(text)):] {
		list = append(list, ber.AppendHeader(nil, ber.OctetString, false, int64(min(piece, len(text))))...)
		list = append(list, text[:min(piece, len(text))]...)
	}
	p.ciphertext = tlv(syntax.Explicit(0), list)
	return p.build()
}

// Whatever arrives for us: no panic, memory within bounds, every error of a known kind, the same answer however it arrives,
// and no spool left open but with plaintext and no error.
func FuzzReadEnveloped(f *testing.F) {
	keys := recipient.List{fuzzKey(f)}
	for _, c := range written {
		e := Encryption{To: []recipient.To{{Certificate: keys[0].Certificate}}, Cipher: c}
		f.Add(encrypted(f, mail, true, e))
		f.Add(encrypted(f, mail, false, e))
		f.Add(berEncode(encrypted(f, mail, true, e)))
	}
	withAttributes := Encryption{To: []recipient.To{{Certificate: keys[0].Certificate}}, Cipher: content.ChaCha20Poly1305, Attributes: []Attribute{label}}
	f.Add(encrypted(f, mail, true, withAttributes))
	wrong := takeApart(f, encrypted(f, mail, true, withAttributes))
	wrong.kind, wrong.attributes, wrong.tag = OIDEnvelopedData, nil, nil
	f.Add(wrong.build())
	f.Add(compressed(f, mail))
	f.Add(digestedObject(syntax.Algorithm(syntax.SHA256, nil), tlv(syntax.Explicit(0), tlv(der.OCTET_STRING, mail)), make([]byte, 32)))
	for _, shell := range openedShells(f, recipient.To{Certificate: keys[0].Certificate}) {
		f.Add(shell)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		o := ReadEnvelopedOptions{Keys: keys, GCMInEnvelopedData: true, Check: beginsLikeMail}
		first, plaintext, err := decrypted(t, bytes.NewReader(in), o)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20+uint64(200*len(in)) {
			t.Fatalf("%d octets make %d allocated", len(in), n)
		}
		again, same, againErr := decrypted(t, iotest.OneByteReader(bytes.NewReader(in)), o)
		if (err == nil) != (againErr == nil) || !bytes.Equal(plaintext, same) || err == nil && first.Version != again.Version {
			t.Fatalf("at once: %q, %v; in single octets: %q, %v", plaintext, err, same, againErr)
		}
		knownKind(t, err)
		_, described := Describe(bytes.NewReader(in))
		if err == nil && described != nil {
			t.Fatalf("decrypted, yet described as %v", described)
		}
		var out bytes.Buffer
		_, err = ReadCompressed(bytes.NewReader(in), ReadOptions{Content: &out})
		knownKind(t, err)
		_, err = ReadDigested(bytes.NewReader(in), ReadOptions{Content: io.Discard})
		knownKind(t, err)
	})
}

// knownKind fails with an error that a caller would not know.
func knownKind(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, kind := range []error{ErrMalformed, ErrLimit, ErrUnsupported, ErrNoRecipient, ErrDecrypt, ErrAttributes, ErrDigest} {
		if errors.Is(err, kind) {
			return
		}
	}
	t.Fatalf("error of no known kind: %v", err)
}

// fuzzKey is the same in every run, so that what the fuzzer found can be found again.
func fuzzKey(f *testing.F) recipient.Key {
	f.Helper()
	private := must(ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{1}, 32)))
	return recipient.Key{Private: private, Certificate: &x509.Certificate{
		PublicKey: private.Public(), RawIssuer: tlv(der.SEQUENCE), SerialNumber: big.NewInt(1),
	}}
}
