package path

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/x509key"
)

func read(t failer, c *forge.Issued) *x5280.Certificate { return readAll(t, []*forge.Issued{c})[0] }

// Of several ways one is good, and it is found.
func TestFinds(t *testing.T) {
	root := ca("Root").Sign(nil)
	old := ca("Old Root").Sign(nil)
	sub := ca("Sub").Sign(old)
	alice := user().Sign(sub)
	cross := with(ca("Old Root"), name("Old Root")).Sign(root)
	expired := func(c forge.Certificate) forge.Certificate { c.To = at.Add(-time.Hour); return c }
	crossExpired := expired(ca("Old Root")).Sign(root)
	crossNarrow := ca("Old Root", permit(dir("OU=other"))).Sign(root)
	impostor := again(ca("Sub"))
	byImpostor := impostor.Sign(again(ca("Old Root")).Sign(nil))
	stranger := ca("Stranger").Sign(nil)
	loopA := ca("Loop A").Sign(ca("Loop B").Sign(nil))
	loopB := ca("Loop B").Sign(loopA)
	other := again(ca("Root")).Sign(nil)
	for _, tt := range []struct {
		name    string
		leaf    *forge.Issued
		anchors []*forge.Issued
		extra   []*forge.Issued
		want    int // certificates
		rule    Rule
		text    string
	}{
		{"the straight way", alice, []*forge.Issued{old}, []*forge.Issued{sub}, 3, "", ""},
		{"the root came along", alice, []*forge.Issued{old}, []*forge.Issued{old, sub, alice}, 3, "", ""},
		{"cross-signed", alice, []*forge.Issued{root}, []*forge.Issued{old, sub, cross}, 4, "", ""},
		{"an expired cross-signature first", alice, []*forge.Issued{root}, []*forge.Issued{crossExpired, sub, cross}, 4, "", ""},
		{"a narrow one first", alice, []*forge.Issued{root}, []*forge.Issued{crossNarrow, sub, cross}, 4, "", ""},
		{"only a narrow one", alice, []*forge.Issued{root}, []*forge.Issued{crossNarrow, sub}, 4, Names, "is outside"},
		{"an impostor first", alice, []*forge.Issued{old}, []*forge.Issued{byImpostor, sub}, 3, "", ""},
		{"a CA as anchor", alice, []*forge.Issued{sub}, nil, 2, "", ""},
		{"two anchors of a name", user().Sign(root), []*forge.Issued{other, root}, nil, 2, "", ""},
		{"one of them has expired", user().Sign(root), []*forge.Issued{expired(ca("Root")).Sign(nil), root}, nil, 2, "", ""},
		{"an anchor that came along is none", alice, []*forge.Issued{root}, []*forge.Issued{old, sub}, 1, NoIssuer, `"CN=Old Root,O=Forge" is not among them`},
		{"a CA is missing", alice, []*forge.Issued{root}, nil, 1, NoIssuer, `certificate of "CN=Sub,O=Forge"`},
		{"a stranger", user().Sign(stranger), []*forge.Issued{root}, []*forge.Issued{stranger}, 1, NoIssuer, `"CN=Stranger,O=Forge" is not`},
		{"round and round", user().Sign(loopB), []*forge.Issued{root}, []*forge.Issued{loopA, loopB}, 1, NoIssuer, "leads to no CA"},
		{"by a key of that name", user().Sign(other), []*forge.Issued{root}, []*forge.Issued{other}, 2, Signature, "not signed by the key of"},
	} {
		r := NewStore(readAll(t, tt.anchors)).Among(readAll(t, tt.extra), Options{At: at}).Path(read(t, tt.leaf))
		if len(r.Path) != tt.want || r.Good() != (tt.rule == "") {
			t.Errorf("%s: path of %d, %s", tt.name, len(r.Path), r.Text())
			continue
		}
		if _, broken := r.Broke(tt.rule); tt.rule != "" && (!broken || !strings.Contains(r.Text(), tt.text)) {
			t.Errorf("%s: %s", tt.name, r.Text())
		}
		if tt.rule == "" && len(r.Links) != tt.want-1 {
			t.Errorf("%s: %d links", tt.name, len(r.Links))
		}
		for i, l := range r.Links {
			if l.Certificate != r.Path[i] || l.Issuer != r.Path[i+1] || l.IssuerKey == nil {
				t.Errorf("%s: link %d is of others", tt.name, i)
			}
		}
	}
}

