// Package rig starts private MTAs, sinks and clients for tests: what it starts
// ends with the test, and the MTA's log is printed when the test failed.
//
// On a machine that lacks an MTA the test is skipped with the reason. With
// MAILSEAL_CI set, as .ci/run does, it fails: there everything is wanted.
package rig

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailseal/internal/mtarig"
)

// An MTA is a private instance of either kind.
type MTA interface {
	Dir() string
	Addr() string
	Hostname() string
	MilterSocket() string
	SetMilters(...mtarig.Milter)
	Start() error
	Stop() error
	Close() error
	Log() string
	WaitLog(pattern string, timeout time.Duration) (string, error)
	Queue() ([]mtarig.Entry, error)
	WaitQueue(ok func([]mtarig.Entry) bool, timeout time.Duration) ([]mtarig.Entry, error)
	Flush() error
}

var (
	_ MTA = (*mtarig.Postfix)(nil)
	_ MTA = (*mtarig.Sendmail)(nil)
)

// A Kind of MTA. Tests that hold for all range over Kinds.
type Kind string

const (
	Postfix  Kind = "postfix"
	Chrooted Kind = "postfix-chrooted" // smtpd and cleanup as Debian ships them
	Sendmail Kind = "sendmail"
)

// Kinds are the MTAs that mailseal is for.
func Kinds() []Kind { return []Kind{Postfix, Chrooted, Sendmail} }

// Prepare makes an instance that is not started yet, so that a milter can
// listen on its MilterSocket first. Tools is filled in.
func (k Kind) Prepare(t testing.TB, cfg mtarig.Config) MTA {
	t.Helper()
	cfg.Tools = Tools(t)
	var m MTA
	var err error
	switch k {
	case Sendmail:
		m, err = mtarig.NewSendmail(cfg)
	default:
		cfg.Chroot = k == Chrooted
		m, err = mtarig.NewPostfix(cfg)
	}
	Missing(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s (%s):\n%s", m.Hostname(), k, m.Log())
		}
		if err := m.Close(); err != nil {
			t.Errorf("close %s: %v", k, err)
		}
	})
	return m
}

// Start makes an instance and starts it.
func (k Kind) Start(t testing.TB, cfg mtarig.Config) MTA {
	t.Helper()
	m := k.Prepare(t, cfg)
	Start(t, m)
	return m
}

// Start starts a prepared instance.
func Start(t testing.TB, m MTA) {
	t.Helper()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
}

// NewSink starts a sink.
func NewSink(t testing.TB, cfg mtarig.SinkConfig) *mtarig.Sink {
	t.Helper()
	s, err := mtarig.NewSink(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close sink: %v", err)
		}
	})
	return s
}

// Dial opens an SMTP session and says EHLO.
func Dial(t testing.TB, addr string) *mtarig.Client {
	t.Helper()
	c, err := mtarig.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Hello("client.example.test"); err != nil {
		t.Fatal(err)
	}
	return c
}

// Tools finds the MTAs: MAILSEAL_MTA names the tree that test/tools.sh
// unpacked them into, by default build/mta in the repository.
func Tools(t testing.TB) mtarig.Tools {
	t.Helper()
	tree := os.Getenv("MAILSEAL_MTA")
	if tree == "" {
		tree = filepath.Join(Root(t), "build", "mta")
	}
	return mtarig.Find(tree)
}

// Root returns the repository's top folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod in this folder or above")
		}
		dir = up
	}
}

// Missing skips the test when err says that a tool is missing, and fails it
// where MAILSEAL_CI is set.
func Missing(t testing.TB, err error) {
	t.Helper()
	switch {
	case !errors.Is(err, mtarig.ErrMissing):
	case os.Getenv("MAILSEAL_CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}
