package milter_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"mailseal/internal/message"
	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

// bouncing is a next hop that takes no mail for full@example.net.
var bouncing = mtarig.SinkConfig{Rcpt: func(to string) error {
	if to == "full@example.net" {
		return &smtp.SMTPError{Code: 550, Message: "over quota"}
	}
	return nil
}}

// With ReturnHeaders a notice quotes the header alone, and the mail itself
// arrives with the envelope that it came with.
func TestReturnHeaders(t *testing.T) {
	const secret = "s\xc3\xa9cret\r\n"
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{sink: bouncing}, accept(
			message.ReplaceBody{Body: message.Bytes([]byte(secret))}, message.ReturnHeaders{}))
		for _, tt := range []struct {
			name, from string
			args       []string
			envid      bool
		}{
			{name: "nothing asked for", from: "plain@example.org"},
			{name: "all of it asked for", from: "all@example.org", args: []string{"BODY=8BITMIME", "RET=FULL", "ENVID=QQ314159"}, envid: true},
			{name: "quoted", from: `"a> b"@example.org`, args: []string{"BODY=8BITMIME"}},
			{name: "SMTPUTF8", from: "\xc3\xa9@example.org", args: []string{"BODY=8BITMIME", "SMTPUTF8"}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				c := rig.Dial(t, b.mta.Addr())
				_, known := c.Extensions["SMTPUTF8"]
				if slices.Contains(tt.args, "SMTPUTF8") && !known {
					return // this sendmail takes no such sender
				}
				m := mtarig.Mail{From: tt.from, To: []string{"bob@example.net", "full@example.net"}, Args: tt.args,
					Data: []byte("From: a@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
						"Content-Transfer-Encoding: 8bit\r\n\r\nclosed\r\n")}
				if err := c.Send(m); err != nil {
					t.Fatal(err)
				}
				bare := strings.ReplaceAll(tt.from, `"`, "") // as the sink tells it
				for range 2 {
					got, err := b.sink.Next(wait)
					if err != nil {
						t.Fatal(err)
					}
					data := string(got.Data)
					if got.From == "" {
						if strings.Contains(data, "cret") || got.To[0] != bare || !strings.Contains(data, "Subject: s") {
							t.Errorf("notice to %q:\n%s", got.To, data)
						}
						if tt.envid != strings.Contains(data, "Original-Envelope-Id: QQ314159") {
							t.Errorf("envelope id %v in\n%s", !tt.envid, data)
						}
						continue
					}
					if got.From != bare || !strings.HasSuffix(data, "\r\n\r\n"+secret) ||
						slices.Contains(tt.args, "BODY=8BITMIME") && !slices.Contains(got.Args, "BODY=8BITMIME") ||
						slices.Contains(got.Args, "SMTPUTF8") != slices.Contains(tt.args, "SMTPUTF8") {
						t.Errorf("from %q %q:\n%s", got.From, got.Args, data)
					}
				}
			})
		}
		if log := b.mta.Log(); strings.Contains(log, "bad ESMTP parameter") || strings.Contains(log, "ignoring ESMTP") {
			t.Errorf("the MTA complains:\n%s", log)
		}
	})
}

// The null sender gets no notice, and its mail arrives.
func TestReturnHeadersToNobody(t *testing.T) {
	each(t, func(t *testing.T, kind rig.Kind) {
		b := start(t, kind, setup{}, accept(message.ReplaceBody{Body: message.Bytes([]byte("open\r\n"))}, message.ReturnHeaders{}))
		m := mail(0)
		m.From = ""
		if err := mtarig.Send(b.mta.Addr(), m); err != nil {
			t.Fatal(err)
		}
		if got, err := b.sink.Next(wait); err != nil || got.From != "" || !strings.HasSuffix(string(got.Data), "\r\nopen\r\n") {
			t.Errorf("%v: %+v", err, got)
		}
	})
}

// A sendmail that offers no DSN has an error for RET (mail_esmtp_args), which
// stays within it, and then does what RET says.
func TestReturnHeadersWithoutReceipts(t *testing.T) {
	b := start(t, rig.Sendmail, setup{sink: bouncing, extra: []string{"define(`confPRIVACY_FLAGS', `authwarnings,noreceipts')"}},
		accept(message.ReplaceBody{Body: message.Bytes([]byte("secret\r\n"))}, message.ReturnHeaders{}))
	c := rig.Dial(t, b.mta.Addr())
	for i := range 2 { // and its answers stay in step
		m := mail(i)
		m.To = []string{"bob@example.net", "full@example.net"}
		if err := c.Send(m); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := b.sink.Next(wait)
			if err != nil {
				t.Fatal(err)
			}
			if want := got.From != ""; strings.Contains(string(got.Data), "secret") != want {
				t.Errorf("content %v for %q:\n%s", !want, got.To, got.Data)
			}
		}
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
}
