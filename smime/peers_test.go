package smime_test

import (
	"bytes"
	"crypto/x509"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"go.mozilla.org/pkcs7"

	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

// openssl runs the command or skips the test.
func openssl(t testing.TB, stdin []byte, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl command")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Logf("openssl %v: %s", args, errs.Bytes())
		return nil, err
	}
	return out.Bytes(), nil
}

func writeFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkWithOpenSSL has another program verify a signed mail, and compares
// what that takes for signed.
func checkWithOpenSSL(t testing.TB, signed *message.Message, root *x509.Certificate) {
	t.Helper()
	anchor := writeFile(t, "root.pem", testpki.CertPEM(root))
	out, err := openssl(t, whole(t, signed), "cms", "-verify", "-CAfile", anchor, "-attime", strconv.FormatInt(fixed.Unix(), 10))
	if err != nil {
		t.Error("openssl refuses the mail")
	} else if want := entityOf(t, signed); string(out) != want {
		t.Errorf("openssl verified something else:\n%q\nnot\n%q", out, want)
	}
}

// checkWithPKCS7 has an independent library read the signature.
func checkWithPKCS7(t testing.TB, signed *message.Message, root *x509.Certificate) {
	t.Helper()
	part := walk(t, signed)
	if len(part.Parts) == 2 {
		part = part.Parts[1]
	}
	der, err := io.ReadAll(part.Decode(signed.Body))
	if err != nil {
		t.Fatal(err)
	}
	p7, err := pkcs7.Parse(der)
	if err != nil {
		t.Fatalf("pkcs7 cannot parse the signature: %v", err)
	}
	entity := entityOf(t, signed)
	if p7.Content == nil {
		p7.Content = []byte(entity)
	} else if string(p7.Content) != entity {
		t.Error("pkcs7 finds another content")
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	if err := p7.VerifyWithChain(pool); err != nil {
		t.Errorf("pkcs7: %v", err)
	}
}

// asOpenSSL makes a signed mail with openssl.
func asOpenSSL(t testing.TB, content string, certAndKey []byte, args ...string) *message.Message {
	t.Helper()
	file := writeFile(t, "signer.pem", certAndKey)
	out, err := openssl(t, []byte(content), append([]string{"cms", "-sign", "-signer", file}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return readRaw(t, newSpool(t), "From: alice@corp.example\n"+string(out))
}

var _ = smime.Plain
