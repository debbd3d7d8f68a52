package control

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/edition"
)

// serve serves on a socket, and returns its path.
func (r *rig) serve() string {
	r.t.Helper()
	dir, err := os.MkdirTemp("", "control") // a socket's path is short
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.server.Serve(ln) }()
	r.t.Cleanup(func() {
		r.server.Stop(context.Background())
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
	return path
}

// TestClient: over the socket everything is as it is in the folder.
func TestClient(t *testing.T) {
	r := newRig(t)
	r.server.own = os.Geteuid()
	path := r.serve()
	c, err := Connect(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !c.Certificate().Equal(r.ca.Certificate()) || len(c.Chain()) != 1 {
		t.Error("another CA")
	}
	request := ca.Request{Profile: ca.User, Emails: []string{"bob@example.test"}, Key: ca.P384, Memo: "日本", Days: 30}
	want, err := r.ca.Preview(request)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Preview(request)
	if err != nil || got.Subject != want.Subject || got.Profile != ca.User || !cmp.Equal(got.Names, want.Names) || got.Days != want.Days {
		t.Errorf("%+v, want %+v: %v", got, want, err)
	}
	i, err := c.Issue(request)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := i.Key.(*ecdsa.PrivateKey); !ok || !k.PublicKey.Equal(i.Certificate.PublicKey) || i.Certificate.CheckSignatureFrom(r.ca.Certificate()) != nil {
		t.Error("no key, or no certificate of the CA")
	}
	renewed, err := c.Renew(ca.Renewal{Serial: i.Serial(), SameKey: true})
	if err != nil || renewed.Key != nil {
		t.Fatalf("renew: %v, %v", renewed, err)
	}
	if record, err := c.Revoke(ca.Revocation{Serial: i.Serial(), Reason: ca.KeyCompromise, Since: i.Certificate.NotBefore}); err != nil || record.Reason != "keyCompromise" {
		t.Errorf("revoke: %+v, %v", record, err)
	}
	r.sameRecords(c, i.Serial())
	r.sameCRL(c)
	for what, err := range map[string]error{
		"twice":   second(c.Revoke(ca.Revocation{Serial: i.Serial()})),
		"refused": second(c.Issue(ca.Request{Profile: ca.Host, Hosts: []string{"a b"}})),
	} {
		if !errors.Is(err, ca.ErrRefused) || errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.Show("1234"); !errors.Is(err, ca.ErrNotFound) {
		t.Errorf("show: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func (r *rig) sameRecords(c *Client, serial string) {
	r.t.Helper()
	q := ca.Query{Details: true, Sort: ca.BySerial, Reverse: true, Text: "BOB", Profile: ca.User}
	want, err := r.ca.List(q)
	if err != nil {
		r.t.Fatal(err)
	}
	got, err := c.List(q)
	if d := cmp.Diff(want, got); err != nil || d != "" || len(got) != 2 {
		r.t.Errorf("list: %v\n%s", err, d)
	}
	shown, err := c.Show(serial)
	wantShown, werr := r.ca.Show(serial)
	if d := cmp.Diff(wantShown.Record, shown.Record); err != nil || werr != nil || d != "" || !shown.Certificate.Equal(wantShown.Certificate) {
		r.t.Errorf("show: %v, %v\n%s", err, werr, d)
	}
	summary, err := c.Summary()
	wantSummary, werr := r.ca.Summary()
	if d := cmp.Diff(wantSummary, summary); err != nil || werr != nil || d != "" {
		r.t.Errorf("summary: %v, %v\n%s", err, werr, d)
	}
}

func (r *rig) sameCRL(c *Client) {
	r.t.Helper()
	if _, err := c.CRL(); !errors.Is(err, ca.ErrNotFound) {
		r.t.Errorf("no list: %v", err)
	}
	l, err := c.RenewCRL("")
	if err != nil || l == nil || l.Revoked != 1 {
		r.t.Fatalf("%+v, %v", l, err)
	}
	if again, err := c.RenewCRL(""); err != nil || again != nil {
		r.t.Errorf("a second list: %+v, %v", again, err)
	}
	if l, err = c.IssueCRL(ca.CRLOptions{Days: 3}); err != nil {
		r.t.Fatal(err)
	}
	have, err := c.CRL()
	want, werr := r.ca.CRL()
	if err != nil || werr != nil || !bytes.Equal(have.DER, want.DER) || !bytes.Equal(l.DER, want.DER) || have.Number.Cmp(want.Number) != 0 {
		r.t.Errorf("%v, %v", err, werr)
	}
	at, err := c.CRLDue()
	wantAt, werr := r.ca.CRLDue()
	if err != nil || werr != nil || !at.Equal(wantAt) {
		r.t.Errorf("due: %v, %v, want %v, %v", at, err, wantAt, werr)
	}
}

// TestEdition: a reader gets all, then what is new as soon as it is, and is let
// go when the server stops.
func TestEdition(t *testing.T) {
	r := newRig(t)
	r.server.own = os.Geteuid()
	path := r.serve()
	press := r.server.state.Load().Press
	renew := func() {
		t.Helper()
		if _, err := press.Renew(t.Context(), r.ca, r.ca.Certificate().Raw); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	c := Dial(path)
	defer c.Close()
	e, err := c.Edition(t.Context(), edition.Mark{})
	if err != nil || !e.Whole || !bytes.Equal(e.Certificate, r.ca.Certificate().Raw) || e.List != nil {
		t.Fatalf("%+v, %v", e, err)
	}
	next := make(chan *edition.Edition)
	ask := func(m edition.Mark) {
		e, err := c.Edition(t.Context(), m)
		if err != nil {
			e = nil
		}
		next <- e
	}
	go ask(e.Mark)
	if _, err := r.ca.IssueCRL(ca.CRLOptions{}); err != nil {
		t.Fatal(err)
	}
	renew()
	got := <-next
	if got == nil || got.Whole || got.List == nil || got.Number <= e.Number {
		t.Fatalf("%+v", got)
	}
	go ask(got.Mark)
	r.server.Stop(t.Context())
	if last := <-next; last != nil && last.Mark != got.Mark { // nil: it came too late
		t.Errorf("%+v", last)
	}
}

// TestNotRunning: what commands go by to work in the folder.
func TestNotRunning(t *testing.T) {
	dir := t.TempDir()
	if _, err := Connect(t.Context(), filepath.Join(dir, "s")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if _, err := Connect(t.Context(), filepath.Join(dir, "s")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("stale: %v", err)
	}
}

// TestWhoseSocket: a socket that another user has made is not asked.
func TestWhoseSocket(t *testing.T) {
	r := newRig(t)
	r.server.own = os.Geteuid()
	path := r.serve()
	c, err := Connect(t.Context(), path, otherUID, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := Connect(t.Context(), path, os.Geteuid()+1); !errors.Is(err, ErrForbidden) || strings.Contains(err.Error(), "http://") {
		t.Errorf("%v", err)
	}
}

// TestEnded: a daemon that ends in the middle may have done what it was asked.
func TestEnded(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1<<16)) // or the client would be told of a reset
			c.Close()
		}
	}()
	if _, err := Connect(t.Context(), ln.Addr().String()); err == nil || !strings.Contains(err.Error(), "ended before it answered") {
		t.Errorf("%v", err)
	}
	ln.Close()
	<-ended
}
