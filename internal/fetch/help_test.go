package fetch

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ocsp"

	"mailseal/internal/testlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when the tests' clock stands at first.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// patience is how long a test waits for what must happen.
const patience = time.Minute

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// on fetches everything, and waits as long as a busy machine needs.
func on() Settings {
	return Settings{CRL: true, OCSP: true, Timeout: patience, Wait: patience, MaxSize: 4 << 20, Allow: loopback}
}

// A bench is a Fetcher with a clock, and what it logs.
type bench struct {
	*Fetcher
	t     testing.TB
	clock *clock
	log   *testlog.Log
}

func newBench(t testing.TB, c Config) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{at: start}, log: new(testlog.Log)}
	c.Now, c.Log = b.clock.now, slog.New(slog.NewTextHandler(b.log, nil))
	b.Fetcher = New(c)
	t.Cleanup(b.Close)
	return b
}

// crl fetches a list that must come.
func (b *bench) crl(url string) []byte {
	b.t.Helper()
	der, err := b.CRL(context.Background(), url)
	if err != nil {
		b.t.Fatalf("%s: %v", url, err)
	}
	return der
}

// no is the reason why a list does not come.
func (b *bench) no(url string) string {
	b.t.Helper()
	der, err := b.CRL(context.Background(), url)
	if err == nil {
		b.t.Fatalf("%s: %d octets came", url, len(der))
	}
	return err.Error()
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// An origin is a web server whose answer can be changed.
type origin struct {
	*httptest.Server
	hits  atomic.Int64
	serve atomic.Pointer[http.HandlerFunc]
}

func newOrigin(t testing.TB) *origin {
	o := new(origin)
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.hits.Add(1)
	(*o.serve.Load())(w, r)
}

func (o *origin) will(h http.HandlerFunc) { o.serve.Store(&h) }

// has serves bytes.
func (o *origin) has(body []byte) {
	o.will(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
}

// authority signs everything here.
var authority = sync.OnceValues(func() (*x509.Certificate, crypto.Signer) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: start.AddDate(-1, 0, 0), NotAfter: start.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c, key
})

// list makes a CRL that was issued at an hour and lives for some.
func list(t testing.TB, number int64, issued, life int) []byte {
	t.Helper()
	ca, key := authority()
	from := start.Add(time.Duration(issued) * time.Hour)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(number), ThisUpdate: from, NextUpdate: from.Add(time.Duration(life) * time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: start}},
	}, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// reply makes an OCSP answer.
func reply(t testing.TB, from, until time.Time) []byte {
	t.Helper()
	ca, key := authority()
	der, err := ocsp.CreateResponse(ca, ca, ocsp.Response{Status: ocsp.Good, SerialNumber: big.NewInt(7), ThisUpdate: from, NextUpdate: until}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
