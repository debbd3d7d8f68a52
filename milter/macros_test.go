package milter

import (
	"fmt"
	"strings"
	"testing"

	"mailseal/internal/message"
)

const sendmailVersion = "8.17.1.9/8.17.1.9/Debian-2+deb12u2"

// The macros of STARTTLS, as milter.md section 3 has them for both MTAs.
func TestTLSMacros(t *testing.T) {
	tls := []string{"{tls_version}", "TLSv1.3", "{cipher}", "TLS_AES_256_GCM_SHA384", "{cipher_bits}", "256"}
	plain := message.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_256_GCM_SHA384", Bits: "256"}
	with := func(verify, subject, issuer string) message.TLS {
		t := plain
		t.Verify, t.Subject, t.Issuer = verify, subject, issuer
		return t
	}
	tests := []struct {
		what string
		v    string
		talk func(m *mta)
		want message.TLS
	}{
		{"none", "Postfix 3.7.11", func(m *mta) { m.args(cmdHelo, "h") }, message.TLS{}},
		{"Postfix at HELO", "Postfix 3.7.11", func(m *mta) {
			m.macros(cmdHelo)
			m.args(cmdHelo, "h")
			m.send(cmdAbort) // STARTTLS
			m.macros(cmdHelo, append(tls, "{cert_subject}", "client+41", "{cert_issuer}", "CA")...)
			m.args(cmdHelo, "h")
			m.macros(cmdMail, "{mail_addr}", "a@example")
		}, with("", "client+41", "CA")},
		{"sendmail at HELO, xtext", sendmailVersion, func(m *mta) {
			m.macros(cmdHelo)
			m.args(cmdHelo, "h")
			m.macros(cmdHelo, append(tls, "{verify}", "FAIL", "{cert_subject}", "/C=AU/CN=a+2Bb+20c", "{cert_issuer}", "/CN=+zz+4")...)
			m.args(cmdHelo, "h")
		}, with("FAIL", "/C=AU/CN=a+b c", "/CN=+zz+4")},
		{"MAIL has its own, none are mixed in", sendmailVersion, func(m *mta) {
			m.macros(cmdHelo, append(tls, "{verify}", "OK", "{cert_subject}", "old")...)
			m.args(cmdHelo, "h")
			m.macros(cmdMail, append(tls, "{verify}", "NO")...)
		}, with("NO", "", "")},
		{"empty strings are sendmail's none", sendmailVersion, func(m *mta) {
			m.macros(cmdHelo, "{tls_version}", "", "{cipher}", "", "{verify}", "NONE")
			m.args(cmdHelo, "h")
		}, message.TLS{}},
		{"a HELO without macros takes those of the one before away", "Postfix 3.7.11", func(m *mta) {
			m.macros(cmdHelo, tls...)
			m.args(cmdHelo, "h")
			m.args(cmdHelo, "h")
		}, message.TLS{}},
		{"RCPT and others do not push out HELO's", "Postfix 3.7.11", func(m *mta) {
			m.macros(cmdHelo, tls...)
			m.args(cmdHelo, "h")
			m.macros(cmdRcpt, "{rcpt_addr}", "x")
			m.macros(cmdEOM, "i", "x")
			m.macros('?', "a", "b")
		}, plain},
		{"a new CONNECT takes all away", "Postfix 3.7.11", func(m *mta) {
			m.macros(cmdHelo, tls...)
			m.args(cmdHelo, "h")
			m.connect("other", "4", "192.0.2.9")
		}, message.TLS{}},
	}
	for _, tt := range tests {
		h := accepting()
		m := serve(t, h).dial()
		m.negotiate()
		m.macros(cmdConnect, "v", tt.v)
		m.connect("h", "4", "192.0.2.1")
		tt.talk(m)
		m.deliver("a@example", []string{"b@example"}, nil, "x")
		m.quit()
		if got := h.all()[0].Envelope.Client.TLS; got != tt.want {
			t.Errorf("%s: %+v; want %+v", tt.what, got, tt.want)
		}
	}
}

