package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/gateway"
	"mailseal/internal/keystore"
	"mailseal/internal/message"
	"mailseal/internal/metrics"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/policy"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/internal/trust"
	"mailseal/milter"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/rig"
)

// clumsy panics at some mails, and leaves the others to the gateway.
type clumsy struct{ *gateway.Gateway }

const clumsySender = "panic@example.test"

func (c clumsy) Handle(ctx context.Context, m *message.Message) (message.Verdict, error) {
	if m.Envelope.Sender == clumsySender {
		panic("clumsy")
	}
	return c.Gateway.Handle(ctx, m)
}

// inside is the daemon's parts in this process, so that the race detector sees
// them. It returns where they are scraped.
func inside(t *testing.T, socket string) (address string) {
	t.Helper()
	usage := new(spool.Usage)
	store, err := spool.New(spool.Config{Dir: t.TempDir(), Usage: usage})
	ok(t, err)
	m := metrics.New(metrics.Config{Spool: usage})
	people := testpki.New(t)
	g, err := gateway.New(gateway.Config{
		AuthservID: daemon.AuthservID,
		Policy: &policy.Set{
			LocalDomains: []string{daemon.Domain}, InternalHosts: []netip.Prefix{netip.MustParsePrefix(daemon.Local + "/32")}, Sign: true,
		},
		Identities: keystore.NewIdentities([]pki.Identity{people.User(alice, ca.P256)}),
		Anchors:    trust.New(trust.Sources{Mail: people.Roots()}, trust.Options{}),
		Spool:      store,
		Meter:      m,
	})
	ok(t, err)
	server, err := milter.New(milter.Config{Handler: clumsy{g}, Spool: store, Meter: m})
	ok(t, err)
	m.Watch(metrics.Milter, server)
	scrapes := m.NewServer(slog.New(slog.DiscardHandler))

	ln, err := milter.Listen("unix:"+socket, milter.SocketOptions{Mode: 0o666})
	ok(t, err)
	from, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(ln) }()
	go func() { ended <- scrapes.Serve(from) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), daemon.Patience)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		scrapes.Stop(ctx)
		for range 2 {
			if err := <-ended; err != nil && !errors.Is(err, milter.ErrServerClosed) {
				t.Error(err)
			}
		}
	})
	return from.Addr().String()
}

// Scrapes disturb no mail, no mail a scrape, and at the end every mail and every
// panic has been counted once.
func TestScrapesUnderLoad(t *testing.T) {
	sink := rig.NewSink(t, mtarig.SinkConfig{})
	mta := rig.Postfix.Prepare(t, mtarig.Config{Relay: sink.Addr()})
	address := inside(t, mta.MilterSocket())
	mta.SetMilters(mtarig.Milter{Network: "unix", Address: mta.MilterSocket()})
	rig.Start(t, mta)

	var stop atomic.Bool
	var scrapers, clients sync.WaitGroup
	for range 2 {
		scrapers.Go(func() {
			last := 0.0
			for !stop.Load() {
				s, err := Scrape("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				now := 0.0
				for series, n := range s {
					if strings.HasPrefix(series, "mailseal_mails_total{") {
						now += n
					}
				}
				if now < last {
					t.Errorf("%f mails after %f", now, last)
				}
				last = now
			}
		})
	}
	const perKind, kinds = 20, 5
	for kind := range kinds {
		clients.Go(func() {
			source, from, code, mail := daemon.Outside, "them@far.example.org", 0, letter(carol)
			switch kind {
			case 0, 1:
				source, mail = daemon.Local, letter(alice)
			case 2:
				from, code = clumsySender, 451
			}
			for i := range perKind {
				c, err := mtarig.DialFrom(source, mta.Addr())
				if err != nil {
					t.Error(err)
					return
				}
				err = c.Hello("client.example.test")
				if err == nil {
					err = c.Send(mtarig.Mail{From: from, To: []string{fmt.Sprintf("to%d-%d@%s", kind, i, host.Modern)}, Data: mail})
				}
				if mtarig.Code(err) != code || code == 0 && err != nil {
					t.Errorf("mail %d of kind %d: %v", i, kind, err)
				}
				c.Close()
			}
		})
	}
	clients.Wait()
	stop.Store(true)
	scrapers.Wait()

	want := Samples{"mailseal_last_reload_successful": 1, `mailseal_panics_total{socket="milter"}`: perKind}
	add(want, perKind, faults, "internal", "milter")
	add(want, 2*perKind, mails, "signed", "outbound", "")
	add(want, 2*perKind, mails, "verified", "inbound", "none")
	for s, n := range map[string]float64{"receive": 5, "whole": 5, "send": 4, "decide": 4, "sign": 2, "verify": 2} {
		add(want, n*perKind, step, s)
	}
	p := &postmaster{T: t, network: "tcp", address: address}
	p.await(want)
	if got, err := sink.Wait(4*perKind, daemon.Patience); err != nil {
		t.Errorf("%d mails arrived: %v", len(got), err)
	}
}
