package certmgr

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"mailseal/certmgr/ca/index"
	"mailseal/certmgr/install"
	"mailseal/certmgr/probe"
	"mailseal/internal/pki"
)

const (
	// between is how long is waited before a server is asked again.
	between = 500 * time.Millisecond
	// glance is how often its files are looked at meanwhile.
	glance = between / 2
	// oneProbe bounds one question to a server.
	oneProbe = 10 * time.Second
	// beforehand is how long an installation waits for what the server says
	// before it: one that is slow to answer shall not delay its own repair.
	beforehand = time.Second
	// withoutTLS is how long a server may answer without the TLS that it had
	// before it read new files.
	withoutTLS = 2 * time.Second
)

// A want is what a server should serve.
type want struct {
	leaf   *x509.Certificate
	cas    []*x509.Certificate
	client *tls.Certificate
}

func parse(content []byte) ([]*x509.Certificate, error) {
	if len(content) == 0 {
		return nil, nil
	}
	return pki.ParseCertificates(content)
}

// serving is what a server serves that has read its files: what it asks of others
// it is asked for too, so its own file of CAs has to do.
func (k *Keeper) serving(t Target) want {
	read := func(r install.Role) []byte {
		f, ok := t.Files[r]
		if !ok {
			return nil
		}
		return install.ReadFile(f.Path)
	}
	certs := append(read(install.Certificate), read(install.PairFile)...)
	w := want{leaf: leafOf(certs)}
	w.cas = append(w.cas, t.Authority...)
	if more, err := parse(read(install.CA)); err == nil {
		w.cas = append(w.cas, more...)
	}
	switch t.Issuer {
	case install.BySelf:
		if w.leaf != nil {
			w.cas = append(w.cas, w.leaf)
		}
		return w
	case install.FromFiles: // bought: the public CAs vouch for it
		more, _ := parse(install.ReadFile(t.Bundle))
		w.cas = append(w.cas, more...)
	}
	keys := append(read(install.Key), read(install.PairFile)...)
	if pair, err := tls.X509KeyPair(certs, keys); err == nil {
		w.client = &pair
	}
	return w
}

// ask asks a target's server once, everywhere at the same time.
func (k *Keeper) ask(ctx context.Context, t Target, w want) []probe.Result {
	results := make([]probe.Result, len(t.Probes))
	var all sync.WaitGroup
	for i, u := range t.Probes {
		all.Go(func() {
			asked := probe.Want{CAs: w.cas, Leaf: w.leaf, Client: w.client, At: k.c.Now(), Timeout: oneProbe}
			if u.Name == "" {
				asked.Host = t.Hosts[0]
			}
			results[i] = k.c.Probe(ctx, u, asked)
		})
	}
	all.Wait()
	return results
}

// askBeside asks what a server serves while its files are put right. What it returns
// waits a little for the answer; nil: there is none.
func (k *Keeper) askBeside(ctx context.Context, t Target) func() []probe.Result {
	asking, cancel := context.WithCancel(ctx)
	answer := make(chan []probe.Result, 1)
	go func() { answer <- k.ask(asking, t, want{}) }()
	return func() []probe.Result {
		defer cancel()
		select {
		case was := <-answer:
			return was
		case <-time.After(beforehand):
			cancel()
			<-answer
			return k.nobody(ctx, t)
		}
	}
}

// nobody is what is known of a server that has not answered in time: nil where its
// ports take connections, as that of one that lets clients wait; otherwise that
// it is not there.
func (k *Keeper) nobody(ctx context.Context, t Target) []probe.Result {
	var results []probe.Result
	for _, u := range t.Probes {
		if k.c.Connects(ctx, u) {
			return nil
		}
		results = append(results, probe.Result{URL: u, Err: &probe.Failure{Cause: probe.Unreachable, Text: "takes no connection"}})
	}
	return results
}

