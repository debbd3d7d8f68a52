package dh

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func openssl(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

func TestGroupsAreOpenSSLs(t *testing.T) {
	for _, g := range Groups() {
		t.Run(g.String(), func(t *testing.T) {
			ours := g.Parameters().PEM()
			theirs := openssl(t, nil, "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:"+g.String())
			if string(ours) != string(theirs) {
				t.Errorf("%s\nopenssl:\n%s", ours, theirs)
			}
			if again := openssl(t, ours, "dhparam"); string(again) != string(ours) {
				t.Errorf("openssl dhparam writes it as\n%s", again)
			}
			p, err := Parse(ours)
			if err != nil {
				t.Fatal(err)
			}
			want := Judgement{Bits: g.Bits(), Group: g.String(), Safe: true}
			if got := Judge(p); !cmp.Equal(got, want) {
				t.Error(cmp.Diff(want, got))
			}
			if again, err := ParseGroup(g.String()); again != g || err != nil {
				t.Errorf("ParseGroup: %v, %v", again, err)
			}
		})
	}
	if g, err := ParseGroup("ffdhe1024"); err == nil {
		t.Errorf("ffdhe1024 is %v", g)
	}
}

// The older groups, as openssl has them. It has none of RFC 2409, whose
// digits are checked by their being a safe prime.
func TestOlderGroupsAreRecognised(t *testing.T) {
	for _, f := range older {
		if f.bits < 1536 {
			if p := f.prime(pi); !p.ProbablyPrime(0) || !half(p).ProbablyPrime(0) {
				t.Errorf("%s is not a safe prime", f.name)
			}
			continue
		}
		p, err := Parse(openssl(t, nil, "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", fmt.Sprintf("group:modp_%d", f.bits)))
		if err != nil {
			t.Fatal(err)
		}
		if got := Judge(p); got.Group != f.name || !got.Safe {
			t.Errorf("%s is judged %+v", f.name, got)
		}
	}
}

func TestGenerate(t *testing.T) {
	tested := 0
	p, err := Generate(t.Context(), 512, func(g Progress) {
		if g.Tested != tested+1 || g.Expected < 100 || g.Expected > 1000 {
			t.Errorf("progress %+v behind %d", g, tested)
		}
		tested = g.Tested
	})
	if err != nil {
		t.Fatal(err)
	}
	if tested == 0 {
		t.Error("no progress was told")
	}
	if out := openssl(t, p.PEM(), "dhparam", "-check", "-noout"); strings.Contains(string(out), "WARNING") {
		t.Errorf("openssl: %s", out)
	}
	want := Judgement{Bits: 512, Safe: true, Problems: []string{"the modulus has 512 bits; want 2048 or more"}}
	again, err := Parse(p.PEM())
	if err != nil {
		t.Fatal(err)
	}
	if got := Judge(again); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestGenerateEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := Generate(ctx, 8192, func(Progress) { calls++; cancel() })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%v, after %d candidates", err, calls)
	}
	for _, bits := range []int{0, 511, maxBits + 1} {
		if _, err := Generate(ctx, bits, nil); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

// What the sieve strikes out is divided by a small prime, and nothing else is
// struck out.
func TestSieve(t *testing.T) {
	small := primesBelow(100)
	start, err := candidate(512)
	if err != nil {
		t.Fatal(err)
	}
	primorial := big.NewInt(1)
	for _, s := range small {
		primorial.Mul(primorial, new(big.Int).SetUint64(s))
	}
	one := big.NewInt(1)
	for i, divided := range sieve(start, small)[:2000] {
		q := new(big.Int).Add(start, big.NewInt(12*int64(i)))
		p := new(big.Int).Add(new(big.Int).Lsh(q, 1), one)
		want := new(big.Int).GCD(nil, nil, q, primorial).Cmp(one) != 0 || new(big.Int).GCD(nil, nil, p, primorial).Cmp(one) != 0
		if divided != want {
			t.Fatalf("candidate %d: struck out %v, want %v", i, divided, want)
		}
	}
	if p := new(big.Int).Add(new(big.Int).Lsh(start, 1), one); p.BitLen() != 512 || new(big.Int).Mod(p, big.NewInt(24)).Int64() != 23 {
		t.Errorf("begins at %v", p)
	}
}

func file(kind string, p Parameters) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der(p)})
}

func der(p Parameters) []byte {
	b, _ := pem.Decode(p.PEM())
	return b.Bytes
}

