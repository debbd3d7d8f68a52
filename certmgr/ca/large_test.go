package ca

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("MAILSEAL_SLOW") == "" {
		t.Skip("slow: make check runs it")
	}
}

// A certificate from a CA that has issued 100,000 takes no longer than one
// from a CA that has issued ten; in a command too, which knows nothing yet.
func TestIssueRatio(t *testing.T) {
	slow(t)
	few, lots := many(t, 10, false), many(t, 100_000, false)
	key, err := GenerateKey(P256)
	if err != nil {
		t.Fatal(err)
	}
	r := alice
	r.PublicKey = key.Public()
	once := func(c *CA, cold bool) time.Duration {
		start := time.Now()
		if cold {
			if c, err = Open(c.Dir(), OpenOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		issue(t, c, r)
		return time.Since(start)
	}
	for _, cold := range []bool{false, true} {
		once(few, cold)
		once(lots, cold) // it is read once
		var a, b []time.Duration
		for range 41 { // in turns, so that what else runs disturbs both
			a, b = append(a, once(few, cold)), append(b, once(lots, cold))
		}
		slices.Sort(a)
		slices.Sort(b)
		ratio := float64(b[len(b)/2]) / float64(a[len(a)/2])
		t.Logf("cold %t: %v with 10, %v with 100,000: %.2f times", cold, a[len(a)/2], b[len(b)/2], ratio)
		if ratio > 1.5 {
			t.Errorf("cold %t: %.2f times as long with 100,000 certificates", cold, ratio)
		}
	}
}

// openssl takes a list of 100,000, which we make in little memory.
func TestLargeCRL(t *testing.T) {
	slow(t)
	c := many(t, 100_000, true)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	list := newList(t, c)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	used := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("%d entries, %d bytes, %v, %d MB taken in all", list.Revoked, len(list.DER), took, used)
	if list.Revoked != 100_000 || used > 200 {
		t.Errorf("%d entries, %d MB", list.Revoked, used)
	}
	if out := openssl(t, "crl", "-in", c.path(crlFile), "-noout", "-nextupdate", "-CAfile", c.path(certFile)); !strings.Contains(out, "verify OK") {
		t.Error(out)
	}
	start = time.Now()
	openssl(t, "ca", "-config", c.path(confFile), "-gencrl", "-out", c.path(crlFile))
	t.Logf("openssl ca -gencrl: %v", time.Since(start))
	theirs, err := c.CRL()
	if err != nil || theirs.Revoked != list.Revoked {
		t.Errorf("%+v, %v", theirs, err)
	}
}
