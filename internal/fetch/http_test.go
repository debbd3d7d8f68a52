package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailseal/internal/testlog"
)

// TestReplies: what servers answer, and what becomes of it.
func TestReplies(t *testing.T) {
	good := list(t, 1, 0, 24)
	o := newOrigin(t)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(make([]byte, 8<<20))
	z.Close()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); w.Write(good) }
	}
	body := func(b []byte) http.HandlerFunc { return func(w http.ResponseWriter, _ *http.Request) { w.Write(b) } }
	for _, tt := range []struct {
		name  string
		serve http.HandlerFunc
		want  string // "" for the list
	}{
		{"DER", body(good), ""},
		{"PEM", body(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good})), ""},
		{"chunked", func(w http.ResponseWriter, _ *http.Request) {
			w.Write(good[:9])
			w.(http.Flusher).Flush()
			w.Write(good[9:])
		}, ""},
		{"identity", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "identity")
			w.Write(good)
		}, ""},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			status(http.StatusFound)(w, r)
		}, "redirects are not followed"},
		{"not modified, unasked", status(http.StatusNotModified), "redirects are not followed"},
		{"no content", status(http.StatusNoContent), "HTTP status 204"},
		{"partial", status(http.StatusPartialContent), "HTTP status 206"},
		{"not found", status(http.StatusNotFound), "HTTP status 404"},
		{"down", status(http.StatusServiceUnavailable), "HTTP status 503"},
		{"empty", body(nil), "is empty"},
		{"junk", body([]byte("<html>It works!</html>")), "is no CRL"},
		{"PEM junk", body([]byte("-----BEGIN X509 CRL-----\n")), "is no CRL"},
		{"cut", body(good[:len(good)-9]), "is no CRL"},
		{"more behind it", body(append(bytes.Clone(good), 0)), "is no CRL"},
		{"fewer than told", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99999"); w.Write(good) }, "cannot be reached"},
		{"expired", body(list(t, 1, -48, 24)), "was good until 2026-02-28T12:00:00Z only"},
		{"of tomorrow", body(list(t, 1, 24, 48)), "is from the future"},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zipped.Bytes())
		}, "compressed"},
		{"larger than may be, told", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000000")
			w.Write(good)
		}, "sends more than 4194304 octets"},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			for junk := make([]byte, 1<<16); r.Context().Err() == nil; {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		}, "sends more than 4194304 octets"},
		{"endless header", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 1000 {
				w.Header().Add(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
			}
			w.Write(good)
		}, "cannot be reached"},
		{"falls silent", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "cannot be reached"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o.will(tt.serve)
			before := o.hits.Load()
			b := newBench(t, Config{Settings: on()})
			der, err := b.CRL(t.Context(), o.URL+"/ca.crl")
			if tt.want == "" && (err != nil || !bytes.Equal(der, good)) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%d octets, %v; want %q", len(der), err, tt.want)
			}
			// net/http asks again by itself when a connection ends at once.
			if n := o.hits.Load() - before; n != 1 {
				t.Errorf("asked %d times", n)
			}
			// Who asked knows all; a failure is told once, and its pause is kept.
			_, again := b.CRL(t.Context(), o.URL+"/ca.crl")
			if fmt.Sprint(again) != fmt.Sprint(err) || o.hits.Load()-before != 1 {
				t.Errorf("again: %v, want %v; asked %d times", again, err, o.hits.Load()-before)
			}
			if n := b.log.Count("\n"); err != nil && n != 1 || err == nil && n != 0 {
				t.Errorf("%d lines are logged:\n%s", n, b.log)
			}
		})
	}
}

// TestLargeLists: between smallBody and the limit, to the octet.
func TestLargeLists(t *testing.T) {
	o := newOrigin(t)
	for _, told := range []bool{true, false} {
		for size, want := range map[int]string{
			smallBody: "is no CRL", smallBody + 1: "is no CRL", 4 << 20: "is no CRL", 4<<20 + 1: "sends more than 4194304 octets",
		} {
			o.will(func(w http.ResponseWriter, _ *http.Request) {
				if told {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				}
				w.Write(make([]byte, size))
			})
			if got := newBench(t, Config{Settings: on()}).no(o.URL); !strings.Contains(got, want) {
				t.Errorf("%d octets, told %v: %s; want %s", size, told, got, want)
			}
		}
	}
}

