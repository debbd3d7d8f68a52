package trust

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	"mailseal/internal/x509key"
)

// A graph is who may have issued whom, by name.
type graph struct {
	named   map[string][]*x509.Certificate // by subject: anchors, then others
	anchors map[*x509.Certificate]bool
	checked map[edge]bool // signatures, and whether they are good
}

type edge struct{ child, parent *x509.Certificate }

func newGraph(anchors, others []*x509.Certificate) *graph {
	g := &graph{
		named: map[string][]*x509.Certificate{}, anchors: make(map[*x509.Certificate]bool, len(anchors)), checked: map[edge]bool{},
	}
	for _, c := range anchors {
		g.anchors[c] = true
	}
	for _, c := range slices.Concat(anchors, others) {
		name := string(c.RawSubject)
		if !slices.ContainsFunc(g.named[name], c.Equal) {
			g.named[name] = append(g.named[name], c)
		}
	}
	return g
}

func (g *graph) anchor(c *x509.Certificate) bool { return g.anchors[c] }

// above returns the possible issuers of c: those with the key that it says first.
func (g *graph) above(c *x509.Certificate) []*x509.Certificate {
	var said, others []*x509.Certificate
	for _, p := range g.named[string(c.RawIssuer)] {
		switch {
		case p.Equal(c):
		case len(c.AuthorityKeyId) > 0 && bytes.Equal(p.SubjectKeyId, c.AuthorityKeyId):
			said = append(said, p)
		default:
			others = append(others, p)
		}
	}
	return append(said, others...)
}

// only returns the one way that leads up from leaf and what it takes to check the
// signatures, if there is one only and crypto/x509 knows all their algorithms.
func (g *graph) only(leaf *x509.Certificate) (way []*x509.Certificate, cost time.Duration, ok bool) {
	for c := leaf; ; {
		above := g.above(c)
		switch {
		case len(above) == 0:
			return way, cost, true
		case len(above) > 1, c.SignatureAlgorithm == x509.UnknownSignatureAlgorithm, slices.Contains(way, above[0]):
			return nil, 0, false
		}
		c = above[0]
		cost += x509key.Cost(x509key.Public(c))
		if g.anchor(c) {
			return way, cost, true
		}
		way = append(way, c)
	}
}
