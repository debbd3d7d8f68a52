package testpki_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"sync"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// check verifies a certificate for mail, as a receiver does.
func check(id pki.Identity, root *x509.Certificate, at time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range id.Chain {
		between.AddCert(c)
	}
	_, err := id.Certificate.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	})
	return err
}

func TestWhoIsTrusted(t *testing.T) {
	at := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	p := testpki.NewAt(t, at)
	below := p.Below()
	const alice = "alice@corp.example"
	invalid := func(r x509.InvalidReason) func(error) bool {
		return func(err error) bool {
			var e x509.CertificateInvalidError
			return errors.As(err, &e) && e.Reason == r
		}
	}
	unknown := func(err error) bool {
		var e x509.UnknownAuthorityError
		return errors.As(err, &e)
	}
	good := func(err error) bool { return err == nil }
	tests := []struct {
		name string
		id   pki.Identity
		want func(error) bool
	}{
		{"user", p.User(alice, ca.P256), good},
		{"user with RSA", p.User(alice, ca.RSA2048), good},
		{"gateway", p.Gateway("corp.example", ca.P256), good},
		{"user below the intermediate CA", below.User(alice, ca.P256), good},
		{"expired", p.Expired(alice, ca.P256), invalid(x509.Expired)},
		{"not yet valid", p.NotYetValid(alice, ca.P256), invalid(x509.Expired)},
		{"expired below the intermediate CA", below.Expired(alice, ca.P256), invalid(x509.Expired)},
		{"for clients", p.Client(alice, ca.P256), invalid(x509.IncompatibleUsage)},
		{"for hosts", p.Host("mx.corp.example", ca.P256), invalid(x509.IncompatibleUsage)},
		{"of a stranger", p.Stranger().User(alice, ca.P256), unknown},
		{"of an impostor", testpki.NewAt(t, at).User(alice, ca.P256), unknown},
	}
	for _, tt := range tests {
		if err := check(tt.id, p.Root(), at); !tt.want(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !tt.id.Key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(tt.id.Certificate.PublicKey) {
			t.Errorf("%s: key and certificate are no pair", tt.name)
		}
	}
	if below.Root() != p.Root() && !below.Root().Equal(p.Root()) {
		t.Error("the root of an intermediate CA is the one above")
	}
}

func TestSameQuestionSameAnswer(t *testing.T) {
	p := testpki.New(t)
	var group sync.WaitGroup
	got := make([]pki.Identity, 4)
	for i := range got {
		group.Go(func() { got[i] = p.User("a@corp.example", ca.P256) })
	}
	group.Wait()
	for _, id := range got {
		if !id.Certificate.Equal(got[0].Certificate) {
			t.Error("another certificate")
		}
	}
	if p.User("b@corp.example", ca.P256).Certificate.Equal(got[0].Certificate) {
		t.Error("the certificate of somebody else")
	}
}

// What is written for peers is what our own reader reads.
func TestFiles(t *testing.T) {
	id := testpki.New(t).Below().User("alice@corp.example", ca.RSA2048)
	for name, file := range map[string][]byte{"PEM": testpki.PEM(t, id), "PKCS #12": testpki.PKCS12(t, id, "pass")} {
		got, err := pki.ReadIdentity(testpki.Write(t, "alice", file), []byte("pass"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !got.Certificate.Equal(id.Certificate) || len(got.Chain) != 1 || !bytes.Equal(got.Chain[0].Raw, id.Chain[0].Raw) {
			t.Errorf("%s: another identity", name)
		}
	}
}
