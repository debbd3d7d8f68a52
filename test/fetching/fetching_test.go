package fetching_test

import (
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mailseal/internal/verdict"
	"mailseal/test/daemon"
)

// TestCRL: a list is fetched once, by the daemon, and serves all mails, filter,
// and the next daemon too when the server has gone.
func TestCRL(t *testing.T) {
	w := newWorld(t)
	good, bad := w.issue(w.web.URL+"/ca.crl", ""), w.issue(w.web.URL+"/ca.crl", "")
	w.revoke(bad)
	pass, fail := letter(t, good), letter(t, bad)
	d := daemon.Start(t, w.settings())
	for range 2 {
		if got := deliver(t, d, pass); !strings.Contains(got, "smime=pass") || strings.Contains(got, "unknown") {
			t.Errorf("of who is good: %q", got)
		}
		if got := deliver(t, d, fail); !strings.Contains(got, "smime=fail") || !strings.Contains(got, "revoked") {
			t.Errorf("of who is revoked: %q", got)
		}
	}
	if n := w.hits.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	// What is known passes where all must be known.
	want(t, daemon.New(t, hard(w.settings())), pass, verdict.Pass, "good")
	before := kept(t, d)
	if len(before) != 1 {
		t.Fatalf("files %q", before)
	}
	w.web.Close()
	want(t, d, pass, verdict.Pass, "good")
	want(t, d, fail, verdict.Fail, "revoked")
	d.Stop()
	d.Start()
	if got := deliver(t, d, fail); !strings.Contains(got, "smime=fail") {
		t.Errorf("after a restart, without the server: %q", got)
	}
	if after := kept(t, d); !slices.Equal(before, after) {
		t.Errorf("files %q, want %q", after, before)
	}
}

// TestNoServer: nobody knows then, which softly changes nothing and is told. The
// mail of the moment is not held up by a server that hangs.
func TestNoServer(t *testing.T) {
	w := newWorld(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	ok(t, err)
	defer silent.Close()
	gone := letter(t, w.issue("http://127.0.0.1:1/ca.crl", ""))
	hangs := letter(t, w.issue("http://"+silent.Addr().String()+"/ca.crl", "http://"+silent.Addr().String()+"/ocsp"))
	elsewhere := letter(t, w.issue("http://127.0.0.9/ca.crl", ""))
	s := w.settings()
	s.SMIME[3] = `wait = "200ms"`
	d := daemon.Start(t, s)
	mark := d.Mark()
	for what, mail := range map[string][]byte{"gone": gone, "hangs": hangs, "not allowed": elsewhere} {
		if got := deliver(t, d, mail); !strings.Contains(got, "smime=pass") || !strings.Contains(got, "revocation status is unknown") {
			t.Errorf("%s: %q", what, got)
		}
		want(t, d, mail, verdict.Pass, "unknown")
	}
	if _, err := d.WaitLog(mark, `cannot fetch level=warn host=127\.0\.0\.1:1 `); err != nil {
		t.Error(err)
	}
	if n := len(kept(t, d)); n != 0 {
		t.Errorf("%d files", n)
	}
	want(t, daemon.New(t, hard(s)), gone, verdict.TempError, "unknown")
}

// hard are settings by which nothing passes whose revocation is unknown.
func hard(s daemon.Settings) daemon.Settings {
	s.SMIME = append([]string{`revocation = "hard"`}, s.SMIME...)
	return s
}

// TestOff: without the keys nobody is asked; with them, from the next reload on.
func TestOff(t *testing.T) {
	w := newWorld(t)
	id := w.issue(w.web.URL+"/ca.crl", "")
	w.revoke(id)
	mail := letter(t, id)
	s := w.settings()
	all := s.SMIME
	s.SMIME = nil
	d := daemon.Start(t, s)
	if got := deliver(t, d, mail); !strings.Contains(got, "smime=pass") {
		t.Errorf("off: %q", got)
	}
	want(t, d, mail, verdict.Pass, "unknown")
	if n := w.hits.Load(); n != 0 {
		t.Errorf("off, and the server was asked %d times", n)
	}
	s.SMIME = all
	d.Configure(s)
	mark := d.Mark()
	d.Signal(syscall.SIGHUP)
	if _, err := d.WaitLog(mark, `reloaded`); err != nil {
		t.Fatal(err)
	}
	if got := deliver(t, d, mail); !strings.Contains(got, "smime=fail") {
		t.Errorf("on: %q", got)
	}
}

// TestOCSP: with OpenSSL's responder.
func TestOCSP(t *testing.T) {
	w := newWorld(t)
	// The responder has to be there before its address can be in a certificate,
	// and knows serial numbers only.
	next := w.next
	url := w.responder(entry(w.issue("", ""), false) + entry(w.issue("", ""), true))
	w.next = next
	good, bad, stranger := letter(t, w.issue("", url)), letter(t, w.issue("", url)), letter(t, w.issue("", url))
	d := daemon.Start(t, w.settings())
	for range 2 {
		if got := deliver(t, d, good); !strings.Contains(got, "smime=pass") || strings.Contains(got, "unknown") {
			t.Errorf("of who is good: %q", got)
		}
		if got := deliver(t, d, bad); !strings.Contains(got, "smime=fail") {
			t.Errorf("of who is revoked: %q", got)
		}
	}
	want(t, d, good, verdict.Pass, "good")
	want(t, d, bad, verdict.Fail, "revoked")
	want(t, d, stranger, verdict.Pass, "unknown")
	if n := len(kept(t, d)); n != 2 {
		t.Errorf("%d files, want 2", n)
	}
}
