package certmgr

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/install"
	"mailseal/internal/durable"
	"mailseal/internal/pki"
	"mailseal/internal/x509key"
)

func (k *Keeper) path(name ...string) string {
	return filepath.Join(append([]string{k.c.State}, name...)...)
}

// prepare makes the folder of what is remembered, or refuses one that others may
// write to: what stands there says which files are written, and root writes them.
func (k *Keeper) prepare() error {
	for _, dir := range []string{k.c.State, k.path("targets")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := closed(dir); err != nil {
			return err
		}
	}
	return nil
}

func closed(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is no folder; move it away", dir)
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user, who could have files written; run: chown root %s", dir, dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to %s, and could have files written; look at what is in it, then run: chmod 0700 %s", dir, dir)
	case info.Mode().Perm() != 0o700:
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// lock has one process at a time work on a target: what one installs and takes
// back, another would take for a fault. It ends with the process that has it.
func (k *Keeper) lock(ctx context.Context, t Target) (unlock func(), err error) {
	if err := k.prepare(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	f, err := os.OpenFile(k.path("targets", t.Name+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*(k.c.ReloadTime+k.c.ProofTime)+time.Minute) // all that a pass takes
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		select {
		case <-time.After(lockAgain):
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another mailseal is at work on target %s: %w", t.Name, ctx.Err())
		}
	}
}

const lockAgain = 100 * time.Millisecond

// keep remembers a pair, before anything is done with it.
func (k *Keeper) keep(t Target, id pki.Identity) error {
	key, err := ca.EncodeKey(id.Key, nil)
	if err != nil {
		return err
	}
	return durable.WriteFile(k.path("targets", t.Name+".pem"), append(key, ca.EncodeCertificates(id.Certificate)...), 0o600)
}

// reserve finds out whether a pair can be kept, before the CA is asked for it: what
// could not be kept would be asked for again each time.
func (k *Keeper) reserve(t Target) error {
	path := k.path("targets", t.Name+".new")
	if err := durable.WriteFile(path, make([]byte, maxPair), 0o600); err != nil {
		return err
	}
	return os.Remove(path)
}

// maxPair is more than a pair takes.
const maxPair = 32 << 10

// kept is the pair that is remembered, if it is as good as a new one.
func (k *Keeper) kept(t Target, v view) (pki.Identity, bool) {
	b, err := os.ReadFile(k.path("targets", t.Name+".pem"))
	if err != nil {
		return pki.Identity{}, false
	}
	id, err := pki.ParseIdentity(b, nil)
	if err != nil || !k.fits(t, id, v) {
		return pki.Identity{}, false
	}
	id.Chain = nil
	for _, c := range v.chain {
		if t.byCA() && !bytes.Equal(c.RawSubject, c.RawIssuer) {
			id.Chain = append(id.Chain, c)
		}
	}
	return id, true
}

func (k *Keeper) fits(t Target, id pki.Identity, v view) bool {
	leaf, now := id.Certificate, k.c.Now()
	issuer := leaf
	if t.byCA() {
		if len(v.chain) == 0 {
			return false
		}
		issuer = v.chain[0]
	}
	if !bytes.Equal(leaf.RawIssuer, issuer.RawSubject) || x509key.CheckSignature(issuer, leaf) != nil {
		return false
	}
	for _, host := range t.Hosts {
		if leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	if now.Before(leaf.NotBefore) || !now.Before(install.Due(leaf)) || !isKind(leaf, t.Key) {
		return false
	}
	return !t.byCA() || !revoked(leaf, v.crl)
}

// isKind reports whether a certificate's key is of a kind.
func isKind(c *x509.Certificate, k ca.KeyKind) bool {
	switch pub := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return pub.N.BitLen() == map[ca.KeyKind]int{ca.RSA2048: 2048, ca.RSA3072: 3072, ca.RSA4096: 4096}[k]
	case *ecdsa.PublicKey:
		return pub.Curve == map[ca.KeyKind]elliptic.Curve{ca.P256: elliptic.P256(), ca.P384: elliptic.P384(), ca.P521: elliptic.P521()}[k]
	}
	return false
}

func revoked(c *x509.Certificate, list []byte) bool {
	if list == nil {
		return false
	}
	crl, err := x509.ParseRevocationList(list)
	if err != nil {
		return false // install judges it
	}
	for _, e := range crl.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
			return true
		}
	}
	return false
}

// owe remembers that a target's server has yet to read its files, until it was
// seen to have.
func (k *Keeper) owe(t Target) error {
	return durable.WriteFile(k.path("targets", t.Name+".owed"), nil, 0o600)
}

func (k *Keeper) owes(t Target) bool {
	_, err := os.Lstat(k.path("targets", t.Name+".owed"))
	return err == nil
}

func (k *Keeper) settle(t Target) {
	if err := os.Remove(k.path("targets", t.Name+".owed")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.log.Warn("cannot remember a reload", "target", t.Name, "error", err)
	}
}
