package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"mailseal/internal/mailaddr"
)

// A mail is opened only if it came from outside and all of its recipients are
// ours.
func TestOpen(t *testing.T) {
	set := &Set{
		LocalDomains: []string{"example.jp", ".example.jp"}, Decrypt: true, Sign: true,
		InternalHosts: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	outside, inside := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.0.0.1")
	for _, tt := range []struct {
		name       string
		facts      Facts
		from, to   string
		off        bool
		plan       OpenPlan
		whyMention string
	}{
		{name: "from outside for one of ours", facts: Facts{Client: outside}, from: "eve@far.example", to: "alice@example.jp",
			plan: OpenPlan{Verify: true, Decrypt: true}},
		{name: "for several of ours", facts: Facts{Client: outside}, from: "eve@far.example", to: "alice@example.jp, bob@sub.example.jp",
			plan: OpenPlan{Verify: true, Decrypt: true}},
		{name: "claims to be of ours", facts: Facts{Client: outside}, from: "bob@example.jp", to: "alice@example.jp",
			plan: OpenPlan{Verify: true, Decrypt: true}},
		{name: "an internal host hands on what came from outside", facts: Facts{Client: inside}, from: "eve@far.example", to: "alice@example.jp",
			plan: OpenPlan{Verify: true, Decrypt: true}},
		{name: "ours is not opened", facts: Facts{Client: inside}, from: "bob@example.jp", to: "alice@example.jp", plan: OpenPlan{}},
		{name: "an accomplice besides", facts: Facts{Client: outside}, from: "eve@far.example", to: "alice@example.jp, eve@far.example",
			plan: OpenPlan{Verify: true, Closed: ClosedOutside}, whyMention: "eve@far.example"},
		{name: "a relayed domain", facts: Facts{Client: outside}, from: "eve@far.example", to: "x@relayed.example",
			plan: OpenPlan{Verify: true, Closed: ClosedOutside}, whyMention: "x@relayed.example"},
		{name: "ends alike", facts: Facts{Client: outside}, from: "eve@far.example", to: "x@notexample.jp",
			plan: OpenPlan{Verify: true, Closed: ClosedOutside}},
		{name: "nobody", facts: Facts{Client: outside}, from: "eve@far.example", plan: OpenPlan{Verify: true, Closed: ClosedOutside}},
		{name: "a recipient that is no address", facts: Facts{Client: outside, RecipientProblem: "recipient cannot be read"}, from: "eve@far.example",
			to: "alice@example.jp", plan: OpenPlan{Verify: true, Closed: ClosedOutside}, whyMention: "cannot be read"},
		{name: "off", facts: Facts{Client: outside}, from: "eve@far.example", to: "alice@example.jp", off: true,
			plan: OpenPlan{Verify: true, Closed: ClosedOff}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.facts.From, tt.facts.Recipients = addresses(t, tt.from), addresses(t, tt.to)
			s := *set
			s.Decrypt = !tt.off
			got := s.Open(tt.facts)
			if got.Verify != tt.plan.Verify || got.Decrypt != tt.plan.Decrypt || got.Closed != tt.plan.Closed || !strings.Contains(got.Why, tt.whyMention) {
				t.Errorf("%+v; want %+v, %q", got, tt.plan, tt.whyMention)
			}
			if want := tt.facts.Recipients; got.Decrypt && !slices.Equal(got.For, want) || !got.Decrypt && got.For != nil {
				t.Errorf("for %v, of %v", got.For, want)
			}
			if (got.Closed != "") != (got.Why != "") || got.Decrypt && got.Closed != "" {
				t.Errorf("closed %q, because %q", got.Closed, got.Why)
			}
		})
	}
}

// What holds a mail back most is done, and tags go with nothing that is not
// delivered by tag.
func TestEnd(t *testing.T) {
	all := []Treatment{Deliver, Tag, Quarantine, Reject}
	for _, verify := range all {
		for _, decrypt := range all {
			s := &Set{OnVerifyFail: verify, OnDecryptFail: decrypt, VerifyFailTag: "[bad]", DecryptFailTag: "[shut]"}
			for _, f := range []Findings{{}, {BadSignature: true}, {Unopened: true}, {true, true}} {
				want := Deliver
				var tags []string
				if f.BadSignature {
					want = max(want, verify)
					if verify == Tag {
						tags = append(tags, "[bad]")
					}
				}
				if f.Unopened {
					want = max(want, decrypt)
					if decrypt == Tag {
						tags = append(tags, "[shut]")
					}
				}
				e := s.End(f)
				if e.Treatment != want || !slices.Equal(e.Tags, tags) || (len(e.Why) > 0) != (want != Deliver) {
					t.Errorf("%v, %v, %+v: %+v", verify, decrypt, f, e)
				}
			}
		}
	}
}

func TestOwnTags(t *testing.T) {
	s := &Set{VerifyFailTag: "[bad]", SubjectTags: []string{"[signed OK]", "[bad]"}}
	if got := s.OwnTags(); !slices.Equal(got, []string{"[signed OK]", "[bad]"}) {
		t.Error(got)
	}
}

// Behind a front host of ours the client is who handed the mail to that.
func TestOutside(t *testing.T) {
	s := &Set{InternalHosts: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	a := func(text string) (as []netip.Addr) {
		for _, x := range strings.Fields(text) {
			as = append(as, netip.MustParseAddr(x))
		}
		return as
	}
	for _, tt := range []struct {
		client string
		hops   []string
		want   string
	}{
		{"192.0.2.1", []string{"198.51.100.1"}, "192.0.2.1"},
		{"10.0.0.1", []string{"10.0.0.2", "192.0.2.1 192.0.2.2", "10.0.0.3", "198.51.100.1"}, "192.0.2.1 192.0.2.2"},
		{"10.0.0.1", []string{"10.0.0.2"}, "10.0.0.1"},
		{"10.0.0.1", nil, "10.0.0.1"},
		// What a client calls itself does not hide where it is.
		{"10.0.0.1", []string{"198.51.100.7 10.0.0.9 192.0.2.1"}, "198.51.100.7 192.0.2.1"},
		{"10.0.0.1", []string{"192.0.2.1 198.51.100.7 10.0.0.9"}, "192.0.2.1 198.51.100.7"},
		{"10.0.0.1", []string{"192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5"}, "192.0.2.1 192.0.2.2 192.0.2.4 192.0.2.5"},
	} {
		f := Facts{Client: netip.MustParseAddr(tt.client)}
		for _, h := range tt.hops {
			f.Hops = append(f.Hops, a(h))
		}
		if got := s.Outside(f); !slices.Equal(got, a(tt.want)) {
			t.Errorf("%v %v: %v, want %v", tt.client, tt.hops, got, tt.want)
		}
	}
}

// Everybody whom a mail is opened for is ours, whatever else is so.
func TestNobodyElseIsServed(t *testing.T) {
	s := &Set{LocalDomains: []string{"example.jp"}, Decrypt: true}
	ours, other := mailaddr.Address{Local: "a", Domain: "example.jp"}, mailaddr.Address{Local: "a", Domain: "far.example"}
	for n := range 1 << 4 {
		var to []mailaddr.Address
		for i := range 4 {
			to = append(to, ours)
			if n&(1<<i) != 0 {
				to[i] = other
			}
		}
		if got := s.Open(Facts{Recipients: to}); got.Decrypt != (n == 0) {
			t.Errorf("%v: %+v", to, got)
		}
	}
}
