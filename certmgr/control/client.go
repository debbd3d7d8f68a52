package control

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/edition"
	"mailseal/internal/peercred"
)

// A Client asks a Server. Its methods are those of ca.CA.
type Client struct {
	http  http.Client
	chain []*x509.Certificate
}

// Dial makes a Client that asks at the socket when it has to. It has no
// certificate and no chain. Where users are given, only one of these may have
// made the socket: another who has taken its place would hand out keys that it
// knows.
func Dial(socket string, of ...int) *Client {
	return &Client{http: http.Client{Timeout: slowAnswer, Transport: transport(socket, of)}}
}

// Connect asks whether a CA answers at the socket, as Dial has it. The error is
// ErrNotRunning where nobody does, and ErrForbidden where another user does.
func Connect(ctx context.Context, socket string, of ...int) (*Client, error) {
	c := Dial(socket, of...)
	var h hello
	if err := c.ask(ctx, "hello", nothing{}, &h); err != nil {
		c.Close()
		return nil, fmt.Errorf("ask certmgr at %s: %w", socket, err)
	}
	var err error
	if c.chain, err = parse(h.Chain); err != nil || len(c.chain) == 0 {
		c.Close()
		return nil, fmt.Errorf("ask certmgr at %s: no certificate of a CA: %w", socket, err)
	}
	return c, nil
}

func transport(socket string, of []int) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
				return nil, ErrNotRunning
			}
			if err != nil || len(of) == 0 {
				return c, err
			}
			if err := madeBy(c, of); err != nil {
				c.Close()
				return nil, err
			}
			return c, nil
		},
		MaxIdleConns: 1, IdleConnTimeout: idle, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
	}
}

// madeBy checks who has made the socket that answers.
func madeBy(c net.Conn, of []int) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("%s: no Unix socket: %w", c.RemoteAddr(), ErrForbidden)
	}
	uid, err := peercred.UID(u)
	if err == nil && !slices.Contains(of, uid) {
		err = fmt.Errorf("user %d has made that socket, whose the CA is not; stop what runs there: %w", uid, ErrForbidden)
	}
	return err
}

// Close lets the connection go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A remote error reads as the server's does and is what that was.
type remote struct {
	text  string
	kinds []error
}

func (r *remote) Error() string { return r.text }

// Is reports whether the server's error was one of those that are told apart.
func (r *remote) Is(target error) bool { return slices.Contains(r.kinds, target) }

// ask asks for one operation.
func (c *Client) ask(ctx context.Context, name string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://certmgr/v1/"+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	w, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", name, plainly(err))
	}
	defer w.Body.Close()
	b, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case len(b) > maxAnswer:
		return fmt.Errorf("%s: an answer of more than %d bytes", name, maxAnswer)
	case w.StatusCode == http.StatusOK:
		if err := json.Unmarshal(b, answer); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	var t trouble
	if json.Unmarshal(b, &t) != nil || t.Error == "" {
		return fmt.Errorf("%s: certmgr answers %s", name, w.Status)
	}
	return told(t)
}

// plainly takes the URL out of an error: nobody has typed one.
func plainly(err error) error {
	var op *net.OpError
	var at *url.Error
	switch {
	case errors.Is(err, ErrNotRunning):
		return ErrNotRunning
	case errors.Is(err, io.EOF):
		return errors.New("certmgr ended before it answered; look with mailseal ca list whether it was done")
	case errors.As(err, &op):
		return op
	case errors.As(err, &at):
		return at.Err
	}
	return err
}

func told(t trouble) error {
	r := &remote{text: strings.ToValidUTF8(t.Error, "?")}
	for _, k := range kinds {
		for _, name := range t.Kinds {
			if name == k.name {
				r.kinds = append(r.kinds, k.err)
			}
		}
	}
	return r
}

// Certificate is the CA's own certificate.
func (c *Client) Certificate() *x509.Certificate { return c.chain[0] }

