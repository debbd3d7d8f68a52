package certmgr

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/ca/index"
	"mailseal/certmgr/install"
	"mailseal/internal/durable"
	"mailseal/internal/pki"
)

// errAuthority: it is the CA that is not to be had, whatever the target.
var errAuthority = errors.New("the CA is not to be had")

// asking bounds how long the CA is waited for.
const asking = 10 * time.Second

// A view is the CA as it is seen at one instant. Where it is not to be had, err
// says why, and the rest is what was last seen of it.
type view struct {
	authority Authority
	chain     []*x509.Certificate
	crl       []byte
	err       error
}

// close lets the CA go.
func (v view) close() {
	if c, ok := v.authority.(interface{ Close() }); ok {
		c.Close()
	} else if c, ok := v.authority.(io.Closer); ok {
		_ = c.Close()
	}
}

// mark is one for each state of the CA.
func (v view) mark() string {
	h := sha256.New()
	fmt.Fprintln(h, v.err == nil)
	for _, c := range v.chain {
		h.Write(c.Raw)
	}
	h.Write(v.crl)
	return hex.EncodeToString(h.Sum(nil))
}

// look looks at the CA, and keeps what it has seen for when there is none.
func (k *Keeper) look(ctx context.Context) view {
	if k.c.Connect == nil {
		return view{err: fmt.Errorf("%w: none is configured; set ca.dir, or ca.socket to that of a host's certmgr", errAuthority)}
	}
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	a, err := k.c.Connect(ctx)
	if err != nil {
		v := k.remembered()
		v.err = fmt.Errorf("%w: %w", errAuthority, err)
		return v
	}
	v := view{authority: a}
	if _, err := a.CRLDue(); err != nil { // which looks at the folder
		v.err = fmt.Errorf("%w: %w", errAuthority, err)
	}
	v.chain = a.Chain()
	list, err := a.CRL()
	switch {
	case err == nil:
		v.crl = list.DER
	case !errors.Is(err, ca.ErrNotFound):
		v.err = fmt.Errorf("%w: %w", errAuthority, err)
	}
	if v.err != nil {
		if old := k.remembered(); len(v.chain) == 0 || v.crl == nil {
			v.chain, v.crl = old.chain, old.crl
		}
		return v
	}
	return v
}

// remember keeps what was seen of a CA.
func (k *Keeper) remember(v view) {
	if v.err != nil {
		return
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{{"authority.pem", ca.EncodeCertificates(v.chain...)}, {"authority.crl", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: v.crl})}} {
		old, err := os.ReadFile(k.path(f.name))
		if err == nil && bytes.Equal(old, f.content) {
			continue
		}
		if err := durable.WriteFile(k.path(f.name), f.content, 0o600); err != nil {
			k.log.Warn("cannot remember the CA", "error", err)
			return
		}
	}
}

// remembered is what was last seen of the CA.
func (k *Keeper) remembered() (v view) {
	if b, err := os.ReadFile(k.path("authority.pem")); err == nil {
		v.chain, _ = pki.ParseCertificates(b)
	}
	if b, err := os.ReadFile(k.path("authority.crl")); err == nil {
		if block, _ := pem.Decode(b); block != nil && len(block.Bytes) > 0 {
			v.crl = block.Bytes
		}
	}
	return v
}

// with is a target with what is known of the CA, and of its own parameters.
func (k *Keeper) with(t Target, v view) Target {
	if t.byCA() {
		t.Authority, t.CRL = v.chain, v.crl
	}
	if t.OwnPrime > 0 {
		t.Own = k.ownPrime(t)
	}
	return t
}

func (t Target) byCA() bool { return t.Issuer == install.ByCA || t.Issuer == "" }

// A source is where a target's certificate comes from: the pair that is kept, if
// it is good still, or else a new one.
type source struct {
	k    *Keeper
	t    Target
	view view
}

var _ install.Source = source{}

func (s source) Certificate(ctx context.Context, hosts []string) (pki.Identity, error) {
	if id, ok := s.k.kept(s.t, s.view); ok {
		return id, nil
	}
	make := s.issue
	if s.t.Issuer == install.BySelf {
		make = install.SelfSigned{Key: s.t.Key, Days: s.t.Days, Now: s.k.c.Now}.Certificate
	}
	id, err := make(ctx, hosts)
	if err != nil {
		return pki.Identity{}, err
	}
	s.k.log.Info("issued", "target", s.t.Name, "name", hosts[0], "serial", index.Serial(id.Certificate.SerialNumber), "until", stamp(id.Certificate.NotAfter))
	return id, s.k.keep(s.t, id)
}

// issue asks the CA. The key goes nowhere: the CA sees its other half.
func (s source) issue(_ context.Context, hosts []string) (pki.Identity, error) {
	if s.view.err != nil {
		return pki.Identity{}, s.view.err
	}
	if err := s.k.reserve(s.t); err != nil {
		return pki.Identity{}, err
	}
	key, err := ca.GenerateKey(s.t.Key)
	if err != nil {
		return pki.Identity{}, err
	}
	issued, err := s.view.authority.Issue(ca.Request{
		Profile: ca.Host, Subject: ca.Subject{CommonName: hosts[0]}, Hosts: hosts, Days: s.t.Days,
		PublicKey: key.Public(), Memo: "target " + s.t.Name, By: "certmgr",
	})
	if err != nil {
		return pki.Identity{}, err
	}
	id := issued.Identity()
	id.Key = key
	return id, nil
}

func (s source) CRL(context.Context) ([]byte, error) {
	if s.view.err != nil {
		return nil, s.view.err
	}
	list, err := s.view.authority.RenewCRL("certmgr")
	if err == nil && list == nil { // somebody else has
		list, err = s.view.authority.CRL()
	}
	if err != nil {
		return nil, err
	}
	return list.DER, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
