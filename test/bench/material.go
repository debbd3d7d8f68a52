package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
)

// Who is who. The sender signs; the partner's mail comes in signed.
const (
	domain     = "example.test"
	sender     = "alice@" + domain
	partner    = "bob@partner.example"
	far        = "carol@far.example"  // all mail of a measurement goes there
	near       = "carol@near.example" // mails that are looked at
	nearDomain = "near.example"
	authservID = "mx." + domain
)

// material is what set-ups are made from: programs, keys and mails, all in
// files.
type material struct {
	tools          mtarig.Tools
	dir            string
	self, mailseal string // programs
	ca, rsaKey     string
}

func newMaterial(dir string, o options, tools mtarig.Tools) (*material, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &material{tools: tools, dir: dir, self: self, ca: filepath.Join(dir, "ca.pem"), rsaKey: filepath.Join(dir, "dkim.pem")}
	if m.mailseal, err = filepath.Abs(o.mailseal); err == nil {
		_, err = os.Stat(m.mailseal)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; run make build", err)
	}
	if err := m.makeKeys(); err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	for _, s := range sizes {
		if err := m.makeMails(s); err != nil {
			return nil, fmt.Errorf("make mails of %v: %w", s, err)
		}
	}
	return m, nil
}

// identities is a folder with one identity, or an empty one for "".
func (m *material) identities(name string) string { return filepath.Join(m.dir, "identities-"+name) }

func (m *material) identity(name string) string { return filepath.Join(m.identities(name), "id.pem") }

// makeKeys makes a CA, an identity of each kind for the sender, one for the
// partner, and the sender's RSA key once more for OpenDKIM.
func (m *material) makeKeys() error {
	c, err := ca.Init(filepath.Join(m.dir, "ca"), ca.InitOptions{Subject: ca.Subject{CommonName: "Bench CA"}, Unencrypted: true})
	if err != nil {
		return err
	}
	if err := os.Mkdir(m.identities(""), 0o700); err != nil {
		return err
	}
	for _, id := range []struct {
		name, address string
		kind          ca.KeyKind
	}{{"rsa", sender, ca.RSA2048}, {"p256", sender, ca.P256}, {"partner", partner, ca.RSA2048}} {
		issued, err := c.Issue(ca.Request{Profile: ca.User, Emails: []string{id.address}, Key: id.kind})
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(issued.Key)
		if err != nil {
			return err
		}
		key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		err = errors.Join(
			os.Mkdir(m.identities(id.name), 0o700),
			os.WriteFile(m.identity(id.name), append(key, certificate(issued.Certificate)...), 0o600))
		if err == nil && id.name == "rsa" {
			err = os.WriteFile(m.rsaKey, key, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return os.WriteFile(m.ca, certificate(c.Certificate()), 0o644)
}

func certificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// mail is the file of a mail of a size, with LF for line ends as smtp-source
// wants it.
func (m *material) mail(s size, signed bool) string {
	name := s.String()
	if signed {
		name += "-signed"
	}
	return filepath.Join(m.dir, name+".eml")
}

func (m *material) makeMails(s size) error {
	signed, err := m.run(compose(partner, s), "sign", "-identity", m.identity("partner"))
	if err != nil {
		return fmt.Errorf("sign: %w: %s", err, signed)
	}
	return errors.Join(
		os.WriteFile(m.mail(s, false), compose(sender, s), 0o644),
		os.WriteFile(m.mail(s, true), bytes.ReplaceAll(signed, []byte("\r\n"), []byte("\n")), 0o644),
	)
}

// read returns a mail with CRLF for line ends.
func (m *material) read(s size, signed bool) ([]byte, error) {
	b, err := os.ReadFile(m.mail(s, signed))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")), err
}

// body is that of the mail of a size, as it is on the wire.
func (m *material) body(s size) []byte {
	_, body, _ := bytes.Cut(compose(sender, s), []byte("\n\n"))
	return bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))
}

// compose makes a mail of about a size with an attachment, the same each time.
func compose(from string, s size) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `From: Somebody <%s>
To: Carol <%s>
Cc: Dave <dave@far.example>
Subject: Quarterly figures and what to make of them
Date: Mon, 02 Nov 2026 10:00:00 +0900
Message-ID: <bench.1@%s>
User-Agent: bench
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=-bench"

--=-bench
Content-Type: text/plain; charset=us-ascii

Good day, the figures are attached.

--=-bench
Content-Type: application/octet-stream; name="figures.bin"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="figures.bin"

`, from, far, domain)
	const end = "--=-bench--\n"
	random := rand.NewChaCha8([32]byte{1})
	line := make([]byte, 57)
	for b.Len()+len(end) < int(s) {
		random.Read(line)
		b.WriteString(base64.StdEncoding.EncodeToString(line))
		b.WriteByte('\n')
	}
	b.WriteString(end)
	return b.Bytes()
}

// run runs a command of the product and returns what it prints.
func (m *material) run(stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.Command(m.mailseal, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return append(out.Bytes(), errs.Bytes()...), err
	}
	return out.Bytes(), nil
}
