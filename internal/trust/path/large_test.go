package path

import (
	"fmt"
	"testing"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
)

// A certificate that is large is not hashed for each of those that bear its issuer's name.
func TestLarge(t *testing.T) {
	const size = 100 << 10
	root := ca("Root").Sign(nil)
	var all []*x5280.Certificate
	for i := range 400 {
		c := ca("Sub")
		c.KeyOf = fmt.Sprint("key ", i)
		all = append(all, read(t, c.Sign(root)))
	}
	f := NewStore([]*x5280.Certificate{read(t, root)}).Among(all, Options{At: at})
	r := f.Path(read(t, user(forge.Extension("1.2.3.4", false, make([]byte, size))).Sign(ca("Sub").Sign(root))))
	if _, broken := r.Broke(Effort); !broken {
		t.Error(r.Text())
	}
	if most := int((mailWork + signerWork) / (size * hashing)); len(f.checked) > most {
		t.Errorf("%d signatures were checked, want %d at most", len(f.checked), most)
	}
}

// Of names that are not permitted a bounded number is told.
func TestManyFailures(t *testing.T) {
	root := ca("Root", permit(forge.Mail("a.example"))).Sign(nil)
	var names [][]byte
	for range 1000 {
		names = append(names, forge.Mail("u@b.example"))
	}
	r := NewStore([]*x5280.Certificate{read(t, root)}).Among(nil, Options{At: at}).Path(read(t, user(forge.AltNames(names...)).Sign(root)))
	if _, broken := r.Broke(Names); !broken || len(r.Failures) != maxFailures {
		t.Errorf("%d failures", len(r.Failures))
	}
}