// A good path that its finder refuses for reasons of his own is not the only one.
func TestFirst(t *testing.T) {
	root, old := ca("Root").Sign(nil), ca("Old Root").Sign(nil)
	sub := ca("Sub").Sign(old)
	alice := read(t, user().Sign(sub))
	extra := readAll(t, []*forge.Issued{sub, with(ca("Old Root"), name("Old Root")).Sign(root)})
	store := NewStore(readAll(t, []*forge.Issued{root, old}))
	for _, tt := range []struct {
		name   string
		accept func(Result) bool
		want   int
		ok     bool
	}{
		{"any", func(Result) bool { return true }, 3, true},
		{"one with four", func(r Result) bool { return len(r.Path) == 4 }, 4, true},
		{"none", func(Result) bool { return false }, 3, false},
	} {
		r, ok := store.Among(extra, Options{At: at}).First(alice, tt.accept)
		if ok != tt.ok || len(r.Path) != tt.want || !r.Good() {
			t.Errorf("%s: %t, path of %d, %s", tt.name, ok, len(r.Path), r.Text())
		}
	}
	itself := NewStore([]*x5280.Certificate{alice}).Among(nil, Options{At: at})
	if r, ok := itself.First(alice, func(Result) bool { return false }); ok || !r.Good() {
		t.Errorf("as itself: %t, %s", ok, r.Text())
	}
}

// Searches for several anchors share the work: no mail costs more for them.
func TestToward(t *testing.T) {
	all, cas := mesh(t, 24)
	root := ca("Root", exclude(forge.Mail("a.example"))).Sign(nil)
	all = append(all, read(t, ca("Mesh 7").Sign(root)))
	leaf := read(t, user(forge.AltNames(forge.Mail("u@a.example"))).Sign(cas[3]))
	f := NewStore([]*x5280.Certificate{read(t, root)}).Among(all, Options{At: at})
	f.Path(leaf)
	spent := f.work
	g := f.Toward(NewStore([]*x5280.Certificate{read(t, ca("Other").Sign(nil))}))
	if r := g.Path(leaf); r.Good() || g.work != spent {
		t.Errorf("%s; %v left of %v", r.Text(), g.work, spent)
	}
	free := read(t, user().Sign(cas[3]))
	if r := f.Toward(f.store).Path(free); !r.Good() || len(f.signers) != 2 {
		t.Errorf("%s; %d signers", r.Text(), len(f.signers))
	}
}

// mesh are CAs that have all certified each other.
func mesh(t testing.TB, n int) (all []*x5280.Certificate, cas []*forge.Issued) {
	t.Helper()
	for i := range n {
		cas = append(cas, ca(fmt.Sprint("Mesh ", i)).Sign(nil))
	}
	for i := range cas {
		for j := range cas {
			if i != j {
				all = append(all, read(t, ca(fmt.Sprint("Mesh ", i)).Sign(cas[j])))
			}
		}
	}
	return all, cas
}

// Whatever comes along, the work for it is bounded. What is counted is what the
// checks are taken to cost.
func TestBounds(t *testing.T) {
	all, cas := mesh(t, 24)
	root := ca("Root", exclude(forge.Mail("a.example"))).Sign(nil)
	entry := ca("Mesh 7").Sign(root)
	leaf := read(t, user(forge.AltNames(forge.Mail("u@a.example"))).Sign(cas[3]))
	free := read(t, user().Sign(cas[3]))
	for _, tt := range []struct {
		name  string
		leaf  *x5280.Certificate
		extra []*x5280.Certificate
		rule  Rule // "": a good path
		other Rule
	}{
		{"no way out", leaf, all, NoIssuer, NoIssuer},
		{"no way that is good", leaf, append(all[:len(all):len(all)], read(t, entry)), Names, Effort},
		{"a way", free, append(all[:len(all):len(all)], read(t, entry)), "", ""},
	} {
		start := time.Now()
		f := NewStore([]*x5280.Certificate{read(t, root)}).Among(tt.extra, Options{At: at})
		r := f.Path(tt.leaf)
		t.Logf("%s: %v, counted %v", tt.name, time.Since(start), mailWork+signerWork-f.work)
		for _, rule := range []Rule{tt.rule, tt.other} {
			if _, broken := r.Broke(rule); broken != (rule != "") || r.Good() != (rule == "") {
				t.Errorf("%s: %s; want %s", tt.name, r.Text(), rule)
			}
		}
		if f.work < 0 || f.steps < 0 {
			t.Errorf("%s: over the bound", tt.name)
		}
	}
}

