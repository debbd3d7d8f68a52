package revocation

import (
	"context"
	"errors"
	"testing"
	"time"

	"mailseal/internal/pki/x5280"
	"mailseal/internal/testpki/forge"
	"mailseal/internal/trust/path"
)

// A world is a root, a CA below it (serial number 1) and Alice's certificate (serial
// number 7), with what there is of CRLs.
type world struct {
	ca, leaf forge.Certificate // before they are signed
	root     *forge.Issued
	issuer   *forge.Issued // the CA
	alice    *forge.Issued
	others   []*forge.Issued // that came along
	local    [][]byte
	mail     [][]byte
	fetch    Fetcher
	noRoot   bool // no CRL of the root: the CA's status is unknown
}

func ca(name string, more ...[]byte) forge.Certificate {
	return forge.Certificate{Subject: forge.Name(name), Extensions: append(append([][]byte{}, forge.CA...), more...)}
}

// signs makes a certificate for signing CRLs.
func signs(name string, more ...[]byte) forge.Certificate {
	return forge.Certificate{Subject: forge.Name(name), KeyOf: name + " CRLs", Serial: []byte{3}, Extensions: append([][]byte{forge.Usage(6)}, more...)}
}

var (
	week = 7 * 24 * time.Hour
	held = []forge.Entry{{Serial: []byte{7}, Reason: 6}}
	lost = []forge.Entry{{Serial: []byte{7}, Reason: 1}}
)

func newWorld(leaf ...[]byte) *world {
	return &world{
		ca:   ca("CA"),
		leaf: forge.Certificate{Subject: forge.Name("Alice"), Serial: []byte{7}, Extensions: append([][]byte{forge.Usage(0)}, leaf...)},
	}
}

// sign makes the certificates that are not there yet.
func (w *world) sign() *world {
	if w.root == nil {
		w.root = ca("Root").Sign(nil)
	}
	if w.issuer == nil {
		w.issuer = w.ca.Sign(w.root)
	}
	if w.alice == nil {
		w.alice = w.leaf.Sign(w.issuer)
	}
	return w
}

// has adds configured CRLs of the CA.
func (w *world) has(crls ...forge.CRL) *world {
	w.sign()
	for _, c := range crls {
		w.local = append(w.local, c.Sign(w.issuer))
	}
	return w
}

func (w *world) result(t failer) path.Result {
	t.Helper()
	w.sign()
	r := path.Validate([]*x5280.Certificate{parse(t, w.alice.DER), parse(t, w.issuer.DER), parse(t, w.root.DER)}, path.Options{At: at})
	if !r.Good() {
		t.Fatal(r.Text())
	}
	return r
}

func (w *world) question(t failer) Question {
	t.Helper()
	w.sign()
	q := Question{At: at, Mail: w.mail, Fetch: w.fetch}
	var crls []*x5280.CRL
	local := w.local
	if !w.noRoot {
		local = append(local, forge.CRL{}.Sign(w.root))
	}
	for _, der := range local {
		crls = append(crls, parseCRL(t, der))
	}
	for _, c := range w.others {
		q.Extra = append(q.Extra, parse(t, c.DER))
	}
	q.Local = NewLists(crls...)
	return q
}

func (w *world) check(t failer) Report {
	t.Helper()
	return Check(context.Background(), w.result(t), w.question(t))
}

// A ruling is a world and what Alice's status is in it.
type ruling struct {
	name   string
	world  *world
	status Status
	says   string // of the reason
}

func judge(t *testing.T, rulings []ruling) {
	t.Helper()
	for _, r := range rulings {
		t.Run(r.name, func(t *testing.T) {
			report := r.world.check(t)
			alice := Report{Status: report.Answers[0].Status, Answers: report.Answers[:1]}
			if !holds(alice, r.status, r.says) {
				t.Errorf("want %s %q: %s", r.status, r.says, told(report))
			}
			if a := alice.Answers[0]; (a.Status != Unknown) != (a.Source != "") || (a.Status == Good) != (a.Reason == "") || (a.Status == Revoked) == a.When.IsZero() {
				t.Errorf("an answer that is not whole: %s", told(alice))
			}
		})
	}
}

// A net is what can be fetched.
type net struct {
	crls map[string][]byte
	ocsp map[string]func(request []byte) []byte
	asks int
}

var errNet = errors.New("connection refused")

func (n *net) CRL(_ context.Context, url string) ([]byte, error) {
	n.asks++
	if b, ok := n.crls[url]; ok {
		return b, nil
	}
	return nil, errNet
}

func (n *net) OCSP(_ context.Context, url string, request []byte) ([]byte, error) {
	n.asks++
	if f, ok := n.ocsp[url]; ok {
		return f(request), nil
	}
	return nil, errNet
}
