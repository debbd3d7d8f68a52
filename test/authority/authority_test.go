// Package authority lets other people's programs judge what mailseal's private
// CA makes: OpenSSL, GnuTLS's certtool, GnuPG's gpgsm and NSS's certutil look
// at its certificates, and openssl ca works in its folder.
package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
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

// A use is what a certificate has to be good for.
type use int

const (
	signing use = iota // mail
	encrypting
	serving // TLS
	connecting
	issuing
)

func (u use) String() string {
	return [...]string{"signing", "encrypting", "serving", "connecting", "issuing"}[u]
}

// A program judges certificates. It is told all of them first, because some
// have a store.
type program interface {
	name() string
	// accepts returns nil where the program takes a certificate for a use,
	// otherwise what it said.
	accepts(*certificate, use) error
}

// A limit is what a program does not know, by its own words. Who learns it
// later is welcome.
type limit struct {
	program string
	says    string
	applies func(c *certificate, u use) bool
}

func has[K crypto.PublicKey](c *x509.Certificate) bool {
	_, ok := c.PublicKey.(K)
	return ok
}

func uses[K crypto.PublicKey](c *certificate, _ use) bool {
	return has[K](c.cert) || has[K](c.root)
}

// limits are those of OpenSSL 3.0, NSS 3.87 and gpgsm 2.2. Newer gpgsm have
// both.
var limits = []limit{
	// They want keyEncipherment, which RFC 8813 section 3 forbids in such
	// certificates. OpenSSL encrypts to them all the same.
	{"openssl", "unsuitable certificate purpose", agreeing},
	{"gpgsm", "Wrong key usage", agreeing},
	{"certutil", "SEC_ERROR_ADDING_CERT", uses[ed25519.PublicKey]},
	{"gpgsm", "Missing issuer certificate", func(c *certificate, _ use) bool { return has[ed25519.PublicKey](c.root) }},
}

func agreeing(c *certificate, u use) bool { return u == encrypting && has[*ecdsa.PublicKey](c.cert) }

// judge asks a program about a certificate. It returns the limit that the
// program has met, if any.
func judge(p program, c *certificate, u use) (*limit, error) {
	err := p.accepts(c, u)
	if err == nil {
		return nil, nil
	}
	for i, l := range limits {
		if l.program == p.name() && l.applies(c, u) && strings.Contains(err.Error(), l.says) {
			return &limits[i], nil
		}
	}
	return nil, err
}

// toolTimeout is far beyond what any of the programs needs.
const toolTimeout = 2 * time.Minute

// need skips the test when a program is missing; with MAILSEAL_CI it fails.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			rig.Missing(t, fmt.Errorf("%w: %s; run test/tools.sh as root", mtarig.ErrMissing, p))
		}
	}
}

// A tool runs programs in a folder.
type tool struct {
	dir string
	env []string
}

// run returns all that was printed, also within the error.
func (p tool) run(stdin string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Stdin = p.dir, strings.NewReader(stdin)
	cmd.Env = append(append(os.Environ(), p.env...), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, bytes.TrimSpace(out))
	}
	return string(out), err
}

// must is for what cannot fail in a sane test.
func (p tool) must(t testing.TB, stdin string, command ...string) string {
	t.Helper()
	out, err := p.run(stdin, command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// write makes a file in the folder.
func (p tool) write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// said makes an error of output in which something is missing.
func said(out, wanted string) error {
	if strings.Contains(out, wanted) {
		return nil
	}
	return errors.New(strings.TrimSpace(out))
}
