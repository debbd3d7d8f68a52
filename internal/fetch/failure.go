package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"
)

// An Error is why something was not fetched, in words for a postmaster. It
// tells the host, and neither the rest of the URL nor addresses.
type Error struct {
	Host   string // "" where it concerns none
	Reason string
	Err    error // for our own log; nil where Reason says it all
	// reach is what else would fail the same way.
	reach reach
}

// A reach is how much fails at once.
type reach int

const (
	oneItem reach = iota
	// oneURL: a responder that answers nobody. Of other URLs of the host it says nothing:
	// who writes one into a certificate may have looked for one that the host does not bear.
	oneURL
	// oneHost: it is dead. Who speaks TLS to a port of HTTP knows nothing of the HTTP there.
	oneHost
)

var reaches = [...]reach{oneHost, oneURL, oneItem}

// failing is the name of what fails with an item.
func (r reach) failing(it item) string {
	switch r {
	case oneHost:
		return it.url.Scheme + "://" + it.host
	case oneURL:
		return "URL " + it.url.String()
	}
	return it.key
}

func (e *Error) Error() string {
	if e.Host == "" {
		return e.Reason
	}
	return e.Host + ": " + e.Reason
}

func (e *Error) Unwrap() error { return e.Err }

// explain puts what net/http says into our words.
func explain(host string, err error) *Error {
	var ours *Error
	var noName *net.DNSError
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var timeout net.Error
	e := &Error{Host: host, Reason: "cannot be reached", Err: err, reach: oneHost}
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.Is(err, errAddress):
		e.Reason, e.Err = errAddress.Error(), nil
	case errors.Is(err, errPort):
		e.Reason, e.Err = errPort.Error(), nil
	case errors.As(err, &noName) && noName.IsNotFound:
		e.Reason = "no such host"
	case errors.As(err, &record), errors.As(err, &certificate), errors.As(err, &authority):
		e.Reason = "its TLS certificate is not good"
	case errors.Is(err, context.Canceled):
		e.Reason, e.reach = "was broken off", oneItem
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.Reason = "did not answer in time"
	}
	return e
}

const (
	firstPause = 30 * time.Second
	maxPause   = time.Hour
	maxFailing = 4096
)

// failures remembers what could not be fetched, so that a dead server is asked
// again after 30 seconds, then 1, 2, 4 minutes, up to an hour. Keys are
// what a reach calls them.
type failures struct {
	mu sync.Mutex // guards all below
	of map[string]failure
}

type failure struct {
	count int
	until time.Time
	err   *Error
}

// check returns the error of what is not to be asked again yet.
func (f *failures) check(it item, now time.Time) *Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range reaches {
		key := r.failing(it)
		// A clock that was set back must not make the pause longer.
		if x, ok := f.of[key]; ok && now.Before(x.until) && x.until.Sub(now) <= maxPause {
			return x.err
		}
	}
	return nil
}

// note remembers an error, and reports whether it is the first after a success.
func (f *failures) note(it item, err *Error, now time.Time) (first bool) {
	key := err.reach.failing(it)
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.of[key]
	x.count++
	x.err, x.until = err, now.Add(min(firstPause<<min(x.count-1, 10), maxPause))
	f.makeRoom(key, now)
	f.of[key] = x
	return x.count == 1
}

func (f *failures) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of = nil
}

// makeRoom keeps the number of keys bounded.
func (f *failures) makeRoom(key string, now time.Time) {
	if f.of == nil {
		f.of = make(map[string]failure)
	}
	if _, ok := f.of[key]; ok || len(f.of) < maxFailing {
		return
	}
	for k, x := range f.of {
		if !now.Before(x.until) {
			delete(f.of, k)
		}
	}
	for k := range f.of {
		if len(f.of) < maxFailing {
			return
		}
		delete(f.of, k)
	}
}

// clear forgets the failures of what now came, and reports whether there were any.
func (f *failures) clear(it item) (failed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range reaches {
		key := r.failing(it)
		if _, ok := f.of[key]; ok {
			failed = true
			delete(f.of, key)
		}
	}
	return failed
}
