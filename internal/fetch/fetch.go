// Package fetch gets CRLs and OCSP answers over HTTP, for who checks whether a
// certificate is revoked:
//
//	f := fetch.New(fetch.Config{Settings: fetch.Settings{CRL: true}, Dir: "/var/lib/mailseal/fetch"})
//	ctx = f.Mail(ctx)                                        // one mail, one budget
//	list, err := f.CRL(ctx, "http://crl.example/ca.crl")     // DER, of which nothing is checked
//
// The URLs come out of certificates that strangers send, so they lead only to
// addresses of the Internet (address.go), in bounds of size, time and number, and
// no redirect is followed. Whoever calls must have found out before that the
// signatures of the whole path are good and that it ends in a trust anchor: a
// junk certificate must not make us ask anybody. What a server sends is
// returned unverified; only when it was issued and until when it holds is read.
//
// A mail waits for a bounded time. What has not come then is fetched to the end
// in the background, and the next mail finds it. What has come is kept in files
// until its nextUpdate and is renewed before, in the background too. What
// fails is not tried again with each mail.
//
// RFC 5280 sections 4.2.1.13 and 5, RFC 6960 appendix A, RFC 8550 section 6
// (what fetching tells a sender), RFC 9110 section 13 (validators).
package fetch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// Settings may change while a Fetcher is in use. The zero Settings fetch nothing.
type Settings struct {
	CRL, OCSP bool
	// Timeout is how long one fetch may take, in the background too. 0 means 5 s.
	Timeout time.Duration
	// Wait is how long all fetches of one mail may hold it up.
	Wait time.Duration
	// MaxSize bounds a CRL. 0 means 16 MiB.
	MaxSize int64
	// Allow are networks that may be asked though they are none of the
	// Internet, on any port: those of one's own PKI.
	Allow []netip.Prefix
	// Proxy is asked instead of the hosts themselves, nil for none. Names are
	// looked up by it, so keeping to the Internet is its affair then.
	Proxy *url.URL
}

// Config is what a Fetcher is made of.
type Config struct {
	Settings
	// Dir is the folder for what was fetched, made when it is first needed. ""
	// keeps it in memory alone.
	Dir string
	// ReadOnly uses the files in Dir and leaves them as they are.
	ReadOnly bool
	Log      *slog.Logger     // nil: nowhere
	Now      func() time.Time // nil: time.Now
	Resolver *net.Resolver    // nil: the system's
	Roots    *x509.CertPool   // for https; nil: the system's
}

// A Fetcher fetches. It may be used by any number of goroutines.
type Fetcher struct {
	resolver *net.Resolver
	roots    *x509.CertPool
	log      *slog.Logger
	clock    func() time.Time
	client   atomic.Pointer[client]

	cache    *cache
	failures failures
	slots    *slots
	large    chan struct{} // who has put one in may read a large body
	flights  singleflight.Group

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex // guards all below
	open   int        // flights
	closed bool
	ended  sync.WaitGroup // counts flights
	// deaf: the files could not be written the last time.
	deaf bool
}

// New makes a Fetcher, and touches neither the network nor a file.
func New(c Config) *Fetcher {
	f := &Fetcher{
		resolver: c.Resolver, roots: c.Roots, clock: c.Now,
		log:   cmp.Or(c.Log, slog.New(slog.DiscardHandler)),
		cache: newCache(c.Dir, c.ReadOnly), slots: newSlots(), large: make(chan struct{}, 1),
	}
	if f.clock == nil {
		f.clock = time.Now
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.Use(c.Settings)
	return f
}

// Use changes the settings. What is under way ends with the old ones, and what
// failed may be tried again.
func (f *Fetcher) Use(s Settings) {
	s.Timeout, s.MaxSize = cmp.Or(s.Timeout, 5*time.Second), cmp.Or(s.MaxSize, 16<<20)
	f.client.Store(newClient(s, f.resolver, f.roots))
	f.failures.reset()
}

// Close breaks off what is under way and waits until it has ended. What is
// cached is still answered after that, and nothing else.
func (f *Fetcher) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.ended.Wait()
}

// CRL returns the list at a URL, as DER. The error says in words why there is
// none, and is safe to show to others.
func (f *Fetcher) CRL(ctx context.Context, where string) ([]byte, error) {
	if !f.client.Load().CRL {
		return nil, &Error{Reason: "fetching CRLs is off ([fetch] crl)"}
	}
	return f.get(ctx, where, nil)
}

// OCSP returns a responder's answer to a DER request, which must bear no nonce:
// answers are kept by request.
func (f *Fetcher) OCSP(ctx context.Context, where string, request []byte) ([]byte, error) {
	switch {
	case !f.client.Load().OCSP:
		return nil, &Error{Reason: "asking OCSP responders is off ([fetch] ocsp)"}
	case len(request) == 0 || len(request) > maxRequest:
		return nil, &Error{Reason: fmt.Sprintf("an OCSP request of %d octets is not sent", len(request))}
	}
	return f.get(ctx, where, request)
}

// Doubt is told by who checks signatures that what came from a URL could not be
// verified; the request is that of OCSP, nil for a CRL. It stays, as another mail
// may bring along whose signature it is, but is soon asked for again, and what
// comes then takes its place even if it is older: whoever forged a list on the
// way must not keep the true one out.
func (f *Fetcher) Doubt(where string, request, body []byte) {
	if it, err := newItem(where, request, f.client.Load().Allow); err == nil {
		f.cache.doubt(it.key, body)
	}
}

