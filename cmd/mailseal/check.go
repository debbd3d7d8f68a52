package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailseal/internal/config"
	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/trust"
	"mailseal/milter"
)

func checkCommand() command {
	return command{
		name:  "check",
		args:  "[-config FILE] [-json]",
		short: "is the configuration right; changes nothing",
		long: `Builds from the configuration what the milter would, and neither listens nor
changes anything. Exits with 0 when all is well, with 78 when the milter would
not start; then each mistake is a line FILE:LINE:COL: KEY: what is wrong; want
what. Warnings go to standard error and do not count.`,
		setup: func(fs *flag.FlagSet) runner {
			name := fs.String("config", defaultConfig(), "configuration `FILE`")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				return runCheck(*name, nil, *asJSON, env)
			}
		},
	}
}

// A summary is what check found.
type summary struct {
	File       string           `json:"file"`
	OK         bool             `json:"ok"`
	Errors     []remark         `json:"errors"`
	Warnings   []remark         `json:"warnings"`
	AuthservID string           `json:"authserv_id,omitempty"`
	Domains    []string         `json:"local_domains,omitempty"`
	Socket     string           `json:"socket,omitempty"`
	Before     string           `json:"before_socket,omitempty"`
	Metrics    string           `json:"metrics,omitempty"`
	OnError    string           `json:"on_error,omitempty"`
	Sign       bool             `json:"sign"`
	Identities []identityReport `json:"identities"`
	Anchors    []anchorReport   `json:"anchors"`
	Advice     []string         `json:"advice,omitempty"`
}

// A remark is a mistake or a warning, and its place where it has one.
type remark struct {
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Key    string `json:"key,omitempty"`
	Text   string `json:"text"`
	file   string
}

func (r remark) String() string {
	if r.Line == 0 {
		return "warning: " + r.Text
	}
	return fmt.Sprintf("%s:%d:%d: warning: %s: %s", r.file, r.Line, r.Column, r.Key, r.Text)
}

type identityReport struct {
	Name      string    `json:"name"`
	Addresses []string  `json:"addresses"`
	Subject   string    `json:"subject"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Chain     int       `json:"chain"`
}

type anchorReport struct {
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"not_after"`
}

// advice is given always: no configuration of ours shows whether it is taken.
var advice = []string{
	"Postfix: set milter_default_action = tempfail; sendmail: give INPUT_MAIL_FILTER F=T. " +
		"With anything else the MTA itself delivers half-edited mail when the milter ends in the middle of it.",
	"sendmail: define(`confMAX_MIME_HEADER_LENGTH', `0/0'), or it rewrites header fields within signed mail that is oddly made.",
}

// runCheck checks and tells. With the flags of the daemon it looks at what that
// would run with, and refuses what it would.
func runCheck(name string, f *milterFlags, asJSON bool, env Env) error {
	s, err := check(name, f, time.Now())
	if asJSON {
		if werr := writeJSON(env.Stdout, s); werr != nil {
			return fail(exIOErr, werr)
		}
		if err != nil {
			return fail(exConfig, nil) // told as JSON
		}
		return nil
	}
	for _, w := range s.Warnings {
		fmt.Fprintln(env.Stderr, w)
	}
	if err != nil {
		return err
	}
	return s.write(env.Stdout)
}

// check builds from a configuration. The summary is there with an error too.
func check(name string, f *milterFlags, now time.Time) (*summary, error) {
	s := &summary{File: name, Errors: []remark{}, Warnings: []remark{}, Identities: []identityReport{}, Anchors: []anchorReport{}}
	c, err := loadConfig(name)
	if err != nil {
		s.fault(err)
		return s, err
	}
	if f != nil {
		f.over(c)
	}
	p, err := collect(c)
	errs := unjoin(err)
	for _, r := range p.exposed {
		if f != nil {
			errs = append(errs, r)
			continue
		}
		s.warn(fmt.Errorf("%w; the milter refuses such files", r))
	}
	errs = append(errs, checkSocket(c), checkBefore(c), checkGroup(c, "milter.socket_group", c.Milter.SocketGroup), checkGroup(c, "metrics.socket_group", c.Metrics.SocketGroup))
	if err == nil {
		s.describe(p)
		for _, w := range slices.Concat(warnPolicy(c), warnIdentities(p, now), warnAnchors(p, now), warnFolders(c)) {
			s.warn(w)
		}
		if _, gerr := p.gateway(os.TempDir(), nil); gerr != nil {
			errs = append(errs, gerr)
		}
	}
	if err = errors.Join(errs...); err != nil {
		err = fail(exConfig, err)
		s.fault(err)
		return s, err
	}
	s.OK, s.Advice = true, advice
	return s, nil
}

func (s *summary) fault(err error) {
	for _, e := range unjoin(err) {
		s.Errors = append(s.Errors, newRemark(e))
	}
}

