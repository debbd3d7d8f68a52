package milter

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	milterlib "github.com/emersion/go-milter"
	"github.com/google/go-cmp/cmp"

	"mailseal/internal/message"
)

func TestNegotiation(t *testing.T) {
	ts := serve(t, accepting())
	m := ts.dial()
	got := m.negotiate()
	if len(got) < 13 || got[0] != 'O' {
		t.Fatalf("answer %q", got)
	}
	data := []byte(got[1:])
	// Version 2, whatever the MTA offers; add and change fields, body,
	// recipients, quarantine, sender, list of macros; leading blanks, and no answer to
	// CONNECT, HELO, fields, end of header, body.
	for i, want := range []uint32{2, 0x1ff, 0x1c3080} {
		if got := binary.BigEndian.Uint32(data[4*i:]); got != want {
			t.Errorf("word %d is %#x; want %#x", i, got, want)
		}
	}
	lists := map[milterlib.Stage]string{}
	for rest := data[12:]; len(rest) > 4; {
		stage := milterlib.Stage(binary.BigEndian.Uint32(rest))
		names, after, err := cstring(rest[4:])
		if err != nil {
			t.Fatal(err)
		}
		lists[stage], rest = names, after
		if n := len(strings.Fields(names)); n > 50 {
			t.Errorf("stage %d: %d macros", stage, n)
		}
	}
	want := map[milterlib.Stage]string{
		milterlib.StageConnect:  "j _ v {daemon_name} {client_addr} {client_name}",
		milterlib.StageHelo:     "{tls_version} {cipher} {cipher_bits} {verify} {cert_subject} {cert_issuer}",
		milterlib.StageMailFrom: "i {auth_type} {auth_authen} {mail_addr} {tls_version} {cipher} {cipher_bits} {verify} {cert_subject} {cert_issuer}",
		milterlib.StageRcptTo:   "i {rcpt_addr} {rcpt_mailer}",
		milterlib.StageEOH:      "i",
		milterlib.StageEOM:      "i {msg_id}",
	}
	if diff := cmp.Diff(want, lists); diff != "" {
		t.Errorf("lists of macros (-want +got):\n%s", diff)
	}
	m.quit()
}

// Who looks at headers alone asks for no body, and gets one that is empty.
func TestHeaderOnly(t *testing.T) {
	h := accepting()
	ts := serve(t, h, func(c *Config) { c.HeaderOnly = true })
	m := ts.dial()
	got := m.negotiate()
	if len(got) < 13 {
		t.Fatalf("answer %q", got)
	}
	if flags := milterlib.OptProtocol(binary.BigEndian.Uint32([]byte(got[9:]))); flags != protocol|milterlib.OptNoBody {
		t.Errorf("flags %#x", flags)
	}
	m.mail("<a@example>")
	m.rcpt("<b@example>")
	m.args(cmdHeader, "Subject", " x")
	m.send(cmdEOH)
	m.eom()
	m.quit()
	if mails := h.all(); len(mails) != 1 || mails[0].Body.Size() != 0 || raw(mails[0].Header) != "Subject: x\r\n" {
		t.Errorf("%+v", mails)
	}
}

// sendmail 8.17.1.9 looks for a list for the end of the header to use the one
// for the end of the message.
func TestSymListEOMNeedsEOH(t *testing.T) {
	l := symList()
	if len(l[milterlib.StageEOM]) > 0 && len(l[milterlib.StageEOH]) == 0 {
		t.Error("there is a list for the end of the message and none for the end of the header")
	}
	if actions&milterlib.OptSetSymList == 0 {
		t.Error("the lists are not sent without OptSetSymList")
	}
}

// An MTA that offers less than we need is told off in our log: its own words
// are "request mask conflict" or less.
func TestNegotiationTooLittleOffered(t *testing.T) {
	for _, offer := range []string{
		"\x00\x00\x00\x02\x00\x00\x00\x3f\x00\x00\x00\x7f", // milter_protocol = 2
		"\x00\x00\x00\x06\x00\x00\x00\x3f\x00\x1f\xff\xff",
		"\x00\x00\x00\x06\x00\x00\x01\xff\x00\x0f\xff\xff",
		"\x00\x00\x00\x06\x00\x00\x01\xbf\x00\x1f\xff\xff", // all but the sender
	} {
		ts := serve(t, accepting())
		m := ts.dial()
		m.send(cmdOptNeg, offer)
		m.closed()
		ts.stop()
		ts.logged("milter_protocol = 6")
	}
}