// connects reports whether a port takes connections.
func connects(ctx context.Context, u probe.URL) bool {
	c, err := (&net.Dialer{Timeout: beforehand}).DialContext(ctx, "tcp", u.Address())
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// errSpoilt ends a proof: the files have changed since the server was told to read
// them, and the next pass is due at once.
var errSpoilt = errors.New("the files were changed by somebody else while the server was looked at")

// prove asks until all is as wanted, or the server has had its time. One that did
// not answer before is not waited for, and one that answers without the TLS that
// it had is not given all that time: each mail is refused meanwhile.
func (k *Keeper) prove(ctx context.Context, t Target, w want, was []probe.Result) ([]probe.Result, error) {
	if len(t.Probes) == 0 {
		return nil, ctx.Err()
	}
	patience := k.c.ProofTime
	if len(was) > 0 && judge(was, was) == absent {
		patience = min(patience, 2*time.Second)
	}
	end := time.Now().Add(patience)
	files := k.asFound(t)
	// A server that is about to read its files still answers from the old ones:
	// where the certificate is the same, nothing else tells the two apart.
	pause := between
	if w.leaf == nil || len(was) > 0 && served(was, w.leaf) {
		pause *= 2
	}
	var lost time.Time // since when it is without TLS
	for {
		if err := k.wait(ctx, t, pause, files); err != nil {
			return nil, err
		}
		pause = between
		asked := time.Now()
		results := k.ask(ctx, t, w)
		switch {
		case judge(results, results) == good || time.Now().After(end) || ctx.Err() != nil:
			return results, ctx.Err()
		case !hasLost(was, results):
			lost = time.Time{}
		case lost.IsZero():
			lost = asked
		case asked.Sub(lost) >= withoutTLS:
			return results, nil
		}
	}
}

// wait waits, and looks meanwhile whether the files are still as they were.
func (k *Keeper) wait(ctx context.Context, t Target, pause time.Duration, was *asFound) error {
	for ; pause > 0; pause -= glance {
		select {
		case <-time.After(min(pause, glance)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if !was.still(k, t) {
			return errSpoilt
		}
	}
	return nil
}

// asFound is a target's files at one instant: what the system says of them, and
// what is wrong with them.
type asFound struct {
	infos []os.FileInfo
	wrong string
}

func (k *Keeper) asFound(t Target) *asFound {
	return &asFound{t.stat(), k.wrong(t)}
}

// still reports whether nothing more is wrong than there was. Files that only look
// different are no reason to begin again.
func (f *asFound) still(k *Keeper, t Target) bool {
	now := t.stat()
	if slices.EqualFunc(f.infos, now, unchanged) {
		return true
	}
	f.infos = now
	return f.wrong == k.wrong(t)
}

func (t Target) stat() []os.FileInfo {
	var infos []os.FileInfo
	for _, r := range slices.Sorted(maps.Keys(t.Files)) {
		fi, err := os.Lstat(t.Files[r].Path)
		if err != nil {
			fi = nil // which differs from any other
		}
		infos = append(infos, fi)
	}
	return infos
}

func unchanged(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

func (k *Keeper) wrong(t Target) string {
	s, err := install.Inspect(t.Target)
	if err != nil {
		return err.Error()
	}
	return wrong(t.Plan(s, k.c.Now()))
}

// hasLost reports whether a server that had TLS answers without.
func hasLost(before, after []probe.Result) bool {
	for i, a := range after {
		if i < len(before) && before[i].Leaf() != nil && a.Leaf() == nil && a.Cause() != probe.Unreachable {
			return true
		}
	}
	return false
}

// served reports whether a certificate was served somewhere.
func served(results []probe.Result, leaf *x509.Certificate) bool {
	for _, r := range results {
		if l := r.Leaf(); l != nil && l.Equal(leaf) {
			return true
		}
	}
	return false
}

// A verdict is what the answers of a server say about its files.
type verdict int

const (
	good   verdict = iota
	absent         // nobody answers, and nobody did before: the server does not run
	stuck          // it is no worse than before, and the files may not be why
	bad
)

// judge compares answers with those from before, which may be none.
func judge(before, after []probe.Result) verdict {
	v := good
	for i, a := range after {
		if a.OK() {
			continue
		}
		known := i < len(before)
		switch {
		case known && a.Cause() == probe.Unreachable && before[i].Cause() == probe.Unreachable:
			v = max(v, absent)
		case known && a.Leaf() == nil && before[i].Leaf() == nil && before[i].Cause() != probe.Unreachable:
			v = max(v, stuck)
		default:
			v = bad
		}
	}
	return v
}

// failure is what is wrong with what a server serves, nil where nothing is.
func (k *Keeper) failure(t Target, proof []probe.Result) error {
	var failed error
	for _, p := range proof {
		if !p.OK() {
			failed = errors.Join(failed, fmt.Errorf("%s: %s: %w", t.Name, p.URL, p.Err))
		}
	}
	return failed
}

// report logs what a server serves, and a reload that has failed all the same.
func (k *Keeper) report(t Target, proof []probe.Result, reload error) {
	for _, p := range proof {
		args := []any{"target", t.Name, "url", p.URL.String(), "verify", p.Verify()}
		if p.Version != "" {
			args = append(args, "tls", p.Version, "cipher", p.Cipher)
		}
		if l := p.Leaf(); l != nil {
			args = append(args, "name", nameOf(l), "serial", index.Serial(l.SerialNumber), "until", stamp(l.NotAfter))
		}
		if !k.news(t, p) {
			continue
		}
		if p.OK() {
			k.log.Info("probe", args...)
			continue
		}
		args = append(args, "cause", string(p.Cause()), "error", p.Err)
		if p.Cause() == probe.Unreachable {
			k.log.Warn("probe", args...)
		} else {
			k.log.Error("probe", args...)
		}
	}
	if reload != nil && len(proof) > 0 && judge(proof, proof) == good {
		k.log.Warn("served all the same", "target", t.Name)
	}
}

// news reports whether a result is worth a line: that of a server that fails, and
// fails in the same way as before, is once an hour.
func (k *Keeper) news(t Target, p probe.Result) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := t.Name + " " + p.URL.String()
	if p.OK() {
		delete(k.failed, key)
		return true
	}
	now, text := k.c.Now(), p.Err.Error()
	if last, ok := k.failed[key]; ok && last.text == text && now.Sub(last.at) < proofAfter && !now.Before(last.at) {
		return false
	}
	k.failed[key] = logged{text, now}
	return true
}

func nameOf(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return c.Subject.CommonName
}