func TestJudge(t *testing.T) {
	group := FFDHE2048.Parameters()
	prime, _ := new(big.Int).SetString("170141183460469231731687303715884105727", 10) // 2^127-1
	n := func(i int64) *big.Int { return big.NewInt(i) }
	short := func(bits int) string { return fmt.Sprintf("the modulus has %d bits; want 2048 or more", bits) }
	for _, tt := range []struct {
		what string
		p    Parameters
		want Judgement
	}{
		{"generator 1", Parameters{P: group.P, G: n(1)}, Judgement{Bits: 2048, Group: "ffdhe2048", Problems: []string{"the generator is 1 or -1"}}},
		{"generator -1", Parameters{P: group.P, G: new(big.Int).Sub(group.P, n(1))}, Judgement{Bits: 2048, Group: "ffdhe2048", Problems: []string{"the generator is 1 or -1"}}},
		{"generator 5", Parameters{P: group.P, G: n(5)}, Judgement{Bits: 2048, Group: "ffdhe2048", Safe: true}},
		{"one bit is another", Parameters{P: new(big.Int).Sub(group.P, n(2)), G: n(2)}, Judgement{Bits: 2048, Problems: []string{"the modulus is not a prime"}}},
		{"not safe", Parameters{P: prime, G: n(3)}, Judgement{Bits: 127, Problems: []string{short(127), "the modulus is not a safe prime"}}},
		{"small and safe", Parameters{P: n(23), G: n(2)}, Judgement{Bits: 5, Safe: true, Problems: []string{short(5)}}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p, err := Parse(tt.p.PEM())
			if err != nil {
				t.Fatal(err)
			}
			if got := Judge(p); !cmp.Equal(got, tt.want) {
				t.Error(cmp.Diff(tt.want, got))
			}
		})
	}
}

func TestDSAParameters(t *testing.T) {
	p, err := Parse(openssl(t, nil, "dhparam", "-dsaparam", "512"))
	if err != nil {
		t.Fatal(err)
	}
	got := Judge(p)
	if got.Safe || len(got.Problems) != 2 || !strings.Contains(got.Problems[1], "-dsaparam") || p.Q == nil {
		t.Errorf("%+v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	group := FFDHE2048.Parameters()
	zero := big.NewInt(0)
	good := group.PEM()
	for what, in := range map[string][]byte{
		"nothing":               nil,
		"a certificate":         file("CERTIFICATE", group),
		"half of it":            good[:len(good)/2],
		"zero":                  Parameters{P: zero, G: zero}.PEM(),
		"negative":              Parameters{P: group.P, G: big.NewInt(-2)}.PEM(),
		"generator too large":   Parameters{P: group.P, G: group.P}.PEM(),
		"more behind it":        pem.EncodeToMemory(&pem.Block{Type: pkcs3Type, Bytes: append(slices.Clone(der(group)), 5, 0)}),
		"too many bits":         Parameters{P: new(big.Int).Lsh(big.NewInt(1), maxBits), G: big.NewInt(2)}.PEM(),
		"X9.42 with two":        file(x942Type, group),
		"too large a file":      append(bytes.Repeat([]byte("#\n"), maxFile), good...),
		"not DER":               pem.EncodeToMemory(&pem.Block{Type: pkcs3Type, Bytes: []byte("x")}),
		"X9.42 that is not DER": pem.EncodeToMemory(&pem.Block{Type: x942Type, Bytes: []byte("x")}),
	} {
		if p, err := Parse(in); err == nil {
			t.Errorf("%s: %+v", what, p)
		}
	}
	with := slices.Concat([]byte("# openssl dhparam\n"), file("CERTIFICATE", group), good)
	if p, err := Parse(with); err != nil || p.P.Cmp(group.P) != 0 {
		t.Errorf("text and a certificate before it: %v", err)
	}
}

// What is read can be written and read again, and nothing makes Judge fail.
func FuzzParse(f *testing.F) {
	f.Add(FFDHE2048.Parameters().PEM())
	f.Add(Parameters{P: big.NewInt(23), G: big.NewInt(2)}.PEM())
	f.Add(file(x942Type, Parameters{P: big.NewInt(23), G: big.NewInt(2)}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: x942Type, Bytes: []byte{0x30, 9, 2, 1, 23, 2, 1, 2, 2, 1, 11}}))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := Parse(in)
		if err != nil {
			return
		}
		again, err := Parse(p.PEM())
		if err != nil || again.P.Cmp(p.P) != 0 || again.G.Cmp(p.G) != 0 {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
		if p.P.BitLen() > 1024 {
			return
		}
		if j := Judge(p); j.Safe && (!p.P.ProbablyPrime(0) || !half(p.P).ProbablyPrime(0)) {
			t.Fatalf("%v is called safe", p.P)
		}
	})
}
