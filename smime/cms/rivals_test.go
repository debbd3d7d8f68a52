//go:build unix

package cms

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.mozilla.org/pkcs7"

	"mailseal/internal/byturns"
	"mailseal/smime/cms/content"
)

// rivals do what a benchmark's operation does, on the same content and objects: go.mozilla.org/pkcs7 here in memory, the openssl
// command between files. What a library cannot do is left out.
type rivals struct {
	b       *testing.B
	content []byte
	cert    *x509.Certificate
	key     any
	// Folders for openssl with the content and objects, and with the same of short content: what that takes is the start, reading
	// keys and the RSA operation. "" for content so short that these take longer than the rest.
	dir, short string
}

// Content from and of so many octets.
const (
	opensslFrom  = 25 << 20
	opensslShort = 1 << 10
)

func newRivals(b *testing.B, plaintext []byte) rivals {
	id := rsa2048()
	r := rivals{b: b, content: plaintext, cert: id.cert, key: id.key}
	if _, err := exec.LookPath("openssl"); err == nil && len(plaintext) >= opensslFrom {
		r.dir, r.short = b.TempDir(), b.TempDir()
	}
	key := must(x509.MarshalPKCS8PrivateKey(id.key))
	r.file("id", func([]byte) []byte {
		return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.cert.Raw}),
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	})
	r.file("content", bytes.Clone)
	return r
}

// file returns what is made from the content, and puts it where openssl finds it.
func (r rivals) file(name string, from func(content []byte) []byte) []byte {
	made := from(r.content)
	if r.dir != "" {
		err := os.WriteFile(filepath.Join(r.dir, name), made, 0o600)
		if err == nil {
			err = os.WriteFile(filepath.Join(r.short, name), from(r.content[:opensslShort]), 0o600)
		}
		if err != nil {
			r.b.Fatal(err)
		}
	}
	return made
}

// mozilla is pkcs7, if it does not refuse. Its cipher is a variable of the package, which nothing else uses here.
func (r rivals) mozilla(do func() error) []byturns.Rival {
	if do() != nil {
		return nil
	}
	return []byturns.Rival{{Name: "pkcs7", Do: func() {
		if err := do(); err != nil {
			r.b.Fatal(err)
		}
	}}}
}

// openssl is `openssl cms` in the folders.
func (r rivals) openssl(args ...string) []byturns.Rival {
	if r.dir == "" {
		return nil
	}
	in := func(dir string) func() {
		return func() {
			cmd := exec.Command("openssl", append([]string{"cms"}, args...)...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				r.b.Fatalf("openssl cms %s: %v\n%s", args, err, out)
			}
		}
	}
	return []byturns.Rival{{Name: "openssl", Do: in(r.dir), Start: in(r.short)}}
}

func (r rivals) sign() []byturns.Rival {
	return append(r.mozilla(func() error {
		s, err := pkcs7.NewSignedData(r.content)
		if err != nil {
			return err
		}
		s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
		if err := s.AddSigner(r.cert, r.key, pkcs7.SignerInfoConfig{}); err != nil {
			return err
		}
		s.Detach()
		_, err = s.Finish()
		return err
	}), r.openssl("-sign", "-binary", "-md", "sha256", "-in", "content", "-signer", "id", "-outform", "DER", "-out", "out")...)
}

// verify is about an object that was put there; detached if it is over the content.
func (r rivals) verify(name string, object []byte, detached bool) []byturns.Rival {
	args := []string{"-verify", "-binary", "-noverify", "-inform", "DER", "-in", name, "-out", os.DevNull}
	if detached {
		args = append(args, "-content", "content")
	}
	return append(r.mozilla(func() error {
		p, err := pkcs7.Parse(object)
		if err != nil {
			return err
		}
		if detached {
			p.Content = r.content
		}
		return p.Verify()
	}), r.openssl(args...)...)
}

func (r rivals) encrypt(c content.Cipher) []byturns.Rival {
	name := map[content.Cipher]string{content.AES256CBC: "-aes-256-cbc", content.AES256GCM: "-aes-256-gcm"}[c]
	return append(r.mozilla(func() error {
		_, err := r.mozillaEncrypted(c)
		return err
	}), r.openssl("-encrypt", "-binary", name, "-in", "content", "-outform", "DER", "-out", "out", "id")...)
}

// mozillaEncrypted is in a form of pkcs7's own if the cipher is GCM.
func (r rivals) mozillaEncrypted(c content.Cipher) ([]byte, error) {
	pkcs7.ContentEncryptionAlgorithm = map[content.Cipher]int{
		content.AES256CBC: pkcs7.EncryptionAlgorithmAES256CBC, content.AES256GCM: pkcs7.EncryptionAlgorithmAES256GCM,
	}[c]
	return pkcs7.Encrypt(r.content, []*x509.Certificate{r.cert})
}

// decrypt is about an object that was put there.
func (r rivals) decrypt(name string, object []byte, c content.Cipher) []byturns.Rival {
	theirs := object
	if c.Authenticated() {
		theirs = must(r.mozillaEncrypted(c))
	}
	return append(r.mozilla(func() error {
		p, err := pkcs7.Parse(theirs)
		if err != nil {
			return err
		}
		plaintext, err := p.Decrypt(r.cert, r.key)
		if err == nil && !bytes.Equal(plaintext, r.content) {
			r.b.Fatal("pkcs7 decrypts something else")
		}
		return err
	}), r.openssl("-decrypt", "-binary", "-inform", "DER", "-in", name, "-inkey", "id", "-out", os.DevNull)...)
}
