package revocation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/trust/path"
)

// with has the root certify one who signs CRLs in the name of the CA or another, who
// signs one.
func (w *world) with(signer forge.Certificate, crl forge.CRL) *world {
	w.sign()
	s := signer.Sign(w.root)
	w.others = append(w.others, s)
	w.local = append(w.local, crl.Sign(s))
	return w
}

func TestSigner(t *testing.T) {
	revoked := func(w *world) *world {
		w.noRoot = true
		w.local = append(w.local, forge.CRL{Entries: []forge.Entry{{Serial: []byte{3}, Reason: 1}}}.Sign(w.sign().root))
		return w
	}
	unknown := func(w *world) *world {
		w.noRoot = true
		return w
	}
	judge(t, []ruling{
		{"another key of the CA", newWorld().with(signs("CA"), forge.CRL{}), Good, ""},
		{"another key, listed", newWorld().with(signs("CA"), forge.CRL{Entries: lost}), Revoked, "keyCompromise"},
		{"two keys, one revokes", newWorld().has(forge.CRL{}).with(signs("CA"), older(lost...)), Revoked, "keyCompromise"},
		{"another key, revoked", revoked(newWorld().with(signs("CA"), forge.CRL{})), Unknown, "has been revoked"},
		{"another key, revoked, listed", revoked(newWorld().with(signs("CA"), forge.CRL{Entries: lost})), Unknown, "has been revoked"},
		{"another key, unknown", unknown(newWorld().with(signs("CA"), forge.CRL{})), Unknown, "there is no CRL of \"CN=Root"},
		{"another key, unknown, listed", unknown(newWorld().with(signs("CA"), forge.CRL{Entries: lost})), Revoked, "keyCompromise"},
		{"CA's status unknown", unknown(newWorld().has(forge.CRL{})), Good, ""},
		{"key usage", newWorld().with(forge.Certificate{Subject: forge.Name("CA"), KeyOf: "x", Extensions: [][]byte{forge.Usage(0)}}, forge.CRL{}), Unknown, "key usage does not allow to sign CRLs"},
		{"no key usage", newWorld().with(forge.Certificate{Subject: forge.Name("CA"), KeyOf: "x", Serial: []byte{3}}, forge.CRL{}), Good, ""},
		{"expired", newWorld().with(forge.Certificate{Subject: forge.Name("CA"), KeyOf: "x", To: earlier, Extensions: [][]byte{forge.Usage(6)}}, forge.CRL{}), Unknown, "expired"},
		{"of another name", newWorld().with(signs("Other"), forge.CRL{Issuer: forge.Name("CA")}), Unknown, "is not signed by"},
		{"the CA's key usage", func() *world {
			w := newWorld()
			w.ca.Extensions = [][]byte{forge.Basic(true, -1), forge.Usage(5)}
			return w.has(forge.CRL{})
		}(), Unknown, "key usage does not allow to sign CRLs"},
		{"below another root", func() *world {
			w := newWorld().sign()
			other := ca("Another root").Sign(nil)
			s := signs("CA").Sign(other)
			w.others, w.local = []*forge.Issued{other, s}, [][]byte{forge.CRL{}.Sign(s)}
			return w
		}(), Unknown, "no CA that is trusted"},
		{"not there", func() *world {
			w := newWorld().with(signs("CA"), forge.CRL{})
			w.others = nil
			return w
		}(), Unknown, "is not signed by"},
		{"the very certificate in question", func() *world {
			w := newWorld()
			w.leaf = signs("CA")
			w.leaf.Extensions = [][]byte{forge.Usage(0, 6)}
			w.leaf.Subject = forge.Name("CA")
			w.sign()
			w.local = [][]byte{forge.CRL{}.Sign(w.alice)}
			return w
		}(), Unknown, "depends on a CRL that it signs itself"},
	})
}

