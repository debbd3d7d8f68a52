package edition

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"mailseal/certmgr/ca"
)

// MaxAnswers bounds how many certificates have answers; the newest do.
const MaxAnswers = 20000

// An Authority is a CA as a Press needs it; *ca.CA is one.
type Authority interface {
	CRL() (*ca.CRL, error)
	List(ca.Query) ([]ca.Record, error)
	OCSP(serial string) (*ca.OCSPAnswer, error)
	Settings() ca.Settings
}

// A Press keeps the edition of a CA.
type Press struct {
	now  func() time.Time
	name string

	working sync.Mutex // held by Renew

	mu      sync.Mutex // guards what follows
	edition Edition    // its Answers are in answers
	list    uint64     // the number with which List came
	answers map[string]*printed
	// changed is closed, and made anew, when there is something newer.
	changed chan struct{}
}

// A printed answer, with what it says and the number with which it came.
type printed struct {
	Answer
	about  standing
	number uint64
}

// A standing is what an answer says of a certificate.
type standing struct {
	revoked time.Time
	reason  string
}

// NewPress makes a Press, with nothing in it before Renew. now defaults to
// time.Now.
func NewPress(now func() time.Time) *Press {
	if now == nil {
		now = time.Now
	}
	return &Press{now: now, name: rand.Text(), answers: make(map[string]*printed), changed: make(chan struct{})}
}

// Done is what Renew has done.
type Done struct {
	// Signed answers are new, Answers are all.
	Signed, Answers int
	// Left are certificates that have none because there are too many.
	Left int
}

// Renew brings the edition up to date: with the list that the folder has, and
// answers that are new, that say something else, or whose time is half over.
func (p *Press) Renew(ctx context.Context, c Authority, cert []byte) (Done, error) {
	p.working.Lock()
	defer p.working.Unlock()
	err := p.renewList(c, cert)
	done, aerr := p.renewAnswers(ctx, c)
	return done, errors.Join(err, aerr)
}

// renewList takes the list and what else is read, not signed.
func (p *Press) renewList(c Authority, cert []byte) error {
	list, err := c.CRL()
	if errors.Is(err, ca.ErrNotFound) {
		list, err = nil, nil
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if path := pathOf(c.Settings().URL); path != p.edition.Path || !bytes.Equal(cert, p.edition.Certificate) {
		p.edition.Path, p.edition.Certificate = path, cert
		p.tell()
	}
	if list != nil && (p.edition.List == nil || !bytes.Equal(list.DER, p.edition.List.DER)) {
		p.edition.List = &List{list.ThisUpdate, list.NextUpdate, list.DER}
		p.list = p.tell()
	}
	return nil
}

// pathOf is where a URL leads to on its host.
func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.Path, "/")
}

// tell gives the edition its next number. The Press is locked.
func (p *Press) tell() uint64 {
	p.edition.Number++
	close(p.changed)
	p.changed = make(chan struct{})
	return p.edition.Number
}

// batch is how many answers readers are told of at once.
const batch = 500

func (p *Press) renewAnswers(ctx context.Context, c Authority) (done Done, err error) {
	defer func() {
		if done.Signed > 0 {
			p.publish()
		}
	}()
	now := p.now()
	all, err := c.List(ca.Query{})
	if err != nil {
		return done, err
	}
	wanted := make(map[string]bool)
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		switch {
		case r.NotAfter.Before(now):
			continue
		case len(wanted) == MaxAnswers:
			done.Left++
			continue
		}
		wanted[r.Serial] = true
		about := standing{r.Revoked, r.Reason}
		if p.fresh(r.Serial, about, now) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return done, err
		}
		a, err := c.OCSP(r.Serial)
		if err != nil {
			return done, fmt.Errorf("answer about %s: %w", r.Serial, err)
		}
		p.print(a, about)
		if done.Signed++; done.Signed%batch == 0 {
			p.publish()
		}
	}
	done.Answers = len(wanted)
	p.mu.Lock()
	defer p.mu.Unlock()
	for serial := range p.answers {
		if !wanted[serial] {
			delete(p.answers, serial) // readers let it go when it ends
		}
	}
	return done, nil
}

// fresh reports whether an answer says what it should and has more than half
// of its time before it, but not all: then the clock was wrong.
func (p *Press) fresh(serial string, about standing, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.answers[serial]
	return a != nil && a.about == about && !now.Before(a.ThisUpdate) && now.Before(a.ThisUpdate.Add(a.NextUpdate.Sub(a.ThisUpdate)/2))
}

func (p *Press) print(a *ca.OCSPAnswer, about standing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[a.Serial] = &printed{Answer{a.Serial, a.ThisUpdate, a.NextUpdate, a.DER}, about, p.edition.Number + 1}
}

func (p *Press) publish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell()
}

// Since returns what is newer than a mark; where nothing is, it waits until
// something is or the context ends, and then returns an edition with nothing
// but its mark.
func (p *Press) Since(ctx context.Context, m Mark) *Edition {
	for {
		e, changed := p.since(m)
		if e.Mark != m || changed == nil {
			return e
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return e
		}
	}
}

func (p *Press) since(m Mark) (*Edition, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.edition
	e.Press = p.name
	if m.Press != p.name || m.Number > e.Number {
		m, e.Whole = Mark{Press: p.name}, true
	}
	if p.list <= m.Number {
		e.List = nil
	}
	for _, a := range p.answers {
		if a.number > m.Number {
			e.Answers = append(e.Answers, a.Answer)
		}
	}
	if e.Whole {
		return &e, nil
	}
	return &e, p.changed
}
