package path

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
)

// peer asks openssl verify for its verdict.
type peer struct {
	exe, dir string
}

func newPeer(t *testing.T) peer {
	t.Helper()
	exe, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	return peer{exe, t.TempDir()}
}

// verify takes certificates as paths go. Text is what openssl says of it.
func (p peer) verify(t *rapid.T, path []*forge.Issued, args []string) (good bool, text string) {
	last := len(path) - 1
	for name, file := range map[string][]byte{
		"root.pem": forge.PEM(path[last]), "between.pem": forge.PEM(path[1:last]...), "leaf.pem": forge.PEM(path[0]),
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := append([]string{
		"verify", "-x509_strict", "-policy_check", "-purpose", "smimesign", "-no-CApath", "-no-CAstore",
		"-attime", fmt.Sprint(at.Unix()), "-CAfile", "root.pem",
	}, args...)
	if last > 1 {
		all = append(all, "-untrusted", "between.pem")
	}
	c := exec.Command(p.exe, append(all, "leaf.pem")...)
	c.Dir = p.dir
	out, err := c.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return err == nil, string(out)
}

// A drawer draws certificates most of which are good.
type drawer struct{ *rapid.T }

// rarely is true one time in n.
func (d drawer) rarely(n int, what string) bool { return rapid.IntRange(1, n).Draw(d.T, what) == n }

func (d drawer) number(what string) int { return rapid.IntRange(0, 3).Draw(d.T, what) }

// policies are some, with anyPolicy among them at times.
func (d drawer) policies() []byte {
	set := rapid.SliceOfNDistinct(rapid.SampledFrom([]int{0, 1, 1, 2, 3}), 1, 3, rapid.ID[int]).Draw(d.T, "policies")
	return p(set...)
}

var (
	hosts = []string{"a.example", "b.a.example", "xa.example", "c.example"}
	bases = []func(host string) []byte{
		func(h string) []byte { return forge.Mail("u@" + h) }, forge.Mail, forge.DNS, forge.URI,
		func(h string) []byte { return forge.Mail("." + h) }, func(h string) []byte { return forge.URI("." + h) },
		func(h string) []byte { return forge.DNS("." + h) },
		func(h string) []byte { return dir("OU=" + h) },
		func(h string) []byte { return forge.IP(192, 0, 2, byte(len(h)), 255, 255, 255, 254) },
	}
	forms = []func(host string) []byte{
		func(h string) []byte { return forge.Mail("u@" + h) }, func(h string) []byte { return forge.Mail("v@" + strings.ToUpper(h)) },
		forge.DNS, func(h string) []byte { return forge.URI("https://" + h + "/x") }, func(h string) []byte { return dir("OU="+h, "w") },
		func(h string) []byte { return forge.IP(192, 0, 2, byte(len(h))) },
	}
)

func (d drawer) constraints() []byte {
	var trees [2][][]byte
	for i := range trees {
		for range rapid.IntRange(1-i, 2).Draw(d.T, "trees") {
			trees[i] = append(trees[i], rapid.SampledFrom(bases).Draw(d.T, "base")(rapid.SampledFrom(hosts).Draw(d.T, "host")))
		}
	}
	return forge.Constraints(trees[0], trees[1])
}

func (d drawer) names() []byte {
	var all [][]byte
	for range rapid.IntRange(1, 2).Draw(d.T, "names") {
		all = append(all, rapid.SampledFrom(forms).Draw(d.T, "form")(rapid.SampledFrom(hosts).Draw(d.T, "host")))
	}
	return forge.AltNames(all...)
}

// ca draws a CA's certificate.
func (d drawer) ca(depth int, above forge.Certificate) forge.Certificate {
	c := forge.Certificate{Subject: forge.Name("OU="+rapid.SampledFrom(hosts).Draw(d.T, "unit"), fmt.Sprint("CA ", depth))}
	if depth > 0 && d.rarely(4, "self-issued") {
		c.Subject, c.KeyOf = above.Subject, fmt.Sprint("key ", depth)
	}
	pathLen := -1
	if d.rarely(6, "path length") {
		pathLen = d.number("length")
	}
	usage := forge.Usage(5, 6)
	if d.rarely(80, "no keyCertSign") {
		usage, pathLen = forge.Usage(6), -1
	}
	c.Extensions = append(c.Extensions, forge.Basic(!d.rarely(80, "no CA"), pathLen), usage)
	if !d.rarely(4, "without policies") {
		c.Extensions = append(c.Extensions, d.policies())
		if d.rarely(3, "mapped") {
			pairs := rapid.SliceOfN(rapid.IntRange(1, 3), 2, 4).Draw(d.T, "mappings")
			c.Extensions = append(c.Extensions, maps(pairs[:len(pairs)/2*2]...))
		}
	}
	if d.rarely(5, "policyConstraints") {
		c.Extensions = append(c.Extensions, forge.PolicyConstraints(d.number("explicit"), d.number("inhibit")-1))
	}
	if d.rarely(5, "inhibitAnyPolicy") {
		c.Extensions = append(c.Extensions, forge.InhibitAny(d.number("skip")))
	}
	if d.rarely(5, "nameConstraints") {
		c.Extensions = append(c.Extensions, d.constraints())
	}
	if d.rarely(20, "purposes") {
		c.Extensions = append(c.Extensions, forge.Purposes(rapid.SampledFrom([]string{forge.ForMail, forge.ForMail, forge.ForServers}).Draw(d.T, "purpose")))
	}
	return c
}

func (d drawer) leaf() forge.Certificate {
	c := forge.Certificate{
		Subject:    forge.Name("OU="+rapid.SampledFrom(hosts).Draw(d.T, "unit"), "Alice"),
		Extensions: [][]byte{forge.Usage(rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, 1, 2}).Draw(d.T, "usage")), d.names()},
	}
	if !d.rarely(4, "without policies") {
		c.Extensions = append(c.Extensions, d.policies())
	}
	if d.rarely(10, "policyConstraints") {
		c.Extensions = append(c.Extensions, demand(d.number("explicit")))
	}
	if d.rarely(40, "unknown") {
		c.Extensions = append(c.Extensions, forge.Extension("1.2.3.4", true, []byte{5, 0}))
	}
	return c
}

