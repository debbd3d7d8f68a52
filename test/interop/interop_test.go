// Package interop holds mailseal against other people's S/MIME programs, in
// both directions, over all algorithms that either side knows, and the tables
// in doc/interop.md against what was seen.
package interop

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"

	"mailseal/smime/cms"
	"mailseal/test/peers"
)

var update = flag.Bool("update", false, "write doc/interop.md anew")

const mail = "From: alice@example.test\r\nTo: bob@example.test\r\nSubject: interop\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=us-ascii\r\n\r\nHello Bob,\r\n\r\nAlice\r\n"

// asked is what all peers of a section are asked.
type asked struct {
	material material
	ours     *mailseal
	doc      document
	recent   bool // also what only newer programs know

	mu   sync.Mutex
	seen []column
}

// A column is what was seen of one peer.
type column struct {
	label   string // as the document has it: "openssl 3.0"
	version string
	cells   map[string]string // by table and row
}

func TestPeers(t *testing.T) {
	m := newMaterial(t)
	m.pantry.Jars = peers.Jars(t)
	a := &asked{material: m, ours: newMailseal(t, m), doc: readDocument(t)}
	t.Run("with", func(t *testing.T) {
		for name, cook := range map[string]func(testing.TB, peers.Pantry) peers.Cook{
			"openssl": peers.OpenSSLCook, "gpgsm": peers.GPGSMCook, "nss": peers.NSSCook, "bouncycastle": peers.BouncyCastleCook,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				a.ask(t, cook(t, m.pantry))
			})
		}
	})
	if *update && !t.Failed() {
		a.renew(t, peersMarks, 4)
	}
}

// ask goes through all rows with a peer.
func (a *asked) ask(t *testing.T, c peers.Cook) {
	t.Helper()
	parts := strings.SplitN(c.Version(), ".", 3)
	col := column{label: c.Name() + " " + strings.Join(parts[:min(2, len(parts))], "."), version: c.Name() + " " + c.Version(), cells: map[string]string{}}
	if !*update && !a.doc.has(col.label) {
		t.Skipf("%s is not in doc/interop.md: make interop writes it anew", col.label)
	}
	for _, g := range groups() {
		for _, r := range g.rows {
			if r.recent && !a.recent {
				continue
			}
			key := g.title + ": " + r.name
			cell := a.cell(t, c, col.label, key, r)
			col.cells[key] = cell
			if want := a.doc.cell(col.label, key); cell != want && !*update {
				t.Errorf("%s, %s: %q, and doc/interop.md says %q: make interop writes it anew", key, col.label, cell, want)
			}
		}
	}
	a.forged(t, c)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, col)
}

// forged holds against a peer that it would not say yes to anything: here one
// letter is another one.
func (a *asked) forged(t *testing.T, c peers.Cook) {
	t.Helper()
	r := peers.Recipe{Detached: true, Signers: []peers.Signer{rsa}}
	m, err := a.ours.Make(r, []byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	m = bytes.Replace(m, []byte("Hello"), []byte("HellO"), 1)
	if _, err := c.Open(r, m, peers.Recipient{}); err == nil {
		t.Errorf("%s takes a signature for another content", c.Name())
	}
}

// cell asks for both directions of a row.
func (a *asked) cell(t *testing.T, c peers.Cook, label, key string, r row) string {
	t.Helper()
	theirs := a.side(t, label, key, writes, r, c, a.ours)
	if r.theirs {
		return theirs
	}
	return a.side(t, label, key, reads, r, a.ours, c) + " / " + theirs
}

// side is one direction in every form, and says why it does not work: never
// without a reason that is listed, and never with one if it does.
func (a *asked) side(t *testing.T, label, key string, s side, r row, from, by peers.Cook) string {
	t.Helper()
	why := reasonFor(label, key, s)
	for i, stack := range r.forms {
		err := a.transfer(from, by, stack, r)
		switch {
		case err == nil:
			if why != nil {
				t.Errorf("%s, %s, form %d: works, and %q is listed as the reason why not", key, label, i, why.text)
			}
		case s == writes && r.finds != nil && errors.Is(err, r.finds):
		case ourFault(s, err):
			t.Errorf("%s, %s, form %d: mailseal does not do its part, which no reason makes good: %v", key, label, i, err)
			return "no"
		case why == nil:
			t.Errorf("%s, %s, form %d: does not work, and no reason is listed: %v", key, label, i, err)
			return "no"
		case !why.says.MatchString(err.Error()):
			t.Errorf("%s, %s, form %d: does not work for another reason than %q: %v", key, label, i, why.text, err)
			return "no"
		}
		if err == nil && r.finds != nil && s == writes {
			t.Errorf("%s, %s, form %d: nothing is found to be wrong", key, label, i)
		}
	}
	switch {
	case why != nil:
		return fmt.Sprintf("– [%d]", why.number)
	case s == writes && r.finds != nil:
		return map[bool]string{true: "weak", false: "refused"}[errors.Is(r.finds, cms.ErrWeak)]
	}
	return "yes"
}

// ourFault says that it is mailseal which could not make or open a mail.
func ourFault(s side, err error) bool {
	var opening *openError
	return errors.As(err, &opening) == (s == writes)
}

// transfer has one make a mail by a stack of recipes and the other open it
// again, for each recipient of the outermost one.
func (a *asked) transfer(from, by peers.Cook, stack []peers.Recipe, r row) error {
	m := []byte(mail)
	for _, recipe := range stack {
		var err error
		if m, err = from.Make(recipe, m); err != nil {
			return err
		}
		if err := asWanted(m, recipe, r); err != nil {
			return fmt.Errorf("%s: %w", from.Name(), err)
		}
	}
	want, err := a.inside(stack[0])
	if err != nil {
		return err
	}
	with := stack[len(stack)-1].To
	if len(with) == 0 {
		with = []peers.Recipient{{}}
	}
	for _, w := range with {
		if err := open(by, stack, m, w, want); err != nil {
			return err
		}
	}
	return nil
}

// inside is what will be found innermost; of certs-only the set of certificates.
func (a *asked) inside(r peers.Recipe) ([]byte, error) {
	if r.Type != peers.CertsOnly {
		return peers.Entity([]byte(mail))
	}
	var all [][]byte
	for _, s := range r.Signers {
		all = append(all, a.material.identities[s.Who].Certificate.Raw)
	}
	return inOrder(all), nil
}

// openError tells which recipient cannot open a mail; those before it could.
type openError struct {
	as  string
	err error
}

func (e *openError) Error() string { return "as " + e.as + ": " + e.err.Error() }
func (e *openError) Unwrap() error { return e.err }

func open(by peers.Cook, stack []peers.Recipe, m []byte, with peers.Recipient, want []byte) error {
	var entity []byte
	for i := len(stack) - 1; i >= 0; i-- {
		w := with
		if i < len(stack)-1 && len(stack[i].To) > 0 {
			w = stack[i].To[0]
		}
		var err error
		if entity, err = by.Open(stack[i], m, w); err != nil {
			return &openError{as: w.Who + w.Password, err: err}
		}
		if m, err = peers.Inside(m, entity); err != nil {
			return err
		}
	}
	if stack[0].Type == peers.CertsOnly {
		if entity == nil {
			return nil // it has only said that it could read them
		}
		entity = inOrder(apart(entity))
	}
	if !bytes.Equal(entity, want) {
		return fmt.Errorf("%s finds other content: %q", by.Name(), entity)
	}
	return nil
}