// What is on the wire is what is in the header: milter.md 2.1.
func TestHeaderByteForByte(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"To", "   x", "To:   x"},
		{"Subject", "\tx", "Subject:\tx"},
		{"X", "value", "X:value"},
		{"X", " a\n  b\n\tc  ", "X: a\r\n  b\r\n\tc  "},
		{"X", "", "X:"},
		{"X", " ", "X: "},
		{"x", " v", "x: v"},
		{"X-8bit", " \xe4\xff", "X-8bit: \xe4\xff"},
		{"X-CRLF", " a\r\n b", "X-CRLF: a\r\n b"},
		{"X-Empty-Fold", "\n \n b", "X-Empty-Fold:\r\n \r\n b"},
		{"X-Colon", ": b:c", "X-Colon:: b:c"},
	}
	h := accepting()
	ts := serve(t, h)
	m := ts.dial().start()
	m.mail("<a@example>")
	m.rcpt("<b@example>")
	var want strings.Builder
	for _, tt := range tests {
		m.args(cmdHeader, tt.name, tt.value)
		want.WriteString(tt.want + "\r\n")
	}
	m.send(cmdEOH)
	m.eom()
	m.quit()
	mails := h.all()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	if got := raw(mails[0].Header); got != want.String() {
		t.Errorf("header %q; want %q", got, &want)
	}
	if mails[0].Newline != "\r\n" {
		t.Errorf("Newline %q", mails[0].Newline)
	}
	for i, f := range mails[0].Header {
		if !strings.EqualFold(f.Name(), tests[i].name) {
			t.Errorf("field %d: name %q; want %q", i, f.Name(), tests[i].name)
		}
	}
}

// A line end that is no fold would be a second field to whoever reads the
// header after us.
func TestHeaderLineThatIsNoFold(t *testing.T) {
	for _, value := range []string{" a\nBcc: x@example", " a\n", " a\n\n b", "\n"} {
		h := accepting()
		ts := serve(t, h)
		m := ts.dial().start()
		got := m.deliver("a@example", []string{"b@example"}, []string{"X:" + value}, "body\r\n")
		m.quit()
		if !strings.HasPrefix(got[0], "y554 5.6.0 ") || len(h.all()) != 0 {
			t.Errorf("%q: answer %q, %d mails", value, got, len(h.all()))
		}
	}
}

func TestBodyChunks(t *testing.T) {
	for _, chunks := range [][]string{
		nil,
		{"one\r\n"},
		{"one\r", "\ntwo\r\n", "", "three"},
		{strings.Repeat("x", 65535), strings.Repeat("y", 65535), "\x00\r\n"},
	} {
		h := accepting()
		ts := serve(t, h)
		m := ts.dial().start()
		m.mail("<a@example>")
		m.rcpt("<b@example>")
		m.content([]string{"Subject: s"}, "")
		for _, c := range chunks {
			m.send(cmdBody, c)
		}
		m.eom()
		m.quit()
		if got, want := h.all()[0].body, strings.Join(chunks, ""); got != want {
			t.Errorf("body of %d bytes; want %d", len(got), len(want))
		}
	}
}

// libmilter takes the last piece of the body with the end of the message.
func TestBodyWithEndOfMessage(t *testing.T) {
	h := accepting()
	m := serve(t, h).dial().start()
	m.mail("<a@example>")
	m.rcpt("<b@example>")
	m.content([]string{"Subject: s"}, "one\r\n")
	m.send(cmdEOM, "two\r\n")
	m.want("a")
	m.quit()
	if got := h.all()[0].body; got != "one\r\ntwo\r\n" {
		t.Errorf("body %q", got)
	}
}

// A refused recipient is answered for itself. The library would give the rest
// of the mail to a backend that has not seen its beginning.
func TestRefusedRecipientBetween(t *testing.T) {
	h := accepting()
	ts := serve(t, h, func(c *Config) { c.MaxRecipients = 2 })
	m := ts.dial().start()
	for range 2 {
		m.mail("<a@example>", "SMTPUTF8")
		m.rcpt("<1@example>")
		m.rcpt("<2@example>")
		m.args(cmdRcpt, "<3@example>")
		if got := m.answer(); got != "y452 4.5.3 too many recipients\x00" {
			t.Errorf("third recipient: %q", got)
		}
		m.content([]string{"Subject: s"}, "body\r\n")
		if got := m.eom(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("answer %q", got)
		}
	}
	m.quit()
	for _, r := range h.all() {
		e := r.Envelope
		if e.Sender != "a@example" || e.Client.Helo != "client.example" || len(e.SenderArgs) != 1 ||
			len(e.Recipients) != 2 || e.Recipients[1].Address != "2@example" || r.body != "body\r\n" {
			t.Errorf("mail %+v", r)
		}
	}
}

// sendmail sends the macros of a recipient that it refuses itself, and then no
// RCPT. The next recipient has macros of its own.
func TestMacrosWithoutTheirCommand(t *testing.T) {
	h := accepting()
	m := serve(t, h).dial().start()
	m.macros(cmdMail, "i", "Q1")
	m.mail("<a@example>")
	m.macros(cmdRcpt, "{rcpt_mailer}", "error", "{rcpt_addr}", "refused")
	m.macros(cmdRcpt, "{rcpt_mailer}", "esmtp", "{rcpt_addr}", "b@example")
	m.rcpt("<b@example>")
	m.macros(cmdData, "i", "Q1")
	m.content(nil, "x")
	m.eom()
	m.quit()
	if e := h.all()[0].Envelope; len(e.Recipients) != 1 || e.QueueID != "Q1" {
		t.Errorf("envelope %+v", e)
	}
}

