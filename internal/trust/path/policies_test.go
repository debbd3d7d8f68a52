package path

import (
	"fmt"
	"slices"
	"testing"

	"mailseal/internal/testpki/forge"
)

// PKITS 4.8 and 4.9.
func TestPolicies(t *testing.T) {
	judge(t, []ruling{
		{"the same, wanted", steps{ca("Root"), ca("A", p(1)), user(p(1))}, "", both(explicit, accept(1))},
		{"the same, another wanted", steps{ca("Root"), ca("A", p(1)), user(p(1))}, Policies, both(explicit, accept(2))},
		{"the same, one of two wanted", steps{ca("Root"), ca("A", p(1)), user(p(1))}, "", both(explicit, accept(1, 2))},
		{"another, none demanded", steps{ca("Root"), ca("A", p(1)), user(p(1))}, "", accept(2)},
		{"none", steps{ca("Root"), ca("A"), user()}, "", nil},
		{"none, demanded", steps{ca("Root"), ca("A"), user()}, Policies, explicit},
		{"none in the middle", steps{ca("Root"), ca("A", p(1)), ca("B"), user(p(1))}, Policies, explicit},
		{"different", steps{ca("Root"), ca("A", p(1)), user(p(2))}, Policies, explicit},
		{"different, none demanded", steps{ca("Root"), ca("A", p(1)), user(p(2))}, "", nil},
		{"overlapping", steps{ca("Root"), ca("A", p(1, 2)), ca("B", p(2, 3)), user(p(2))}, "", both(explicit, accept(2))},
		{"overlapping elsewhere", steps{ca("Root"), ca("A", p(1, 2)), ca("B", p(2, 3)), user(p(3))}, Policies, explicit},
		{"any", steps{ca("Root"), ca("A", p(0)), user(p(0))}, "", both(explicit, accept(7))},
		{"any above one", steps{ca("Root"), ca("A", p(0)), user(p(1))}, "", both(explicit, accept(1))},
		{"any above another", steps{ca("Root"), ca("A", p(0)), user(p(1))}, Policies, both(explicit, accept(2))},
		{"one above any", steps{ca("Root"), ca("A", p(1)), user(p(0))}, "", both(explicit, accept(1))},
		{"one above any, another wanted", steps{ca("Root"), ca("A", p(1)), user(p(0))}, Policies, both(explicit, accept(2))},
		{"a policy twice", steps{ca("Root"), ca("A", p(1, 1)), user(p(1))}, Malformed, nil},
		{"the root's count for nothing", steps{ca("Root", p(1), demand(0)), user(p(2))}, "", explicit},
		{"demanded from 0 on", steps{ca("Root"), ca("A", demand(0)), user()}, Policies, nil},
		{"demanded from below", steps{ca("Root"), ca("A", demand(1)), ca("B"), user()}, Policies, nil},
		{"demanded further below", steps{ca("Root"), ca("A", demand(5)), ca("B"), ca("C"), user()}, "", nil},
		{"the smaller number counts", steps{ca("Root"), ca("A", demand(5)), ca("B", demand(1)), ca("C"), user()}, Policies, nil},
		{"and a larger one does not", steps{ca("Root"), ca("A", demand(1)), ca("B", demand(9)), user()}, Policies, nil},
		{"the leaf demands", steps{ca("Root"), ca("A"), user(demand(0))}, Policies, nil},
		{"the leaf demands later", steps{ca("Root"), ca("A"), user(demand(1))}, "", nil},
		{"self-issued does not count down", steps{ca("Root"), ca("A", demand(2)), again(ca("A")), ca("B"), user()}, Policies, nil},
		{"self-issued, and one is left", steps{ca("Root"), ca("A", demand(3)), again(ca("A")), ca("B"), user()}, "", nil},
		{"an empty policyConstraints", steps{ca("Root"), ca("A", forge.PolicyConstraints(-1, -1)), user()}, Malformed, nil},
		{"a huge number", steps{ca("Root"), ca("A", demand(1<<31-1)), user()}, "", nil},
	})
}