// family are n CAs of one name, each signed by the key of the one before and the one
// before that, and the key of the last. The first is below the root.
func family(t testing.TB, root *forge.Issued, n int) (all []*x5280.Certificate, last *forge.Issued) {
	t.Helper()
	above := []*forge.Issued{root, root}
	for i := range n / 2 {
		c := ca("Mesh")
		c.KeyOf = fmt.Sprint("key ", i)
		for j, by := range above {
			c.Serial = []byte{byte(j + 1)}
			last = c.Sign(by)
			all = append(all, read(t, last))
		}
		above = []*forge.Issued{above[1], last}
	}
	return all, last
}

// However often one name comes again, the possible issuers are looked at a bounded
// number of times.
func TestOneName(t *testing.T) {
	root := ca("Root", permit(forge.Mail("a.example"))).Sign(nil)
	all, last := family(t, root, 400)
	f := NewStore([]*x5280.Certificate{read(t, root)}).Among(all, Options{At: at})
	start := time.Now()
	r := f.Path(read(t, user(forge.AltNames(forge.Mail("u@b.example"))).Sign(last)))
	t.Logf("%v, %d looks, counted %v", time.Since(start), maxLooks-f.looks, mailWork+signerWork-f.work)
	if _, spent := r.Broke(Effort); !spent {
		t.Error(r.Text())
	}
}

// hugeKey is an RSA key that has signed nothing.
func hugeKey(t testing.TB, bits int) *rsa.PublicKey {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	if err != nil {
		t.Fatal(err)
	}
	n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
	return &rsa.PublicKey{N: n, E: 1<<31 - 1}
}

// A thousand impostors with large keys do not keep an honest path from being found,
// nor take the time of more than the bound.
func TestImpostors(t *testing.T) {
	root := ca("Root").Sign(nil)
	sub := ca("Sub").Sign(root)
	var extra []*x5280.Certificate
	for i, bits := range []int{8192, 16384} {
		key := hugeKey(t, bits)
		for j := range 500 {
			c := ca("Sub")
			c.SPKI, c.Serial = spki(t, key), []byte{1, byte(i), byte(j >> 8), byte(j)}
			extra = append(extra, read(t, c.Sign(root)))
		}
	}
	store := NewStore([]*x5280.Certificate{read(t, root)})
	f := store.Among(append(extra, read(t, sub)), Options{At: at})
	if r := f.Path(read(t, user().Sign(sub))); !r.Good() {
		t.Errorf("among impostors: %s", r.Text())
	}
	f = store.Among(extra, Options{At: at})
	c := user()
	c.Algorithm, c.Key = forge.RSAWithSHA256, nil
	signer := *sub
	signer.Key = rsaKey(t)
	for range 3 * maxSigners {
		if r := f.Path(read(t, c.Sign(&signer))); r.Good() {
			t.Error("an impostor's leaf is taken")
		}
	}
	if f.work < 0 {
		t.Errorf("%v over the bound", -f.work)
	}
}

// Old algorithms and small keys: told as such where they verify, and broken where not.
func TestWeak(t *testing.T) {
	big, small := rsaKey(t), shortKey(t)
	root := with(ca("Root"), func(c *forge.Certificate) { c.Key, c.Algorithm = big, forge.RSAWithSHA1 }).Sign(nil)
	short := with(ca("Short"), func(c *forge.Certificate) { c.Key, c.Algorithm = small, forge.RSAWithSHA256 }).Sign(nil)
	by := func(ca *forge.Issued, algorithm []byte) []*x5280.Certificate {
		return readAll(t, []*forge.Issued{with(user(), func(c *forge.Certificate) { c.Algorithm = algorithm }).Sign(ca), ca})
	}
	stranger := *root
	stranger.Key = small
	ed448 := with(ca("Root"), func(c *forge.Certificate) {
		c.SPKI = append([]byte{0x30, 0x43, 0x30, 5, 6, 3, 0x2b, 0x65, 0x71, 3, 0x3a, 0}, make([]byte, 57)...)
	}).Sign(nil)
	md2, dsaWithSHA1 := algorithm("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x02"), algorithm("\x2a\x86\x48\xce\x38\x04\x03")
	inherits := with(ca("Root"), func(c *forge.Certificate) {
		c.SPKI = []byte("\x30\x11\x30\x09\x06\x07\x2a\x86\x48\xce\x38\x04\x01\x03\x04\x00\x02\x01\x05")
	}).Sign(nil)
	for _, tt := range []struct {
		name    string
		path    []*x5280.Certificate
		want    Rule
		allowed Rule
	}{
		{"SHA-256", by(root, forge.RSAWithSHA256), "", ""},
		{"SHA-1", by(root, forge.RSAWithSHA1), Weak, ""},
		{"SHA-1, another key", append(by(&stranger, forge.RSAWithSHA1)[:1], read(t, root)), Signature, Signature},
		{"a key that nobody reads", append(by(root, forge.RSAWithSHA256)[:1], read(t, ed448)), Signature, Signature},
		{"RSA with 1024 bits", by(short, forge.RSAWithSHA256), Weak, ""},
		{"MD2, which anybody can say", by(root, md2), Signature, Signature},
		{"DSA, by a key that is none", by(root, dsaWithSHA1), Signature, Signature},
		{"DSA, by a key without parameters", append(by(root, dsaWithSHA1)[:1], read(t, inherits)), Signature, Signature},
	} {
		for _, allow := range []bool{false, true} {
			want := tt.want
			if allow {
				want = tt.allowed
			}
			var rules []Rule
			if want != "" {
				rules = []Rule{want}
			}
			check(t, fmt.Sprint(tt.name, ", allowed ", allow), Validate(tt.path, Options{At: at, AllowWeak: allow}), rules)
		}
	}
}

