package edition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailseal/certmgr/ca"
)

// A register is a CA that signs nothing but counts.
type register struct {
	now     time.Time
	records []ca.Record
	list    *ca.CRL
	url     string
	signed  []string
	broken  string // of this certificate no answer is to be had
}

var _ Authority = (*ca.CA)(nil)

const life = 8 * time.Hour

func (r *register) CRL() (*ca.CRL, error) {
	if r.list == nil {
		return nil, ca.ErrNotFound
	}
	return r.list, nil
}

func (r *register) List(ca.Query) ([]ca.Record, error) { return r.records, nil }

func (r *register) OCSP(serial string) (*ca.OCSPAnswer, error) {
	if serial == r.broken {
		return nil, errors.New("no answer")
	}
	r.signed = append(r.signed, serial)
	return &ca.OCSPAnswer{Serial: serial, ThisUpdate: r.now, NextUpdate: r.now.Add(life), DER: fmt.Append(nil, serial, " ", r.now)}, nil
}

func (r *register) Settings() ca.Settings { return ca.Settings{URL: r.url} }

func (r *register) issue(serial string, days int) {
	r.records = append(r.records, ca.Record{Serial: serial, NotAfter: r.now.AddDate(0, 0, days)})
}

func (r *register) revoke(i int) { r.records[i].Revoked, r.records[i].Reason = r.now, "superseded" }

// renewed is which answers a Renew signs.
func (r *register) renewed(t *testing.T, p *Press) []string {
	t.Helper()
	r.signed = nil
	if _, err := p.Renew(t.Context(), r, []byte("cert")); err != nil {
		t.Fatal(err)
	}
	slices.Sort(r.signed)
	return r.signed
}

// TestRenew: an answer is signed when it is new, says something else, or its
// time is half over; for those that have ended none is.
func TestRenew(t *testing.T) {
	r := &register{now: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)}
	p := NewPress(func() time.Time { return r.now })
	r.issue("01", -1)
	r.issue("02", 1)
	r.issue("03", 90)
	for _, step := range []struct {
		what string
		do   func()
		want []string
	}{
		{"at first", func() {}, []string{"02", "03"}},
		{"again", func() {}, nil},
		{"revoked", func() { r.revoke(2) }, []string{"03"}},
		{"issued", func() { r.issue("04", 90) }, []string{"04"}},
		{"before the half", func() { r.now = r.now.Add(life/2 - time.Second) }, nil},
		{"at the half", func() { r.now = r.now.Add(time.Second) }, []string{"02", "03", "04"}},
		{"the clock was wrong", func() { r.now = r.now.Add(-time.Minute) }, []string{"02", "03", "04"}},
		{"ended", func() { r.now = r.now.AddDate(0, 0, 2) }, []string{"03", "04"}},
	} {
		step.do()
		if d := cmp.Diff(step.want, r.renewed(t, p)); d != "" {
			t.Errorf("%s: %s", step.what, d)
		}
	}
}

// TestTrouble: one answer that cannot be had keeps none of those before it, and
// not the list, from readers.
func TestTrouble(t *testing.T) {
	r := &register{now: time.Now(), broken: "01", list: &ca.CRL{Number: big.NewInt(1), DER: []byte("list")}}
	r.issue("01", 90)
	r.issue("02", 90)
	p := NewPress(nil)
	if _, err := p.Renew(t.Context(), r, nil); err == nil {
		t.Error("no error")
	}
	e := p.Since(t.Context(), Mark{})
	if len(e.Answers) != 1 || e.Answers[0].Serial != "02" || e.List == nil {
		t.Errorf("%+v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.broken = ""
	if _, err := p.Renew(ctx, r, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("told to end: %v", err)
	}
}

// TestMany: there is a bound, and the newest are within it.
func TestMany(t *testing.T) {
	r := &register{now: time.Now()}
	for i := range MaxAnswers + 2 {
		r.issue(fmt.Sprintf("%06X", i), 90)
	}
	p := NewPress(nil)
	done, err := p.Renew(t.Context(), r, nil)
	if d := cmp.Diff(Done{MaxAnswers, MaxAnswers, 2}, done); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if slices.Contains(r.signed, "000001") || !slices.Contains(r.signed, "000002") {
		t.Error("not the newest have answers")
	}
}

// TestSince: who asks gets all, then what is new, and waits for it.
func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &register{now: time.Now(), url: "http://ca.example.test/pki/"}
		r.issue("01", 90)
		p := NewPress(nil)
		r.renewed(t, p)
		all := p.Since(t.Context(), Mark{})
		if !all.Whole || all.Path != "/pki" || string(all.Certificate) != "cert" || len(all.Answers) != 1 || all.List != nil {
			t.Fatalf("%+v", all)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if e := p.Since(ctx, all.Mark); e.Mark != all.Mark || len(e.Answers) != 0 || time.Since(begin) != time.Minute {
			t.Errorf("%+v after %v", e, time.Since(begin))
		}
		got := make(chan *Edition)
		go func() { got <- p.Since(t.Context(), all.Mark) }()
		synctest.Wait()
		r.list = &ca.CRL{DER: []byte("list")}
		r.issue("02", 90)
		r.renewed(t, p)
		e := <-got
		if e.Whole || e.List == nil || e.Number <= all.Number {
			t.Errorf("%+v", e)
		}
		// Of another Press, or of an earlier life of this one, nothing is believed.
		for _, m := range []Mark{{"another", 1}, {all.Press, 1 << 60}} {
			if e := p.Since(t.Context(), m); !e.Whole || len(e.Answers) != 2 || e.List == nil {
				t.Errorf("%+v: %+v", m, e)
			}
		}
	})
}

// TestMerged: a reader who adds what is new to what it has has the whole,
// whatever happened and however often it asked.
func TestMerged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &register{now: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)}
		p := NewPress(func() time.Time { return r.now })
		have, mark := map[string][]byte{}, Mark{}
		var list []byte
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"issue", "revoke", "list", "wait", "ask"}).Draw(t, "step") {
			case "issue":
				r.issue(fmt.Sprintf("%02X", len(r.records)+1), 90)
			case "revoke":
				if n := len(r.records); n > 0 {
					r.revoke(rapid.IntRange(0, n-1).Draw(t, "which"))
				}
			case "list":
				r.list = &ca.CRL{DER: fmt.Append(nil, len(r.records), r.now)}
			case "wait":
				r.now = r.now.Add(life / 4)
			case "ask":
				e := p.Since(ended, mark)
				if mark = e.Mark; e.Whole {
					clear(have)
				}
				for _, a := range e.Answers {
					have[a.Serial] = a.DER
				}
				if e.List != nil {
					list = e.List.DER
				}
				continue
			}
			if _, err := p.Renew(context.Background(), r, nil); err != nil {
				t.Fatal(err)
			}
		}
		e := p.Since(ended, mark)
		whole := p.Since(ended, Mark{})
		for _, a := range e.Answers {
			have[a.Serial] = a.DER
		}
		if e.List != nil {
			list = e.List.DER
		}
		want := map[string][]byte{}
		for _, a := range whole.Answers {
			want[a.Serial] = a.DER
		}
		if d := cmp.Diff(want, have); d != "" {
			t.Fatal(d)
		}
		if whole.List != nil && !bytes.Equal(list, whole.List.DER) {
			t.Fatalf("%q, want %q", list, whole.List.DER)
		}
	})
}