func (s *summary) warn(err error) { s.Warnings = append(s.Warnings, newRemark(err)) }

func newRemark(err error) remark {
	var e *config.Error
	if !errors.As(err, &e) {
		return remark{Text: oneLine(err)}
	}
	text := oneLine(err)
	if i := strings.Index(text, e.Key+": "); i >= 0 {
		text = text[i+len(e.Key)+2:]
	}
	return remark{Line: e.Line, Column: e.Column, Key: e.Key, Text: text, file: e.File}
}

func (s *summary) describe(p *parts) {
	c := p.conf
	s.AuthservID, s.Domains, s.Socket, s.Sign = c.AuthservID, c.LocalDomains, c.Milter.Socket, c.SMIME.Sign
	s.Before, s.OnError, s.Metrics = c.Milter.BeforeSocket, c.Milter.OnError.String(), c.Metrics.Address
	if c.Milter.OnError == message.Defer {
		s.OnError = "tempfail"
	}
	for _, id := range p.identities {
		cert := id.Certificate
		s.Identities = append(s.Identities, identityReport{
			Name: id.Name, Addresses: append([]string{}, pki.Addresses(cert)...), Subject: cert.Subject.String(),
			NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, Chain: len(id.Chain),
		})
	}
	for _, a := range p.anchors {
		s.Anchors = append(s.Anchors, anchorReport{Subject: a.Subject.String(), NotAfter: a.NotAfter})
	}
}