// PKITS 4.10 to 4.12.
func TestMappings(t *testing.T) {
	one := again(ca("A", p(1)))
	judge(t, []ruling{
		{"one to two", steps{ca("Root"), ca("A", p(1), maps(1, 2)), user(p(2))}, "", both(explicit, accept(1))},
		{"one to two, two wanted", steps{ca("Root"), ca("A", p(1), maps(1, 2)), user(p(2))}, Policies, both(explicit, accept(2))},
		{"one to two, one there", steps{ca("Root"), ca("A", p(1), maps(1, 2)), user(p(1))}, Policies, explicit},
		{"inhibited here", steps{ca("Root"), ca("A", p(1), maps(1, 2)), user(p(2))}, Policies, both(explicit, noMapping)},
		{"one to two and three", steps{ca("Root"), ca("A", p(1), maps(1, 2, 1, 3)), user(p(3))}, "", both(explicit, accept(1))},
		{"two to one policy", steps{ca("Root"), ca("A", p(1, 2), maps(1, 3, 2, 3)), user(p(3))}, "", both(explicit, accept(2))},
		{"twice", steps{ca("Root"), ca("A", p(1), maps(1, 2)), ca("B", p(2), maps(2, 3)), user(p(3))}, "", both(explicit, accept(1))},
		{"crosswise", steps{ca("Root"), ca("A", p(1, 2), maps(1, 2, 2, 1)), user(p(1))}, "", both(explicit, accept(2))},
		{"crosswise, the other", steps{ca("Root"), ca("A", p(1, 2), maps(1, 2, 2, 1)), user(p(1))}, Policies, both(explicit, accept(1))},
		{"any above a mapped one", steps{ca("Root"), ca("A", p(0), maps(1, 2)), user(p(2))}, "", both(explicit, accept(1))},
		{"and any below it", steps{ca("Root"), ca("A", p(1), maps(1, 2)), user(p(0))}, "", both(explicit, accept(1))},
		{"of what is not there", steps{ca("Root"), ca("A", p(1), maps(3, 2)), user(p(2))}, Policies, explicit},
		{"from any", steps{ca("Root"), ca("A", p(0), maps(0, 1)), user(p(1))}, PolicyMapping, nil},
		{"to any", steps{ca("Root"), ca("A", p(1), maps(1, 0)), user(p(1))}, PolicyMapping, nil},
		{"inhibited at once", steps{ca("Root"), ca("A", p(1), nomap(0)), ca("B", p(1), maps(1, 2)), user(p(2))}, Policies, explicit},
		{"one more allowed", steps{ca("Root"), ca("A", p(1), nomap(1)), ca("B", p(1), maps(1, 2)), user(p(2))}, "", explicit},
		{"and the next not", steps{ca("Root"), ca("A", p(1), nomap(1)), ca("B", p(1), maps(1, 2)), ca("C", p(2), maps(2, 3)), user(p(3))}, Policies, explicit},
		{"self-issued does not count down", steps{ca("Root"), ca("A", p(1), nomap(1)), one, ca("B", p(1), maps(1, 2)), user(p(2))}, "", explicit},
		{"inhibited: what is mapped is lost", steps{ca("Root"), ca("A", p(1), nomap(0)), ca("B", p(1), maps(1, 2)), user(p(1))}, Policies, explicit},
		{"any inhibited at once", steps{ca("Root"), ca("A", p(0), forge.InhibitAny(0)), user(p(0))}, Policies, explicit},
		{"any inhibited, another", steps{ca("Root"), ca("A", p(0), forge.InhibitAny(0)), user(p(1))}, "", explicit},
		{"any inhibited here", steps{ca("Root"), ca("A", p(0)), user(p(1))}, Policies, both(explicit, noAny)},
		{"any inhibited later", steps{ca("Root"), ca("A", p(0), forge.InhibitAny(1)), ca("B", p(0)), user(p(1))}, "", explicit},
		{"any inhibited below", steps{ca("Root"), ca("A", p(0), forge.InhibitAny(1)), ca("B", p(0)), ca("C", p(0)), user(p(1))}, Policies, explicit},
		{"self-issued may say any", steps{ca("Root"), ca("A", p(1), forge.InhibitAny(0)), again(ca("A", p(0))), user(p(1))}, "", explicit},
		{"a self-issued leaf may not", steps{ca("Root"), ca("A", p(1), forge.InhibitAny(0)), again(ca("A", p(0)))}, Policies, func(o *Options) { o.Explicit, o.Use = true, SignCRL }},
		{"the smaller number counts", steps{ca("Root"), ca("A", p(0), forge.InhibitAny(5)), ca("B", p(0), forge.InhibitAny(0)), user(p(0))}, Policies, explicit},
		{"a negative number", steps{ca("Root"), ca("A", p(0), forge.Extension("2.5.29.54", true, []byte{2, 1, 0xff})), user(p(0))}, Malformed, nil},
	})
}

// The set of policies is told.
func TestPolicySet(t *testing.T) {
	for _, tt := range []struct {
		name string
		path steps
		set  func(*Options)
		want []int
	}{
		{"one", steps{ca("Root"), ca("A", p(1, 2)), user(p(1, 3))}, nil, []int{1}},
		{"as the anchor knows it", steps{ca("Root"), ca("A", p(1, 2), maps(1, 3)), user(p(3))}, nil, []int{1}},
		{"any", steps{ca("Root"), ca("A", p(0)), user(p(0))}, nil, []int{0}},
		{"any, with wishes", steps{ca("Root"), ca("A", p(0)), user(p(0))}, accept(4, 5), []int{4, 5}},
		{"none", steps{ca("Root"), ca("A", p(1)), user()}, nil, nil},
	} {
		o := Options{At: at}
		if tt.set != nil {
			tt.set(&o)
		}
		r := Validate(readAll(t, sign(tt.path)), o)
		var want []string
		for _, n := range tt.want {
			want = append(want, policy(n))
		}
		var got []string
		for _, p := range r.Policies {
			got = append(got, p.String())
		}
		if slices.Sort(got); !r.Good() || !slices.Equal(got, want) {
			t.Errorf("%s: %v %v, want %v", tt.name, got, r.Failures, want)
		}
	}
}

// What makes the tree of RFC 5280 grow without bounds costs the graph nothing: every
// CA maps each of its policies to all of the next.
func TestPolicyExplosion(t *testing.T) {
	const wide, deep = 20, 12
	path := steps{ca("Root")}
	all := make([]int, wide)
	var pairs []int
	for i := range wide {
		all[i] = i + 1
		for j := range wide {
			pairs = append(pairs, i+1, j+1)
		}
	}
	for i := range deep {
		path = append(path, ca(fmt.Sprint("CA ", i), p(all...), maps(pairs...)))
	}
	certs := readAll(t, sign(append(path, user(p(all...)))))
	spent := maxSteps
	v := validator{path: certs, o: Options{At: at, Explicit: true}, signed: verify, steps: &spent}
	if r := v.run(); !r.Good() || len(r.Policies) != wide {
		t.Errorf("%d policies, %s", len(r.Policies), r.Text())
	}
	if used := maxSteps - spent; used > 10000 {
		t.Errorf("%d steps", used)
	}
}
