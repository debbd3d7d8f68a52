package gateway

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/internal/fault"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/spool"
	"mailseal/internal/verdict"
	"mailseal/smime"
)

type measures []Measure

func (m *measures) Decided(one Measure) { *m = append(*m, one) }

func (*measures) Cleaned(int) {}

// A Meter is told of every mail, once, and of nothing that the mail says.
func TestMeter(t *testing.T) {
	b := newBench(t)
	var told measures
	b.conf.Meter = &told
	now := time.Now()
	b.conf.Now = func() time.Time { // every look at the clock takes a second
		now = now.Add(time.Second)
		return now
	}
	signed, _ := b.handle(plain, inside)
	steps := []struct {
		name   string
		mail   string
		client message.Client
		change func()
		want   Measure
	}{
		{"signed", plain, inside, nil, Measure{Direction: policy.Outbound, Event: "signed", Took: Steps{Sign: time.Second}}},
		{"no identity", strings.ReplaceAll(plain, "alice", "nobody"), inside, nil, Measure{Direction: policy.Outbound, Event: "passed"}},
		{"signed already", signed, inside, nil, Measure{Direction: policy.Outbound, Event: "passed", Took: Steps{Sign: time.Second}}},
		{"pass", signed, outside, nil, Measure{Event: "verified", Status: verdict.Pass, Took: Steps{Verify: time.Second}}},
		{"changed", strings.Replace(signed, "Good day", "Bad day", 1), outside, nil,
			Measure{Event: "verified", Status: verdict.Fail, Took: Steps{Verify: time.Second}}},
		{"unsigned", plain, outside, nil, Measure{Event: "verified", Status: verdict.None, Took: Steps{Verify: time.Second}}},
		{"no disk", plain + strings.Repeat("a long line of text\n", 30000), inside, func() { b.breakSpool() },
			Measure{Direction: policy.Outbound, Event: "deferred", Failed: true, Fault: fault.Storage, Took: Steps{Sign: time.Second}}},
	}
	for _, s := range steps {
		told = nil
		m := b.read(s.mail)
		if s.change != nil {
			s.change()
		}
		m.Envelope.Client = s.client
		g, err := New(b.conf)
		if err != nil {
			t.Fatal(err)
		}
		v, err := g.Handle(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		v.Close()
		s.want.Took.Decide = time.Second
		if !slices.Equal(told, measures{s.want}) {
			t.Errorf("%s: told %+v\nwant %+v", s.name, told, s.want)
		}
	}
}

// breakSpool lets what is made of a mail find no disk.
func (b *bench) breakSpool() {
	b.Helper()
	dir := b.TempDir()
	store, err := spool.New(spool.Config{Dir: dir, Memory: 1})
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		b.Fatal(err)
	}
	b.conf.Spool, b.conf.Sign.Format = store, smime.Opaque
}
