package watcher_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"
)

// everywhere waits until something that the CA has done has come to all servers.
func (w *world) everywhere(t *testing.T, table *table, what string, do func() error, right func(*server) error) {
	t.Helper()
	counts := make([]tally, len(w.servers))
	for i, s := range w.servers {
		counts[i] = s.clients.tally()
	}
	begin := time.Now()
	ok(t, do())
	var all sync.WaitGroup
	for i, s := range w.servers {
		all.Go(func() {
			r := repair{server: s.name, what: what}
			err := s.recovers(begin, &r, func() error { return right(s) })
			if err == nil {
				err = s.lives(t, counts[i])
			}
			if err != nil {
				t.Errorf("%s, %s: %v", s.name, what, err)
			}
			r.sessions = s.clients.tally().since(counts[i])
			table.add(r)
		})
	}
	all.Wait()
}

// What the CA does comes to the servers: a new certificate of its own, a
// revocation, and a new list before the old one ends.
func TestAuthority(t *testing.T) {
	slow(t)
	w := newWorld(t, nil, sendmail, postfix, dovecot, exim)
	w.start()
	var table table
	certmgr := func(command string, args ...string) error {
		w.run(append([]string{"ca", command, "-config", w.certmgr.File(), "-yes"}, args...)...)
		return nil
	}
	nothing := func(*server) error { return nil }

	old := w.authority()
	w.everywhere(t, &table, "CA renewed", func() error {
		return certmgr("renew", "-ca")
	}, nothing)
	if w.authority().Equal(old) {
		t.Error("the CA has its old certificate")
	}

	serials := map[*server]*x509.Certificate{}
	w.everywhere(t, &table, "all certificates revoked", func() error {
		for _, s := range w.servers {
			c, err := s.leaf()
			if err != nil {
				return err
			}
			serials[s] = c
			if err := certmgr("revoke", "-serial", fmt.Sprintf("%X", c.SerialNumber), "-reason", "superseded"); err != nil {
				return err
			}
		}
		return nil
	}, nothing)
	for s, c := range serials {
		if now, err := s.leaf(); err != nil || now.Equal(c) {
			t.Errorf("%s still has the revoked certificate, %v", s.name, err)
		}
	}

	w.everywhere(t, &table, "list near its end", w.endingList, func(*server) error {
		list, err := x509.ParseRevocationList(w.list())
		if err != nil || time.Until(list.NextUpdate) < time.Hour {
			return notYet("the CA's list ends soon: %v", err)
		}
		return nil
	})
	t.Logf("\n%s", &table)
}

// endingList has the CA's list be one that ends in minutes.
func (w *world) endingList() error {
	now, err := x509.ParseRevocationList(w.list())
	if err != nil {
		return err
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: new(big.Int).Set(now.Number), RevokedCertificateEntries: now.RevokedCertificateEntries,
		ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(5 * time.Minute),
	}, w.authority(), w.key())
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	return errors.Join(replace(w.path("CA", "crl.pem"), text, 0o644), replace(w.path("CA", "crl.der"), der, 0o644))
}
