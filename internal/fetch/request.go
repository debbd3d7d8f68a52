package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	maxHeader    = 16 << 10  // octets of a reply's header
	maxOCSP      = 256 << 10 // octets of an OCSP answer; with the chain of a post-quantum CA it has some 30
	maxRequest   = 16 << 10  // octets of an OCSP request
	maxValidator = 256       // octets of an ETag
	// Larger bodies are read one after the other, so that memory is bounded by
	// one of them.
	smallBody = 1 << 20
)

// A client is Settings with what is built from them.
type client struct {
	Settings
	http *http.Client
}

// newClient builds a client that does no more than it is told: no redirects, no
// cookies, no compression, no proxy from the environment, no connection that
// stays open.
func newClient(s Settings, resolver *net.Resolver, roots *x509.CertPool) *client {
	c := &client{Settings: s}
	guarded := &net.Dialer{Timeout: s.Timeout, Resolver: resolver, ControlContext: control(s.Allow)}
	plain := &net.Dialer{Timeout: s.Timeout, Resolver: resolver}
	t := &http.Transport{
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialer := guarded
			if s.Proxy != nil && addr == hostPort(s.Proxy) {
				dialer = plain
			}
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &polite{Conn: conn, spoke: make(chan struct{})}, nil
		},
	}
	if s.Proxy != nil {
		t.Proxy = http.ProxyURL(s.Proxy)
	}
	c.http = &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// A polite connection hears nothing before we have spoken: net/http would tell the
// process's standard log of a server that answers unasked, in its words.
type polite struct {
	net.Conn
	once  sync.Once
	spoke chan struct{}
}

func (p *polite) Read(b []byte) (int, error) {
	<-p.spoke
	return p.Conn.Read(b)
}

func (p *polite) Write(b []byte) (int, error) {
	p.once.Do(func() { close(p.spoke) })
	return p.Conn.Write(b)
}

func (p *polite) Close() error {
	p.once.Do(func() { close(p.spoke) })
	return p.Conn.Close()
}

// limit is how large an answer may be.
func (c *client) limit(it item) int64 {
	if it.request != nil {
		return min(maxOCSP, c.MaxSize)
	}
	return c.MaxSize
}

// An answer is a reply of HTTP that is good.
type answer struct {
	same           bool // what we have is still what there is (304)
	body           []byte
	etag, modified string
}

// ask sends one request. What old has of a CRL need not come again.
func (f *Fetcher) ask(ctx context.Context, c *client, it item, old *entry) (*answer, error) {
	req, err := newRequest(ctx, it, old)
	if err != nil {
		return nil, &Error{Host: it.name(), Reason: "its URL is malformed", Err: err}
	}
	reply, err := c.http.Do(req)
	if err != nil {
		if u := new(url.Error); errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return nil, explain(it.name(), err)
	}
	defer reply.Body.Close()
	if err := judge(reply, it, old); err != nil {
		return nil, err
	}
	a := &answer{etag: validator(reply, "ETag"), modified: validator(reply, "Last-Modified")}
	if reply.StatusCode == http.StatusNotModified {
		a.same = true
		return a, nil
	}
	a.body, err = f.read(ctx, reply, c.limit(it))
	if err != nil {
		return nil, explain(it.name(), err)
	}
	if len(a.body) == 0 {
		return nil, &Error{Host: it.name(), Reason: "what came is empty"}
	}
	a.body = undressed(a.body)
	return a, nil
}

func newRequest(ctx context.Context, it item, old *entry) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if it.request != nil {
		method, body = http.MethodPost, bytes.NewReader(it.request) // RFC 6960 appendix A.1
	}
	req, err := http.NewRequestWithContext(ctx, method, it.url.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "mailseal")
	switch {
	case it.request != nil:
		req.Header.Set("Content-Type", "application/ocsp-request")
		req.Header.Set("Accept", "application/ocsp-response")
	case old != nil && old.ETag != "":
		req.Header.Set("If-None-Match", old.ETag)
	case old != nil && old.Modified != "":
		req.Header.Set("If-Modified-Since", old.Modified)
	}
	return req, nil
}

// judge refuses replies that are no answer.
func judge(reply *http.Response, it item, old *entry) error {
	e := &Error{Host: it.name()}
	switch code := reply.StatusCode; {
	case code == http.StatusNotModified && old != nil && it.request == nil:
		return nil
	case code >= 300 && code < 400:
		e.Reason = "leads elsewhere, and redirects are not followed"
	case code != http.StatusOK:
		e.Reason = fmt.Sprintf("answers with HTTP status %d", code)
		if code >= 500 || code == http.StatusTooManyRequests {
			e.reach = oneURL
		}
	case reply.Header.Get("Content-Encoding") != "" && reply.Header.Get("Content-Encoding") != "identity":
		e.Reason = "sends it compressed, which nobody asked for"
	default:
		return nil
	}
	return e
}

// validator is what may be sent back to be told whether there is anything new.
func validator(reply *http.Response, name string) string {
	if s := reply.Header.Get(name); len(s) <= maxValidator {
		return s
	}
	return ""
}

// errSize is that of a body over the limit.
var errSize = errors.New("larger than [fetch] max_size")

// read reads a body, up to a limit.
func (f *Fetcher) read(ctx context.Context, reply *http.Response, limit int64) ([]byte, error) {
	tooLarge := &Error{Host: reply.Request.URL.Hostname(), Reason: fmt.Sprintf("sends more than %d octets", limit), Err: errSize}
	if reply.ContentLength > limit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(reply.Body, min(limit, smallBody)+1))
	if err != nil || int64(len(body)) <= min(limit, smallBody) {
		return body, err
	}
	if int64(len(body)) > limit {
		return nil, tooLarge
	}
	select {
	case f.large <- struct{}{}:
		defer func() { <-f.large }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	rest := bytes.NewBuffer(body)
	if n := reply.ContentLength; n > 0 {
		rest.Grow(int(n) - len(body))
	}
	_, err = io.Copy(rest, io.LimitReader(reply.Body, limit+1-int64(len(body))))
	if err == nil && int64(rest.Len()) > limit {
		err = tooLarge
	}
	return rest.Bytes(), err
}

// entry makes one of an answer, or says why it is of no use.
func (it item) entry(a *answer, now time.Time) (*entry, error) {
	read, short := crlValidity, time.Hour
	if it.request != nil {
		read, short = ocspValidity, time.Minute
	}
	v, err := read(a.body)
	if err != nil {
		return nil, &Error{Host: it.name(), Reason: err.Error()}
	}
	if v.Until.IsZero() {
		v.Until = now.Add(short) // there may be something new at any time
	}
	switch {
	case !v.Until.After(now):
		return nil, &Error{Host: it.name(), Reason: "what it has was good until " + v.Until.UTC().Format(time.RFC3339) + " only"}
	case v.From.After(now.Add(maxSkew)):
		return nil, &Error{Host: it.name(), Reason: "what it has is from the future: " + v.From.UTC().Format(time.RFC3339)}
	}
	return &entry{head: head{validity: v, URL: it.url.String(), ETag: a.etag, Modified: a.modified}, body: a.body, checked: now}, nil
}
