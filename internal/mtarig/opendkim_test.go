package mtarig_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net"
	"strings"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

// What one OpenDKIM signs another finds good, on either kind of socket; and
// after Close nobody answers there.
func TestOpenDKIM(t *testing.T) {
	tools := rig.Tools(t)
	rig.Missing(t, tools.OpenDKIM())
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	start := func(t *testing.T, mode mtarig.OpenDKIMMode, network string, extra ...string) *mtarig.OpenDKIM {
		o, err := mtarig.NewOpenDKIM(mtarig.OpenDKIMConfig{
			Tools: tools, Mode: mode, Domain: "example.test", Selector: "s1", Key: key, Network: network, AuthservID: "mx.example.test", Extra: extra,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := o.Close(); err != nil {
				t.Error(err)
			}
			if c, err := net.Dial(network, o.Socket()); err == nil {
				c.Close()
				t.Error("it still answers")
			}
		})
		if err := o.Start(); err != nil {
			t.Fatal(err)
		}
		return o
	}
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			sink := rig.NewSink(t, mtarig.SinkConfig{})
			verify := start(t, mtarig.DKIMVerify, network, "InternalHosts 192.0.2.1")
			far := rig.Postfix.Start(t, mtarig.Config{Relay: sink.Addr(), Milters: []mtarig.Milter{verify.Milter()}})
			sign := start(t, mtarig.DKIMSign, network)
			near := rig.Postfix.Start(t, mtarig.Config{Relay: far.Addr(), Milters: []mtarig.Milter{sign.Milter()}})
			if err := mtarig.Send(near.Addr(), plain); err != nil {
				t.Fatal(err)
			}
			m, err := sink.Next(wait)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"DKIM-Signature: v=1;", "Authentication-Results: mx.example.test;", "dkim=pass"} {
				if !strings.Contains(string(m.Data), want) {
					t.Errorf("no %q in\n%s", want, m.Data)
				}
			}
		})
	}
	if _, err := mtarig.NewOpenDKIM(mtarig.OpenDKIMConfig{Tools: tools, Mode: mtarig.DKIMSign, Domain: "example.test", Selector: "s1", Key: key, Network: "udp"}); err == nil {
		t.Error("no error for a network that it does not know")
	}
}
