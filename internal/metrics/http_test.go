package metrics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailseal/milter"
)

func TestHandler(t *testing.T) {
	m, _ := whole(t, time.Now())
	h := m.Handler(slog.New(slog.DiscardHandler))
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/metrics", 200}, {"HEAD", "/metrics", 200}, {"GET", "/metrics?name[]=mailseal_panics_total", 200},
		{"GET", "/", 404}, {"GET", "/metrics/", 404}, {"GET", "//metrics", 404}, {"GET", "/debug/pprof/", 404}, {"GET", "/../metrics", 404},
		{"POST", "/metrics", 405}, {"PUT", "/metrics", 405}, {"OPTIONS", "/metrics", 405}, {"get", "/metrics", 405}, {"POST", "/x", 404},
	} {
		r := httptest.NewRequest(tt.method, "http://h/", strings.NewReader(""))
		path, query, _ := strings.Cut(tt.path, "?")
		r.URL.Path, r.URL.RawQuery = path, query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s %s: %d; want %d", tt.method, tt.path, w.Code, tt.status)
		}
		if told := strings.Contains(w.Body.String(), "mailseal_panics_total{socket=\"milter\"} 6\n"); told != (tt.status == 200) {
			t.Errorf("%s %s: %s", tt.method, tt.path, w.Body)
		}
		if allow := w.Header().Get("Allow"); (tt.status == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: Allow %q", tt.method, tt.path, allow)
		}
	}
}

// A collector that fails takes nothing else with it, and is told of.
func TestBrokenCollector(t *testing.T) {
	m, _ := whole(t, time.Now())
	m.registry.MustRegister(broken{})
	var log bytes.Buffer
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.NewTextHandler(&log, nil))).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "mailseal_panics_total{socket=\"milter\"} 6\n") || !strings.Contains(log.String(), "cannot count") {
		t.Errorf("%d, log %s", w.Code, &log)
	}
}

type broken struct{}

var brokenDesc = prometheus.NewDesc("broken", "x", nil, nil)

func (broken) Describe(c chan<- *prometheus.Desc) { c <- brokenDesc }

func (broken) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(brokenDesc, errors.New("cannot count"))
}

// served is a Server on a socket of its own, and how to connect to it.
func served(t *testing.T) (s *Server, path string, ended <-chan error) {
	t.Helper()
	m, _ := whole(t, time.Now())
	s = m.NewServer(slog.New(slog.DiscardHandler))
	path = filepath.Join(t.TempDir(), "m")
	ln, err := milter.Listen("unix:"+path, milter.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := make(chan error, 1)
	go func() { c <- s.Serve(ln) }()
	t.Cleanup(func() { s.Stop(context.Background()) })
	return s, path, c
}

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// What is no scrape, or a very large one, is answered and ended.
func TestServerBounds(t *testing.T) {
	_, path, _ := served(t)
	for name, tt := range map[string]struct{ request, want string }{
		"scrape":       {"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 "},
		"old scrape":   {"GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.0 200 "},
		"large header": {"GET /metrics HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 1<<16), "HTTP/1.1 431 "},
		"large target": {"GET /" + strings.Repeat("x", 1<<16), "HTTP/1.1 431 "},
		"general":      {"OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "},
		"proxy":        {"CONNECT example.test:25 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "},
		"smtp":         {"EHLO example.test\r\n\r\n", "HTTP/1.1 400 "},
	} {
		c := dial(t, path)
		go io.WriteString(c, tt.request) // the server may not take all of it
		b := make([]byte, len(tt.want))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != tt.want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, tt.want)
		}
		c.Close()
	}
}

// More connections than there may be wait; they end nobody else's.
func TestServerManyConnections(t *testing.T) {
	_, path, _ := served(t)
	var idle []net.Conn
	for range maxScrapers {
		idle = append(idle, dial(t, path))
	}
	late := dial(t, path)
	if _, err := io.WriteString(late, "GET /metrics HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for _, c := range idle {
		c.Close()
	}
	if b, err := io.ReadAll(late); err != nil || !strings.HasPrefix(string(b), "HTTP/1.0 200 ") {
		t.Errorf("%q, %v", b, err)
	}
}

// A Server that is stopped takes its socket along and cuts off who still talks.
func TestServerStop(t *testing.T) {
	s, path, ended := served(t)
	slow := dial(t, path)
	if _, err := io.WriteString(slow, "GET /metr"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Stop(ctx)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if b, _ := io.ReadAll(slow); len(b) > 0 {
		t.Errorf("%q", b)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(ln); err != nil {
		t.Errorf("Serve after Stop: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is not closed: %v", err)
	}
}

// A listener that breaks is an error, and not the end of the process.
func TestServeError(t *testing.T) {
	m, _ := whole(t, time.Now())
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "m"))
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := m.NewServer(slog.New(slog.DiscardHandler)).Serve(ln); err == nil || errors.Is(err, http.ErrServerClosed) {
		t.Errorf("%v", err)
	}
}
