package path

import (
	"math"
	"slices"

	"mailseal/internal/pki/x5280"
)

// A node of the valid_policy_graph (RFC 9618 section 5.2). Each depth has one for a
// policy at most, with as many parents as led to it.
type node struct {
	policy   x5280.OID
	expected []x5280.OID
	parents  []*node
}

// A graph is the deepest row of one; what is above hangs on its nodes. Without nodes
// it is the NULL graph. Nodes that lead nowhere are not deleted: only what the deepest
// row hangs on is ever looked at.
type graph struct {
	row   []*node
	index map[x5280.OID]*node
}

func newGraph() *graph {
	g := &graph{}
	g.begin()
	g.add(x5280.AnyPolicy, nil)
	return g
}

func (g *graph) begin() { g.row, g.index = nil, map[x5280.OID]*node{} }

func (g *graph) add(policy x5280.OID, parents []*node) *node {
	n := &node{policy, []x5280.OID{policy}, parents}
	g.row, g.index[policy] = append(g.row, n), n
	return n
}

func (g *graph) null() bool { return len(g.row) == 0 }

// grow is section 6.1.3 (d) and (e), with the next certificate's policies.
func (g *graph) grow(policies []x5280.OID, anyCounts bool) {
	expecting, order := map[x5280.OID][]*node{}, []x5280.OID{}
	for _, n := range g.row {
		for _, p := range n.expected {
			if expecting[p] == nil {
				order = append(order, p)
			}
			expecting[p] = append(expecting[p], n)
		}
	}
	whole := g.index[x5280.AnyPolicy]
	g.begin()
	for _, p := range policies {
		switch {
		case p == x5280.AnyPolicy:
		case expecting[p] != nil:
			g.add(p, expecting[p])
		case whole != nil:
			g.add(p, []*node{whole})
		}
	}
	if anyCounts && slices.Contains(policies, x5280.AnyPolicy) {
		for _, p := range order {
			if g.index[p] == nil {
				g.add(p, expecting[p])
			}
		}
	}
}

// translate is section 6.1.4 (b).
func (g *graph) translate(mappings []x5280.Mapping, allowed bool) {
	to := map[x5280.OID][]x5280.OID{}
	seen := map[x5280.Mapping]bool{}
	for _, m := range mappings {
		if !seen[m] {
			to[m.Issuer], seen[m] = append(to[m.Issuer], m.Subject), true
		}
	}
	if !allowed {
		g.row = slices.DeleteFunc(g.row, func(n *node) bool { return to[n.policy] != nil })
		for p := range to {
			delete(g.index, p)
		}
		return
	}
	for _, m := range mappings { // in their order
		n := g.index[m.Issuer]
		if whole := g.index[x5280.AnyPolicy]; n == nil && whole != nil {
			n = g.add(m.Issuer, whole.parents)
		}
		if n != nil {
			n.expected = to[m.Issuer]
		}
	}
}

// authority is the authority-constrained-policy-set of section 6.1.5 (g): the
// policies as the trust anchor knows them.
func (g *graph) authority() (set []x5280.OID) {
	queue := slices.Clone(g.row)
	seen, known := map[*node]bool{}, map[x5280.OID]bool{}
	for _, n := range queue {
		seen[n] = true
	}
	if g.index[x5280.AnyPolicy] != nil {
		set = append(set, x5280.AnyPolicy)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		for _, p := range n.parents {
			if n.policy != x5280.AnyPolicy && p.policy == x5280.AnyPolicy && !known[n.policy] {
				set, known[n.policy] = append(set, n.policy), true
			}
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	return set
}

// counters are the state variables of section 6.1.2 (d) to (f).
type counters struct{ explicit, mapping, skip int }

func (c *counters) lower() {
	for _, n := range []*int{&c.explicit, &c.mapping, &c.skip} {
		*n = max(*n-1, 0)
	}
}

func unlimited(not bool) int {
	if not {
		return 0
	}
	return math.MaxInt
}

func limit(n *int, to *int) bool {
	if to == nil || *to >= *n {
		return false
	}
	*n = *to
	return true
}

// policies goes through the path once for all that concerns policies, and returns the
// user-constrained-policy-set.
func (v *validator) policies() []x5280.OID {
	at := counters{unlimited(v.o.Explicit), unlimited(v.o.InhibitMapping), unlimited(v.o.InhibitAny)}
	g, demand := newGraph(), "this host's settings"
	anchor := len(v.path) - 1
	for depth := anchor - 1; depth >= 0; depth-- {
		c := v.path[depth]
		if *v.steps -= len(c.Policies) + len(c.Mappings) + len(g.row); *v.steps < 0 {
			return nil
		}
		g.grow(c.Policies, at.skip > 0 || depth > 0 && c.SelfIssued())
		if g.null() && at.explicit == 0 {
			v.fail(Policies, depth, "is under no policy that those above allow, and %s want one", demand)
			return nil
		}
		if depth == 0 {
			at.explicit = max(at.explicit-1, 0) // section 6.1.5 (a), (b)
			if r := c.PolicyLimits.RequireExplicit; r != nil && *r == 0 {
				at.explicit, demand = 0, "it"
			}
			break
		}
		v.mapped(depth, g, at.mapping > 0)
		if !c.SelfIssued() {
			at.lower()
		}
		if limit(&at.explicit, c.PolicyLimits.RequireExplicit) {
			demand = "the rules of " + c.String()
		}
		limit(&at.mapping, c.PolicyLimits.InhibitMapping)
		limit(&at.skip, c.InhibitAny)
	}
	set := v.acceptable(g.authority())
	if at.explicit == 0 && len(set) == 0 {
		v.fail(Policies, 0, "is under no acceptable policy, and %s want one", demand)
	}
	return set
}

// mapped is section 6.1.4 (a) and (b).
func (v *validator) mapped(depth int, g *graph, allowed bool) {
	m := v.path[depth].Mappings
	if slices.ContainsFunc(m, func(m x5280.Mapping) bool { return m.Issuer == x5280.AnyPolicy || m.Subject == x5280.AnyPolicy }) {
		v.fail(PolicyMapping, depth, "maps policies to or from any policy, which is not allowed")
	}
	g.translate(m, allowed)
}

// acceptable is what of the authority's policies the user takes.
func (v *validator) acceptable(set []x5280.OID) []x5280.OID {
	if len(v.o.Acceptable) == 0 || slices.Contains(v.o.Acceptable, x5280.AnyPolicy) {
		return set
	}
	if slices.Contains(set, x5280.AnyPolicy) {
		return slices.Clone(v.o.Acceptable)
	}
	return slices.DeleteFunc(set, func(p x5280.OID) bool { return !slices.Contains(v.o.Acceptable, p) })
}