// sendmail gives the login in xtext (srvrsmtp.c, proxy_policy), Postfix plain.
func TestLogin(t *testing.T) {
	tests := []struct{ v, macro, want string }{
		{"Postfix 3.7.11", "a+2Bb@example", "a+2Bb@example"},
		{sendmailVersion, "a+2Bb@example", "a+b@example"},
		{sendmailVersion, "a+3Db+2", "a=b+2"},
		{sendmailVersion, "plain", "plain"},
		{"", "a+2Bb", "a+2Bb"},
	}
	for _, tt := range tests {
		m := macros{}
		for code, data := range map[byte]string{cmdConnect: nul("v", tt.v), cmdMail: nul("{auth_authen}", tt.macro)} {
			if err := m.set(code, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		if got := m.login(); got != tt.want {
			t.Errorf("%q from %q: %q; want %q", tt.macro, tt.v, got, tt.want)
		}
	}
}

// An AUTH before STARTTLS does not count after it (RFC 3207 section 4.2), nor
// does that of the mail before.
func TestLoginOfAnotherMail(t *testing.T) {
	h := accepting()
	m := serve(t, h).dial().start()
	m.macros(cmdMail, "{auth_authen}", "ceo")
	m.mail("<1@example>")
	m.rcpt("<b@example>")
	m.content(nil, "x")
	m.eom()
	m.mail("<2@example>")
	m.rcpt("<b@example>")
	m.macros(cmdEOM, "{auth_authen}", "ceo")
	m.content(nil, "x")
	m.eom()
	m.quit()
	for i, want := range []string{"ceo", ""} {
		if got := h.all()[i].Envelope.Client.Login; got != want {
			t.Errorf("mail %d: login %q; want %q", i+1, got, want)
		}
	}
}

// Where the queue id is told: by sendmail with MAIL and never again, by Postfix
// from the second recipient on, or with the header where there is but one.
func TestQueueID(t *testing.T) {
	for _, stage := range []byte{cmdMail, cmdRcpt, cmdData, cmdHeader, cmdEOH, cmdBody, cmdEOM} {
		h := accepting()
		m := serve(t, h).dial()
		m.negotiate()
		m.macros(cmdConnect, "i", "NOQUEUE") // sendmail has one even here
		m.connect("h", "4", "192.0.2.1")
		m.macros(cmdHelo, "i", "NOQUEUE")
		m.args(cmdHelo, "h")
		for i := range 2 {
			give := func(s byte) {
				if s == stage {
					m.macros(s, "i", fmt.Sprintf("Q%d", i))
				} else {
					m.macros(s, "j", "mx")
				}
			}
			give(cmdMail)
			m.mail("<a@example>")
			give(cmdRcpt)
			m.rcpt("<b@example>")
			give(cmdData)
			give(cmdHeader)
			m.args(cmdHeader, "Subject", " s")
			give(cmdEOH)
			m.send(cmdEOH)
			give(cmdBody)
			m.send(cmdBody, "x")
			give(cmdEOM)
			m.eom()
		}
		m.quit()
		for i, r := range h.all() {
			if got, want := r.Envelope.QueueID, fmt.Sprintf("Q%d", i); got != want {
				t.Errorf("told with %q: mail %d has the id %q; want %q", stage, i, got, want)
			}
		}
	}
}

// However many macros there are, what is kept is bounded.
func TestMacroFlood(t *testing.T) {
	var kv []string
	for i := range 5000 {
		kv = append(kv, fmt.Sprintf("{m%d}", i), "x")
	}
	values, err := parseMacros([]byte(nul(kv...)))
	if err != nil || len(values) != maxMacros {
		t.Errorf("%d kept, %v", len(values), err)
	}
	values, err = parseMacros([]byte(nul("a", strings.Repeat("x", maxMacroValue+1), "b", "y", "odd")))
	if err != nil || len(values) != 1 || values["b"] != "y" {
		t.Errorf("%d kept, %v", len(values), err)
	}

	h := accepting()
	m := serve(t, h).dial().start()
	for i := range 2000 {
		m.macros(byte(i), "i", strings.Repeat("Q", 1000))
	}
	m.deliver("a@example", []string{"b@example"}, nil, "x")
	m.quit()
	if len(h.all()) != 1 {
		t.Error("no mail")
	}
}
