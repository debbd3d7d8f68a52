package revocation

import (
	"context"
	"math/big"
	"testing"

	"mailseal/internal/testpki/forge"
)

// large is a CRL of 100,000 entries, 3.7 MB.
func large(w *world) []byte {
	c := forge.CRL{Entries: make([]forge.Entry, 100000)}
	for i := range c.Entries {
		v := uint64(i+1) * 0x9e3779b97f4a7c15
		c.Entries[i] = forge.Entry{Serial: append([]byte{1}, new(big.Int).SetUint64(v|1<<63).Bytes()...)}
	}
	return c.Sign(w.sign().issuer)
}

// A large CRL that is configured is parsed, and its signature checked, before: what
// remains is a look-up.
func BenchmarkConfigured(b *testing.B) {
	w := newWorld()
	w.local = [][]byte{large(w)}
	q, r := w.question(b), w.result(b)
	for b.Loop() {
		if a := Check(context.Background(), r, q).Answers[0]; a.Status != Good {
			b.Fatal(a.Reason)
		}
	}
}

// One that comes with each mail is known by its digest.
func BenchmarkMailed(b *testing.B) {
	w := newWorld()
	w.mail = [][]byte{large(w)}
	q, r := w.question(b), w.result(b)
	for b.Loop() {
		if a := Check(context.Background(), r, q).Answers[0]; a.Status != Good {
			b.Fatal(a.Reason)
		}
	}
}

// And with the first mail it is parsed, and looked through once.
func BenchmarkMailedFirst(b *testing.B) {
	w := newWorld()
	w.mail = [][]byte{large(w)}
	r := w.result(b)
	for b.Loop() {
		b.StopTimer()
		q := w.question(b)
		b.StartTimer()
		if a := Check(context.Background(), r, q).Answers[0]; a.Status != Good {
			b.Fatal(a.Reason)
		}
	}
}