func TestIndirect(t *testing.T) {
	other := forge.Name("Lists")
	by := forge.Points(forge.Point{Issuers: [][]byte{forge.Directory(other)}})
	scope := forge.Scope{Indirect: true}.Extension()
	crl := func(entries ...forge.Entry) forge.CRL {
		return forge.CRL{Extensions: [][]byte{scope}, Entries: entries}
	}
	seven := func(issuer string) forge.Entry {
		return forge.Entry{Serial: []byte{7}, Reason: 1, Extensions: [][]byte{forge.CertificateIssuer(forge.Name(issuer))}}
	}
	eight := func(issuer string) forge.Entry {
		e := seven(issuer)
		e.Serial = []byte{8}
		return e
	}
	judge(t, []ruling{
		{"not listed", newWorld(by).with(signs("Lists"), crl()), Good, ""},
		{"listed", newWorld(by).with(signs("Lists"), crl(seven("CA"))), Revoked, "keyCompromise"},
		{"the issuer's own", newWorld(by).with(signs("Lists"), crl(lost...)), Good, ""},
		{"another's", newWorld(by).with(signs("Lists"), crl(seven("Other"))), Good, ""},
		{"inherited", newWorld(by).with(signs("Lists"), crl(seven("Other"), eight("CA"), lost[0])), Revoked, "keyCompromise"},
		{"inherited, another's", newWorld(by).with(signs("Lists"), crl(eight("CA"), eight("Other"), lost[0])), Good, ""},
		{"not an indirect CRL", newWorld(by).with(signs("Lists"), forge.CRL{}), Unknown, "not about"},
		{"nobody said so", newWorld().with(signs("Lists"), crl(seven("CA"))), Unknown, "there is no CRL of \"CN=CA"},
		{"the CA's own, instead", newWorld(by).with(signs("Lists"), forge.CRL{}).has(forge.CRL{}), Good, ""},
		{"of several, its own first", newWorld().has(crl(lost[0], seven("Other"))), Revoked, "keyCompromise"},
		{"point and issuer", newWorld(forge.Points(forge.Point{Name: forge.FullName(forge.URI("http://x.example/")), Issuers: [][]byte{forge.Directory(other)}})).
			with(signs("Lists"), forge.CRL{Extensions: [][]byte{forge.Scope{Indirect: true, Name: forge.FullName(forge.URI("http://y.example/"))}.Extension()}}), Unknown, "not about"},
		{"names itself", newWorld(forge.Points(forge.Point{Name: forge.FullName(forge.URI("http://x.example/")), Issuers: [][]byte{forge.Directory(forge.Name("CA"))}})).
			has(forge.CRL{Extensions: [][]byte{forge.Scope{Name: forge.FullName(forge.URI("http://x.example/"))}.Extension()}}), Good, ""},
	})
}

// A CA that is revoked, and one whose status nobody knows, make the path's status.
func TestWorst(t *testing.T) {
	w := newWorld().has(forge.CRL{})
	if r := w.check(t); r.Status != Good || len(r.Answers) != 2 || r.Answers[0].Depth != 0 || r.Answers[1].Depth != 1 {
		t.Errorf("%s", told(r))
	}
	w.noRoot = true
	if r := w.check(t); r.Status != Unknown || r.Answers[0].Status != Good || r.Answers[1].Status != Unknown {
		t.Errorf("%s", told(r))
	}
	w.local = append(w.local, forge.CRL{Entries: []forge.Entry{{Serial: []byte{1}, Reason: 2}}}.Sign(w.root))
	if r := w.check(t); r.Status != Revoked || r.Answers[1].Reason != "cACompromise" {
		t.Errorf("%s", told(r))
	}
	pinned := path.Validate([]*x5280.Certificate{parse(t, w.alice.DER)}, path.Options{At: at})
	if r := Check(context.Background(), pinned, Question{At: at}); r.Status != Good || len(r.Answers) != 0 {
		t.Errorf("trusted as itself: %s", told(r))
	}
	if r := Check(context.Background(), path.Result{}, Question{At: at}); r.Status != Unknown {
		t.Errorf("no path: %s", told(r))
	}
}

// A weak signature counts if it is allowed, and is not remembered as a good one.
func TestWeak(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	w.ca.Key, w.leaf.Algorithm = key, forge.ECDSAWithSHA256
	w.has(forge.CRL{Algorithm: forge.ECDSAWithSHA1})
	q, r := w.question(t), w.result(t)
	for _, allow := range []bool{false, true, false} {
		q.AllowWeak = allow
		a := Check(context.Background(), r, q).Answers[0]
		if (a.Status == Good) != allow || !allow && !strings.Contains(a.Reason, "too weak") {
			t.Errorf("allowed %v: %s %s", allow, a.Status, a.Reason)
		}
	}
}

// All questions about a mail together cost no more than one may.
func TestEffort(t *testing.T) {
	w := asks(nil)
	n := w.fetch.(*net)
	w.mail = [][]byte{forge.CRL{Issuer: w.issuer.Subject}.Sign(w.alice)}
	q, r := w.question(t), w.result(t)
	q.Effort = NewEffort()
	first := Check(context.Background(), r, q)
	asks, work := n.asks, q.Effort.mail
	if asks != 2 || work == mailWork || first.Answers[0].Status != Unknown {
		t.Errorf("%d asked, %v left: %s", asks, work, told(first))
	}
	again := Check(context.Background(), r, q)
	if n.asks != asks || again.Answers[0].Reason != first.Answers[0].Reason {
		t.Errorf("%d asked, %s", n.asks, told(again))
	}
	for range 10000 {
		if q.Effort.mail < work/1000 {
			break
		}
		Check(context.Background(), r, q)
	}
	if a := Check(context.Background(), r, q).Answers[0]; a.Status != Unknown || !strings.Contains(a.Reason, errWork.Error()) {
		t.Errorf("%s: %s", a.Status, a.Reason)
	}
	q.Effort.searches = 0
	q.Local = NewLists(parseCRL(t, forge.CRL{}.Sign(signs("CA").Sign(w.root))), parseCRL(t, forge.CRL{}.Sign(w.root)))
	q.Extra = []*x5280.Certificate{parse(t, signs("CA").Sign(w.root).DER)}
	if a := Check(context.Background(), r, q).Answers[0]; a.Status != Unknown || !strings.Contains(a.Reason, "was not looked for") {
		t.Errorf("%s: %s", a.Status, a.Reason)
	}
}