// Whatever stands between two mails, nothing of the first is in the second.
func TestNothingLeaks(t *testing.T) {
	between := map[string]func(m *mta){
		"Postfix: ABORT after every mail": func(m *mta) { m.send(cmdAbort) },
		"sendmail: nothing":               func(m *mta) {},
		"RSET after MAIL": func(m *mta) {
			m.send(cmdAbort)
			m.macros(cmdMail, "i", "LEAK", "{auth_authen}", "leak")
			m.mail("<leak@example>", "LEAK=1")
			m.send(cmdAbort)
		},
		"RSET after RCPT, sendmail without ABORT": func(m *mta) {
			m.mail("<leak@example>", "LEAK=1")
			m.macros(cmdRcpt, "i", "LEAK")
			m.rcpt("<leak@example>")
		},
		"DATA broken off in the header": func(m *mta) {
			m.mail("<leak@example>")
			m.rcpt("<leak@example>")
			m.args(cmdHeader, "Leak", " leak")
			m.send(cmdAbort)
		},
		"DATA broken off in the body": func(m *mta) {
			m.mail("<leak@example>")
			m.rcpt("<leak@example>")
			m.content([]string{"Leak: leak"}, strings.Repeat("leak\r\n", 10000))
			m.send(cmdAbort)
		},
		"second EHLO without ABORT": func(m *mta) {
			m.mail("<leak@example>")
			m.rcpt("<leak@example>")
			m.args(cmdHelo, "client.example")
		},
		"STARTTLS and EHLO": func(m *mta) {
			m.send(cmdAbort)
			m.macros(cmdHelo, "{tls_version}", "")
			m.args(cmdHelo, "client.example")
		},
		"a mail that was too large": func(m *mta) {
			m.mail("<leak@example>")
			m.rcpt("<leak@example>")
			m.content([]string{"Leak: leak"}, "")
			for range 20 {
				m.send(cmdBody, strings.Repeat("x", 65535))
			}
			m.send(cmdEOM)
			m.want("y552 5.3.4 message too large\x00")
		},
		"commands without a mail": func(m *mta) {
			m.send(cmdAbort)
			m.args(cmdRcpt, "<leak@example>")
			m.want("y451 4.3.0 temporary failure, try again later\x00")
			m.args(cmdHeader, "Leak", " leak")
			m.send(cmdBody, "leak")
			m.send(cmdEOM, "leak")
			m.want("y451 4.3.0 temporary failure, try again later\x00")
		},
	}
	for name, f := range between {
		t.Run(name, func(t *testing.T) {
			h := accepting()
			m := serve(t, h).dial()
			m.negotiate()
			m.macros(cmdConnect, "{client_name}", "client.example")
			m.connect("client.example", "4", "192.0.2.1")
			m.args(cmdHelo, "client.example")
			for i := range 3 {
				if i > 0 {
					f(m)
				}
				// Without macros of its own: those before are not its.
				m.mail(fmt.Sprintf("<%d@example>", i))
				m.rcpt(fmt.Sprintf("<to%d@example>", i))
				m.content([]string{fmt.Sprintf("Subject: %d", i)}, fmt.Sprintf("body %d\r\n", i))
				if got := m.eom(); !slices.Equal(got, []string{"a"}) {
					t.Fatalf("answer %q", got)
				}
			}
			m.quit()
			for i, r := range h.all() {
				want := message.Envelope{
					Sender:     fmt.Sprintf("%d@example", i),
					Recipients: []message.Recipient{{Address: fmt.Sprintf("to%d@example", i)}},
					Client: message.Client{
						Name: "client.example", Addr: netip.MustParseAddr("192.0.2.1"), Helo: "client.example",
					},
				}
				if diff := cmp.Diff(want, r.Envelope, cmpAddr); diff != "" {
					t.Errorf("mail %d: envelope (-want +got):\n%s", i, diff)
				}
				if got, want := raw(r.Header), fmt.Sprintf("Subject: %d\r\n", i); got != want {
					t.Errorf("mail %d: header %q; want %q", i, got, want)
				}
				if got, want := r.body, fmt.Sprintf("body %d\r\n", i); got != want {
					t.Errorf("mail %d: body %q; want %q", i, got, want)
				}
			}
		})
	}
}

// A mail keeps the handler it began with; the next one has the new.
func TestSetHandler(t *testing.T) {
	first, second := accepting(), accepting()
	ts := serve(t, first)
	m := ts.dial().start()
	m.mail("<1@example>")
	ts.SetHandler(second)
	m.rcpt("<b@example>")
	m.content(nil, "x")
	m.eom()
	m.deliver("2@example", []string{"b@example"}, nil, "x")
	m.quit()
	for i, h := range []*recorder{first, second} {
		mails := h.all()
		if want := fmt.Sprintf("%d@example", i+1); len(mails) != 1 || mails[0].Envelope.Sender != want {
			t.Errorf("handler %d got %v", i+1, mails)
		}
	}
	if got := ts.Stats(); got.Messages != 2 || got.Connections != 1 {
		t.Errorf("stats %+v", got)
	}
}
