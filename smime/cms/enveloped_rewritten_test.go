package cms

import (
	"bytes"
	"crypto/subtle"
	"io"
	"testing"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
	"mailseal/smime/cms/syntax"
)

// An AuthEnvelopedData rewritten as an EnvelopedData with CBC and the same key (RFC 9709 section 1). Who knows one block of the text
// chooses the first that comes out, so that it looks like a mail, and who guesses another makes padding of it. Nothing in CMS as peers
// write it prevents that: who answers senders differently by whether their mails were opened tells them which guess was right. All
// else is as with other failures: nothing comes out before all was decrypted and looked at, and nobody is told of a tag.
func TestRewrittenAsCBC(t *testing.T) {
	start := []byte("MIME-Version:1\n\n")
	secret := append(bytes.Clone(mail[:16]), "PIN 1234        "...)
	const nonce = 2 + 2 // headers in GCMParameters
	for _, guess := range []string{"PIN 1234        ", "PIN 4321        "} {
		p := takeApart(t, encrypted(t, secret, true, Encryption{To: []recipient.To{p256().recipient()}, Cipher: content.AES256GCM}))
		text := p.ciphertext[2:]
		s := input(p.algorithm)
		a, _ := syntax.ReadAlgorithm(&s, der.SEQUENCE)
		counter := func(n byte) []byte { return append(bytes.Clone(a.Parameters.FullBytes[nonce:nonce+12]), 0, 0, 0, n) }
		xor := func(a, b []byte) []byte {
			out := make([]byte, len(a))
			subtle.XORBytes(out, a, b)
			return out
		}
		p.kind, p.tag = OIDEnvelopedData, nil
		p.algorithm = syntax.Algorithm(content.AES256CBC.OID(), tlv(der.OCTET_STRING, xor(counter(2), start)))
		p.ciphertext = tlv(syntax.Context0, xor(text[:16], secret[:16]), xor(counter(3), bytes.Repeat([]byte{16}, 16)), xor(text[16:], []byte(guess)))
		var seen []byte
		e, _, err := decrypted(t, bytes.NewReader(p.build()), ReadEnvelopedOptions{Keys: recipient.List{p256().opener()}, Check: func(r *io.SectionReader) bool {
			seen = must(io.ReadAll(r))
			return bytes.HasPrefix(seen, start)
		}})
		padded := len(seen) < 48 // a wrong guess is so one time in 256
		if !bytes.HasPrefix(seen, start) || bytes.HasSuffix(secret, []byte(guess)) && len(seen) != 32 {
			t.Fatalf("guess %q: the attack is no good: %q", guess, seen)
		}
		switch {
		case !padded && err != ErrDecrypt, padded && err != nil:
			t.Errorf("guess %q: %v", guess, err)
		case err == nil && e.Cipher.Authenticated():
			t.Errorf("%v is told to be authenticated", e.Cipher)
		}
	}
}
