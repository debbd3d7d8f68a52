package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"mailseal/internal/mailaddr"
)

func addresses(t *testing.T, list string) []mailaddr.Address {
	t.Helper()
	if list == "" {
		return nil
	}
	as, err := mailaddr.ParseList(list)
	if err != nil {
		t.Fatal(err)
	}
	return as
}

func TestDecide(t *testing.T) {
	set := &Set{
		LocalDomains:  []string{"example.jp", ".example.jp"},
		InternalHosts: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.0.0.0/8")},
		Logins: map[string][]string{
			"carol": {"sales@example.jp", "*@lists.example.jp"},
		},
		LoginDomain: "example.jp",
		Sign:        true,
	}
	inside, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		name   string
		facts  Facts
		from   string
		dir    Direction
		sign   bool
		reason string // a part of the last Why
	}{
		{name: "internal host, local From", facts: Facts{Client: inside}, from: "alice@example.jp", dir: Outbound, sign: true},
		{name: "IPv4 in IPv6 is the same host", facts: Facts{Client: netip.MustParseAddr("::ffff:10.1.2.3")}, from: "alice@example.jp", dir: Outbound, sign: true},
		{name: "outside host, local From: the signing oracle", facts: Facts{Client: outside}, from: "ceo@example.jp", dir: Inbound, reason: "neither"},
		{name: "unknown client is no internal one", facts: Facts{}, from: "alice@example.jp", dir: Inbound, reason: "neither"},
		{name: "internal host, foreign From", facts: Facts{Client: inside}, from: "bob@partner.example", dir: Inbound, reason: "local domain"},
		{name: "sub-domain", facts: Facts{Client: inside}, from: "alice@mail.example.jp", dir: Outbound, sign: true},
		{name: "domain that only ends alike", facts: Facts{Client: inside}, from: "alice@evilexample.jp", dir: Inbound, reason: "local domain"},

		{name: "login is the address", facts: Facts{Client: outside, Login: "alice@example.jp"}, from: "alice@example.jp", dir: Outbound, sign: true},
		{name: "login in another case", facts: Facts{Client: outside, Login: "Alice@Example.JP"}, from: "alice@example.jp", dir: Outbound, sign: true},
		{name: "bare login", facts: Facts{Client: outside, Login: "alice"}, from: "alice@example.jp", dir: Outbound, sign: true},
		{name: "bare login in another domain", facts: Facts{Client: outside, Login: "alice"}, from: "alice@mail.example.jp", dir: Outbound, reason: "may not send as"},
		{name: "login as somebody else", facts: Facts{Client: outside, Login: "bob"}, from: "ceo@example.jp", dir: Outbound, reason: "login bob may not send as ceo@example.jp"},
		{name: "authenticated from inside is held to its login too", facts: Facts{Client: inside, Login: "bob"}, from: "ceo@example.jp", dir: Outbound, reason: "may not"},
		{name: "mapped login", facts: Facts{Client: outside, Login: "carol"}, from: "sales@example.jp", dir: Outbound, sign: true},
		{name: "mapped login, whole domain", facts: Facts{Client: outside, Login: "carol"}, from: "any@lists.example.jp", dir: Outbound, sign: true},
		{name: "mapped login keeps its own address", facts: Facts{Client: outside, Login: "carol"}, from: "carol@example.jp", dir: Outbound, sign: true},
		{name: "mapped login, not mapped to this", facts: Facts{Client: outside, Login: "carol"}, from: "ceo@example.jp", dir: Outbound, reason: "may not"},

		{name: "two From addresses", facts: Facts{Client: inside}, from: "alice@example.jp, bob@example.jp", dir: Outbound, reason: "2 addresses"},
		{name: "two From addresses, one foreign", facts: Facts{Client: inside}, from: "bob@partner.example, alice@example.jp", dir: Outbound, reason: "2 addresses"},
		{name: "no From", facts: Facts{Client: inside, FromProblem: "mail has no From"}, dir: Inbound, reason: "no From"},
		{name: "one good From and one broken", facts: Facts{Client: inside, FromProblem: "From cannot be read"}, from: "alice@example.jp", dir: Outbound, reason: "cannot be read"},

		{name: "list server", facts: Facts{Client: inside, Results: []int{0}}, from: "alice@example.jp", dir: Outbound, reason: "has been inbound"},
		{name: "fetched mail", facts: Facts{Client: inside, Hops: []Hop{{inside}, {outside}}}, from: "alice@example.jp", dir: Outbound, reason: "outside internal_hosts before: from 192.0.2.1"},
		{name: "hop of unknown address", facts: Facts{Client: inside, Hops: []Hop{{{}}}}, from: "alice@example.jp", dir: Outbound, reason: "outside internal_hosts before: its Received"},
		{name: "relay inside", facts: Facts{Client: inside, Hops: []Hop{{inside}}}, from: "alice@example.jp", dir: Outbound, sign: true},
		{name: "authenticated user behind other hops", facts: Facts{Client: outside, Login: "alice", Hops: []Hop{{outside}}}, from: "alice@example.jp", dir: Outbound, sign: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.facts.From = addresses(t, tt.from)
			p := set.Decide(tt.facts)
			if p.Direction != tt.dir || p.Sign != tt.sign {
				t.Errorf("%v, sign %v (%q); want %v, %v", p.Direction, p.Sign, p.Why, tt.dir, tt.sign)
			}
			if p.Sign != (p.Signer == tt.facts.first()) && p.Sign {
				t.Errorf("signer %v", p.Signer)
			}
			if len(p.Why) == 0 || !strings.Contains(p.Why[len(p.Why)-1], tt.reason) {
				t.Errorf("why %q, want %q", p.Why, tt.reason)
			}
		})
	}
	off := *set
	off.Sign = false
	if p := off.Decide(Facts{Client: inside, From: addresses(t, "alice@example.jp")}); p.Sign || p.Direction != Outbound {
		t.Errorf("signing off: %+v", p)
	}
}

