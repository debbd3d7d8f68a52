package metrics

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/gateway"
	"mailseal/internal/keystore"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/policy"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/internal/trust"
)

// BenchmarkHandle takes mails of 10 KB through the gateway, with nobody who
// counts them and with Metrics.
func BenchmarkHandle(b *testing.B) {
	people := testpki.New(b)
	store, err := spool.New(spool.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	m, _ := whole(b, time.Now())
	text := "From: alice@example.test\r\nTo: bob@example.net\r\nSubject: 10 KB\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 142)
	for _, mail := range []struct{ name, client string }{{"unsigned", "192.0.2.1"}, {"sign", "127.0.0.1"}} {
		for _, meter := range []struct {
			name string
			gateway.Meter
		}{{"uncounted", nil}, {"counted", m}} {
			b.Run(mail.name+"/"+meter.name, func(b *testing.B) {
				g, err := gateway.New(gateway.Config{
					AuthservID: "mx.example.test",
					Policy: &policy.Set{
						LocalDomains: []string{"example.test"}, InternalHosts: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Sign: true,
					},
					Identities: keystore.NewIdentities([]pki.Identity{people.User("alice@example.test", ca.P256)}),
					Anchors:    trust.New(trust.Sources{Mail: people.Roots()}, trust.Options{}),
					Spool:      store,
					Meter:      meter.Meter,
				})
				if err != nil {
					b.Fatal(err)
				}
				msg, err := message.Read(strings.NewReader(text), store, message.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				defer msg.Body.Close()
				msg.Envelope.Client.Addr = netip.MustParseAddr(mail.client)
				b.ReportAllocs()
				for b.Loop() {
					v, err := g.Handle(context.Background(), msg)
					if err != nil || v.Action != message.Accept {
						b.Fatal(v.Action, err)
					}
					v.Close()
				}
			})
		}
	}
}
