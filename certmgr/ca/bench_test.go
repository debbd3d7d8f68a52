package ca

import (
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca/index"
)

// many makes a CA whose database has n certificates, every one of them revoked
// where that is asked for. newcerts has none of them.
func many(t testing.TB, n int, revoked bool) *CA {
	t.Helper()
	c := newCA(t)
	fill(t, c, n, revoked)
	return c
}

func fill(t testing.TB, c *CA, n int, revoked bool) {
	t.Helper()
	var b strings.Builder
	now := time.Now()
	for i := range n {
		serial := new(big.Int).Lsh(big.NewInt(int64(i+1)), 100)
		e := index.Entry{
			Status: index.Valid, Expiry: index.Time(now.AddDate(0, 0, i%800)), Serial: index.Serial(serial), File: "unknown",
			Subject: fmt.Sprintf("/C=JP/ST=Osaka/L=Kita-ku/O=MyCorp/CN=user%d@corp.example", i),
		}
		if revoked {
			e.Status, e.Revocation = index.Revoked, index.Revocation{At: now, Reason: KeyCompromise}.String()
		}
		b.WriteString(e.Line())
	}
	if err := os.WriteFile(c.path(indexFile), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkIssue: the time of one certificate does not grow with the number of
// those before it.
func BenchmarkIssue(b *testing.B) {
	for _, kind := range []KeyKind{P256, RSA2048} {
		for _, n := range []int{10, 100_000} {
			b.Run(fmt.Sprintf("%v/%d", kind, n), func(b *testing.B) {
				c := many(b, n, false)
				r := alice
				r.Key = kind
				issue(b, c, r) // the database is read once
				for b.Loop() {
					issue(b, c, r)
				}
			})
		}
	}
}

// BenchmarkIssueKeyGiven leaves the search for primes out, which hides the
// rest; cold is a command that has just opened the folder.
func BenchmarkIssueKeyGiven(b *testing.B) {
	key, err := GenerateKey(RSA2048)
	if err != nil {
		b.Fatal(err)
	}
	r := alice
	r.PublicKey = key.Public()
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("warm/%d", n), func(b *testing.B) {
			c := many(b, n, false)
			issue(b, c, r)
			for b.Loop() {
				issue(b, c, r)
			}
		})
		b.Run(fmt.Sprintf("cold/%d", n), func(b *testing.B) {
			c := many(b, n, false)
			for b.Loop() {
				again, err := Open(c.Dir(), OpenOptions{})
				if err != nil {
					b.Fatal(err)
				}
				issue(b, again, r)
			}
		})
		b.Run(fmt.Sprintf("unique/%d", n), func(b *testing.B) {
			c := many(b, n, false)
			writeFile(b, c.path(attrFile), "unique_subject = yes\n")
			r, i := r, 0
			for b.Loop() {
				i++
				r.Emails = []string{fmt.Sprintf("new%d@corp.example", i)}
				r.Subject.CommonName = r.Emails[0]
				issue(b, c, r)
			}
		})
	}
}

func BenchmarkList(b *testing.B) {
	c := many(b, 100_000, false)
	for _, q := range []struct {
		name string
		Query
	}{{"all", Query{Sort: ByEnd}}, {"within a week", Query{Status: Valid, Within: 7 * 24 * time.Hour}}, {"details", Query{Details: true}}} {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.List(q.Query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("show", func(b *testing.B) {
		serial := index.Serial(new(big.Int).Lsh(big.NewInt(99_999), 100))
		for b.Loop() {
			if _, err := c.Show(serial); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCRL(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := many(b, n, true)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.IssueCRL(CRLOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRevoke(b *testing.B) {
	c := many(b, 100_000, false)
	n := int64(0)
	for b.Loop() {
		n++
		if _, err := c.Revoke(Revocation{Serial: index.Serial(new(big.Int).Lsh(big.NewInt(n), 100))}); err != nil {
			b.Fatal(err)
		}
	}
}
