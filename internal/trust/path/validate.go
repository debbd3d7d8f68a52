package path

import (
	"errors"
	"slices"
	"strings"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/x509key"
)

// maxSteps bounds comparisons of names with constraints and nodes of the policy
// graph, for one mail: either can be made as many as certificates of a megabyte hold.
const maxSteps = 250000

// A validator holds one path.
type validator struct {
	path     []*x5280.Certificate
	o        Options
	signed   func(child, parent *x5280.Certificate) error
	steps    *int // left
	failures []Failure
}

func (v *validator) run() Result {
	r := Result{Path: v.path}
	if len(v.path) == 0 {
		return r
	}
	for depth := len(v.path) - 1; depth >= 0; depth-- {
		v.each(depth)
	}
	v.lengths()
	v.purposes()
	v.leaf()
	v.names()
	r.Policies = v.policies()
	if *v.steps < 0 {
		v.fail(Effort, 0, "comes with so many names, constraints or policies that its path is not looked at")
	}
	for i, c := range v.path[:len(v.path)-1] {
		r.Links = append(r.Links, Link{c, v.path[i+1], x509key.Public(v.path[i+1].X509)})
	}
	r.Failures = v.failures
	return r
}

// each is section 6.1.3 (a) but for revocation, and of section 6.1.4 what concerns
// one certificate: (k), (n) and (o).
func (v *validator) each(depth int) {
	c := v.path[depth]
	for _, f := range c.Faults {
		v.fail(Malformed, depth, "is malformed: %s", f)
	}
	for _, id := range c.Unknown {
		v.fail(Critical, depth, "has a critical extension that is not known here: %v", id)
	}
	switch {
	case v.o.At.Before(c.NotBefore):
		v.fail(NotYetValid, depth, "is not valid before %s", c.NotBefore.UTC().Format(time.DateTime))
	case v.o.At.After(c.NotAfter):
		v.fail(Expired, depth, "expired at %s", c.NotAfter.UTC().Format(time.DateTime))
	}
	anchor := depth == len(v.path)-1
	if !anchor {
		v.issued(depth)
	}
	if depth == 0 {
		return
	}
	if ca := c.Basic != nil && c.Basic.CA; !ca && (!anchor || c.Version == 3 || !c.SelfIssued()) { // an old root says nothing of it
		v.fail(NotCA, depth, "is not a CA's: its owner may not certify others")
	}
	if c.Usage != nil && *c.Usage&x5280.KeyCertSign == 0 {
		v.fail(CAKeyUsage, depth, "is not for signing certificates (key usage)")
	}
}

// issued is section 6.1.3 (a)(1) and (a)(4).
func (v *validator) issued(depth int) {
	c, issuer := v.path[depth], v.path[depth+1]
	if c.Issuer.Empty() {
		v.fail(Malformed, depth, "names no issuer")
	}
	if !c.Issuer.Equal(issuer.Subject) {
		v.fail(NameChaining, depth, "names another issuer than %s", issuer)
	}
	err := v.signed(c, issuer)
	if allowed := errors.Is(err, errWeak) && v.o.AllowWeak; err != nil && !allowed {
		v.failures = append(v.failures, unsigned(depth, c, issuer, err))
	}
}

// lengths is section 6.1.4 (l) and (m), and the anchor's own limit.
func (v *validator) lengths() {
	left, by := len(v.path), len(v.path)-1
	for depth := len(v.path) - 1; depth > 0; depth-- {
		c := v.path[depth]
		if depth < len(v.path)-1 && !c.SelfIssued() {
			if left == 0 {
				v.fail(PathLength, depth, "is one CA more than %s allows below itself", v.path[by])
				return
			}
			left--
		}
		if b := c.Basic; b != nil && b.PathLen != nil && *b.PathLen < left {
			left, by = *b.PathLen, depth
		}
	}
}

// purposes: RFC 5280 leaves open what extKeyUsage means in a CA's certificate. As
// elsewhere, it bounds what those below are for.
func (v *validator) purposes() {
	if v.o.Use != SignMail {
		return
	}
	for depth := len(v.path) - 1; depth >= 0; depth-- {
		p := v.path[depth].Purposes
		if len(p) > 0 && !slices.Contains(p, x5280.EmailProtection) && !slices.Contains(p, x5280.AnyPurpose) {
			v.fail(Purpose, depth, "is not for e-mail (extended key usage)")
		}
	}
}

// leaf holds what the leaf's key was used for against what it is for.
func (v *validator) leaf() {
	c := v.path[0]
	may := func(bits x5280.KeyUsage) bool { return c.Usage == nil || *c.Usage&bits != 0 }
	switch v.o.Use {
	case SignMail:
		if !may(x5280.DigitalSignature | x5280.NonRepudiation) {
			v.fail(KeyUsage, 0, "is not for signatures (key usage)")
		}
	case SignCRL:
		if !may(x5280.CRLSign) {
			v.fail(KeyUsage, 0, "is not for signing CRLs (key usage)")
		}
	case SignOCSP:
		if !may(x5280.DigitalSignature | x5280.NonRepudiation) {
			v.fail(KeyUsage, 0, "is not for signatures (key usage)")
		}
		if !slices.Contains(c.Purposes, x5280.OCSPSigning) {
			v.fail(Purpose, 0, "is not for OCSP (extended key usage)")
		}
	}
}

// Text is all failures in words, for a log.
func (r Result) Text() string {
	var all []string
	for _, f := range r.Failures {
		all = append(all, f.Text)
	}
	return strings.Join(all, "; ")
}
