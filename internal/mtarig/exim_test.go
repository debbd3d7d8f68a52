package mtarig_test

import (
	"bytes"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

// Mail comes in over TLS and goes on.
func TestExim(t *testing.T) {
	t.Parallel()
	files := selfSigned(t)
	readable(t, files.Key)
	readable(t, files.Certificate)
	sink := rig.NewSink(t, mtarig.SinkConfig{})
	e, err := mtarig.NewExim(mtarig.Config{Tools: rig.Tools(t), TLS: files, Relay: sink.Addr()})
	rig.Missing(t, err)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("log of exim:\n%s", e.Log())
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	m := throughTLS(t, e.Addr(), sink)
	if !bytes.Contains(m.Data, []byte("esmtps  (TLS1.3)")) || !bytes.Contains(m.Data, []byte("by mta.example.test")) {
		t.Errorf("no word of TLS in\n%s", m.Data)
	}
	if _, err := e.WaitLog("bob@example.net.* C=", wait); err != nil {
		t.Error(err)
	}
}

// readable gives Exim a file, and lets it into the test's folder.
func readable(t *testing.T, file string) {
	t.Helper()
	u, err := user.Lookup(mtarig.EximUser)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chown(file, uid, -1), os.Chmod(filepath.Dir(filepath.Dir(file)), 0o755)); err != nil {
		t.Fatal(err)
	}
}
