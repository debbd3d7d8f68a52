package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailseal/internal/certfile"
	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/pki/x5280"
	"mailseal/internal/spool"
	"mailseal/internal/trust"
	"mailseal/smime"
	"mailseal/smime/capability"
)

// maxSeen bounds the mails of one folder.
const maxSeen = 10000

// A sighting is what one signer of a mail says of what it reads.
type sighting struct {
	file        string
	certificate *x509.Certificate
	capability.Seen
}

// sightings are of trusted signers alone.
type sightings []sighting

// sightings reads the mails of -seen. One that is named and says nothing is
// worth a warning, one among others in a folder only with -v.
func (e *encryption) sightings(ctx context.Context, env Env) (sightings, error) {
	if len(e.seen) == 0 {
		return nil, nil
	}
	if len(e.cas) == 0 {
		return nil, failf(exUsage, "-seen without -ca or -config: name the CAs whose signatures count; see mailseal encrypt -h")
	}
	var anchors []*x509.Certificate
	for _, name := range e.cas {
		cs, err := certfile.Read(name)
		if err != nil {
			return nil, fail(exNoInput, err)
		}
		anchors = append(anchors, cs...)
	}
	store, err := newSpool()
	if err != nil {
		return nil, err
	}
	w := watcher{trust.New(trust.Sources{Mail: anchors}, trust.Options{}), store, time.Now()}
	var all sightings
	for _, name := range e.seen {
		files, folder, err := mails(name)
		if err != nil {
			return nil, fail(exNoInput, err)
		}
		for _, file := range files {
			some, err := w.mail(ctx, file)
			if err != nil && (!folder || e.verbose) {
				fmt.Fprintf(env.Stderr, "warning: %s: tells nothing of capabilities: %s\n", file, oneLine(err))
			}
			all = append(all, some...)
		}
	}
	return all, nil
}

// mails lists a mail, or those in a folder or Maildir.
func mails(name string) (files []string, folder bool, err error) {
	fi, err := os.Stat(name)
	if err != nil || !fi.IsDir() {
		return []string{name}, false, err
	}
	for _, dir := range []string{name, filepath.Join(name, "cur"), filepath.Join(name, "new")} {
		entries, err := os.ReadDir(dir)
		if err != nil && dir == name {
			return nil, true, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	if len(files) > maxSeen {
		return nil, true, fmt.Errorf("%s: %d mails; want at most %d", name, len(files), maxSeen)
	}
	return files, true, nil
}

// A watcher looks at signed mails.
type watcher struct {
	anchors *trust.Anchors
	spool   *spool.Store
	now     time.Time
}

// mail returns what the signers of a mail say who are trusted now. The error
// says why there is none.
func (w watcher) mail(ctx context.Context, name string) (sightings, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := message.Read(f, w.spool, message.Limits{})
	if err != nil {
		return nil, err
	}
	defer m.Body.Close()
	r, err := smime.Verify(m, smime.VerifyOptions{Spool: w.spool, ParseCertificate: x5280.ParseX509})
	switch {
	case err != nil:
		return nil, err
	case r.Err != nil:
		return nil, r.Err
	case len(r.Signers) == 0:
		return nil, errors.New("it is not signed")
	}
	var all sightings
	search := w.anchors.Among(ctx, trust.Came{Certificates: r.Certificates, CRLs: r.CRLs}, w.now)
	for _, s := range r.Signers {
		one, serr := w.signer(s, search)
		if serr != nil {
			err = serr
			continue
		}
		one.file = name
		all = append(all, one)
	}
	if len(all) > 0 {
		err = nil
	}
	return all, err
}

func (w watcher) signer(s smime.Signer, search *trust.Search) (sighting, error) {
	if s.Result.Err != nil {
		return sighting{}, s.Result.Err
	}
	if found := search.Find(s.Result.Certificate, ""); found.Err != nil {
		return sighting{}, found.Err
	}
	list, err := s.Result.Info.Capabilities()
	if err != nil {
		return sighting{}, err
	}
	one := sighting{certificate: s.Result.Certificate, Seen: capability.Seen{Verified: true, SigningTime: s.Result.SigningTime, Capabilities: list}}
	_, err = capability.Update(capability.Known{}, one.Seen, w.now)
	return one, err
}

// of returns what is known of the holder of a certificate, and from where: the
// newest mail, or else the certificate (RFC 4262).
func (all sightings) of(c *x509.Certificate, now time.Time) (capability.List, string, error) {
	if c == nil {
		return nil, "", nil
	}
	var known capability.Known
	var source string
	for _, s := range all {
		if !sameHolder(s.certificate, c) {
			continue
		}
		newer, err := capability.Update(known, s.Seen, now)
		if err == nil {
			known, source = newer, fmt.Sprintf("%s, signed %s", s.file, s.SigningTime.UTC().Format(time.RFC3339))
		}
	}
	if source != "" {
		return known.Capabilities, source, nil
	}
	list, err := capability.FromCertificate(c)
	if err != nil || list == nil {
		return nil, "", err
	}
	return list, "the certificate", nil
}

// sameHolder: people sign with one certificate and are encrypted to with
// another, of the same address.
func sameHolder(signer, c *x509.Certificate) bool {
	if signer.Equal(c) {
		return true
	}
	theirs := addresses(c)
	return slices.ContainsFunc(addresses(signer), func(a mailaddr.Address) bool { return slices.ContainsFunc(theirs, a.Same) })
}

func addresses(c *x509.Certificate) (as []mailaddr.Address) {
	for _, text := range pki.Addresses(c) {
		if a, err := mailaddr.ParseIA5(text); err == nil {
			as = append(as, a)
		}
	}
	return as
}
