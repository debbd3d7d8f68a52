package gateway

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/keystore"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/smime"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// A vault is a bench with keys to open mail with.
type vault struct {
	*bench
	alice, bob, gate, eve pki.Identity // eve is outside
}

const (
	aliceAt = "alice@example.jp"
	bobAt   = "bob@example.jp"
	secret  = "The password is swordfish."
)

// letter is from eve to alice.
const letter = "From: eve@partner.example\nTo: alice@example.jp\nSubject: a letter\nMIME-Version: 1.0\n" +
	"Content-Type: text/plain; charset=us-ascii\n\n" + secret + "\n"

func newVault(t testing.TB) *vault {
	v := &vault{bench: newBench(t)}
	v.alice, v.bob = v.pki.User(aliceAt, ca.P256), v.pki.User(bobAt, ca.P256)
	v.gate, v.eve = v.pki.Gateway("example.jp", ca.P256), v.pki.User("eve@partner.example", ca.P256)
	v.alice.Name, v.bob.Name, v.gate.Name = "alice", "bob", "gate"
	v.conf.Policy.Decrypt = true
	v.hold(v.alice, v.bob)
	return v
}

func (v *vault) hold(ids ...pki.Identity) { v.conf.Openers = keystore.NewOpeners(ids) }

func to(ids ...pki.Identity) (all []recipient.To) {
	for _, id := range ids {
		all = append(all, recipient.To{Certificate: id.Certificate})
	}
	return all
}

// protect writes a mail as another gateway would.
func (v *vault) protect(mail string, o smime.ProtectOptions) string {
	v.Helper()
	o.Sign.Spool, o.Encrypt.Spool = v.conf.Spool, v.conf.Spool
	m := v.read(mail)
	edits, err := smime.Protect(m, o)
	if err != nil {
		v.Fatal(err)
	}
	defer message.Verdict{Edits: edits}.Close()
	return v.text(m, edits)
}

func (v *vault) text(m *message.Message, edits []message.Edit) string {
	v.Helper()
	after, err := m.Apply(edits)
	if err != nil {
		v.Fatal(err)
	}
	var out strings.Builder
	if _, err := after.WriteTo(&out); err != nil {
		v.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

func (v *vault) encrypt(mail string, c content.Cipher, ids ...pki.Identity) string {
	return v.protect(mail, smime.ProtectOptions{Mode: smime.ModeEncrypt, Encrypt: smime.EncryptOptions{To: to(ids...), Cipher: c, Again: true}})
}

func (v *vault) sign(mail string, by pki.Identity, opaque bool) string {
	o := smime.SignOptions{Identity: by, Encrypted: true}
	if opaque {
		o.Format = smime.Opaque
	}
	return v.protect(mail, smime.ProtectOptions{Mode: smime.ModeSign, Sign: o})
}

// again signs what is signed, which no gateway does.
func (v *vault) again(mail string, by pki.Identity) string {
	at := strings.Index(mail, "Content-Type:")
	content := strings.TrimSuffix(mail[at:], "\n")
	der, err := cms.SignDetached(strings.NewReader(strings.ReplaceAll(content, "\n", "\r\n")), cms.Signer{Certificate: by.Certificate, Key: by.Key})
	if err != nil {
		v.Fatal(err)
	}
	return mail[:at] + "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=again\n\n--again\n" + content +
		"\n--again\nContent-Type: application/pkcs7-signature\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString(der) + "\n--again--\n"
}

// gateway is one of the configuration as it is now.
func (v *vault) gateway() *Gateway {
	v.Helper()
	g, err := New(v.conf)
	if err != nil {
		v.Fatal(err)
	}
	return g
}

// receive takes a mail from outside through a gateway, and gives what the MTA
// would deliver.
func (v *vault) receive(g *Gateway, mail string, rcpts ...string) (string, message.Verdict) {
	v.Helper()
	m := v.read(mail)
	m.Envelope = message.Envelope{QueueID: "Q1", Sender: "eve@partner.example", Client: outside}
	for _, r := range rcpts {
		m.Envelope.Recipients = append(m.Envelope.Recipients, message.Recipient{Address: r})
	}
	v.log.Reset()
	verdict, err := g.Handle(context.Background(), m)
	if err != nil {
		v.Fatal(err)
	}
	v.Cleanup(func() { verdict.Close() })
	return v.text(m, verdict.Edits), verdict
}
