package cms

import (
	"bytes"
	"slices"
	"testing"

	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// both is keys of which all are needed.
type both struct{ recipient.List }

func (b both) Enough(keys []recipient.Key) bool { return len(keys) == len(b.List) }

// What is for two is opened for two only if both have its key: one whom somebody added to a mail of others has not.
func TestEnoughKeys(t *testing.T) {
	one, two := p256(), rsa2048()
	keys := both{recipient.List{one.opener(), two.opener()}}
	for _, cipher := range []content.Cipher{content.AES256CBC, content.AES256GCM} {
		shared := encrypted(t, mail, true, Encryption{To: []recipient.To{one.recipient(), two.recipient()}, Cipher: cipher})
		e, got, err := decrypted(t, bytes.NewReader(shared), ReadEnvelopedOptions{Keys: keys})
		if err != nil || !bytes.Equal(got, mail) || len(e.By) != 2 {
			t.Errorf("%v: for both: %q, %v", cipher, got, err)
		}
		captured := takeApart(t, encrypted(t, mail, true, Encryption{To: []recipient.To{one.recipient()}, Cipher: cipher}))
		forged := takeApart(t, encrypted(t, mail, true, Encryption{To: []recipient.To{two.recipient()}, Cipher: cipher}))
		own := captured.recipients
		for name, recipients := range map[string][][]byte{
			"for one": own, "another one added": slices.Concat(own, forged.recipients), "another one before it": slices.Concat(forged.recipients, own),
		} {
			captured.recipients = recipients
			var s spools
			_, err := ReadEnveloped(bytes.NewReader(captured.build()), ReadEnvelopedOptions{Keys: keys, Spool: s.spool})
			wantErr(t, name, err, ErrNoRecipient)
			if len(s) != 0 {
				t.Errorf("%v, %s: %d times decrypted", cipher, name, len(s))
			}
		}
	}
}