// A server that sends an octet from time to time is given up.
func TestSlowServer(t *testing.T) {
	var standard testlog.Log
	log.SetOutput(&standard)
	defer log.SetOutput(os.Stderr)
	for name, first := range map[string]string{"body": "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "header": "HTTP/1.1 200 OK\r\nX: "} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				go io.Copy(io.Discard, conn)
				for _, err = io.WriteString(conn, first); err == nil; _, err = conn.Write([]byte{'x'}) {
					time.Sleep(10 * time.Millisecond)
				}
			}()
			defer func() { ln.Close(); <-done }()
			s := on()
			s.Timeout = 300 * time.Millisecond
			b := newBench(t, Config{Settings: s})
			if got := b.no("http://" + ln.Addr().String()); !strings.HasSuffix(got, "did not answer in time") {
				t.Error(got)
			}
		})
	}
	if s := standard.String(); s != "" {
		t.Errorf("net/http wrote to the standard log: %s", s)
	}
}

func TestTLS(t *testing.T) {
	good := list(t, 1, 0, 24)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(good) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	known := x509.NewCertPool()
	known.AddCert(s.Certificate())
	b := newBench(t, Config{Settings: on(), Roots: known})
	if got := b.crl(s.URL); !bytes.Equal(got, good) {
		t.Error("another list came")
	}
	b = newBench(t, Config{Settings: on(), Roots: x509.NewCertPool()})
	if got := b.no(s.URL); !strings.HasSuffix(got, "its TLS certificate is not good") {
		t.Error(got)
	}
	b = newBench(t, Config{Settings: on()})
	if got := b.no(strings.Replace(s.URL, "https:", "http:", 1)); !strings.HasSuffix(got, "answers with HTTP status 400") {
		t.Error(got)
	}
}

// The environment names no proxy of ours, and one that is configured gets all.
func TestProxy(t *testing.T) {
	good := list(t, 1, 0, 24)
	var asked atomic.Pointer[string]
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := r.URL.String()
		asked.Store(&u)
		w.Write(good)
	}))
	defer p.Close()
	t.Setenv("HTTP_PROXY", p.URL)
	t.Setenv("http_proxy", p.URL)
	s := on()
	s.Allow = nil
	none := nameServer(t, func(int64) []string { return nil })
	if got := newBench(t, Config{Settings: s, Resolver: none}).no("http://crl.example/a"); !strings.Contains(got, "no such host") {
		t.Error(got)
	}
	s.Proxy, _ = url.Parse(p.URL)
	b := newBench(t, Config{Settings: s, Resolver: none})
	b.crl("http://crl.example/a")
	if got := asked.Load(); got == nil || *got != "http://crl.example/a" {
		t.Errorf("the proxy was asked for %v", got)
	}
	if got := b.no("http://127.0.0.1/a"); !strings.Contains(got, "not one of the Internet") {
		t.Error(got)
	}
}

func TestRequest(t *testing.T) {
	type seen struct {
		method string
		header http.Header
		body   string
	}
	got := make(chan seen, 1)
	o := newOrigin(t)
	o.will(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method, r.Header, string(body)}
		w.Write(list(t, 1, 0, 24))
	})
	b := newBench(t, Config{Settings: on()})
	b.crl(o.URL + "/a#fragment")
	s := <-got
	if s.method != "GET" || s.body != "" || len(s.header) != 2 || s.header.Get("User-Agent") != "mailseal" || s.header.Get("Connection") != "close" {
		t.Errorf("%+v", s)
	}
	b.OCSP(t.Context(), o.URL, []byte("question"))
	s = <-got
	if s.method != "POST" || s.body != "question" || s.header.Get("Content-Type") != "application/ocsp-request" {
		t.Errorf("%+v", s)
	}
}

func TestOff(t *testing.T) {
	o := newOrigin(t)
	o.has(nil)
	b := newBench(t, Config{Settings: Settings{Allow: loopback}})
	if _, err := b.CRL(context.Background(), o.URL); err == nil || !strings.Contains(err.Error(), "is off") {
		t.Error(err)
	}
	if _, err := b.OCSP(context.Background(), o.URL, []byte("x")); err == nil || !strings.Contains(err.Error(), "is off") {
		t.Error(err)
	}
	b.Use(on())
	for _, request := range [][]byte{nil, {}, make([]byte, maxRequest+1)} {
		if _, err := b.OCSP(context.Background(), o.URL, request); err == nil || !strings.Contains(err.Error(), "is not sent") {
			t.Error(err)
		}
	}
	if n := o.hits.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}