func (s *summary) write(w io.Writer) error {
	var b strings.Builder
	line := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s %s\n", key, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s: OK\n", s.File)
	line("authserv_id", "%s", s.AuthservID)
	line("local_domains", "%s", strings.Join(s.Domains, " "))
	line("socket", "%s", s.Socket)
	if s.Before != "" {
		line("before_socket", "%s", s.Before)
	}
	if s.Metrics != "" {
		line("metrics", "%s", s.Metrics)
	}
	line("on_error", "%s", s.OnError)
	line("sign", "%t", s.Sign)
	line("identities", "%d", len(s.Identities))
	for _, id := range s.Identities {
		as := strings.Join(id.Addresses, " ")
		if as == "" {
			as = "no address"
		}
		line("", "%s: %q until %s, %d above it", id.Name, as, id.NotAfter.Format(time.DateOnly), id.Chain)
	}
	line("anchors", "%d", len(s.Anchors))
	for _, a := range s.Anchors {
		line("", "%q until %s", a.Subject, a.NotAfter.Format(time.DateOnly))
	}
	for _, a := range s.Advice {
		line("advice", "%s", a)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// checkSocket looks at what Listen would need.
func checkSocket(c *config.Config) error {
	if _, _, err := milter.ParseSocket(c.Milter.Socket); err != nil {
		return c.At("milter.socket", err)
	}
	return nil
}

func checkGroup(c *config.Config, key, g string) error {
	if _, err := strconv.ParseUint(g, 10, 31); g == "" || err == nil {
		return nil
	}
	if _, err := user.LookupGroup(g); err != nil {
		return c.At(key, fmt.Errorf("no group %q; want one of /etc/group", g))
	}
	return nil
}

// warnFolders tells of folders that are not there yet.
func warnFolders(c *config.Config) (ws []error) {
	folder := func(key, network, socket string) {
		if _, err := os.Stat(filepath.Dir(socket)); network == "unix" && errors.Is(err, fs.ErrNotExist) {
			ws = append(ws, c.At(key, fmt.Errorf("no folder %s; make it before the milter starts", filepath.Dir(socket))))
		}
	}
	network, socket, _ := milter.ParseSocket(c.Milter.Socket) // checkSocket tells an error
	folder("milter.socket", network, socket)
	if network, socket, err := milter.ParseSocket(c.Milter.BeforeSocket); err == nil {
		folder("milter.before_socket", network, socket)
	}
	folder("metrics.listen", c.Metrics.Network, c.Metrics.Address)
	if fi, err := os.Stat(c.State); err == nil && !fi.IsDir() {
		ws = append(ws, c.At("state", fmt.Errorf("%s is no folder", c.State)))
	}
	return ws
}

// warnPolicy tells of choices that are allowed and dangerous.
func warnPolicy(c *config.Config) (ws []error) {
	if c.Milter.OnError == message.Accept {
		ws = append(ws, c.At("milter.on_error", errors.New("mail that could not be checked is delivered unchecked; want tempfail")))
	}
	switch m := c.Milter; {
	case m.EarlierMilters && m.BeforeSocket == "":
		ws = append(ws, c.At("milter.earlier_milters", errors.New("what came from outside in our name stays where those milters do not take it away, which OpenDKIM does not always; want before_socket too")))
	case !m.EarlierMilters && m.BeforeSocket != "":
		ws = append(ws, c.At("milter.before_socket", errors.New("of no use as long as earlier_milters is false: no milter's results stay")))
	}
	for i, p := range c.InternalHosts {
		if p.Bits() == 0 {
			ws = append(ws, c.At("internal_hosts", fmt.Errorf("%s is everybody: anyone who reaches the MTA sends with your signature", p), i))
		}
	}
	return slices.Concat(ws, warnReach(c), warnLogins(c))
}

// warnReach tells of sockets that not only the MTA reaches: a milter believes
// what it is told of client and login.
func warnReach(c *config.Config) []error {
	network, address, err := milter.ParseSocket(c.Milter.Socket)
	switch host, _, _ := net.SplitHostPort(address); {
	case err != nil:
	case network == "unix" && c.Milter.SocketMode&0o002 != 0:
		return []error{c.At("milter.socket_mode", fmt.Errorf("%04o: any user of this host can have mail signed; want \"0660\" and socket_group", c.Milter.SocketMode))}
	case network != "unix" && host != "localhost" && !loopback(host):
		return []error{c.At("milter.socket", fmt.Errorf("anyone who reaches %s can have mail signed; want a loopback address, or a unix socket", address))}
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// warnLogins tells of leave to send that is never used: only mail from local
// domains is signed.
func warnLogins(c *config.Config) (ws []error) {
	unused := func(key, domain string) {
		if !ofOurs(c, domain) {
			ws = append(ws, c.At(key, fmt.Errorf("%s is not in local_domains; nothing from there is signed", strings.TrimPrefix(domain, "."))))
		}
	}
	if d := c.Milter.LoginDomain; d != "" {
		unused("milter.login_domain", d)
	}
	for _, login := range slices.Sorted(maps.Keys(c.Logins)) {
		for _, as := range c.Logins[login] {
			unused("logins", as[strings.LastIndexByte(as, '@')+1:])
		}
	}
	return ws
}

// ofOurs reports whether a domain, or one below it where it has a leading dot,
// can be a local one.
func ofOurs(c *config.Config, domain string) bool {
	return mailaddr.In(domain, c.LocalDomains) || slices.ContainsFunc(c.LocalDomains, func(d string) bool {
		return mailaddr.In(strings.TrimPrefix(d, "."), []string{domain}) || d == domain
	})
}

// soon is when a certificate wants renewing.
const soon = 30 * 24 * time.Hour

func warnIdentities(p *parts, now time.Time) (ws []error) {
	c := p.conf
	warn := func(id pki.Identity, format string, args ...any) {
		ws = append(ws, c.At("smime.identities", fmt.Errorf("identity %s: %s", id.Name, fmt.Sprintf(format, args...))))
	}
	if len(p.identities) == 0 && c.SMIME.Sign {
		ws = append(ws, c.At("smime.identities", fmt.Errorf("no identity in %s; nothing will be signed", c.SMIME.Identities)))
	}
	for _, id := range p.identities {
		cert := id.Certificate
		switch {
		case now.After(cert.NotAfter):
			warn(id, "expired on %s; it signs no more", cert.NotAfter.Format(time.DateOnly))
		case now.Before(cert.NotBefore):
			warn(id, "not valid before %s", cert.NotBefore.Format(time.DateOnly))
		case now.Add(soon).After(cert.NotAfter):
			warn(id, "expires on %s; renew it", cert.NotAfter.Format(time.DateOnly))
		}
		if !serves(c, cert) {
			warn(id, "none of its addresses (%q) is in local_domains; it will never sign", pki.Addresses(cert))
		}
		if id.Key == nil {
			warn(id, "its key only decrypts; it will never sign")
		} else if why := trust.Unfit(cert); why != "" {
			warn(id, "%s; it will never sign", why)
		}
		if k, ok := cert.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
			warn(id, "RSA with %d bits is too weak; want 2048 at least", k.N.BitLen())
		}
	}
	return ws
}

// serves reports whether one of the certificate's addresses is of ours.
func serves(c *config.Config, cert *x509.Certificate) bool {
	return slices.ContainsFunc(pki.Addresses(cert), func(s string) bool {
		a, err := mailaddr.ParseIA5(s)
		return err == nil && mailaddr.In(a.Domain, c.LocalDomains)
	})
}

func warnAnchors(p *parts, now time.Time) (ws []error) {
	if len(p.anchors) == 0 {
		ws = append(ws, p.conf.At("smime.trust", errors.New("no trust anchor; every signature will be judged fail")))
	}
	for _, a := range p.anchors {
		if a.Version == 3 && !a.IsCA {
			ws = append(ws, p.conf.At("smime.trust", fmt.Errorf("anchor %q is no CA; it is believed itself, and nobody whom it certified", a.Subject)))
		}
		if now.After(a.NotAfter) {
			ws = append(ws, p.conf.At("smime.trust", fmt.Errorf("anchor %q expired on %s", a.Subject, a.NotAfter.Format(time.DateOnly))))
		}
	}
	return ws
}