// An item is one thing to fetch.
type item struct {
	url     *url.URL
	host    string // with its port
	request []byte // of OCSP; nil for a CRL
	key     string // names it, as a file too
}

func newItem(where string, request []byte, allow []netip.Prefix) (item, error) {
	u, err := parseURL(where, allow)
	if err != nil {
		e := &Error{Reason: err.Error()}
		if u, perr := url.Parse(where); perr == nil {
			e.Host = fmt.Sprintf("%.255s", u.Hostname())
		}
		return item{}, e
	}
	h, suffix := sha256.New(), ".crl"
	fmt.Fprintf(h, "%s\n", u)
	if request != nil {
		h.Write(request)
		suffix = ".ocsp"
	}
	return item{url: u, host: hostPort(u), request: request, key: hex.EncodeToString(h.Sum(nil)) + suffix}, nil
}

// name is the host, for people.
func (it item) name() string { return it.url.Hostname() }

// get answers from the cache, or fetches.
func (f *Fetcher) get(ctx context.Context, where string, request []byte) ([]byte, error) {
	c := f.client.Load()
	it, err := newItem(where, request, c.Allow)
	if err != nil {
		return nil, err
	}
	now := f.clock()
	failed := f.failures.check(it, now)
	if e := f.cache.get(it, c.limit(it)); e.fresh(now) {
		if failed == nil && e.due(now) {
			f.fly(it)
		}
		return e.body, nil
	}
	if failed != nil {
		return nil, failed
	}
	b := f.budget(ctx)
	if !b.take() {
		return nil, &Error{Host: it.name(), Reason: "one mail asks for too much"}
	}
	r, ok := await(ctx, b, f.fly(it))
	switch {
	case !ok && ctx.Err() != nil:
		return nil, &Error{Host: it.name(), Reason: "was not waited for", Err: ctx.Err()}
	case !ok:
		return nil, &Error{Host: it.name(), Reason: "has not answered yet"}
	case r.Err != nil:
		return nil, r.Err
	}
	return r.Val.(*entry).body, nil
}

// fly fetches an item in a goroutine of its own, which all who want it share.
func (f *Fetcher) fly(it item) <-chan singleflight.Result {
	return f.flights.DoChan(it.key, func() (any, error) {
		if err := f.begin(); err != nil {
			return nil, &Error{Host: it.name(), Reason: err.Error()}
		}
		defer f.end()
		e, err := f.fetch(it)
		if err != nil {
			return nil, err
		}
		return e, nil
	})
}

var errClosed = errors.New("the program ends")

func (f *Fetcher) begin() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return errClosed
	case f.open == maxFlights:
		return errBusy
	}
	f.open++
	f.ended.Add(1)
	return nil
}

func (f *Fetcher) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
	f.ended.Done()
}

// fetch gets an item from its server, keeps it and remembers failures.
func (f *Fetcher) fetch(it item) (_ *entry, err error) {
	c := f.client.Load()
	ctx, cancel := context.WithTimeout(f.ctx, c.Timeout)
	defer cancel()
	defer func() {
		// Here ends the goroutine, and a mistake must not end the daemon.
		if p := recover(); p != nil {
			f.log.Error("panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &Error{Host: it.name(), Reason: "a mistake of ours"}
		}
	}()
	leave, err := f.slots.enter(ctx, it.host)
	if err != nil {
		return nil, &Error{Host: it.name(), Reason: err.Error()}
	}
	defer leave()
	old, now := f.cache.get(it, c.limit(it)), f.clock()
	if old.fresh(now) && !old.due(now) {
		return old, nil // who came a moment late
	}
	if e := f.failures.check(it, now); e != nil {
		return nil, e
	}
	e, err := f.renew(ctx, c, it, old)
	if err != nil {
		return nil, f.failed(it, explain(it.name(), err))
	}
	if f.failures.clear(it) {
		f.log.Info("fetched again", "host", it.host)
	}
	return e, nil
}

// renew asks the server. An older list never takes a newer one's place.
func (f *Fetcher) renew(ctx context.Context, c *client, it item, old *entry) (*entry, error) {
	if old != nil && old.doubted {
		old = nil // nothing of it counts: a forger chose its ETag too
	}
	a, err := f.ask(ctx, c, it, old)
	if err != nil {
		return nil, err
	}
	now := f.clock()
	if a.same {
		if !old.fresh(now) {
			return nil, &Error{Host: it.name(), Reason: "what it has was good until " + old.Until.UTC().Format(time.RFC3339) + " only"}
		}
		return f.cache.touch(it.key, old, now), nil
	}
	e, err := it.entry(a, now)
	if err != nil {
		return nil, err
	}
	if old != nil && e.before(old.validity) {
		return nil, &Error{Host: it.name(), Reason: "what it has is older than what came before"}
	}
	f.told(f.cache.put(it.key, e))
	return e, nil
}

// failed remembers a failure, and tells of the first in a row.
func (f *Fetcher) failed(it item, err *Error) *Error {
	if errors.Is(err.Err, context.Canceled) {
		return err // the program ends
	}
	if f.failures.note(it, err, f.clock()) {
		attrs := []any{"host", it.host, "reason", err.Reason}
		if err.Err != nil {
			attrs = append(attrs, "error", err.Err)
		}
		f.log.Warn("cannot fetch", attrs...)
	}
	return err
}

// told tells of files that cannot be written, once.
func (f *Fetcher) told(err error) {
	f.mu.Lock()
	first := err != nil && !f.deaf
	f.deaf = err != nil
	f.mu.Unlock()
	if first {
		f.log.Warn("cannot keep what was fetched", "error", err)
	}
}
