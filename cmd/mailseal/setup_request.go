package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/setup"
	"mailseal/internal/pki"
)

// The files of a target whose CA is elsewhere, in its folder.
const (
	requestKey    = "host.key"
	answer        = "host.cert"
	answerCA      = "ca.pem"
	secretSummary = "a new private key"
)

// makeRequest makes the key and a request for it. The key stays here.
func (s *setupRun) makeRequest(context.Context) error {
	path := filepath.Join(s.target.From, requestKey)
	key, content, err := s.requestKey(path)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: s.target.Hosts[0]}, DNSNames: s.target.Hosts,
	}, key)
	if err != nil {
		return err
	}
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	edits := slices.Clone(s.ours)
	if content != nil {
		e, err := setup.NewEdit(path, func(string) string { return string(content) })
		if err != nil {
			return err
		}
		e.Mode, e.Summary = 0o600, secretSummary
		edits = append(edits, e)
	}
	if err := setup.Writable(edits); err != nil {
		return err
	}
	for _, e := range edits {
		fmt.Fprint(s.env.Stdout, e.Diff())
	}
	fmt.Fprintf(s.env.Stdout, "request     %s for %v\n", s.request, s.target.Hosts)
	if err := s.agreed(); err != nil {
		return err
	}
	unlock, err := s.journal.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.journal.Begin(setup.Job{Name: s.target.Name, Server: s.place.Server, Config: s.config, Edits: edits}); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := setup.Write(edits); err != nil {
		return err
	}
	if err := setup.WriteOut(s.request, csr); err != nil {
		return fail(exCantCreate, err)
	}
	if err := s.journal.Done(s.target.Name); err != nil {
		return err
	}
	fmt.Fprintf(s.env.Stdout, "on the CA's host: mailseal ca issue -csr %s -profile host -out BASE\n"+
		"then here:        mailseal setup %s%s -certificate BASE.crt -ca-certificate CA.pem, which is the CA's cacert.pem\n",
		filepath.Base(s.request), s.place.Server, s.again("config", "prefix", "conf", "pidfile", "name"))
	return nil
}

// requestKey is the key of an earlier request, or a new one with its file's
// content.
func (s *setupRun) requestKey(path string) (crypto.Signer, []byte, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind, err := ca.ParseKeyKind(s.target.Key)
		if err != nil {
			return nil, nil, err
		}
		key, err := ca.GenerateKey(kind)
		if err != nil {
			return nil, nil, err
		}
		content, err := ca.EncodeKey(key, nil)
		return key, content, err
	case err != nil:
		return nil, nil, err
	}
	parsed, err := pki.ParseKey(b, nil)
	key, ok := parsed.(crypto.Signer)
	if err == nil && !ok {
		err = errors.New("a key that signs nothing")
	}
	if err != nil {
		return nil, nil, fail(exDataErr, fmt.Errorf("%s, the key of an earlier request: %w; move it away for a new one", path, err))
	}
	return key, nil, nil
}

// bringHome puts what the CA has answered into the target's folder, where certmgr
// looks for it.
func (s *setupRun) bringHome() error {
	for _, f := range []struct{ from, to string }{{s.certificate, answer}, {s.caCertificate, answerCA}} {
		if f.from == "" {
			continue
		}
		b, err := os.ReadFile(f.from)
		if err != nil {
			return fail(exNoInput, err)
		}
		certs, err := pki.ParseCertificates(b)
		if err != nil {
			return fail(exDataErr, fmt.Errorf("%s: %w", f.from, err))
		}
		e, err := setup.NewEdit(filepath.Join(s.target.From, f.to), func(string) string { return string(ca.EncodeCertificates(certs...)) })
		if err != nil {
			return err
		}
		if e.Summary = "the certificate of " + certs[0].Subject.String(); string(e.Before) != string(e.After) {
			s.ours = append(s.ours, e)
		}
	}
	return nil
}
