package interop

import (
	"os"
	"testing"

	"mailseal/test/peers"
)

func TestControl(t *testing.T) {
	if os.Getenv("MAILSEAL_SLOW") == "" {
		t.Skip("slow: make check runs it")
	}
	m := newMaterial(t)
	m.pantry.Jars = peers.Jars(t)
	a := &asked{material: m, ours: newMailseal(t, m)}
	makers := []peers.Cook{peers.OpenSSLCook(t, m.pantry), peers.BouncyCastleCook(t, m.pantry)}
	a.control(t, makers, append(makers, peers.GPGSMCook(t, m.pantry), peers.NSSCook(t, m.pantry)))
}

// control: what a peer refuses of ours it refuses of other programs too. If it
// did not, the reason that is listed would be none, and the fault ours.
func (a *asked) control(t *testing.T, makers, readers []peers.Cook) {
	t.Helper()
	for _, g := range groups() {
		for _, r := range g.rows {
			if r.theirs || r.recent && !a.recent {
				continue
			}
			for _, by := range readers {
				if ours := a.transfer(a.ours, by, r.forms[0], r); ours != nil {
					a.others(t, g.title+": "+r.name, r, makers, by, ours)
				}
			}
		}
	}
}

// others has one who refused our mail for a reason read those of others.
func (a *asked) others(t *testing.T, key string, r row, makers []peers.Cook, by peers.Cook, reason error) {
	t.Helper()
	alone := true
	for _, from := range makers {
		if from == by || a.transfer(from, a.ours, r.forms[0], r) != nil {
			continue // that nobody makes, or we do not read
		}
		alone = false
		if a.transfer(from, by, r.forms[0], r) == nil {
			t.Errorf("%s: %s %s reads that of %s %s, and not ours: %v", key, by.Name(), by.Version(), from.Name(), from.Version(), reason)
		}
	}
	if alone {
		t.Logf("%s: %s %s refuses, and nobody else makes it", key, by.Name(), by.Version())
	}
}
