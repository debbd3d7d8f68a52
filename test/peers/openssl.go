package peers

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// openssl is the command cms, or smime that has the same options over the
// older PKCS #7 code.
type openssl struct {
	tool
	command string
	dir     string
	cfg     Config
	signer  *x509.Certificate // nil for none
}

// OpenSSL returns `openssl cms`.
func OpenSSL(t testing.TB, c Config) Peer {
	t.Helper()
	return newOpenSSL(t, "cms", c)
}

// OpenSSLSMIME returns `openssl smime`.
func OpenSSLSMIME(t testing.TB, c Config) Peer {
	t.Helper()
	return newOpenSSL(t, "smime", c)
}

func newOpenSSL(t testing.TB, command string, c Config) Peer {
	t.Helper()
	need(t, "openssl")
	o := &openssl{tool: tool{name: "openssl"}, command: command, dir: t.TempDir(), cfg: c}
	if c.Identity != nil {
		o.signer = certificates(t, c.Identity.Certificate)[0]
	}
	return o
}

func (o *openssl) Name() string { return "openssl " + o.command }

// Reads answers for version 3.0, whose CMS code always names a digest to the
// signature algorithm: Ed25519 (RFC 8419) takes none.
func (o *openssl) Reads(c *x509.Certificate) error {
	if c.PublicKeyAlgorithm == x509.Ed25519 {
		return fmt.Errorf("openssl %s %w verify Ed25519", o.command, ErrCannot)
	}
	return nil
}

// Verify gives OpenSSL the whole mail, which it takes apart by itself.
func (o *openssl) Verify(mail []byte) (Result, error) {
	file, err := write(o.dir, "mail", mail)
	if err != nil {
		return Result{}, err
	}
	content := filepath.Join(o.dir, filepath.Base(file)+".content")
	_, printed, err := o.run(nil, o.command, "-verify", "-in", file, "-CAfile", o.cfg.Anchors, "-out", content)
	if err != nil {
		return Result{}, err
	}
	b, err := os.ReadFile(content)
	return Result{Content: b, Output: printed}, err
}

// Sign has OpenSSL write the MIME fields, in its own way.
func (o *openssl) Sign(mail []byte, f Format) ([]byte, error) {
	id := o.cfg.Identity
	if id == nil {
		return nil, fmt.Errorf("openssl without an identity %w sign", ErrCannot)
	}
	if err := o.Reads(o.signer); err != nil {
		return nil, err
	}
	outer, inner, err := unwrap(mail)
	if err != nil {
		return nil, err
	}
	args := []string{o.command, "-sign", "-md", digest(o.signer), "-signer", id.Certificate, "-inkey", id.Key}
	if id.Chain != "" {
		args = append(args, "-certfile", id.Chain)
	}
	switch f {
	case Detached:
	case Opaque:
		args = append(args, "-nodetach")
	case OpaqueBER:
		args = append(args, "-nodetach", "-stream")
	default:
		return nil, fmt.Errorf("openssl %w sign %v", ErrCannot, f)
	}
	out, _, err := o.run(inner, args...)
	if err != nil {
		return nil, err
	}
	return append([]byte(outer), crlf(out)...), nil
}
