package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"mailseal/internal/config"
	"mailseal/internal/message"
	"mailseal/internal/pki"
)

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
	Decrypt    bool             `json:"decrypt"`
	Identities []identityReport `json:"identities"`
	trustReport
	Targets []targetReport `json:"targets,omitempty"`
	Advice  []string       `json:"advice,omitempty"`
}

// A targetReport is a server whose certificates certmgr keeps.
type targetReport struct {
	Name   string   `json:"name"`
	Server string   `json:"server"`
	Hosts  []string `json:"hosts"`
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
	Decrypts  []string  `json:"decrypts"` // addresses, and "@domain"
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
	s.Decrypt = c.SMIME.Inbound.Decrypt
	s.Before, s.OnError, s.Metrics = c.Milter.BeforeSocket, c.Milter.OnError.String(), c.Metrics.Address
	if c.Milter.OnError == message.Defer {
		s.OnError = "tempfail"
	}
	for _, id := range p.identities {
		cert := id.Certificate
		s.Identities = append(s.Identities, identityReport{
			Name: id.Name, Addresses: append([]string{}, pki.Addresses(cert)...), Subject: cert.Subject.String(),
			NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, Chain: len(id.Chain),
			Decrypts: openings(c, id),
		})
	}
	s.trustReport.describe(p)
}

func (s *summary) describeTargets(c *config.Config) {
	for _, t := range c.Targets {
		s.Targets = append(s.Targets, targetReport{t.Name, t.Server, t.Hosts})
	}
}

func (s *summary) write(w io.Writer) error {
	var b strings.Builder
	line := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s %s\n", key, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s: OK\n", s.File)
	if s.AuthservID != "" {
		s.writeMail(line)
	}
	for _, t := range s.Targets {
		line("target", "%s: %s, %s", t.Name, t.Server, strings.Join(t.Hosts, " "))
	}
	for _, a := range s.Advice {
		line("advice", "%s", a)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeMail writes what is about mail.
func (s *summary) writeMail(line func(key, format string, args ...any)) {
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
	line("decrypt", "%t", s.Decrypt)
	line("identities", "%d", len(s.Identities))
	for _, id := range s.Identities {
		as := strings.Join(id.Addresses, " ")
		if as == "" {
			as = "no address"
		}
		line("", "%s: %q until %s, %d above it", id.Name, as, id.NotAfter.Format(time.DateOnly), id.Chain)
		if s.Decrypt && len(id.Decrypts) > 0 {
			line("", "%s: decrypts mail to %s", id.Name, strings.Join(id.Decrypts, " "))
		}
	}
	s.trustReport.write(line)
}
