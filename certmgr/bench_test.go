package certmgr

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/command"
	"mailseal/certmgr/install"
	"mailseal/certmgr/notice"
	"mailseal/certmgr/probe"
	"mailseal/internal/pki"
	"mailseal/internal/testlog"
	"mailseal/internal/x509key"
)

// A server is one that reads its files when it is told, and serves what it has
// read.
type server struct {
	mu      sync.Mutex
	dir     string
	up      bool
	script  script
	leaf    *x509.Certificate // nil: no TLS
	first   *x509.Certificate
	reloads []time.Time
	reads   time.Time // when what was read is served
	next    *x509.Certificate
}

// A script is what a server does when it is told to read its files.
type script string

const (
	reads      script = "reads them"
	late       script = "reads them, and serves them 20 s later"
	fails      script = "the command fails"
	hangs      script = "the command hangs"
	deaf       script = "does nothing"
	picky      script = "switches TLS off with any but the first certificate"
	dies       script = "ends"
	plain      script = "has TLS switched off"
	complains  script = "reads them, and the command fails"
	unwatching script = "is asked by nobody"
)

func (s *server) reload(ctx context.Context, _ Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloads = append(s.reloads, time.Now())
	switch s.script {
	case fails:
		return errors.New("kill: no such process")
	case hangs:
		s.mu.Unlock()
		defer s.mu.Lock()
		select {
		case <-time.After(usualTime):
			return command.ErrTimeLimit
		case <-ctx.Done():
			return ctx.Err()
		}
	case deaf:
		return nil
	case dies:
		s.up = false
		return nil
	}
	s.next = s.read()
	if s.first == nil {
		s.first = s.next
	}
	s.reads = time.Now()
	switch {
	case s.script == late:
		s.reads = s.reads.Add(20 * time.Second)
	case s.script == plain, s.script == picky && !s.next.Equal(s.first):
		s.next = nil
	case s.script == complains:
		return errors.New("status 1")
	}
	return nil
}

// read is what the files hold, nil where key and certificate do not pair.
func (s *server) read() *x509.Certificate {
	cert, err := os.ReadFile(filepath.Join(s.dir, "host.cert"))
	if err != nil {
		return nil
	}
	key, err := os.ReadFile(filepath.Join(s.dir, "host.key"))
	if err != nil {
		return nil
	}
	id, err := pki.ParseIdentity(append(key, cert...), nil)
	if err != nil || !x509key.Pairs(id.Certificate, id.Key) {
		return nil
	}
	return id.Certificate
}

func (s *server) probe(_ context.Context, u probe.URL, w probe.Want) probe.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != s.leaf && !time.Now().Before(s.reads) {
		s.leaf = s.next
	}
	r := probe.Result{URL: u}
	fail := func(c probe.Cause) probe.Result {
		r.Err = &probe.Failure{Cause: c, Text: string(c)}
		return r
	}
	if !s.up {
		return fail(probe.Unreachable)
	}
	if s.leaf == nil {
		return fail(probe.NotOffered)
	}
	r.Offered, r.Version, r.Chain = true, "TLSv1.3", []*x509.Certificate{s.leaf}
	pool := x509.NewCertPool()
	for _, c := range w.CAs {
		pool.AddCert(c)
	}
	if w.Leaf != nil && !w.Leaf.Equal(s.leaf) {
		return fail(probe.OtherLeaf)
	}
	if _, err := s.leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: w.Host, CurrentTime: w.At}); err != nil {
		return fail(probe.Invalid)
	}
	return r
}

func (s *server) serving() *x509.Certificate {
	s.probe(context.Background(), probe.URL{}, probe.Want{})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaf
}

func (s *server) told() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reloads)
}

func (s *server) plays(to script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = to
}

// An authority is a CA that can be gone.
type authority struct {
	*ca.CA
	mu     sync.Mutex
	gone   bool
	issued int
}

func (a *authority) Issue(r ca.Request) (*ca.Issued, error) {
	a.mu.Lock()
	a.issued++
	a.mu.Unlock()
	return a.CA.Issue(r)
}

func (a *authority) connect(context.Context) (Authority, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone {
		return nil, errors.New("connection refused")
	}
	return a, nil
}

func (a *authority) go_(gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = gone
}

// A bench is a keeper of one sendmail, with its CA.
type bench struct {
	*server
	t       *testing.T
	ca      *authority
	config  Config
	target  *Target
	log     *testlog.Log
	watcher *watcher
	mailed  [][]notice.Notice
	mailing error
}

// A watcher is told by the test what has changed.
type watcher struct{ changed chan string }

func (w *watcher) Set(map[string][]string) {}
func (w *watcher) Changed() <-chan string  { return w.changed }
func (w *watcher) Close()                  {}

func newBench(t *testing.T) *bench {
	t.Helper()
	private, err := ca.Init(filepath.Join(t.TempDir(), "CA"), ca.InitOptions{Subject: ca.Subject{CommonName: "Test CA"}, Key: ca.P256, Unencrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := private.IssueCRL(ca.CRLOptions{}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "certs")
	layout, err := install.LayoutOf("sendmail", dir, install.Choices{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := probe.Parse("smtp://127.0.0.1:25")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, ca: &authority{CA: private}, log: &testlog.Log{}, server: &server{dir: dir, up: true, script: reads}, watcher: &watcher{make(chan string, 100)}}
	b.config = Config{
		Targets: []Target{{
			Target: install.Target{Name: "sendmail", Hosts: []string{"mx.example.jp"}, Layout: layout},
			Server: "sendmail", Reload: "hup", Probes: []probe.URL{u}, Key: ca.P256,
		}},
		Connect: b.ca.connect, State: filepath.Join(t.TempDir(), "state"), Log: slog.New(slog.NewTextHandler(b.log, nil)),
		Reload: b.server.reload, Probe: b.server.probe, Watch: func() Watcher { return b.watcher },
		Connects: func(context.Context, probe.URL) bool { return true },
		Notify: func(_ context.Context, ns []notice.Notice) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.mailing == nil {
				b.mailed = append(b.mailed, ns)
			}
			return b.mailing
		},
	}
	b.target = &b.config.Targets[0]
	return b
}

func (b *bench) keeper() *Keeper {
	b.t.Helper()
	k, err := New(b.config)
	if err != nil {
		b.t.Fatal(err)
	}
	return k
}

func (b *bench) once() Report {
	b.t.Helper()
	reports, err := b.keeper().Once(b.t.Context())
	if len(reports) != 1 || fmt.Sprint(err) != fmt.Sprint(reports[0].Err) && reports[0].Err != nil {
		b.t.Fatalf("%v: %v", reports, err)
	}
	return reports[0]
}

// right puts all right, and wants it to be served.
func (b *bench) right() *x509.Certificate {
	b.t.Helper()
	if r := b.once(); r.Err != nil || b.serving() == nil || !b.serving().Equal(b.read()) {
		b.t.Fatalf("%v: %v, on the disk %v\n%s", r.Err, b.serving(), b.read(), b.log)
	}
	return b.read()
}

// another host makes a new certificate needed.
func (b *bench) another() {
	b.target.Hosts = append(b.target.Hosts[:len(b.target.Hosts):len(b.target.Hosts)], fmt.Sprintf("mx%d.example.jp", len(b.target.Hosts)))
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) do(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) mails() [][]notice.Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([][]notice.Notice(nil), b.mailed...)
}