// Chain is the CA's certificate and those above it, the root last.
func (c *Client) Chain() []*x509.Certificate { return c.chain }

// Summary tells about the CA itself.
func (c *Client) Summary() (s ca.Summary, err error) {
	err = c.ask(context.Background(), "summary", nothing{}, &s)
	return s, err
}

// List returns the certificates that a query is about.
func (c *Client) List(q ca.Query) (list []ca.Record, err error) {
	err = c.ask(context.Background(), "list", askList(q), &list)
	return list, err
}

// Show finds a certificate by its serial.
func (c *Client) Show(serial string) (ca.Shown, error) {
	var a shown
	if err := c.ask(context.Background(), "show", serialAsked{serial}, &a); err != nil {
		return ca.Shown{}, err
	}
	s := ca.Shown{Record: a.Record}
	var err error
	if a.Certificate != nil {
		s.Certificate, err = x509.ParseCertificate(a.Certificate)
	}
	return s, err
}

// Preview shows what would come of a request.
func (c *Client) Preview(r ca.Request) (ca.Preview, error) {
	q, err := askIssue(r)
	if err != nil {
		return ca.Preview{}, err
	}
	var a previewed
	if err := c.ask(context.Background(), "preview", q, &a); err != nil {
		return ca.Preview{}, err
	}
	p, err := parseProfile(a.Profile)
	return ca.Preview{Profile: p, Subject: a.Subject, Names: a.Names, From: a.From, To: a.To, Days: a.Days, Warnings: a.Warnings}, err
}

// Issue has a certificate made. By is not sent: the server knows who asks.
func (c *Client) Issue(r ca.Request) (*ca.Issued, error) {
	q, err := askIssue(r)
	if err != nil {
		return nil, err
	}
	return c.askIssued("issue", q)
}

// Renew has a certificate issued again.
func (c *Client) Renew(r ca.Renewal) (*ca.Issued, error) { return c.askIssued("renew", askRenew(r)) }

func (c *Client) askIssued(name string, question any) (*ca.Issued, error) {
	var a issued
	if err := c.ask(context.Background(), name, question, &a); err != nil {
		return nil, err
	}
	return a.issued()
}

// Revoke revokes a certificate.
func (c *Client) Revoke(r ca.Revocation) (record ca.Record, err error) {
	err = c.ask(context.Background(), "revoke", revokeAsked{r.Serial, r.Reason.String(), r.Since}, &record)
	return record, err
}

// IssueCRL has a new list made.
func (c *Client) IssueCRL(o ca.CRLOptions) (*ca.CRL, error) {
	return c.askCRL("new-crl", crlAsked{o.Days})
}

// RenewCRL has a new list made if one is due. It returns nil where none is. Who
// asks is known.
func (c *Client) RenewCRL(string) (*ca.CRL, error) {
	var a renewedCRL
	if err := c.ask(context.Background(), "renew-crl", nothing{}, &a); err != nil || a.List == nil {
		return nil, err
	}
	return a.List.crl(), nil
}

// CRL is the list that there is.
func (c *Client) CRL() (*ca.CRL, error) { return c.askCRL("crl", nothing{}) }

func (c *Client) askCRL(name string, question any) (*ca.CRL, error) {
	var l crl
	if err := c.ask(context.Background(), name, question, &l); err != nil {
		return nil, err
	}
	return l.crl(), nil
}

// CRLDue is when the next list should be made.
func (c *Client) CRLDue() (time.Time, error) {
	var d dueAt
	err := c.ask(context.Background(), "crl-due", nothing{}, &d)
	return d.At, err
}

// Edition is what is newer than a mark. Where nothing is it takes a while.
func (c *Client) Edition(ctx context.Context, m edition.Mark) (*edition.Edition, error) {
	e := new(edition.Edition)
	return e, c.ask(ctx, "edition", m, e)
}
