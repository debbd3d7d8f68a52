package interop

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // OAEP is used with it
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/smime"
	"mailseal/smime/cms"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
	"mailseal/test/peers"
)

// mailseal is our side: package smime wherever it has a way to ask for what a
// recipe wants, smime/cms elsewhere.
type mailseal struct {
	identities map[string]pki.Identity
	keys       map[string]crypto.PrivateKey // of identities that only decrypt too
	spool      *spool.Store
}

func newMailseal(t *testing.T, m material) *mailseal {
	t.Helper()
	s, err := spool.New(spool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &mailseal{identities: m.identities, keys: m.keys, spool: s}
}

func (*mailseal) Name() string    { return "mailseal" }
func (*mailseal) Version() string { return "" }

var hashes = map[string]crypto.Hash{"": 0, "SHA-1": crypto.SHA1, "SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

var ciphers = map[string]content.Cipher{
	"AES-128-CBC": content.AES128CBC, "AES-192-CBC": content.AES192CBC, "AES-256-CBC": content.AES256CBC,
	"AES-128-GCM": content.AES128GCM, "AES-256-GCM": content.AES256GCM, "ChaCha20-Poly1305": content.ChaCha20Poly1305,
}

func (o *mailseal) Make(r peers.Recipe, mail []byte) ([]byte, error) {
	switch {
	case r.Type == peers.Signed && len(r.Signers) == 1 && !r.Signers[0].KeyID:
		return o.sign(r, mail)
	case r.Type == peers.Encrypted && !r.BER:
		return o.encrypt(r, mail)
	}
	inside, err := peers.Entity(mail)
	if err != nil {
		return nil, err
	}
	object, err := o.object(r, inside)
	if err != nil {
		return nil, err
	}
	return peers.Mail(r, mail, object)
}

func (o *mailseal) sign(r peers.Recipe, mail []byte) ([]byte, error) {
	s := r.Signers[0]
	return o.changed(mail, func(m *message.Message) ([]message.Edit, error) {
		format := smime.Opaque
		if r.Detached {
			format = smime.Detached
		}
		return smime.Sign(m, smime.SignOptions{Identity: o.identities[s.Who], Format: format, Digest: hashes[s.Digest], PSS: s.PSS,
			Spool: o.spool, Now: time.Now, Encrypted: true})
	})
}

func (o *mailseal) encrypt(r peers.Recipe, mail []byte) ([]byte, error) {
	return o.changed(mail, func(m *message.Message) ([]message.Edit, error) {
		return smime.Encrypt(m, smime.EncryptOptions{To: o.to(r), Cipher: ciphers[r.Cipher], Spool: o.spool})
	})
}

func (o *mailseal) to(r peers.Recipe) []recipient.To {
	var all []recipient.To
	for _, to := range r.To {
		if to.Password != "" {
			all = append(all, recipient.To{Password: []byte(to.Password), Rounds: 10_000})
			continue
		}
		all = append(all, recipient.To{
			Certificate: o.identities[to.Who].Certificate, ByKeyID: to.KeyID,
			Transport: recipient.Transport{Hash: hashes[to.OAEP], MGFHash: hashes[to.MGF]},
		})
	}
	return all
}

// changed is the mail after the edits.
func (o *mailseal) changed(mail []byte, edit func(*message.Message) ([]message.Edit, error)) ([]byte, error) {
	m, err := message.Read(bytes.NewReader(mail), o.spool, message.Limits{})
	if err != nil {
		return nil, err
	}
	defer m.Body.Close()
	edits, err := edit(m)
	if err != nil {
		return nil, err
	}
	defer message.Verdict{Edits: edits}.Close()
	after, err := m.Apply(edits)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = after.WriteTo(&b)
	return b.Bytes(), err
}

// object makes what has no form of its own in package smime.
func (o *mailseal) object(r peers.Recipe, inside []byte) ([]byte, error) {
	var b bytes.Buffer
	switch r.Type {
	case peers.Signed:
		return o.signed(r, inside)
	case peers.Encrypted:
		err := cms.Encrypt(&b, bytes.NewReader(inside), -1, cms.Encryption{To: o.to(r), Cipher: ciphers[r.Cipher]})
		return b.Bytes(), err
	case peers.Compressed:
		err := cms.Compress(&b, bytes.NewReader(inside))
		return b.Bytes(), err
	case peers.CertsOnly:
		var all []*x509.Certificate
		for _, s := range r.Signers {
			all = append(all, o.identities[s.Who].Certificate)
		}
		return cms.CertsOnly(all...)
	}
	return nil, fmt.Errorf("mailseal does not write objects of type %d", r.Type)
}

func (o *mailseal) signed(r peers.Recipe, inside []byte) ([]byte, error) {
	var all []cms.Signer
	for _, s := range r.Signers {
		id := o.identities[s.Who]
		all = append(all, cms.Signer{Certificate: id.Certificate, Key: id.Key, Digest: hashes[s.Digest], PSS: s.PSS, KeyID: s.KeyID, SigningTime: time.Now()})
	}
	if r.Detached {
		return cms.SignDetached(bytes.NewReader(inside), all...)
	}
	prefix, suffix, err := cms.SignOpaque(bytes.NewReader(inside), int64(len(inside)), all...)
	return bytes.Join([][]byte{prefix, inside, suffix}, nil), err
}

func (o *mailseal) Open(r peers.Recipe, mail []byte, with peers.Recipient) ([]byte, error) {
	switch r.Type {
	case peers.Signed:
		return o.verify(r, mail)
	case peers.Encrypted:
		return o.decrypt(r, mail, with)
	}
	object, _, err := peers.Object(mail)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	read := cms.ReadOptions{Content: &out}
	switch r.Type {
	case peers.Compressed:
		_, err = cms.ReadCompressed(bytes.NewReader(object), read)
	case peers.Digested:
		_, err = cms.ReadDigested(bytes.NewReader(object), read)
	case peers.CertsOnly:
		var s *cms.SignedData
		if s, err = cms.ReadSignedData(bytes.NewReader(object), read); err == nil {
			for _, c := range s.Certificates {
				out.Write(c.Raw)
			}
		}
	}
	return out.Bytes(), err
}

func (o *mailseal) verify(r peers.Recipe, mail []byte) ([]byte, error) {
	m, err := message.Read(bytes.NewReader(mail), o.spool, message.Limits{})
	if err != nil {
		return nil, err
	}
	defer m.Body.Close()
	var inside bytes.Buffer
	options := smime.VerifyOptions{Spool: o.spool, Content: &inside}
	if r.NoCertificates {
		options.Certificates = []*x509.Certificate{o.identities[r.Signers[0].Who].Certificate}
	}
	report, err := smime.Verify(m, options)
	if err != nil {
		return nil, err
	}
	if report.Err != nil {
		return nil, report.Err
	}
	if len(report.Signers) != len(r.Signers) {
		return nil, fmt.Errorf("%d signers, want %d", len(report.Signers), len(r.Signers))
	}
	for _, s := range report.Signers {
		if err = errors.Join(err, s.Result.Err); err != nil {
			return nil, err
		}
	}
	if report.Kind == smime.SignedDetached {
		_, outside, err := peers.Object(mail)
		return outside, err
	}
	return inside.Bytes(), nil
}

func (o *mailseal) decrypt(r peers.Recipe, mail []byte, with peers.Recipient) ([]byte, error) {
	key := recipient.Key{Password: []byte(with.Password)}
	if with.Who != "" {
		key = recipient.Key{Certificate: o.identities[with.Who].Certificate, Private: o.keys[with.Who]}
	}
	after, err := o.changed(mail, func(m *message.Message) ([]message.Edit, error) {
		edits, _, err := smime.Decrypt(m, smime.DecryptOptions{Keys: recipient.List{key}, Spool: o.spool, Depth: 1, GCMInEnvelopedData: r.Misplaced})
		return edits, err
	})
	if err != nil {
		return nil, err
	}
	return peers.Entity(after)
}

var _ peers.Cook = (*mailseal)(nil)
