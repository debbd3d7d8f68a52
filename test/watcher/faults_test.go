package watcher_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"testing"
	"time"

	"mailseal/certmgr/ca"
)

// A fault is one thing that goes wrong with a server's files.
type fault struct {
	what string
	do   func(*server) error
	// quick: it is one of the few that tell most.
	quick bool
	// of are the servers that have it, nil for all.
	of func(*server) bool
	// replaced: what the fault puts there is good, and is to go in time.
	replaced bool
}

var (
	apart     = func(s *server) bool { return s.pair == "" }
	hasList   = func(s *server) bool { return s.crl != "" }
	hasGroup  = func(s *server) bool { return s.dh != "" }
	hasLinks  = func(s *server) bool { return s.links }
	notSecret = []byte("-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n")
)

// faults are of one server's own files.
var faults = []fault{
	{what: "key deleted", quick: true, do: func(s *server) error { return os.Remove(s.keyFile()) }},
	{what: "certificate deleted", of: apart, do: func(s *server) error { return os.Remove(s.certFile()) }},
	{what: "key truncated to 0", do: func(s *server) error { return os.Truncate(s.keyFile(), 0) }},
	{what: "certificate truncated to 0", of: apart, quick: true, do: func(s *server) error { return os.Truncate(s.certFile(), 0) }},
	{what: "certificate cut in half", do: func(s *server) error { return os.Truncate(s.certFile(), 400) }},
	{what: "garbage for a key", do: func(s *server) error { return os.WriteFile(s.keyFile(), []byte("garbage\x00\xff\n"), 0o600) }},
	{what: "garbage for a certificate", do: func(s *server) error { return os.WriteFile(s.certFile(), notSecret, 0o600) }},
	{what: "key of another", quick: true, do: func(s *server) error { return s.swapKey() }},
	{what: "key and certificate exchanged", of: apart, do: func(s *server) error {
		return errors.Join(os.Rename(s.keyFile(), s.file("x")), os.Rename(s.certFile(), s.keyFile()), os.Rename(s.file("x"), s.certFile()))
	}},
	{what: "key readable by all", do: func(s *server) error { return os.Chmod(s.keyFile(), 0o644) }},
	{what: "key of another user", do: func(s *server) error { return os.Chown(s.keyFile(), 12345, 12345) }},
	{what: "CA file gone", do: func(s *server) error { return os.Remove(s.file(s.ca)) }},
	{what: "CA file truncated", do: func(s *server) error { return os.Truncate(s.file(s.ca), 100) }},
	{what: "another CA's file", do: func(s *server) error { return s.strangersCA() }},
	{what: "hash link removed", of: hasLinks, quick: true, do: func(s *server) error { return os.Remove(s.file(s.hash("x509", s.ca) + ".0")) }},
	{what: "hash link of the list removed", of: hasLinks, do: func(s *server) error { return os.Remove(s.file(s.hash("crl", s.crl) + ".r0")) }},
	{what: "dangling hash link added", of: hasLinks, do: func(s *server) error { return os.Symlink("gone.pem", s.file("deadbeef.0")) }},
	{what: "gap in .0 and .1", of: hasLinks, do: func(s *server) error {
		h := s.file(s.hash("x509", s.ca))
		return os.Rename(h+".0", h+".1")
	}},
	{what: "folder writable by all", of: hasLinks, do: func(s *server) error { return os.Chmod(s.dir, 0o777) }},
	{what: "list removed", of: hasList, do: func(s *server) error { return os.Remove(s.file(s.crl)) }},
	{what: "list long ended", of: hasList, do: func(s *server) error { return s.oldList() }},
	{what: "parameters removed", of: hasGroup, do: func(s *server) error { return os.Remove(s.file(s.dh)) }},
	{what: "parameters of another group", of: hasGroup, do: func(s *server) error {
		return os.WriteFile(s.file(s.dh), parameters(s.w.t, "ffdhe4096"), 0o644)
	}},
	{what: "certificate ended", do: func(s *server) error { return s.put(time.Now().Add(-time.Hour), -time.Minute, hosts) }},
	{what: "certificate with seconds to live", replaced: true, do: func(s *server) error { return s.put(time.Now(), 45*time.Second, hosts) }},
	{what: "certificate of a time to come", do: func(s *server) error { return s.put(time.Now().Add(48*time.Hour), 240*time.Hour, hosts) }},
	{what: "certificate without one of the names", do: func(s *server) error { return s.put(time.Now(), 240*time.Hour, hosts[:1]) }},
	{what: "certificate of another CA", do: func(s *server) error { return s.selfMade() }},
	{what: "folder removed", quick: true, do: func(s *server) error { return os.RemoveAll(s.dir) }},
}

// pairs writes key and certificate as the server has them.
func (s *server) pairs(key, cert []byte) error {
	if s.pair != "" {
		return replace(s.keyFile(), append(key, cert...), s.keyMode)
	}
	return errors.Join(replace(s.keyFile(), key, s.keyMode), replace(s.certFile(), cert, 0o644))
}

