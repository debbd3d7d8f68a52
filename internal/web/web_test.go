package web

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/edition"
)

func TestMain(m *testing.M) {
	// A connection that ends early is held open for half a second, by itself.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// A mirror is a Site of a CA with three certificates: good, revoked, and one
// that has no answer.
type mirror struct {
	*Site
	ca                    *ca.CA
	good, revoked, silent *x509.Certificate
	clock                 time.Time
	log                   bytes.Buffer
}

func newMirror(t testing.TB) *mirror {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "CA")
	c, err := ca.Init(dir, ca.InitOptions{
		Subject: ca.Subject{Organization: "Test", CommonName: "Test CA"}, Key: ca.P256, Unencrypted: true,
		Settings: ca.Settings{URL: "http://ca.example.test/pki", Serials: ca.RandomSerials, CRLDays: 30},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &mirror{ca: c, clock: time.Now()}
	issue := func() *x509.Certificate {
		i, err := c.Issue(ca.Request{Profile: ca.Host, Hosts: []string{"mx.example.test"}, Key: ca.P256})
		if err != nil {
			t.Fatal(err)
		}
		return i.Certificate
	}
	m.good, m.revoked = issue(), issue()
	if _, err := c.Revoke(ca.Revocation{Serial: serialText(m.revoked.SerialNumber), Reason: ca.KeyCompromise}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.IssueCRL(ca.CRLOptions{}); err != nil {
		t.Fatal(err)
	}
	press := edition.NewPress(nil)
	if _, err := press.Renew(t.Context(), c, c.Certificate().Raw); err != nil {
		t.Fatal(err)
	}
	m.silent = issue()
	m.Site = New(Config{Source: pressed{press}, Log: slog.New(slog.NewTextHandler(&m.log, nil)), Now: func() time.Time { return m.clock }})
	return m
}

type pressed struct{ *edition.Press }

func (p pressed) Edition(ctx context.Context, m edition.Mark) (*edition.Edition, error) {
	return p.Since(ctx, m), nil
}

func (m *mirror) ask(method, path string, body []byte, header ...string) *http.Response {
	r := httptest.NewRequest(method, "http://ca.example.test"+path, bytes.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Result()
}

func content(t testing.TB, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFiles: list and certificate, their types, how long they are good, and
// that who has them is told so.
func TestFiles(t *testing.T) {
	m := newMirror(t)
	if r := m.ask("GET", "/ca.crl", nil); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("before there is anything: %d", r.StatusCode)
	}
	if err := m.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := m.ca.CRL()
	if err != nil {
		t.Fatal(err)
	}
	cert := m.ca.Certificate().Raw
	inPEM := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	for path, want := range map[string]struct {
		kind    string
		body    []byte
		expires bool
	}{
		"/ca.crl":     {"application/pkix-crl", list.DER, true},
		"/pki/ca.crl": {"application/pkix-crl", list.DER, true},
		"/ca.crl.pem": {"application/x-pem-file", inPEM("X509 CRL", list.DER), true},
		"/ca.cer":     {"application/pkix-cert", cert, false},
		"/pki/ca.pem": {"application/x-pem-file", inPEM("CERTIFICATE", cert), false},
	} {
		r := m.ask("GET", path, nil)
		if got := content(t, r); r.StatusCode != 200 || !bytes.Equal(got, want.body) || r.Header.Get("Content-Type") != want.kind {
			t.Errorf("%s: %d, %s, %d bytes", path, r.StatusCode, r.Header.Get("Content-Type"), len(got))
		}
		if r.Header.Get("Cache-Control") != "max-age=3600, public, no-transform, must-revalidate" || (r.Header.Get("Expires") != "") != want.expires ||
			want.expires && r.Header.Get("Expires") != list.NextUpdate.UTC().Format(http.TimeFormat) {
			t.Errorf("%s: %v", path, r.Header)
		}
		if again := m.ask("GET", path, nil, "If-None-Match", r.Header.Get("ETag")); again.StatusCode != 304 || len(content(t, again)) > 0 {
			t.Errorf("%s: not modified: %d", path, again.StatusCode)
		}
		head := m.ask("HEAD", path, nil)
		if head.StatusCode != 200 || len(content(t, head)) > 0 || head.Header.Get("Content-Length") != r.Header.Get("Content-Length") {
			t.Errorf("%s: HEAD %d, %v", path, head.StatusCode, head.Header)
		}
	}
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"POST", "/ca.crl", 405}, {"DELETE", "/ca.cer", 405}, {"GET", "/", 404}, {"GET", "/ca.key", 404}, {"GET", "/pki", 404},
		{"GET", "/../ca.crl", 404}, {"GET", "/ca.crl/", 404}, {"GET", "/v1/list", 404}, {"GET", "/ocsp", 405}, {"PUT", "/ocsp", 405}, {"POST", "/ocsp/x", 405},
	} {
		if r := m.ask(tt.method, tt.path, nil); r.StatusCode != tt.status || (tt.status == 405) != (r.Header.Get("Allow") != "") {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, r.StatusCode, tt.status)
		}
	}
	// What ends is not shown longer than it is good, nor for an hour at its end.
	m.clock = list.NextUpdate.Add(-time.Minute)
	if r := m.ask("GET", "/ca.crl", nil); r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Cache-Control"), "max-age=60,") {
		t.Errorf("at the end: %d, %v", r.StatusCode, r.Header)
	}
	m.clock = list.NextUpdate
	if r := m.ask("GET", "/ca.crl", nil); r.StatusCode != 503 {
		t.Errorf("a list that has ended: %d", r.StatusCode)
	}
	if r := m.ask("GET", "/ca.cer", nil); r.StatusCode != 200 {
		t.Errorf("the certificate: %d", r.StatusCode)
	}
}

