package corpora

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/internal/message"
	"mailseal/internal/x509key"
	"mailseal/smime"
	"mailseal/smime/cms/recipient"
)

// mail verifies, decrypts and describes a mail, as the commands do.
func (s *shelf) mail(t *testing.T, name string, data []byte) string {
	t.Helper()
	m, err := message.Read(bytes.NewReader(data), s.spool, message.Limits{})
	if err != nil {
		return verdict("mail", "", err)
	}
	defer m.Body.Close()
	var words []string
	cheaply(t, name, "Verify", func() {
		r, err := smime.Verify(m, smime.VerifyOptions{Spool: s.spool, Certificates: s.everybody(name)})
		if err != nil {
			words = append(words, "verify: "+err.Error())
			return
		}
		words = append(words, r.Kind.String())
		for _, signer := range r.Signers {
			words = append(words, verdict("signer", "verified", signer.Result.Err))
		}
		if r.Err != nil {
			words = append(words, r.Err.Error())
		}
		for _, n := range r.Nested {
			words = append(words, fmt.Sprintf("part %s is %v", n.Section, n.Kind))
		}
	})
	cheaply(t, name, "Decrypt", func() { words = append(words, s.decrypt(t, name, m)) })
	cheaply(t, name, "Inspect", func() {
		if _, err := smime.Inspect(m, smime.InspectOptions{Spool: s.spool}); err != nil {
			words = append(words, "inspect: "+err.Error())
		}
	})
	return "mail: " + strings.Join(words, ", ")
}

// decrypt tries the keys of the mail's own corpus.
func (s *shelf) decrypt(t *testing.T, name string, m *message.Message) string {
	t.Helper()
	var keys recipient.List
	for _, k := range s.keys {
		for _, c := range s.everybody(name) {
			if signer, ok := k.private.(crypto.Signer); ok && x509key.Pairs(c, signer) {
				keys = append(keys, recipient.Key{Certificate: c, Private: k.private})
			}
		}
	}
	edits, opened, err := smime.Decrypt(m, smime.DecryptOptions{Keys: keys, Spool: s.spool})
	if err != nil {
		return err.Error()
	}
	defer message.Verdict{Edits: edits}.Close()
	after, err := m.Apply(edits)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return ""
	}
	var out bytes.Buffer
	if _, err := after.WriteTo(&out); err != nil || out.Len() == 0 {
		t.Errorf("%s: %v", name, err)
	}
	var kinds []string
	for _, l := range opened.Layers {
		kinds = append(kinds, l.Kind.String())
	}
	return "opened: " + strings.Join(kinds, ", ")
}

// The mails of NIST's path validation tests are read, each with one signer;
// whose certificate is good is not asked here.
func TestPKITS(t *testing.T) {
	dir := folder(t)
	mails := must(filepath.Glob(filepath.Join(dir, "pkits", "smime", "*.eml")))
	if len(mails) < 100 {
		t.Fatalf("only %d mails", len(mails))
	}
	all := files(t, dir)
	s := collect(t, dir, all)
	for _, name := range all {
		if !strings.HasPrefix(name, "pkits/") || !strings.HasSuffix(name, ".eml") {
			continue
		}
		m, err := message.Read(bytes.NewReader(s.content[name]), s.spool, message.Limits{})
		if err != nil {
			t.Fatal(name, err)
		}
		cheaply(t, name, "Verify", func() {
			r, err := smime.Verify(m, smime.VerifyOptions{Spool: s.spool})
			if err != nil || len(r.Signers) != 1 || r.Kind != smime.SignedDetached {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		})
		cheaply(t, name, "Decrypt", func() {
			if _, _, err := smime.Decrypt(m, smime.DecryptOptions{Spool: s.spool}); !errors.Is(err, smime.ErrNotEncrypted) {
				t.Errorf("%s: %v", name, err)
			}
		})
		cheaply(t, name, "Inspect", func() {
			if _, err := smime.Inspect(m, smime.InspectOptions{Spool: s.spool}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		m.Body.Close()
	}
	for _, name := range all {
		if strings.HasPrefix(name, "pkits/") && !strings.HasSuffix(name, ".eml") {
			for _, b := range blocks(s.content[name]) {
				x509.ParseCertificate(b.Bytes)
				x509.ParseRevocationList(b.Bytes)
			}
		}
	}
}
