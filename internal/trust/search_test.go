package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"filippo.io/mldsa"

	"mailseal/internal/testpki"
	"mailseal/internal/x509key"
)

func mldsaKey(t testing.TB, set mldsa.Parameters) crypto.Signer {
	t.Helper()
	k, err := mldsa.GenerateKey(set)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Paths with ML-DSA in them obey the rules that all others do.
func TestMLDSAPath(t *testing.T) {
	root := mintKey(t, "root", nil, mldsaKey(t, mldsa.MLDSA87()), ca)
	old := mint(t, "old root", nil, ca)
	sub := mintKey(t, "sub", root, mldsaKey(t, mldsa.MLDSA65()), ca)
	mixed := mint(t, "mixed", sub, ca)                                    // ECDSA below ML-DSA
	cross := mintKey(t, "cross", old, mldsaKey(t, mldsa.MLDSA44()), ca)   // ML-DSA below ECDSA
	stranger := mintKey(t, "root", nil, mldsaKey(t, mldsa.MLDSA87()), ca) // of the same name
	noCA := mintKey(t, "no CA", root, mldsaKey(t, mldsa.MLDSA44()), user) //
	shallow := mintKey(t, "shallow", root, mldsaKey(t, mldsa.MLDSA44()), func(c *x509.Certificate) { ca(c); c.MaxPathLenZero = true })
	deep := mintKey(t, "deep", shallow, mldsaKey(t, mldsa.MLDSA44()), ca)
	narrow := mintKey(t, "narrow", root, mldsaKey(t, mldsa.MLDSA44()), func(c *x509.Certificate) { ca(c); c.PermittedEmailAddresses = []string{"other.example"} })
	expired := mintKey(t, "expired", root, mldsaKey(t, mldsa.MLDSA44()), func(c *x509.Certificate) { ca(c); c.NotAfter = now.Add(-time.Hour) })
	servers := mintKey(t, "servers", root, mldsaKey(t, mldsa.MLDSA44()), func(c *x509.Certificate) { ca(c); c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	anchors := believing(old.cert, root.cert)
	for _, tt := range []struct {
		name   string
		issuer *node
		extra  []*node
		want   Reason
		length int
	}{
		{"directly", root, nil, "", 2},
		{"through an intermediate", sub, []*node{stranger, sub}, "", 3},
		{"the root comes along", sub, []*node{root, sub}, "", 3},
		{"without the intermediate", sub, nil, Unknown, 0},
		{"ECDSA below ML-DSA", mixed, []*node{mixed, sub}, "", 4},
		{"ML-DSA below ECDSA", cross, []*node{cross}, "", 3},
		{"another CA of the same name", stranger, nil, Unknown, 0},
		{"its own anchor brought along", stranger, []*node{stranger}, Unknown, 0},
		{"issuer is no CA", noCA, []*node{noCA}, Unknown, 0},
		{"path length", deep, []*node{deep, shallow}, PathLength, 0},
		{"name constraints", narrow, []*node{narrow}, Constraints, 0},
		{"expired CA", expired, []*node{expired}, ExpiredCA, 0},
		{"CA for servers", servers, []*node{servers}, Purpose, 0},
	} {
		for _, key := range []crypto.Signer{mldsaKey(t, mldsa.MLDSA44()), mint(t, "x", nil, ca).key} {
			leaf := mintKey(t, "alice", tt.issuer, key, user)
			var extra []*x509.Certificate
			for _, n := range tt.extra {
				extra = append(extra, n.cert)
			}
			path, err := way(anchors, leaf.cert, extra, now)
			var e *Error
			switch {
			case tt.want == "" && (err != nil || len(path) != tt.length || path[0] != leaf.cert):
				t.Errorf("%s: path of %d, %v", tt.name, len(path), err)
			case tt.want != "" && (!errors.As(err, &e) || e.Reason != tt.want):
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			for _, c := range path {
				if c.SignatureAlgorithm == x509.PureEd25519 {
					t.Errorf("%s: a stand-in got out", tt.name)
				}
			}
			// The same with a changed certificate, whose fields are what they were.
			spoilt := *leaf.cert
			spoilt.Signature = slices.Clone(spoilt.Signature)
			spoilt.Signature[len(spoilt.Signature)/2] ^= 1
			spoilt.Raw = append(slices.Clone(spoilt.Raw[:len(spoilt.Raw)-1]), spoilt.Raw[len(spoilt.Raw)-1]^1)
			if _, err := way(anchors, &spoilt, extra, now); err == nil {
				t.Errorf("%s: with a changed signature", tt.name)
			}
		}
	}
	pinned := mintKey(t, "pinned", nil, mldsaKey(t, mldsa.MLDSA44()), user)
	if path, err := way(believing(pinned.cert), pinned.cert, nil, now); err != nil || len(path) != 1 {
		t.Errorf("pinned: path of %d, %v", len(path), err)
	}
	if _, err := way(believing(pinned.cert), mintKey(t, "below", pinned, mldsaKey(t, mldsa.MLDSA44()), user).cert, nil, now); err == nil {
		t.Error("who is trusted as himself certifies others")
	}
}

// hugeKey is an RSA key that signs nothing: its modulus is not even composite for sure.
func hugeKey(t testing.TB, bits int) *rsa.PublicKey {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	if err != nil {
		t.Fatal(err)
	}
	n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
	return &rsa.PublicKey{N: n, E: 1<<31 - 1}
}

// impostor is a CA's certificate with a key that signs nothing.
func impostor(t testing.TB, name string, issuer *node, key *rsa.PublicKey) *x509.Certificate {
	t.Helper()
	c, err := testpki.Certificate(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}, issuer.cert, key, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The certificates of one mail, however many signers it has and whatever their keys,
// cost a bounded time (package path counts it), and keep nobody else out.
func TestWorkIsBounded(t *testing.T) {
	root := mint(t, "root", nil, ca)
	sub := mint(t, "sub", root, ca)
	for _, bits := range []int{8192, 65536} {
		extra := []*x509.Certificate{sub.cert}
		for range 20 {
			extra = append(extra, impostor(t, "sub", root, hugeKey(t, bits)))
		}
		search := believing(root.cert).Among(t.Context(), Came{Certificates: extra}, now)
		start, trusted := time.Now(), 0
		for range 16 {
			leaf := *mint(t, "alice", sub, user).cert
			leaf.SignatureAlgorithm, leaf.Signature = x509.SHA256WithRSA, make([]byte, bits/8)
			if search.Find(&leaf, "").Err == nil {
				trusted++
			}
		}
		if trusted > 0 {
			t.Errorf("%d bits: %d trusted", bits, trusted)
		}
		t.Logf("%d bits: %v for 16 signers", bits, time.Since(start))
		// Who does not need the large keys is not kept out by them.
		if _, err := way(believing(root.cert), mint(t, "bob", sub, user).cert, extra, now); err != nil {
			t.Errorf("%d bits: beside them: %v", bits, err)
		}
	}
}

// BenchmarkSigners is a mail with 16 signers, each with a chain of his own of two CAs
// with RSA keys of 8192 bits, and as many certificates besides as a mail may have.
func BenchmarkSigners(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 8192)
	if err != nil {
		b.Fatal(err)
	}
	root := mintKey(b, "root", nil, key, ca)
	for name, impostors := range map[string]int{"honest": 0, "impostors": 40} {
		b.Run(name, func(b *testing.B) {
			var extra, leaves []*x509.Certificate
			for i := range 16 {
				sub := mintKey(b, fmt.Sprint("sub ", i), root, key, ca)
				extra = append(extra, sub.cert)
				k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				if err != nil {
					b.Fatal(err)
				}
				leaves = append(leaves, mintKey(b, "alice", sub, k, user).cert)
			}
			for i := range impostors {
				extra = slices.Insert(extra, 0, impostor(b, fmt.Sprint("sub ", i%16), root, hugeKey(b, 8192)))
			}
			for b.Loop() {
				search := believing(root.cert).Among(b.Context(), Came{Certificates: extra}, now)
				good := 0
				for _, l := range leaves {
					if search.Find(l, "").Err == nil {
						good++
					}
				}
				b.ReportMetric(float64(good), "good")
			}
		})
	}
	b.Run("one", func(b *testing.B) {
		leaf := mintKey(b, "alice", root, key, user).cert
		for b.Loop() {
			if err := x509key.CheckSignature(root.cert, leaf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Who brings a copy of the anchor along, with its name and key but without what binds it, gets nowhere: nobody has signed
// the copy.
func TestAnchorsTwin(t *testing.T) {
	for name, bound := range map[string]func(*x509.Certificate){
		"nothing":          func(*x509.Certificate) {},
		"name constraints": func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"other.example"} },
		"path length":      func(c *x509.Certificate) { c.MaxPathLenZero = true },
		"purpose":          func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"validity":         func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) },
	} {
		for _, key := range []crypto.Signer{mldsaKey(t, mldsa.MLDSA44()), mint(t, "x", nil, ca).key} {
			root := mintKey(t, "root", nil, key, func(c *x509.Certificate) { ca(c); bound(c) })
			stranger := mint(t, "root", nil, ca)
			twin, err := testpki.Certificate(&x509.Certificate{
				SerialNumber: root.cert.SerialNumber, Subject: root.cert.Subject, BasicConstraintsValid: true, IsCA: true,
				NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
			}, stranger.cert, key.Public(), stranger.key)
			if err != nil {
				t.Fatal(err)
			}
			sub := mint(t, "sub", root, ca)
			leaf := mint(t, "alice", sub, user)
			for _, extra := range [][]*x509.Certificate{{sub.cert}, {sub.cert, twin}, {twin, stranger.cert, sub.cert}} {
				path, err := way(believing(root.cert), leaf.cert, extra, now)
				if (err == nil) != (name == "nothing") {
					t.Errorf("bound by %s, %d beside: path of %d, %v", name, len(extra), len(path), err)
				}
			}
		}
	}
}