// algorithm is an AlgorithmIdentifier without parameters.
func algorithm(oid string) []byte {
	return append([]byte{0x30, byte(len(oid) + 2), 6, byte(len(oid))}, oid...)
}

// More constraints than anybody has are too many, and not looked at one by one.
func TestManyConstraints(t *testing.T) {
	var trees, names [][]byte
	for i := range 1000 {
		trees = append(trees, forge.Mail(fmt.Sprintf("h%d.example", i)))
		names = append(names, forge.Mail(fmt.Sprintf("a@x%d.example", i)))
	}
	path := readAll(t, sign(steps{ca("Root"), ca("A", exclude(trees...)), user(forge.AltNames(names...))}))
	check(t, "a million comparisons", Validate(path, Options{At: at}), []Rule{Effort})
}

// 1,000 certificates come along.
func BenchmarkThousand(b *testing.B) {
	root := ca("Root").Sign(nil)
	sub := ca("Sub").Sign(root)
	leaf := user().Sign(sub)
	var issued []*forge.Issued
	for i := range 999 {
		c := ca("Sub")
		c.Serial, c.KeyOf = []byte{1, byte(i >> 8), byte(i)}, fmt.Sprint(i)
		issued = append(issued, c.Sign(root))
	}
	issued = append(issued, sub)
	store := NewStore(readAll(b, []*forge.Issued{root}))
	alice := read(b, leaf)
	b.Run("and reading", func(b *testing.B) {
		for b.Loop() {
			if r := store.Among(readAll(b, issued), Options{At: at}).Path(alice); !r.Good() {
				b.Fatal(r.Text())
			}
		}
	})
	b.Run("one name", func(b *testing.B) {
		all, last := family(b, root, 1000)
		deep := read(b, user().Sign(last))
		for b.Loop() {
			if r := store.Among(all, Options{At: at}).Path(deep); r.Good() {
				b.Fatal("so deep")
			}
		}
	})
	bad := read(b, user().Sign(again(ca("Sub")).Sign(root)))
	extra := readAll(b, issued)
	b.Run("none fits", func(b *testing.B) {
		for b.Loop() {
			if r := store.Among(extra, Options{At: at}).Path(bad); r.Good() {
				b.Fatal("good")
			}
		}
	})
}

// A chain of three certificates, with RSA keys as most have.
func BenchmarkPath(b *testing.B) {
	key := rsaKey(b)
	set := func(c *forge.Certificate) { c.Key, c.Algorithm = key, forge.RSAWithSHA256 }
	root := with(ca("Root"), set).Sign(nil)
	sub := with(ca("Sub"), set).Sign(root)
	leaf := with(user(), set).Sign(sub)
	store := NewStore(readAll(b, []*forge.Issued{root}))
	certs := readAll(b, []*forge.Issued{leaf, sub})
	for b.Loop() {
		if r := store.Among(certs, Options{At: at}).Path(certs[0]); !r.Good() {
			b.Fatal(r.Text())
		}
	}
	b.ReportMetric(float64(2*x509key.Cost(&key.PublicKey).Microseconds()), "counted-µs/op")
}
