package control

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/edition"
)

// An operation is what may be asked for.
type operation struct {
	web  bool // the web may, this often
	rate rate
	run  func(*call, []byte) (any, error)
}

// on reads the question of an operation.
func on[Q, A any](do func(*call, Q) (A, error)) func(*call, []byte) (any, error) {
	return func(c *call, body []byte) (any, error) {
		var q Q
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		return do(c, q)
	}
}

// operations are all there are.
var operations = map[string]operation{
	"hello":     {true, looking, on((*call).hello)},
	"summary":   {true, looking, on((*call).summary)},
	"list":      {true, searching, on((*call).list)},
	"show":      {true, looking, on((*call).show)},
	"edition":   {true, looking, on((*call).editionSince)},
	"crl":       {true, looking, on((*call).crl)},
	"crl-due":   {true, looking, on((*call).crlDue)},
	"new-crl":   {true, listing, on((*call).newCRL)},
	"renew-crl": {true, looking, on((*call).renewCRL)},
	"preview":   {true, trying, on((*call).preview)},
	"issue":     {true, issuing, on((*call).issue)},
	"revoke":    {true, revoking, on((*call).revoke)},
	"renew":     {run: on((*call).renew)},
}

func (c *call) hello(nothing) (hello, error) { return hello{raw(c.CA.Chain())}, nil }

func (c *call) summary(nothing) (ca.Summary, error) { return c.CA.Summary() }

func (c *call) list(q listAsked) ([]ca.Record, error) {
	query, err := q.query()
	if err != nil {
		return nil, wrong("list", err)
	}
	list, err := c.CA.List(query)
	return append([]ca.Record{}, list...), err
}

func (c *call) show(q serialAsked) (shown, error) {
	s, err := c.CA.Show(q.Serial)
	if err != nil {
		return shown{}, err
	}
	a := shown{Record: s.Record}
	if s.Certificate != nil {
		a.Certificate = s.Certificate.Raw
	}
	return a, nil
}

func (c *call) editionSince(m edition.Mark) (*edition.Edition, error) {
	ctx, cancel := context.WithTimeout(c.ctx, longPoll)
	defer cancel()
	e := c.Press.Since(ctx, m)
	if !c.trusted && (e.Whole || len(e.Answers) > largeEdition) {
		return e, c.large(c, "edition")
	}
	return e, nil
}

func (c *call) crl(nothing) (crl, error) {
	l, err := c.CA.CRL()
	if err != nil {
		return crl{}, err
	}
	return tellCRL(l), nil
}

func (c *call) crlDue(nothing) (dueAt, error) {
	at, err := c.CA.CRLDue()
	return dueAt{at}, err
}

func (c *call) newCRL(q crlAsked) (crl, error) {
	if !c.trusted && q.Days != 0 {
		return crl{}, c.refuse("crl", notForWeb("how long it is good is root's to say"))
	}
	l, err := c.CA.IssueCRL(ca.CRLOptions{Days: q.Days, By: c.by})
	if err != nil {
		return crl{}, err
	}
	c.changed()
	return tellCRL(l), nil
}

func (c *call) renewCRL(nothing) (renewedCRL, error) {
	l, err := c.CA.RenewCRL(c.by)
	if err != nil || l == nil {
		return renewedCRL{}, err
	}
	c.changed()
	told := tellCRL(l)
	return renewedCRL{&told}, nil
}

func (c *call) preview(q issueAsked) (previewed, error) {
	r, err := c.request("preview", q)
	if err != nil {
		return previewed{}, err
	}
	p, err := c.CA.Preview(r)
	return previewed{profileName(p.Profile), p.Subject, p.Names, p.From, p.To, p.Days, p.Warnings}, err
}

func (c *call) issue(q issueAsked) (issued, error) {
	r, err := c.request("issue", q)
	if err != nil {
		return issued{}, err
	}
	i, err := c.CA.Issue(r)
	if err != nil {
		return issued{}, err
	}
	c.changed()
	return tellIssued(i)
}

func (c *call) renew(q renewAsked) (issued, error) {
	r, err := q.renewal()
	if err != nil {
		return issued{}, wrong("renew", err)
	}
	r.By = c.by
	i, err := c.CA.Renew(r)
	if err != nil {
		return issued{}, err
	}
	c.changed()
	return tellIssued(i)
}

func (c *call) revoke(q revokeAsked) (ca.Record, error) {
	r, err := q.revocation()
	if err != nil {
		return ca.Record{}, wrong("revoke", err)
	}
	r.By = c.by
	record, err := c.CA.Revoke(r)
	if err == nil {
		c.changed()
	}
	return record, err
}

// request is what the CA is asked for.
func (c *call) request(what string, q issueAsked) (ca.Request, error) {
	r, err := q.request()
	if err != nil {
		return r, wrong(what, err)
	}
	r.By = c.by
	if c.trusted {
		return r, nil
	}
	if r, err = c.asWeb(r); err != nil {
		return r, c.refuse(what, err)
	}
	return r, nil
}

// asWeb leaves of a request what the web may ask for: a server's certificate,
// for a key that is not made here, with names that are configured and nothing
// else in its subject.
func (c *call) asWeb(r ca.Request) (ca.Request, error) {
	switch {
	case r.Profile != ca.Host:
		return r, notForWeb("only root may have other profiles than host")
	case r.PublicKey == nil && r.CSR == nil:
		return r, notForWeb("no key that is made here is given to others than root; send a csr")
	case len(r.Hosts) == 0:
		return r, notForWeb("no hosts")
	}
	for _, h := range r.Hosts {
		if !slices.Contains(c.Hosts, h) {
			return r, notForWeb("host %q is none of those that the configuration has for the web", h)
		}
	}
	r = ca.Request{Profile: ca.Host, Subject: ca.Subject{CommonName: r.Hosts[0]}, Hosts: r.Hosts,
		Days: r.Days, CSR: r.CSR, PublicKey: r.PublicKey, Memo: r.Memo, By: r.By}
	names, err := c.CA.Names(r)
	if err != nil {
		return r, err
	}
	for _, n := range names {
		if !slices.Contains(c.Hosts, n) {
			return r, notForWeb("name %q is none of the hosts that the configuration has for the web", n)
		}
	}
	return r, nil
}

// refuse puts on record what the web may not have, or nobody. What is wrong
// with the folder is neither.
func (c *call) refuse(what string, reason error) error {
	err := fmt.Errorf("%s: %w", what, reason)
	if errors.Is(err, ErrForbidden) || errors.Is(err, ca.ErrRefused) {
		return c.record(c, what, err)
	}
	return err
}

func notForWeb(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrForbidden, fmt.Errorf(format, args...))
}

// wrong is about a request that says nothing.
func wrong(what string, err error) error { return fmt.Errorf("%s: %w: %w", what, ca.ErrRefused, err) }
