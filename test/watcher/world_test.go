// Package watcher_test runs `mailseal certmgr` beside live servers, breaks what
// it watches, one thing at a time, while clients that check certificates hold
// sessions, and looks whether all is right again and nobody was turned away.
package watcher_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailseal/internal/pki"
	"mailseal/test/daemon"
)

// hosts are the names of every server.
var hosts = []string{"mta.example.test", "mail.example.test"}

// slow skips a test that takes long.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("MAILSEAL_SLOW") == "" {
		t.Skip("slow: make check runs it")
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A world is a CA, a certmgr, and the servers that it is for.
type world struct {
	t       *testing.T
	dir     string // root's, and servers of other users get into it
	certmgr *daemon.Certmgr
	servers []*server
	names   []string        // of every server
	remote  bool            // the CA is behind the socket of another certmgr
	client  tls.Certificate // what clients of SMTP show
	roots   *x509.CertPool
}

// newWorld makes a CA and has certmgr put the files of servers right, and starts
// nothing.
func newWorld(t *testing.T, under []string, prepare ...func(*world) *server) *world {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ms-watcher-")
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ok(t, os.Chmod(dir, 0o755))
	w := &world{t: t, dir: dir, names: hosts, roots: x509.NewCertPool()}
	w.ca("init", "-subject", "/O=Watcher/CN=Watcher CA", "-no-passphrase", "-yes", "-key", "p256")
	w.roots.AddCert(w.authority())
	w.client = w.issue("client", "-profile", "client", "-cn", "client.example.test")
	for _, p := range prepare {
		w.servers = append(w.servers, p(w))
	}
	w.certmgr = daemon.NewCertmgr(t, dir, w.config(), under...)
	return w
}

func (w *world) path(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

// config is the configuration of certmgr. No other socket is asked.
func (w *world) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[ca]\nsocket = %q\n", "unix:"+w.path("certmgr.sock"))
	if !w.remote {
		fmt.Fprintf(&b, "dir = %q\nweb_user = \"\"\n", w.path("CA"))
	}
	fmt.Fprintf(&b, "[certmgr]\nstate = %q\n", w.path("state"))
	for _, s := range w.servers {
		fmt.Fprintf(&b, "[[target]]\nname = %q\nserver = %q\nhosts = [%s]\ndir = %q\n", s.name, s.kind, quoted(w.names), s.dir)
		for _, k := range slices.Sorted(maps.Keys(s.settings)) {
			if v := s.settings[k]; k == "probe" {
				fmt.Fprintf(&b, "%s = [%s]\n", k, quoted(v))
			} else {
				fmt.Fprintf(&b, "%s = %s\n", k, quoted(v))
			}
		}
	}
	return b.String()
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, word := range words {
		q[i] = strconv.Quote(word)
	}
	return strings.Join(q, ", ")
}

// configure has certmgr read its configuration again, after a change of it.
func (w *world) configure() {
	w.t.Helper()
	mark := w.certmgr.Mark()
	w.certmgr.Configure(w.config())
	w.certmgr.Signal(syscall.SIGHUP)
	_, err := w.certmgr.WaitLog(mark, ": reloaded ")
	ok(w.t, err)
}

// rename wants certificates with another name besides, so that there have to be
// new ones although nothing is wrong with the old.
func (w *world) rename(name string) {
	w.t.Helper()
	w.names = append(slices.Clone(hosts), name)
	w.configure()
}

// once has certmgr put all right that it can while no server runs.
func (w *world) once() (stdout, stderr string, status int) {
	w.t.Helper()
	return daemon.Run(w.t, nil, "certmgr", "-config", w.certmgr.File(), "-once")
}

// start has all files made, and starts the servers, then certmgr, then clients.
func (w *world) start() {
	w.t.Helper()
	begin := time.Now()
	out, errs, status := w.once()
	w.t.Logf("certmgr -once while no server runs: status %d after %v", status, time.Since(begin).Round(time.Millisecond))
	if status != 0 {
		w.t.Fatalf("%s%s", out, errs)
	}
	for _, s := range w.servers {
		ok(w.t, s.mta.Start())
	}
	w.certmgr.Start()
	for _, s := range w.servers {
		soon(w.t, time.Now(), s.name+", the first files", s.sound)
		soon(w.t, time.Now(), s.name+", the proof", s.proven)
		s.clients = startClients(2, s.session)
		w.t.Cleanup(func() { s.clients.end() })
	}
}

// proven waits for certmgr to have seen what the server serves since it was last
// told to read its files: before that the pass is not over.
func (s *server) proven() error {
	for _, l := range slices.Backward(s.w.certmgr.Lines(0, "target="+s.name+" ")) {
		if strings.Contains(l, "verify=OK") {
			return nil
		}
		if strings.Contains(l, "reloaded server") {
			break
		}
	}
	return notYet("certmgr has not seen the server since it was told")
}

// ca runs a command of mailseal ca on the CA's folder.
func (w *world) ca(command string, args ...string) string {
	w.t.Helper()
	return w.run(append([]string{"ca", command, "-dir", w.path("CA")}, args...)...)
}

func (w *world) run(args ...string) string {
	w.t.Helper()
	out, errs, status := daemon.Run(w.t, nil, args...)
	if status != 0 {
		w.t.Fatalf("mailseal %s: status %d\n%s%s", strings.Join(args, " "), status, out, errs)
	}
	return out
}

// issue has the CA issue a certificate.
func (w *world) issue(name string, args ...string) tls.Certificate {
	w.t.Helper()
	base := w.path(name)
	w.ca("issue", append(args, "-key", "p256", "-yes", "-replace", "-out", base)...)
	c, err := tls.LoadX509KeyPair(base+".crt", base+".key")
	ok(w.t, err)
	return c
}

// authority is the CA's present certificate.
func (w *world) authority() *x509.Certificate {
	certs, err := pki.ReadCertificates(w.path("CA", "cacert.pem"))
	ok(w.t, err)
	return certs[0]
}

// key is the CA's own, for certificates that it would not issue.
func (w *world) key() crypto.Signer {
	b, err := os.ReadFile(w.path("CA", "private", "cakey.pem"))
	ok(w.t, err)
	k, err := pki.ParseKey(b, nil)
	ok(w.t, err)
	return k.(crypto.Signer)
}

// list is the CA's present list.
func (w *world) list() []byte {
	b, err := os.ReadFile(w.path("CA", "crl.der"))
	ok(w.t, err)
	return b
}

// checking is a client that checks a server's certificate by a name.
func (w *world) checking(name string) *tls.Config {
	return &tls.Config{RootCAs: w.roots, ServerName: name, Certificates: []tls.Certificate{w.client}}
}

// errNotYet is what is wrong with a server for the time being.
var errNotYet = errors.New("not yet")

func notYet(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errNotYet, fmt.Sprintf(format, args...))
}

// await waits until something is right, and returns how long that took from begin.
func await(begin time.Time, right func() error) (time.Duration, error) {
	for {
		err := right()
		took := time.Since(begin)
		if err == nil {
			return took, nil
		}
		if took > daemon.Patience {
			return took, fmt.Errorf("still wrong after %v: %w", daemon.Patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// soon is await for the test's own goroutine.
func soon(t *testing.T, begin time.Time, what string, right func() error) time.Duration {
	t.Helper()
	took, err := await(begin, right)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return took
}

// same reports whether a file holds something.
func same(path string, want []byte) bool {
	b, err := os.ReadFile(path)
	return err == nil && bytes.Equal(b, want)
}
