package path

import (
	"fmt"
	"slices"
	"testing"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
)

// steps are the certificates of a path from the root down.
type steps []forge.Certificate

// ca is a CA's certificate with further extensions.
func ca(name string, more ...[]byte) forge.Certificate {
	return forge.Certificate{Subject: forge.Name(name), Extensions: slices.Concat(forge.CA, more)}
}

// limited is one with a path length.
func limited(name string, pathLen int, more ...[]byte) forge.Certificate {
	return forge.Certificate{Subject: forge.Name(name), Extensions: append([][]byte{forge.Basic(true, pathLen), forge.Usage(5)}, more...)}
}

// again is a self-issued certificate: the CA's name with another key.
func again(c forge.Certificate) forge.Certificate {
	c.KeyOf = string(c.Subject) + "new"
	return c
}

// user is a leaf.
func user(more ...[]byte) forge.Certificate {
	return forge.Certificate{Subject: forge.Name("Alice"), Extensions: append([][]byte{forge.Usage(0)}, more...)}
}

// sign issues them, each by the one before, and returns them as paths go: the leaf first.
func sign(s steps) (issued []*forge.Issued) {
	var by *forge.Issued
	for _, c := range s {
		by = c.Sign(by)
		issued = append(issued, by)
	}
	slices.Reverse(issued)
	return issued
}

// A failer is a test, or one run of a law.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func readAll(t failer, issued []*forge.Issued) (all []*x5280.Certificate) {
	t.Helper()
	for _, i := range issued {
		all = append(all, parse(t, i.DER))
	}
	return all
}

// A ruling is a path and what is to become of it.
type ruling struct {
	name string
	path steps
	want Rule // "" is a good path
	set  func(*Options)
}

// judge has each path validated as it is and found among the certificates of all.
func judge(t *testing.T, rulings []ruling) {
	t.Helper()
	for _, r := range rulings {
		t.Run(r.name, func(t *testing.T) {
			path := readAll(t, sign(r.path))
			o := Options{At: at}
			if r.set != nil {
				r.set(&o)
			}
			var want []Rule
			if r.want != "" {
				want = []Rule{r.want}
			}
			check(t, "validated", Validate(path, o), want)
			anchor, extra := path[len(path)-1:], slices.Clone(path[:len(path)-1])
			slices.Reverse(extra)
			if r.want != NameChaining {
				check(t, "found", NewStore(anchor).Among(extra, o).Path(path[0]), want)
			}
		})
	}
}

// p are policies by number, as NIST's.
func p(n ...int) []byte {
	var ids []string
	for _, i := range n {
		ids = append(ids, policy(i))
	}
	return forge.Policies(ids...)
}

func policy(n int) string {
	if n == 0 {
		return forge.AnyPolicy
	}
	return fmt.Sprint("2.16.840.1.101.3.2.1.48.", n)
}

func id(n int) x5280.OID {
	o, err := x5280.NewOID(policy(n))
	if err != nil {
		panic(err)
	}
	return o
}

func maps(pairs ...int) []byte {
	var ids []string
	for _, n := range pairs {
		ids = append(ids, policy(n))
	}
	return forge.Mappings(ids...)
}

func explicit(o *Options)  { o.Explicit = true }
func noMapping(o *Options) { o.InhibitMapping = true }
func noAny(o *Options)     { o.InhibitAny = true }
func forServers() []byte   { return forge.Purposes(forge.ForServers) }
func demand(n int) []byte  { return forge.PolicyConstraints(n, -1) }
func nomap(n int) []byte   { return forge.PolicyConstraints(-1, n) }
func accept(n ...int) func(*Options) {
	return func(o *Options) {
		for _, i := range n {
			o.Acceptable = append(o.Acceptable, id(i))
		}
	}
}

func both(f ...func(*Options)) func(*Options) {
	return func(o *Options) {
		for _, g := range f {
			g(o)
		}
	}
}
