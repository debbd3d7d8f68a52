package interop

import (
	"os"
	"testing"

	"mailseal/test/peers"
)

// What a peer refuses of ours it refuses of another program too, or the
// reason that is listed would be none.
func TestControl(t *testing.T) {
	if os.Getenv("MAILSEAL_SLOW") == "" {
		t.Skip("slow: make check runs it")
	}
	m := newMaterial(t)
	m.pantry.Jars = peers.Jars(t)
	a := &asked{material: m, ours: newMailseal(t, m)}
	makers := []peers.Cook{peers.OpenSSLCook(t, m.pantry), peers.BouncyCastleCook(t, m.pantry)}
	readers := append(makers, peers.GPGSMCook(t, m.pantry), peers.NSSCook(t, m.pantry))
	for _, g := range groups() {
		for _, r := range g.rows {
			if r.recent || r.theirs {
				continue
			}
			for _, by := range readers {
				ours := a.transfer(a.ours, by, r.forms[0], r)
				if ours == nil {
					continue
				}
				same, different := 0, 0
				for _, from := range makers {
					if from == by {
						continue
					}
					if made := a.transfer(from, a.ours, r.forms[0], r); made != nil {
						continue
					}
					if err := a.transfer(from, by, r.forms[0], r); err != nil {
						same++
					} else {
						different++
						t.Errorf("%s: %s: %s reads that of %s, and not ours: %v", g.title, r.name, by.Name(), from.Name(), ours)
					}
				}
				if same+different == 0 {
					t.Logf("%s: %s: %s refuses, and nobody else makes it", g.title, r.name, by.Name())
				}
			}
		}
	}
}
