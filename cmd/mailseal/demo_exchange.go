package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mailseal/internal/mtarig"
)

// A wire is the way between two organisations: a relay that keeps what it
// sees and, on demand, changes it.
type wire struct {
	sink *mtarig.Sink

	mu     sync.Mutex
	change *change     // what to do to the next mail; under mu
	failed error       // why that could not be done; under mu
	seen   mtarig.Mail // the last one, as it came; under mu
}

// A change puts one text in the place of another, of the same length.
type change struct{ from, to string }

func newWire(deliver func(mtarig.Mail) error) (*wire, error) {
	w := &wire{}
	var err error
	w.sink, err = mtarig.NewSink(mtarig.SinkConfig{Hostname: "relay.example", Data: func(m mtarig.Mail) error {
		return deliver(w.tamper(m))
	}})
	return w, err
}

// tamper makes the change that was asked for, in the body, once. The mail is
// noted here: it may be in the mailbox before the sink has it.
func (w *wire) tamper(m mtarig.Mail) mtarig.Mail {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = m
	c := w.change
	if c == nil {
		return m
	}
	w.change = nil
	header, body, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
	if n := bytes.Count(body, []byte(c.from)); n != 1 || len(c.from) != len(c.to) {
		w.failed = fmt.Errorf("%q is %d times in the mail; there is nothing to change", c.from, n)
		return m
	}
	body = bytes.Replace(body, []byte(c.from), []byte(c.to), 1)
	m.Data = bytes.Join([][]byte{header, body}, []byte("\r\n\r\n"))
	return m
}

func (w *wire) ask(c *change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.change = c
}

func (w *wire) last() mtarig.Mail {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

func (w *wire) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// An exchange is one mail from one organisation to the other, and what it is
// to show.
type exchange struct {
	from, to *organisation
	wire     *wire
	subject  string
	text     string
	change   *change
	want     string // the S/MIME result: pass or fail
}

// mail is what the user's program would send.
func (e exchange) mail(id string) mtarig.Mail {
	return mtarig.Mail{From: e.from.user, To: []string{e.to.user}, Data: fmt.Appendf(nil,
		"From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s>\r\n\r\n%s",
		e.from.user, e.to.user, e.subject, time.Now().Format(time.RFC1123Z), id, e.text)}
}

// exchange sends a mail, shows what became of it at each place, and checks it.
func (d *demo) exchange(ctx context.Context, e exchange) error {
	id := fmt.Sprintf("%d@%s", d.show.number, e.from.domain)
	mail := e.mail(id)
	e.wire.ask(e.change)
	if err := e.from.submit(mail); err != nil {
		return fmt.Errorf("hand the mail to Postfix of %s: %w", e.from.name, err)
	}
	inBox, err := next(ctx, e.to.mailbox)
	if err != nil {
		return fmt.Errorf("no mail arrived at %s: %w", e.to.user, errors.Join(err, e.wire.err()))
	}
	sent, err1 := readLetter(mail.Data)
	left, err2 := readLetter(e.wire.last().Data)
	arrived, err3 := readLetter(inBox.Data)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	d.show.letter("What "+e.from.user+" sent", sent)
	d.show.letter("What left "+e.from.domain+", after its milter", left)
	if e.change != nil {
		d.show.lines("What somebody on the way made of it: one byte is another", []string{"- " + e.change.from, "+ " + e.change.to})
	}
	d.show.letter("What arrived in the mailbox of "+e.to.user, arrived)
	return d.judge(ctx, e, id, left, arrived)
}

// judge shows the verdict and the logs, and checks that all is as it should be.
func (d *demo) judge(ctx context.Context, e exchange, id string, left, arrived *letter) error {
	results := arrived.field("Authentication-Results")
	d.show.lines("The verdict that "+e.to.host()+" wrote into it", []string{"Authentication-Results: " + results})
	outLog, err := e.from.logged(ctx, id)
	if err != nil {
		return err
	}
	d.show.lines("The logs of "+e.from.host()+", Postfix and mailseal, on this mail", outLog)
	inLog, err := e.to.logged(ctx, id)
	if err != nil {
		return err
	}
	d.show.lines("The logs of "+e.to.host()+", Postfix and mailseal, on this mail", inLog)

	label := strings.ToLower(left.field("Content-Type"))
	checks := []proof{
		{"it left as multipart/signed, with a detached S/MIME signature",
			strings.HasPrefix(label, "multipart/signed") && strings.Contains(label, "application/pkcs7-signature")},
		{"the log of " + e.from.host() + " says that it was signed", has(outLog, " signed ", "identity=")},
		{e.to.host() + " wrote smime=" + e.want, strings.HasPrefix(results, e.to.host()+"; smime="+e.want)},
		{"the log of " + e.to.host() + " says verify=" + e.verify(), has(inLog, " verified ", " smime="+e.want+" ", " verify="+e.verify()+" ")},
	}
	if e.want == "pass" {
		checks = append(checks, proof{"the signer is " + e.from.user, strings.Contains(results, "body.smime-identifier="+e.from.user)})
	}
	if e.change != nil {
		checks = append(checks, proof{"what arrived differs from what left in that one byte",
			arrived.body == strings.Replace(left.body, e.change.from, e.change.to, 1) && arrived.body != left.body && e.wire.err() == nil})
	} else {
		checks = append(checks, proof{"the body arrived as it left", arrived.body == left.body})
	}
	return d.show.verify(checks)
}

// verify is the word of the log for the result that is wanted.
func (e exchange) verify() string {
	if e.want == "pass" {
		return "OK"
	}
	return "FAIL"
}

// next waits for the next mail in a mailbox, and for the end of the demo.
func next(ctx context.Context, mailbox *mtarig.Sink) (mtarig.Mail, error) {
	deadline := time.Now().Add(arriveLimit)
	for {
		m, err := mailbox.Next(200 * time.Millisecond)
		if err == nil || ctx.Err() != nil || !errors.Is(err, mtarig.ErrTimeout) || time.Now().After(deadline) {
			return m, err
		}
	}
}

// has reports whether one line holds all the words.
func has(lines []string, words ...string) bool {
	return slices.ContainsFunc(lines, func(l string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(l+" ", w) })
	})
}