// A sourceFunc is a Source.
type sourceFunc func(context.Context, edition.Mark) (*edition.Edition, error)

func (f sourceFunc) Edition(ctx context.Context, m edition.Mark) (*edition.Edition, error) {
	return f(ctx, m)
}

// TestFollow: what there is stays while the source is gone, what is new comes
// when it is back, and the log tells both once.
func TestFollow(t *testing.T) {
	cert := newMirror(t).ca.Certificate().Raw
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var gone atomic.Bool
		var asked, number, ready atomic.Int64
		number.Store(1)
		s := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Ready: func() { ready.Add(1) }, Source: sourceFunc(func(ctx context.Context, m edition.Mark) (*edition.Edition, error) {
			asked.Add(1)
			n := uint64(number.Load())
			if gone.Load() {
				return nil, errors.New("gone")
			}
			if m.Number == n {
				time.Sleep(25 * time.Second)
			}
			return &edition.Edition{Mark: edition.Mark{Press: "p", Number: n}, Certificate: cert, List: &edition.List{NextUpdate: time.Now().Add(time.Hour), DER: []byte{byte(n)}}}, nil
		})})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Follow(ctx); close(ended) }()
		synctest.Wait()
		has := func(want byte) {
			t.Helper()
			s.mu.RLock()
			defer s.mu.RUnlock()
			if s.list == nil || s.list.DER[0] != want {
				t.Errorf("%+v, want list %d", s.list, want)
			}
		}
		has(1)
		gone.Store(true)
		asked.Store(0)
		time.Sleep(10 * time.Minute)
		has(1)
		if n := asked.Load(); n < 15 || n > 40 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		gone.Store(false)
		number.Store(2)
		time.Sleep(time.Minute)
		has(2)
		cancel()
		<-ended
		if n := strings.Count(log.String(), "nothing new from certmgr"); n != 1 || strings.Count(log.String(), "certmgr answers again") != 1 || ready.Load() != 1 {
			t.Errorf("told %d times, ready %d times:\n%s", n, ready.Load(), &log)
		}
	})
}

// TestMerge: an edition that is whole takes the place of what was there, what
// has ended goes, and a broken one changes nothing.
func TestMerge(t *testing.T) {
	m := newMirror(t)
	if err := m.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	cert := m.ca.Certificate().Raw
	had := len(m.answers)
	m.source = sourceFunc(func(context.Context, edition.Mark) (*edition.Edition, error) {
		return &edition.Edition{Mark: edition.Mark{Press: "x", Number: 1}, Certificate: []byte("broken")}, nil
	})
	if err := m.take(t.Context()); err == nil || len(m.answers) != had || !bytes.Equal(m.cert.Raw, cert) {
		t.Errorf("%v, %d answers", err, len(m.answers))
	}
	next := &edition.Edition{Mark: edition.Mark{Press: "x", Number: 1}, Certificate: cert, Answers: []edition.Answer{{Serial: "FF", NextUpdate: m.clock.Add(time.Hour)}}}
	m.source = sourceFunc(func(context.Context, edition.Mark) (*edition.Edition, error) { return next, nil })
	if err := m.take(t.Context()); err != nil || len(m.answers) != had+1 || m.list == nil {
		t.Errorf("%v, %d answers", err, len(m.answers))
	}
	m.clock = m.clock.AddDate(1, 0, 0)
	next = &edition.Edition{Mark: edition.Mark{Press: "x", Number: 2}, Certificate: cert}
	if err := m.take(t.Context()); err != nil || len(m.answers) != 0 || m.list == nil {
		t.Errorf("%v, %d answers", err, len(m.answers))
	}
	next = &edition.Edition{Mark: edition.Mark{Press: "y", Number: 1}, Certificate: cert, Whole: true}
	if err := m.take(t.Context()); err != nil || m.list != nil {
		t.Errorf("%v, %+v", err, m.list)
	}
}

// TestBounds: what is no request of ours, or a very large one, is answered and
// ended.
func TestBounds(t *testing.T) {
	m := newMirror(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ln) }()
	for request, want := range map[string]string{
		"GET /ca.cer HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 1<<16):            "HTTP/1.1 431 ",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                     "HTTP/1.1 404 ",
		"CONNECT example.test:25 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":       "HTTP/1.1 404 ",
		"EHLO example.test\r\n\r\n":                                                      "HTTP/1.1 400 ",
		"GET /ca.cer HTTP/1.0\r\n\r\n":                                                   "HTTP/1.0 503 ",
		"POST /ocsp HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n" + pad(5000): "HTTP/1.1 200 ",
	} {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(c, request) // the server may not take all of it
		b := make([]byte, len(want))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
			t.Errorf("%.20q: %q, %v; want %q", request, b, err, want)
		}
		c.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.Stop(ctx)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func pad(n int) string { return strings.Repeat("x", n) }

// TestMadeOnce: what a stranger asks for costs no copy of a long list.
func TestMadeOnce(t *testing.T) {
	const long = 4 << 20
	s := New(Config{Log: slog.New(slog.DiscardHandler), Source: sourceFunc(func(context.Context, edition.Mark) (*edition.Edition, error) {
		return &edition.Edition{Mark: edition.Mark{Number: 1}, List: &edition.List{NextUpdate: time.Now().Add(time.Hour), DER: make([]byte, long)}}, nil
	})})
	if err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := &mirror{Site: s}
	for _, path := range []string{"/ca.crl", "/ca.crl.pem"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := m.ask("HEAD", path, nil)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; r.StatusCode != 200 || r.ContentLength < long || got > long/2 {
			t.Errorf("%s: %d, %d bytes, made of %d", path, r.StatusCode, r.ContentLength, got)
		}
	}
}
