package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailseal/internal/config"
	"mailseal/internal/fault"
	"mailseal/internal/gateway"
	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/internal/verdict"
)

// exHeld is the status for a mail that is dropped or held.
const exHeld = 99

func filterCommand() command {
	return command{
		name:  "filter",
		args:  "[-config FILE] [-client ADDR] [-auth USER] -from ADDR -rcpt ADDR... [-out DIR] [-json] < mail",
		short: "one mail through the milter's gateway, without side effects",
		long: `Does with the mail on standard input what the milter would, and writes what the
MTA would deliver to standard output, or to DIR/1.eml with its recipients, one
a line, in DIR/1.rcpt. The verdict goes to standard error. Exits with 0 when the
mail is delivered, 75 when it is deferred, 69 when it is rejected, 99 when it is
dropped or held; then no mail is written.`,
		setup: func(fs *flag.FlagSet) runner {
			var f filter
			fs.StringVar(&f.config, "config", defaultConfig(), "configuration `FILE`")
			client := fs.String("client", "", "`ADDR` of the SMTP client, as 192.0.2.1 (default unknown, so not internal)")
			fs.StringVar(&f.login, "auth", "", "the client has authenticated as `USER`")
			from := fs.String("from", "", "`ADDR` of the envelope's sender, <> for none")
			var rcpts list
			fs.Var(&rcpts, "rcpt", "`ADDR` of a recipient; again for more")
			fs.StringVar(&f.out, "out", "", "write the mail to `DIR`, which is made where it is missing")
			fs.BoolVar(&f.json, "json", false, "write the verdict as JSON, with the reasons")
			return func(ctx context.Context, env Env) error {
				if err := f.envelope(*client, *from, rcpts); err != nil {
					return fail(exUsage, fmt.Errorf("%w; see mailseal filter -h", err))
				}
				return f.run(ctx, env)
			}
		},
	}
}

// A filter is one run of the command.
type filter struct {
	config, login, out string
	json               bool
	env                message.Envelope
}

// envelope makes the envelope from the flags.
func (f *filter) envelope(client, from string, rcpts []string) error {
	if from == "" {
		return errors.New("no -from")
	}
	if len(rcpts) == 0 {
		return errors.New("no -rcpt")
	}
	if client != "" {
		a, err := netip.ParseAddr(client)
		if err != nil {
			return fmt.Errorf("-client %q: want an address, as 192.0.2.1", client)
		}
		f.env.Client.Addr = a
	}
	f.env.Client.Login = f.login
	f.env.Sender = bare(from)
	for _, r := range rcpts {
		if r = bare(r); r == "" || strings.ContainsAny(r, "\r\n") {
			return fmt.Errorf("-rcpt %q: want an address", r)
		}
		f.env.Recipients = append(f.env.Recipients, message.Recipient{Address: r})
	}
	return nil
}

// bare takes the angle brackets off a path.
func bare(s string) string {
	if in, ok := strings.CutPrefix(s, "<"); ok {
		return strings.TrimSuffix(in, ">")
	}
	return s
}

func (f *filter) run(ctx context.Context, env Env) error {
	c, err := loadConfig(f.config)
	if err != nil {
		return err
	}
	p, err := collect(c)
	if err != nil {
		return err
	}
	for _, e := range p.exposed {
		fmt.Fprintf(env.Stderr, "warning: %v\n", e)
	}
	// The milter's own folder is not ours to write to.
	store, err := p.inSpool("")
	if err != nil {
		return fail(exCantCreate, err)
	}
	fetcher := newFetcher(c, true, nil)
	defer fetcher.Close()
	p.fetches(fetcher)
	g, err := p.gateway("", nil)
	if err != nil {
		return fail(exCantCreate, err)
	}
	m, err := readMail(env.Stdin, store)
	if kind, refused := refusal(err); refused {
		return f.tell(env, c, rejected(kind))
	}
	if err != nil {
		return err
	}
	defer m.Body.Close()
	m.Envelope = f.env
	ctx, cancel := context.WithTimeout(ctx, c.Milter.WorkTimeout)
	defer cancel()
	o := g.Decide(fetcher.Mail(ctx), m)
	defer o.Verdict.Close()
	if o.Verdict.Action == message.Accept {
		if err := f.deliver(env, m, o.Verdict.Edits); err != nil {
			return err
		}
	}
	return f.tell(env, c, o)
}

