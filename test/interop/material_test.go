package interop

import (
	"crypto"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/peers"
)

// material is who takes part: for us in memory, for the peers as files.
type material struct {
	dir        string
	identities map[string]pki.Identity
	keys       map[string]crypto.PrivateKey // also those that only decrypt
	pantry     peers.Pantry
}

// newMaterial makes the keys. Those that our CA has certificates for are of it.
func newMaterial(t *testing.T) material {
	t.Helper()
	m := material{dir: t.TempDir(), identities: map[string]pki.Identity{}, keys: map[string]crypto.PrivateKey{}}
	m.pantry = peers.Pantry{Anchors: m.in("anchors.pem"), Identities: map[string]peers.Identity{}}
	p := testpki.New(t)
	for name, kind := range map[string]ca.KeyKind{
		"rsa": ca.RSA2048, "other": ca.RSA2048, "p256": ca.P256, "p384": ca.P384, "p521": ca.P521, "ed25519": ca.Ed25519,
	} {
		id := p.User(peers.Address(name), kind)
		m.identities[name], m.keys[name] = id, id.Key
		m.pantry.Identities[name] = peers.Identity{Certificate: m.in(name + ".pem"), Key: m.in(name + ".key")}
		write(t, m.in(name+".pem"), testpki.CertPEM(id.Certificate))
		write(t, m.in(name+".key"), testpki.KeyPEM(t, id.Key))
	}
	o := foreign{program: "openssl", dir: m.dir}
	o.run(t, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", m.in("foreign.key"),
		"-out", m.in("foreign.pem"), "-days", "30", "-subj", "/CN=Foreign CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
	m.add(t, o, "rsa1024", "digitalSignature", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
	m.add(t, o, "dsa", "digitalSignature", "-paramfile", filepath.Join("testdata", "dsa-1024.pem"))
	m.add(t, o, "x25519", "keyAgreement", "-algorithm", "X25519")
	above, err := os.ReadFile(m.in("foreign.pem"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, m.pantry.Anchors, append(testpki.CertPEM(p.Root()), above...))
	return m
}

func (m material) in(name string) string { return filepath.Join(m.dir, name) }

// add takes an identity that openssl makes below the foreign CA.
func (m material) add(t *testing.T, o foreign, name, usage string, genpkey ...string) {
	t.Helper()
	m.pantry.Identities[name] = o.issue(t, name, usage, genpkey...)
	var pem []byte
	for _, file := range []string{m.in(name + ".key"), m.in(name + ".pem")} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pem = append(pem, b...)
	}
	id, err := pki.ParseIdentity(pem, nil)
	if err != nil {
		if name != "dsa" { // which only others sign with
			t.Fatalf("%s: %v", name, err)
		}
		return
	}
	m.identities[name], m.keys[name] = id, id.Pairs[0].Key
	if id.Certificate == nil {
		m.identities[name] = pki.Identity{Certificate: id.Pairs[0].Certificate}
	}
}

// foreign is an openssl that makes certificates which no CA of ours would
// make, below the foreign CA.
type foreign struct{ program, dir string }

func (o foreign) run(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(o.program); err != nil {
		t.Skipf("missing tool: %v; run test/tools.sh as root", err)
	}
	if out, err := exec.Command(o.program, args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

// issue makes a certificate without a proof of possession, which keys that
// cannot sign could not give.
func (o foreign) issue(t *testing.T, name, usage string, genpkey ...string) peers.Identity {
	t.Helper()
	file := func(ending string) string { return filepath.Join(o.dir, name+ending) }
	write(t, file(".ext"), fmt.Appendf(nil, "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,%s\nextendedKeyUsage=emailProtection\n"+
		"subjectKeyIdentifier=hash\nsubjectAltName=email:%s\n", usage, peers.Address(name)))
	o.run(t, append([]string{"genpkey", "-out", file(".key")}, genpkey...)...)
	o.run(t, "pkey", "-in", file(".key"), "-pubout", "-out", file(".pub"))
	o.run(t, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", file(".other"), "-out", file(".csr"), "-subj", "/CN="+name)
	o.run(t, "x509", "-req", "-in", file(".csr"), "-force_pubkey", file(".pub"), "-CA", filepath.Join(o.dir, "foreign.pem"),
		"-CAkey", filepath.Join(o.dir, "foreign.key"), "-CAcreateserial", "-days", "30", "-extfile", file(".ext"), "-out", file(".pem"))
	return peers.Identity{Certificate: file(".pem"), Key: file(".key")}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