// One set of lists serves all.
func TestParallel(t *testing.T) {
	w := newWorld().has(forge.CRL{Entries: lost})
	w.mail = [][]byte{forge.CRL{Number: 2, Entries: lost}.Sign(w.issuer)}
	q, r := w.question(t), w.result(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				if report := Check(context.Background(), r, q); report.Status != Revoked {
					t.Error(told(report))
				}
			}
		})
	}
	all.Wait()
}

// Whatever comes along, what is configured is looked at.
func TestFlood(t *testing.T) {
	w := newWorld().has(older(lost...))
	for i := range 3 * maxMailLists {
		w.mail = append(w.mail, forge.CRL{Issuer: w.issuer.Subject, Number: i + 2}.Sign(w.alice))
	}
	for i := range 50 {
		w.others = append(w.others, forge.Certificate{Subject: forge.Name("CA"), KeyOf: fmt.Sprint(i), Extensions: forge.CA}.Sign(w.alice))
	}
	q := w.question(t)
	r := w.result(t)
	k := newChecker(context.Background(), r, q)
	a := k.ask(r.Path[0], r.Path[1:])
	if a.Status != Revoked {
		t.Errorf("%s: %s", a.Status, a.Reason)
	}
	if n := len(k.others[r.Path[1].Subject.Key()]); n != maxMailLists || !k.more {
		t.Errorf("%d CRLs of the mail are looked at", n)
	}
	q.Local = NewLists()
	k = newChecker(context.Background(), r, q)
	if a := k.ask(r.Path[0], r.Path[1:]); a.Status != Unknown || !strings.Contains(a.Reason, "not all were looked at") {
		t.Errorf("%s: %s", a.Status, a.Reason)
	}
	if k.mail < 0 || k.mail > mailWork/2 || k.work != otherWork {
		t.Errorf("left of the work: %v and %v", k.mail, k.work)
	}
	q.Mail = [][]byte{make([]byte, maxMailBytes+1)}
	if k := newChecker(context.Background(), r, q); !k.more {
		t.Error("a large one is read")
	}
}

// What has been verified once is not verified again, and what has not is not kept.
func TestMemory(t *testing.T) {
	w := newWorld().sign()
	good := forge.CRL{Entries: lost}.Sign(w.issuer)
	bad := forge.CRL{Issuer: w.issuer.Subject, Number: 7}.Sign(w.alice)
	w.mail = [][]byte{bad, good}
	q, r := w.question(t), w.result(t)
	for range 3 {
		if report := Check(context.Background(), r, q); report.Answers[0].Status != Revoked {
			t.Fatal(told(report))
		}
		q.Mail = [][]byte{slices.Clone(good)}
	}
	m := &q.Local.memory
	if len(m.young)+len(m.mature) != 1 || m.size != len(good) {
		t.Errorf("%d kept, %d bytes", len(m.young)+len(m.mature), m.size)
	}
	k := newChecker(context.Background(), r, q)
	if k.ask(r.Path[0], r.Path[1:]); k.mail != mailWork {
		t.Error("it is verified again")
	}
}

// The memory is bounded by bytes, and forgets what is not asked for.
func TestMemoryBound(t *testing.T) {
	const bound = 1 << 16
	m := memory{bound: bound}
	first := &known{CRL: &x5280.CRL{Signed: x5280.Signed{Raw: make([]byte, bound/4)}}}
	m.keep(first)
	for i := range 20 {
		raw := make([]byte, bound/8)
		raw[0] = byte(i + 1)
		m.keep(&known{CRL: &x5280.CRL{Signed: x5280.Signed{Raw: raw}}})
		total := 0
		for _, half := range []map[digest]*known{m.young, m.mature} {
			for _, k := range half {
				total += len(k.Raw)
			}
		}
		if total > bound {
			t.Fatalf("%d bytes", total)
		}
	}
	if m.get(sha256.Sum256(first.Raw)) != nil {
		t.Error("nothing is forgotten")
	}
}

func TestModes(t *testing.T) {
	for text, want := range map[string]Mode{"soft": Soft, "off": Off, "hard": Hard} {
		var m Mode
		if err := m.UnmarshalText([]byte(text)); err != nil || m != want {
			t.Errorf("%s: %v, %v", text, m, err)
		}
		if b, err := m.MarshalText(); string(b) != text || err != nil {
			t.Errorf("%v is %q, %v", m, b, err)
		}
	}
	if err := new(Mode).UnmarshalText([]byte("Hard")); err == nil {
		t.Error("an unknown mode is taken")
	}
	if s := Mode(7).String(); s != "Mode(7)" {
		t.Error(s)
	}
}
