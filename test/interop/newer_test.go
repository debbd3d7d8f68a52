package interop

import (
	"os"
	"path/filepath"
	"testing"

	"mailseal/test/peers"
	"mailseal/test/rig"
)

// TestNewerPeers asks programs of later Debian releases too, and of these all
// that programs of today know.
func TestNewerPeers(t *testing.T) {
	if os.Getenv("MAILSEAL_INTEROP_NEW") == "" {
		t.Skip("make interop-new runs it, in folders that it makes")
	}
	system := func(name string) string { return filepath.Join(rig.Root(t), "build", "peers", name) }
	trixie, forky := system("trixie"), system("forky")
	m := newMaterial(t)
	o := foreign{program: filepath.Join(forky, "bin-here", "openssl"), dir: m.dir}
	for name, algorithm := range map[string]string{"mldsa44": "ML-DSA-44", "mldsa65": "ML-DSA-65", "mldsa87": "ML-DSA-87"} {
		m.add(t, o, name, "digitalSignature", "-algorithm", algorithm)
	}
	for name, algorithm := range map[string]string{"mlkem768": "ML-KEM-768", "mlkem1024": "ML-KEM-1024"} {
		m.add(t, o, name, "keyEncipherment", "-algorithm", algorithm)
	}
	pantry := func(root string) peers.Pantry {
		p := m.pantry
		p.Root, p.Jars, p.OpenSSL = root, filepath.Join(root, "usr", "share", "java"), o.program
		return p
	}
	a := &asked{material: m, ours: newMailseal(t, m), doc: readDocument(t), recent: true}
	t.Run("with", func(t *testing.T) {
		for name, ask := range map[string]struct {
			cook func(testing.TB, peers.Pantry) peers.Cook
			root string
		}{
			"openssl-trixie": {peers.OpenSSLCook, trixie},
			"openssl-forky":  {peers.OpenSSLCook, forky},
			"gpgsm":          {peers.GPGSMCook, trixie},
			"nss":            {peers.NSSCook, trixie},
			"bouncycastle":   {peers.BouncyCastleCook, trixie},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				a.ask(t, ask.cook(t, pantry(ask.root)))
			})
		}
	})
	if *update && !t.Failed() {
		a.renew(t, recentMarks, 5)
	}
	t.Run("control", func(t *testing.T) {
		makers := []peers.Cook{peers.OpenSSLCook(t, pantry(forky)), peers.OpenSSLCook(t, pantry(trixie)), peers.BouncyCastleCook(t, pantry(trixie))}
		a.control(t, makers, append(makers, peers.GPGSMCook(t, pantry(trixie)), peers.NSSCook(t, pantry(trixie))))
	})
}
