// Package beside_test runs mailseal between other milters, OpenDKIM above all:
// in the order that the manual asks for both signatures hold at the other end,
// in the wrong one they do not, and no milter's result is lost or forged.
package beside_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/rig"
	"mailseal/test/wire"
)

const (
	alice = "alice@example.test"    // ours
	carol = "carol@far.example.org" // outside, whose CA we trust
)

// dkimKey is that of all domains here: to make one takes long.
var dkimKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// socket is a place where the host's MTA reaches a milter.
func socket(h *host.Host, name string) string {
	return filepath.Join(filepath.Dir(h.MTA.MilterSocket()), name)
}

// openDKIM starts one where the host's MTA reaches it.
func openDKIM(t testing.TB, h *host.Host, mode mtarig.OpenDKIMMode, extra ...string) mtarig.Milter {
	t.Helper()
	tools := rig.Tools(t)
	rig.Missing(t, tools.OpenDKIM())
	key, err := dkimKey()
	if err != nil {
		t.Fatal(err)
	}
	o, err := mtarig.NewOpenDKIM(mtarig.OpenDKIMConfig{
		Tools: tools, Mode: mode, Domain: daemon.Domain, Selector: "s1", Key: key, AuthservID: daemon.AuthservID,
		Address: socket(h, "opendkim.sock"), Extra: extra,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Errorf("close OpenDKIM: %v", err)
		}
	})
	if err := o.Start(); err != nil {
		t.Fatal(err)
	}
	return o.Milter()
}

// sending starts a host as the manual wants it for mail that leaves; or, with
// the order turned round, as it warns of. Its mail goes to next.
func sending(t testing.TB, setup host.Setup, s daemon.Settings, next string, turned bool) *host.Host {
	t.Helper()
	h := host.Prepare(t, setup, func(c *mtarig.Config) {
		c.Hostname, c.Relay, c.Source = "near.example.test", next, daemon.Outside
	})
	h.Attach(t, s)
	milters := []mtarig.Milter{h.Milter(), openDKIM(t, h, mtarig.DKIMSign, "Canonicalization relaxed/simple")}
	if turned {
		slices.Reverse(milters)
	}
	h.MTA.SetMilters(milters...)
	rig.Start(t, h.MTA)
	return h
}

// receiving starts a host as the manual wants it for mail that arrives, with
// the socket before OpenDKIM or, not as it wants it, without.
func receiving(t testing.TB, setup host.Setup, s daemon.Settings, before bool, extra ...string) *host.Host {
	t.Helper()
	h := host.Prepare(t, setup)
	s.Milter = append(s.Milter, "earlier_milters = true")
	first := mtarig.Milter{Name: "before", Network: "unix", Address: socket(h, "before.sock")}
	if before {
		s.Milter = append(s.Milter, fmt.Sprintf("before_socket = %q", "unix:"+first.Address))
	}
	h.Attach(t, s)
	milters := []mtarig.Milter{openDKIM(t, h, mtarig.DKIMVerify, extra...), h.Milter()}
	if before {
		milters = append([]mtarig.Milter{first}, milters...)
	}
	h.MTA.SetMilters(milters...)
	rig.Start(t, h.MTA)
	return h
}

// results are the values of the fields in our name, unfolded, from the top.
func results(mail []byte) (values []string) {
	fields, _ := wire.Split(mail)
	for _, f := range fields {
		_, value, _ := strings.Cut(strings.ReplaceAll(f, "\r\n", ""), ":")
		if wire.Name(f) == "authentication-results" && strings.Contains(strings.ToLower(value), daemon.AuthservID) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}