// refusal tells mail that the milter would refuse before the gateway sees it.
func refusal(err error) (fault.Kind, bool) {
	var limit *message.LimitError
	if errors.Is(err, spool.ErrTooLarge) || errors.As(err, &limit) {
		return fault.TooLarge, true
	}
	return 0, false
}

func rejected(k fault.Kind) gateway.Outcome {
	code, enhanced, text := k.Reply()
	return gateway.Outcome{Event: "rejected", Why: []string{k.String()}, Verdict: message.Verdict{
		Action: message.Reject, Reply: message.Reply{Code: code, Enhanced: enhanced, Text: text},
	}}
}

// deliver writes the mail as the MTA would have it.
func (f *filter) deliver(env Env, m *message.Message, edits []message.Edit) error {
	if f.out == "" {
		return writeMail(env.Stdout, m, edits)
	}
	if err := os.MkdirAll(f.out, 0o700); err != nil {
		return fail(exCantCreate, err)
	}
	eml, err := os.OpenFile(filepath.Join(f.out, "1.eml"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fail(exCantCreate, err)
	}
	if err := errors.Join(writeMail(eml, m, edits), eml.Close()); err != nil {
		return fail(exIOErr, err)
	}
	var rcpts strings.Builder
	for _, r := range m.Envelope.Recipients {
		rcpts.WriteString(r.Address + "\n")
	}
	if err := os.WriteFile(filepath.Join(f.out, "1.rcpt"), []byte(rcpts.String()), 0o600); err != nil {
		return fail(exCantCreate, err)
	}
	return nil
}

// returned is what notices of a mail are to quote, where the verdict says so.
func returned(v message.Verdict) string {
	if slices.Contains(v.Edits, message.Edit(message.ReturnHeaders{})) {
		return "HDRS"
	}
	return ""
}

// statuses are what the actions exit with.
var statuses = map[message.Action]int{
	message.Accept: exOK, message.Defer: exTempFail, message.Reject: exUnavailable,
	message.Discard: exHeld, message.Quarantine: exHeld,
}

// tell writes the verdict and exits with its status.
func (f *filter) tell(env Env, c *config.Config, o gateway.Outcome) error {
	v := o.Verdict
	reply := strings.TrimSpace(fmt.Sprintf("%d %s %s", v.Reply.Code, v.Reply.Enhanced, v.Reply.Text))
	if v.Reply.Code == 0 {
		reply = v.Reply.Text
	}
	if f.json {
		problem := ""
		if o.Err != nil {
			problem = o.Err.Error()
		}
		rcpts := []string{}
		for _, r := range f.env.Recipients {
			rcpts = append(rcpts, r.Address)
		}
		err := writeJSON(env.Stderr, struct {
			Action     string           `json:"action"`
			Event      string           `json:"event"`
			Direction  string           `json:"direction"`
			Identity   string           `json:"identity,omitempty"`
			Result     *verdict.Result  `json:"result,omitempty"`
			Opening    *gateway.Opening `json:"opening,omitempty"`
			Layers     []gateway.Layer  `json:"layers,omitempty"`
			Tags       []string         `json:"tags,omitempty"`
			Reply      string           `json:"reply,omitempty"`
			Return     string           `json:"return,omitempty"` // RET, where we set it
			Why        []string         `json:"why"`
			Problem    string           `json:"problem,omitempty"`
			Recipients []string         `json:"recipients"`
		}{v.Action.String(), o.Event, o.Direction.String(), o.Identity, o.Result, o.Opening, o.Layers, o.Tags, reply, returned(v), o.Why, problem, rcpts})
		if err != nil {
			return fail(exIOErr, err)
		}
		return fail(statuses[v.Action], nil)
	}
	line := fmt.Sprintf("%s: %s %s", v.Action, o.Direction, o.Event)
	switch {
	case o.Result != nil:
		line += ": " + o.Result.Field(c.AuthservID)
		if w := o.Opening; w != nil {
			line += ", decrypted: " + string(w.Decrypted)
			if w.Why != "" {
				line += ", " + w.Why
			}
		}
		if len(o.Why) > 0 { // who wonders why it is not signed reads why it is inbound
			line += " (" + o.Why[0] + ")"
		}
	case o.Identity != "":
		line += " by identity " + o.Identity
	case len(o.Why) > 0:
		line += ": " + o.Why[len(o.Why)-1]
	}
	if reply != "" {
		line += ": " + reply
	}
	if o.Err != nil {
		line += ": " + o.Err.Error()
	}
	fmt.Fprintln(env.Stderr, printable(strings.ReplaceAll(line, "\n", " ")))
	return fail(statuses[v.Action], nil)
}