// settings draws the user's inputs, for us and for OpenSSL.
func (d drawer) settings() (o Options, args []string) {
	o.At = at
	for _, s := range []struct {
		set  *bool
		flag string
	}{{&o.Explicit, "-explicit_policy"}, {&o.InhibitMapping, "-inhibit_map"}, {&o.InhibitAny, "-inhibit_any"}} {
		if *s.set = d.rarely(4, s.flag); *s.set {
			args = append(args, s.flag)
		}
	}
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 3), 0, 2, rapid.ID[int]).Draw(d.T, "acceptable") {
		o.Acceptable = append(o.Acceptable, id(n))
		args = append(args, "-policy", policy(n))
	}
	if len(o.Acceptable) == 0 { // to OpenSSL no policy is not any
		args = append(args, "-policy", forge.AnyPolicy)
	}
	return o, args
}

// mapsInhibited reports whether a policy may be mapped that a CA has by anyPolicy only,
// where that is inhibited: OpenSSL maps it all the same. By RFC 5280 section 6.1.3 (d)(2)
// there is no policy then.
func mapsInhibited(path []*x5280.Certificate, o Options) bool {
	inhibited := o.InhibitAny || slices.ContainsFunc(path, func(c *x5280.Certificate) bool { return c.InhibitAny != nil })
	return inhibited && slices.ContainsFunc(path, func(c *x5280.Certificate) bool {
		return len(c.Mappings) > 0 && slices.Contains(c.Policies, x5280.AnyPolicy)
	})
}

// A path that is drawn is as good to OpenSSL as it is to us. What is not drawn is where
// we mean to differ: a mailbox that is excluded in other letters, and a wildcard that
// stands for an excluded host, are refused here; any purpose is taken for mail here; an
// extension that both know but must not be critical, as a key identifier, is no reason
// to refuse; a common name is no host name; of constraints, "" is every host.
func TestAsOpenSSL(t *testing.T) {
	peer := newPeer(t)
	rounds := 1
	if os.Getenv("MAILSEAL_SLOW") != "" {
		rounds = 20
	}
	good, bad := 0, map[Rule]int{}
	for range rounds {
		rapid.Check(t, func(t *rapid.T) {
			d := drawer{t}
			path := steps{d.ca(0, forge.Certificate{})}
			for i := range rapid.IntRange(0, 4).Draw(t, "CAs") {
				path = append(path, d.ca(i+1, path[i]))
			}
			o, args := d.settings()
			issued := sign(append(path, d.leaf()))
			certs := readAll(t, issued)
			r := Validate(certs, o)
			theirs, text := peer.verify(t, issued, args)
			if _, broken := r.Broke(Policies); r.Good() != theirs && !(broken && theirs && mapsInhibited(certs, o)) {
				t.Fatalf("%v\nwe: %q\nopenssl: %s", args, r.Text(), text)
			}
			if good++; !r.Good() {
				good--
				bad[r.Failures[0].Rule]++
			}
		})
	}
	t.Logf("%d good, bad: %v", good, bad)
	if good == 0 || len(bad) < 4 {
		t.Error("what is drawn says nothing")
	}
}
