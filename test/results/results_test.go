// Package results_test has real MTAs take in a mail for each result that RFC
// 7281 knows, and looks at the field and the line in the log that say so.
package results_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/internal/testpki/forge"
	"mailseal/smime"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/wire"
)

const (
	carol   = "carol@far.example.org"
	mallory = "mallory@far.example.org"
)

// A result is a mail and what is said of it.
type result struct {
	name   string
	mail   []byte
	field  string // behind our name
	verify string // in the log
	logged string // there too
}

// A far organisation has a CA that publishes what it has revoked, and one below
// that does not.
type far struct {
	*testing.T
	root, below *forge.Issued
	spool       *spool.Store
}

func newFar(t *testing.T) *far {
	s, err := spool.New(spool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	root := forge.Certificate{Subject: forge.Name("Far CA"), Extensions: forge.CA}.Sign(nil)
	return &far{t, root, forge.Certificate{Subject: forge.Name("Far Issuing CA"), Serial: []byte{2}, Extensions: forge.CA}.Sign(root), s}
}

func (f *far) parse(c *forge.Issued) *x509.Certificate {
	p, err := x509.ParseCertificate(c.DER)
	if err != nil {
		f.Fatal(err)
	}
	return p
}

// revoked is the CA's list.
func (f *far) revoked(serials ...int64) []byte {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().AddDate(0, 1, 0)}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now().Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, f.parse(f.root), f.root.Key)
	if err != nil {
		f.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// person signs mail from an address, certified by a CA.
func (f *far) person(address string, serial byte, by *forge.Issued) pki.Identity {
	c := forge.Certificate{
		Subject: forge.Name(address), Serial: []byte{serial},
		Extensions: [][]byte{forge.Usage(0), forge.Purposes(forge.ForMail), forge.AltNames(forge.Mail(address))},
	}.Sign(by)
	id := pki.Identity{Name: address, Certificate: f.parse(c), Key: c.Key}
	if by != f.root {
		id.Chain = []*x509.Certificate{f.parse(by)}
	}
	return id
}

// letter is a plain mail of Carol's.
const letter = "From: " + carol + "\r\nTo: them@modern.example.net\r\nDate: Sat, 21 Nov 2026 12:00:00 +0900\r\nMessage-ID: <letter@far.example.org>\r\n" +
	"Subject: a letter\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\npay 100 to Bob.\r\n"

// sign signs the letter.
func (f *far) sign(id pki.Identity) []byte {
	m, err := message.Read(strings.NewReader(letter), f.spool, message.Limits{})
	if err != nil {
		f.Fatal(err)
	}
	defer m.Body.Close()
	edits, err := smime.Sign(m, smime.SignOptions{Identity: id, Spool: f.spool})
	if err != nil {
		f.Fatal(err)
	}
	signed, err := m.Apply(edits)
	if err != nil {
		f.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := signed.WriteTo(&out); err != nil {
		f.Fatal(err)
	}
	message.Verdict{Edits: edits}.Close()
	return out.Bytes()
}

// results are one mail of each, and some for other reasons.
func (f *far) results() []result {
	good := f.sign(f.person(carol, 16, f.root))
	change := func(old, new string) []byte {
		changed := bytes.Replace(good, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, good) {
			f.Fatalf("no %q in the mail", old)
		}
		return changed
	}
	const identifier = "body.smime-identifier=" + carol
	return []result{
		{"none", []byte(letter), "smime=none", "NO", "smime=none"},
		{"pass", good, "smime=pass " + identifier + " body.smime-part=2", "OK", "signer=" + carol},
		{"fail", change("pay 100", "pay 900"), `smime=fail reason="content was changed after it was signed" ` + identifier, "FAIL", "signer=" + carol},
		{"fail, revoked", f.sign(f.person(carol, 17, f.root)), `smime=fail reason="certificate is revoked`, "FAIL", "revoked"},
		{"policy", f.sign(f.person(mallory, 18, f.root)), `smime=policy reason="certificate is not for the From address" body.smime-identifier=` + mallory, "FAIL", "signer=" + mallory},
		{"neutral", change("application/pkcs7-signature;", "application/pkcs7-signature(x);"), `smime=neutral reason="`, "FAIL", "reason="},
		{"temperror", f.sign(f.person(carol, 16, f.below)), `smime=temperror reason="revocation status is unknown`, "TEMP", "revocation status is unknown"},
		{"permerror", change("micalg=", "micalg=sha-1; x-micalg="), `smime=permerror reason="micalg says`, "FAIL", "micalg says"},
	}
}

func TestEveryResult(t *testing.T) {
	f := newFar(t)
	crl := testpki.Write(t, "far.crl", f.revoked(17))
	settings := daemon.Settings{
		Trust: []*x509.Certificate{f.parse(f.root)},
		SMIME: []string{`revocation = "hard"`, fmt.Sprintf("crls = [%q]", crl)},
	}
	all := f.results()
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			h := host.Start(t, setup, settings)
			for i, r := range all {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					r.seen(t, h, i)
				})
			}
		})
	}
}

// seen sends the mail from outside, and looks for what is said of it.
func (r result) seen(t *testing.T, h *host.Host, i int) {
	m := mtarig.Mail{From: fmt.Sprintf("result%d@far.example.org", i), To: []string{fmt.Sprintf("result%d@%s", i, host.Modern)}, Data: r.mail}
	mark := h.Seal.Mark()
	if err := h.DeliverFrom(daemon.Outside, m); err != nil {
		t.Fatal(err)
	}
	line, err := h.Seal.WaitLog(mark, " from="+regexp.QuoteMeta(m.From)+" ")
	if err != nil {
		t.Fatal(err)
	}
	word, _, _ := strings.Cut(r.name, ",")
	if !strings.Contains(line, ": verified smime="+word+" verify="+r.verify+" ") || !strings.Contains(line, r.logged) {
		t.Errorf("logged %s", line)
	}
	if word != "none" && word != "pass" && !strings.Contains(line, " reason=") {
		t.Errorf("no reason in %s", line)
	}
	got := h.Arrived(t, m.To[0]).Data
	fields, _ := wire.Split(got)
	want := "Authentication-Results: " + daemon.AuthservID + "; " + r.field
	if text := strings.ReplaceAll(fields[0], "\r\n", ""); !strings.HasPrefix(text, want) {
		t.Errorf("on top is %q; want %q", text, want)
	}
	if !bytes.HasSuffix(got, r.mail) {
		t.Errorf("mail was changed:\n%s", got)
	}
}