// replace changes what a file holds, and neither mode nor owner.
func replace(path string, b []byte, mode fs.FileMode) error {
	return os.WriteFile(path, b, mode)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	b, err := ca.EncodeKey(key, nil)
	return key, b, err
}

// swapKey puts another key in the place of the present one.
func (s *server) swapKey() error {
	cert, err := os.ReadFile(s.certFile())
	if err != nil {
		return err
	}
	_, key, err := newKey()
	if err != nil {
		return err
	}
	if s.pair == "" {
		return replace(s.keyFile(), key, s.keyMode)
	}
	var rest []byte
	for b, left := pem.Decode(cert); b != nil; b, left = pem.Decode(left) {
		if b.Type == "CERTIFICATE" {
			rest = append(rest, pem.EncodeToMemory(b)...)
		}
	}
	return s.pairs(key, rest)
}

// put installs a certificate of the CA's that it would not issue, as somebody
// does who knows no better.
func (s *server) put(from time.Time, life time.Duration, names []string) error {
	template := hostTemplate(names)
	template.NotBefore, template.NotAfter = from, from.Add(life)
	if life < 0 { // it ended so long ago
		template.NotAfter = time.Now().Add(life)
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.w.authority(), key.Public(), s.w.key())
	if err != nil {
		return err
	}
	return s.pairs(keyPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func hostTemplate(names []string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now(), NotAfter: time.Now().Add(1000 * time.Hour),
	}
}

// selfMade installs a certificate that certifies itself, as FreeBSD's boot script
// makes them.
func (s *server) selfMade() error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	template := hostTemplate(hosts)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return s.pairs(keyPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// strangersCA puts a CA of the same name in the place of ours.
func (s *server) strangersCA() error {
	key, _, err := newKey()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), RawSubject: s.w.authority().RawSubject, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now(), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return replace(s.file(s.ca), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// oldList puts a list of the CA's in place that has ended: whoever looks at it
// refuses everybody.
func (s *server) oldList() error {
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-48 * time.Hour), NextUpdate: time.Now().Add(-24 * time.Hour),
	}, s.w.authority(), s.w.key())
	if err != nil {
		return err
	}
	return replace(s.file(s.crl), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o644)
}

// A repair is what became of a fault.
type repair struct {
	server, what  string
	files, served time.Duration // until they are right
	sessions      tally         // meanwhile, and until some sessions after
}

// mended injects a fault and waits until all is right again.
func (s *server) mended(t *testing.T, f fault) (repair, error) {
	r := repair{server: s.name, what: f.what}
	if _, err := await(time.Now(), s.proven); err != nil {
		return r, err
	}
	count := s.clients.tally()
	begin := time.Now()
	if err := f.do(s); err != nil {
		return r, err
	}
	var theirs *x509.Certificate
	if f.replaced {
		var err error
		if theirs, err = s.leaf(); err != nil {
			return r, err
		}
	}
	err := s.recovers(begin, &r, func() error {
		if c, err := s.leaf(); err != nil || c.Equal(theirs) {
			return notYet("the certificate is the one that ends: %v", err)
		}
		return nil
	})
	if err == nil {
		err = s.lives(t, s.excused(count))
	}
	r.sessions = s.clients.tally().since(count)
	return r, err
}

// excused is from where on no session may fail: at once, but for two. Postfix has a
// new process every hundred sessions, and that reads files as they are: one that
// comes up between a fault and its repair has no TLS until the reload, and one
// session more. Exim reads them five seconds after the last change, which may be
// that of the fault before.
func (s *server) excused(count tally) tally {
	if s.kind != "postfix" && s.kind != "exim" {
		return count
	}
	for range 20 {
		count = s.clients.tally()
		time.Sleep(10 * pause)
		if now := s.clients.tally().since(count); now.Refused == 0 && now.Done > 0 {
			break
		}
	}
	return count
}

// recovers waits until a condition holds, and files and what is served are right.
func (s *server) recovers(begin time.Time, r *repair, also func() error) (err error) {
	r.files, err = await(begin, func() error {
		if err := also(); err != nil {
			return err
		}
		return s.whole()
	})
	if err == nil {
		r.served, err = await(begin, s.sound)
	}
	return err
}

// lives waits for some sessions more, for what comes late, and complains of those
// that failed.
func (s *server) lives(t *testing.T, count tally) error {
	from := s.clients.tally().Done
	_, err := await(time.Now(), func() error {
		if n := s.clients.tally().Done - from; n < 10 {
			return notYet("%d sessions", n)
		}
		return nil
	})
	for i, c := range s.clients.complaints(count.Refused + count.Broken) {
		if i == 3 {
			t.Errorf("and so on")
			break
		}
		t.Errorf("%s: %s", s.name, c)
	}
	return err
}
