package revocation

import (
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"
	"pgregory.net/rapid"

	"mailseal/internal/testpki/forge"
)

// peer asks openssl verify.
type peer struct{ exe, dir string }

func (p peer) verify(t *rapid.T, w *world) (good bool, text string) {
	var crls []byte
	for _, der := range append(slices.Clone(w.local), forge.CRL{}.Sign(w.root)) {
		crls = append(crls, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	for name, file := range map[string][]byte{
		"root.pem": forge.PEM(w.root), "between.pem": forge.PEM(append([]*forge.Issued{w.issuer}, w.others...)...), "leaf.pem": forge.PEM(w.alice), "crls.pem": crls,
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(p.exe, "verify", "-crl_check_all", "-extended_crl", "-use_deltas", "-no-CApath", "-no-CAstore", "-attime", fmt.Sprint(at.Unix()),
		"-CAfile", "root.pem", "-untrusted", "between.pem", "-CRLfile", "crls.pem", "leaf.pem")
	c.Dir = p.dir
	out, err := c.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return err == nil, string(out)
}

// A drawer draws certificates and CRLs most of which are good.
type drawer struct {
	*rapid.T
	// alone: the certificate has a point with nothing but an issuer's name, for which
	// OpenSSL takes CRLs of any point, and RFC 5280 section 6.3.3 (b)(2)(i) does not.
	alone bool
	// some: the certificate has a point for some reasons. To OpenSSL a CRL of no point
	// is then about those alone; by RFC 5280 section 6.3.3 it is about all.
	some bool
}

// rarely is true one time in n.
func (d *drawer) rarely(n int, what string) bool { return rapid.IntRange(1, n).Draw(d.T, what) == n }

// name is of a point, by one of three forms. No two points of a certificate have the
// same: OpenSSL looks at the first that a CRL is for.
func (d *drawer) name(issuer, which string) []byte {
	return rapid.SampledFrom([][]byte{
		point1(issuer, which).Name,
		forge.FullName(forge.URI("http://ca.example/"+which), forge.Directory(forge.Name(issuer, which))),
		forge.RelativeName(forge.Attribute("2.5.4.3", asn1.UTF8String, which)),
	}).Draw(d.T, "form")
}

var someOf = [][]int{{1, 2}, {3, 4, 5, 6, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 8}}

func (d *drawer) point(indirect bool, which string, only bool) forge.Point {
	p := forge.Point{}
	issuer := "CA"
	if indirect {
		issuer = "Lists"
		p.Issuers = [][]byte{forge.Directory(forge.Name("Lists"))}
	}
	if only && indirect && d.rarely(3, "issuer alone") {
		d.alone = true
	} else {
		p.Name = d.name(issuer, which)
	}
	if d.rarely(4, "point's reasons") {
		p.Reasons = rapid.SampledFrom(someOf).Draw(d.T, "reasons")
		d.some = true
	}
	return p
}

func (d *drawer) crl(indirect bool, n int) forge.CRL {
	c := forge.CRL{Number: n, From: at.Add(-time.Duration(100-n) * time.Hour), To: at.Add(time.Hour)}
	// Only the oldest has flaws: where a newer one has, OpenSSL takes the older, which we
	// mean not to.
	if n == 1 && d.rarely(5, "expired") {
		c.To = at.Add(-time.Hour)
	}
	if d.rarely(20, "early") {
		c.From = at.Add(time.Hour)
	}
	for _, e := range []forge.Entry{{Serial: []byte{7}, Reason: 1}, {Serial: []byte{7}, Reason: 6}, {Serial: []byte{8}}} {
		if d.rarely(6, "listed") {
			c.Entries = append(c.Entries, e)
		}
	}
	if indirect && len(c.Entries) > 0 && !d.rarely(3, "own") {
		c.Entries[0].Extensions = [][]byte{forge.CertificateIssuer(forge.Name(rapid.SampledFrom([]string{"CA", "CA", "Other"}).Draw(d.T, "of")))}
	}
	if s := (forge.Scope{Indirect: indirect && !d.rarely(8, "not indirect")}); indirect || d.some || d.rarely(2, "scope") {
		if !d.alone && (d.some || d.rarely(2, "named")) {
			s.Name = d.name(map[bool]string{true: "Lists", false: "CA"}[indirect], rapid.SampledFrom([]string{"one", "one", "two"}).Draw(d.T, "point"))
		}
		kind := rapid.IntRange(0, 12).Draw(d.T, "kind")
		s.OnlyUsers, s.OnlyCAs, s.OnlyAttributes = kind < 4, kind == 4, kind == 5
		if d.rarely(3, "some") {
			s.Reasons = rapid.SampledFrom(someOf).Draw(d.T, "scope's reasons")
		}
		c.Extensions = append(c.Extensions, s.Extension())
	}
	if n == 1 && d.rarely(10, "unknown") {
		c.Extensions = append(c.Extensions, forge.Extension("1.2.3.4", true, []byte{5, 0}))
	}
	return c
}

// What we call good OpenSSL does; and what it calls good, we do but for those that some
// CRL in hand lists: of CRLs of several scopes it looks at one, and of those by several
// keys as well.
func TestAsOpenSSL(t *testing.T) {
	exe, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	p := peer{exe, t.TempDir()}
	rounds := 1
	if os.Getenv("MAILSEAL_SLOW") != "" {
		rounds = 20
	}
	counts := map[Status]int{}
	rooted := newWorld().sign()
	for range rounds {
		rapid.Check(t, func(t *rapid.T) {
			d := &drawer{T: t}
			var points []forge.Point
			indirect := d.rarely(3, "indirect")
			drawn := rapid.SampledFrom([][]string{{}, {"one"}, {"two"}, {"two", "one"}}).Draw(t, "points")
			for _, which := range drawn {
				points = append(points, d.point(indirect, which, len(drawn) == 1))
			}
			w := newWorld()
			if len(points) > 0 {
				w = newWorld(forge.Points(points...))
			}
			w.root, w.issuer = rooted.root, rooted.issuer
			w.sign()
			for i := range rapid.IntRange(1, 3).Draw(t, "CRLs") {
				switch crl := d.crl(indirect, i+1); {
				case indirect:
					w.with(signs("Lists"), crl)
				case d.rarely(6, "another key"):
					w.with(signs("CA"), crl)
				default:
					w.has(crl)
				}
			}
			if len(w.others) > 1 {
				w.others = w.others[:1] // they are all the same
			}
			report := w.check(t)
			theirs, text := p.verify(t, w)
			counts[report.Status]++
			if report.Status == Good && !theirs || theirs && report.Status == Unknown {
				t.Fatalf("we: %s\nopenssl: %s", told(report), text)
			}
		})
	}
	t.Log(counts)
	if len(counts) < 3 {
		t.Error("what is drawn says nothing")
	}
}