func TestForged(t *testing.T) {
	set := &Set{LocalDomains: []string{"example.jp"}, InternalHosts: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Sign: true}
	inside, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	local := addresses(t, "alice@example.jp")
	for _, tt := range []struct {
		name  string
		facts Facts
		want  []int
	}{
		{"none", Facts{Client: inside, From: local, Hops: []Hop{{outside}}}, nil},
		{"inbound", Facts{Client: outside, From: local, Results: []int{0, 0}}, []int{0, 1}},
		{"foreign From from inside", Facts{Client: inside, From: addresses(t, "bob@partner.example"), Results: []int{0}}, []int{0}},
		{"a user's", Facts{Client: inside, Login: "alice@example.jp", From: local, Results: []int{0}}, []int{0}},
		{"an internal host's", Facts{Client: inside, From: local, Results: []int{0, 1}, Hops: []Hop{{inside}}}, nil},
		{"re-injected: above the outside hop", Facts{Client: inside, From: local, Results: []int{0, 1}, Hops: []Hop{{inside}, {outside}}}, nil},
		{"relayed: below the outside hop", Facts{Client: inside, From: local, Results: []int{0, 1, 2, 3}, Hops: []Hop{{inside}, {outside}, {inside}}}, []int{2, 3}},
		{"below an outside hop that calls itself one of ours", Facts{Client: inside, From: local, Results: []int{0, 1}, Hops: []Hop{{inside, outside}}}, []int{1}},
		{"below a hop without an address", Facts{Client: inside, From: local, Results: []int{1}, Hops: []Hop{{{}}}}, []int{0}},
	} {
		if got := set.Decide(tt.facts).Forged; !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func (f Facts) first() mailaddr.Address {
	if len(f.From) == 0 {
		return mailaddr.Address{}
	}
	return f.From[0]
}

func TestReadHop(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"from mail.example (mail.example [192.0.2.1]) by mx.example.jp (Postfix) with ESMTP id X", "[192.0.2.1]"},
		{"from x (y [192.0.2.1])\r\n\t(using TLSv1.3 with cipher X)\r\n\t(No client certificate requested)\r\n\tby mx.example.jp", "[192.0.2.1]"},
		{"from x ([IPv6:2001:db8::1]) by mx", "[2001:db8::1]"},
		{"from x (y [::ffff:192.0.2.1]) by mx", "[::ffff:192.0.2.1]"},
		{"from localhost (localhost [127.0.0.1]) by mx", "[127.0.0.1]"},
		{"from EXCH.corp.local (10.0.0.1) by mx (10.0.0.2) with mapi", "[10.0.0.1]"},
		{"from EXCH.corp.local (2001:db8::1) by mx (2001:db8::2)", "[2001:db8::1]"},
		{"FROM x (x [192.0.2.1]) BY mx", "[192.0.2.1]"},
		{"from x (HELO evil) (192.0.2.1) by mx", "[192.0.2.1]"},
		{"from [192.0.2.1] (port=4711 helo=x) by mx", "[192.0.2.1]"},
		{"from x ([192.0.2.1]:4711 helo=y) by mx", "[192.0.2.1]"},

		// What clients call themselves, as Postfix, Exim and qmail write it.
		{"from [127.0.0.1] (mail.example [192.0.2.1])\r\n\tby mx.example.jp", "[127.0.0.1 192.0.2.1]"},
		{"from [10.0.0.1] by mx (unknown [192.0.2.1]) by mx.example.jp", "[10.0.0.1 192.0.2.1]"},
		{"from a (b [10.0.0.1]) by c (unknown [192.0.2.1]) by mx.example.jp", "[10.0.0.1 192.0.2.1]"},
		{"from x ([192.0.2.1] helo=[10.0.0.1]) by mx", "[192.0.2.1 10.0.0.1]"},
		{"from unknown (HELO [10.0.0.1]) (user@192.0.2.1) by mx", "[10.0.0.1 192.0.2.1]"},
		{"from 10.0.0.1 (x [192.0.2.1]) by mx", "[10.0.0.1 192.0.2.1]"},
		{"from by (x [192.0.2.1]) by mx", "[192.0.2.1]"},

		{"from x by mx (mx [127.0.0.1])", "[invalid IP]"},
		{"from x (unknown [unknown]) by mx", "[invalid IP]"},
		{"from [not-an-address] by mx", "[invalid IP]"},
		{"from", "[invalid IP]"},
		{"by mx.example.jp (Postfix, from userid 0) id X", "[]"},
		{"(from root@localhost) by mx.example.jp (8.17.1/8.17.1/Submit) id X", "[]"},
		{"", "[]"},
	} {
		if got := fmt.Sprint(ReadHop(tt.in)); got != tt.want {
			t.Errorf("ReadHop(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}
