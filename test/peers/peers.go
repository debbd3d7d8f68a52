// Package peers lets other people's S/MIME programs verify our mail and sign
// mail for us to verify: OpenSSL (cms and smime), GnuPG's gpgsm and NSS's
// cmsutil, each with a private store. It takes mail apart and puts it together
// with the standard library alone, so that it is no judge in its own cause.
package peers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

// A Peer is one program.
type Peer interface {
	Name() string
	// Reads returns nil when the program knows the certificate's algorithm,
	// and otherwise what it does not know.
	Reads(*x509.Certificate) error
	// Verify checks the signature, the chain to an anchor and the purpose of
	// the certificate, of a mail as delivered. The error says what the program
	// said.
	Verify(mail []byte) (Result, error)
	// Sign makes a signed mail out of a plain one, with CRLF, whose Content-*
	// fields and body are what is signed. A wrapped ErrCannot is returned for
	// what the program cannot do.
	Sign(mail []byte, f Format) ([]byte, error)
}

// ErrCannot is wrapped by what is beyond a program.
var ErrCannot = errors.New("cannot")

// Result is what a peer says of a good signature.
type Result struct {
	Content []byte // the MIME entity that is signed
	Output  string // what the program printed
}

// A Format of a signed mail.
type Format int

const (
	Detached  Format = iota // multipart/signed
	Opaque                  // application/pkcs7-mime, DER
	OpaqueBER               // the same with indefinite lengths; OpenSSL only
)

func (f Format) String() string {
	switch f {
	case Detached:
		return "detached"
	case Opaque:
		return "opaque"
	case OpaqueBER:
		return "opaque-ber"
	}
	return fmt.Sprintf("format(%d)", int(f))
}

// Config is what the peers work with. All files are PEM.
type Config struct {
	Anchors  string    // trust anchors; a file with one or more
	Identity *Identity // what they sign as; nil: they only verify
}

// Identity names the files of a signer. The key has no passphrase.
type Identity struct {
	Certificate, Key string
	Chain            string // CAs below the anchor; "" for none
}

// All returns every peer.
func All(t testing.TB, c Config) []Peer {
	t.Helper()
	return []Peer{OpenSSL(t, c), OpenSSLSMIME(t, c), GPGSM(t, c), NSS(t, c)}
}

const (
	toolTimeout = 2 * time.Minute
	passphrase  = "peer" // of the PKCS #12 files that carry keys into the stores
)

// need skips the test when a program is missing; with MAILSEAL_CI it fails.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			rig.Missing(t, fmt.Errorf("%w: %s; run test/tools.sh as root", mtarig.ErrMissing, p))
		}
	}
}

// A tool runs one program with its own environment.
type tool struct {
	name string
	env  []string
}

// run returns standard output, and all that was printed.
func (p tool) run(stdin []byte, args ...string) (stdout []byte, printed string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.name, args...)
	cmd.Env = append(cmd.Environ(), append(p.env, "LC_ALL=C")...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	printed = strings.TrimSpace(errs.String())
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", p.name, strings.Join(args, " "), err, printed)
	}
	return out.Bytes(), printed, err
}

// must runs a program that cannot fail in a sane test.
func (p tool) must(t testing.TB, stdin []byte, args ...string) []byte {
	t.Helper()
	out, printed, err := p.run(stdin, args...)
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, printed)
	}
	return out
}

// write puts bytes into a new file of the folder and returns its name.
func write(dir, name string, b []byte) (string, error) {
	f, err := os.CreateTemp(dir, "*-"+name)
	if err != nil {
		return "", err
	}
	if _, err := f.Write(b); err != nil {
		f.Close()
		return "", err
	}
	return f.Name(), f.Close()
}

// certificates reads a PEM file.
func certificates(t testing.TB, file string) []*x509.Certificate {
	t.Helper()
	if file == "" {
		return nil
	}
	rest, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []*x509.Certificate
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		t.Fatalf("no certificate in %s", file)
	}
	return all
}

// digest is the one that goes with a key: gpgsm takes no other with ECDSA.
func digest(c *x509.Certificate) string {
	if k, ok := c.PublicKey.(*ecdsa.PublicKey); ok {
		switch k.Curve {
		case elliptic.P384():
			return "sha384"
		case elliptic.P521():
			return "sha512"
		}
	}
	return "sha256"
}

// bundle makes a PKCS #12 file.
func bundle(t testing.TB, dir string, id *Identity) string {
	t.Helper()
	need(t, "openssl")
	file, err := pkcs12("openssl", dir, nickname, id)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// pkcs12 makes a PKCS #12 file in the old encryption that every store reads.
func pkcs12(openssl, dir, name string, id *Identity) (file string, err error) {
	file = filepath.Join(dir, "identity.p12")
	args := []string{"pkcs12", "-export", "-name", name, "-in", id.Certificate, "-inkey", id.Key, "-out", file,
		"-passout", "pass:" + passphrase, "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"}
	if id.Chain != "" {
		args = append(args, "-certfile", id.Chain)
	}
	_, _, err = tool{name: openssl}.run(nil, args...)
	return file, err
}
