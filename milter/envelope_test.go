package milter

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mailseal/internal/message"
)

func TestEnvelope(t *testing.T) {
	h := accepting()
	m := serve(t, h).dial()
	m.negotiate()
	m.macros(cmdConnect, "j", "mx.example", "{client_name}", "client.example", "v", "Postfix 3.7.11")
	m.connect("client.example", "4", "192.0.2.1")
	m.macros(cmdHelo)
	m.args(cmdHelo, "helo.example")
	m.macros(cmdMail, "{auth_type}", "PLAIN", "{auth_authen}", "user+2Btag@example")
	m.mail("<ä@example>", "SIZE=1234", "BODY=8BITMIME", "SMTPUTF8")
	m.macros(cmdRcpt, "{rcpt_mailer}", "smtp")
	m.rcpt("<b@example>", "NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;b@example")
	m.macros(cmdRcpt, "i", "4X1")
	m.rcpt("<c@example>")
	m.content([]string{"Subject: s"}, "body\r\n")
	m.eom()
	m.quit()
	want := message.Envelope{
		QueueID:    "4X1",
		Sender:     "ä@example",
		SenderArgs: []string{"SIZE=1234", "BODY=8BITMIME", "SMTPUTF8"},
		Recipients: []message.Recipient{
			{Address: "b@example", Args: []string{"NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;b@example"}},
			{Address: "c@example"},
		},
		Client: message.Client{
			Name: "client.example", Addr: netip.MustParseAddr("192.0.2.1"), Helo: "helo.example",
			Login: "user+2Btag@example", // Postfix gives logins as they are
		},
	}
	if diff := cmp.Diff(want, h.all()[0].Envelope, cmpAddr); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}
}

var cmpAddr = cmpopts.EquateComparable(netip.Addr{})

// sendmail(1) of Postfix gives paths without angle brackets, smtpd with.
func TestPathBrackets(t *testing.T) {
	tests := []struct{ path, want string }{
		{"<a@example>", "a@example"},
		{"a@example", "a@example"},
		{"<>", ""},
		{"", ""},
		{`<"a>b"@example>`, `"a>b"@example`},
		{"<a", "<a"},
		{"<@relay:a@example>", "@relay:a@example"},
	}
	for _, tt := range tests {
		h := accepting()
		m := serve(t, h).dial().start()
		m.mail(tt.path)
		m.rcpt(tt.path)
		m.content(nil, "x")
		m.eom()
		m.quit()
		e := h.all()[0].Envelope
		if e.Sender != tt.want || e.Recipients[0].Address != tt.want {
			t.Errorf("%q: sender %q, recipient %q; want %q", tt.path, e.Sender, e.Recipients[0].Address, tt.want)
		}
	}
}

func TestClient(t *testing.T) {
	tests := []struct {
		what               string
		macros             []string
		host, family, addr string
		wantName, wantAddr string
	}{
		{"IPv4", nil, "h.example", "4", "192.0.2.1", "[192.0.2.1]", "192.0.2.1"},
		{"verified name", []string{"{client_name}", "h.example"}, "h.example", "4", "192.0.2.1", "h.example", "192.0.2.1"},
		{"sendmail's forged name is in CONNECT only", []string{"{client_name}", "[192.0.2.1]"}, "bank.example", "4", "192.0.2.1", "[192.0.2.1]", "192.0.2.1"},
		{"Postfix has no name", []string{"{client_name}", "unknown"}, "unknown", "4", "192.0.2.1", "[192.0.2.1]", "192.0.2.1"},
		{"IPv6 of Postfix", nil, "h", "6", "2001:db8::1", "[2001:db8::1]", "2001:db8::1"},
		{"IPv6 of sendmail", nil, "h", "6", "IPv6:2001:db8::1", "[2001:db8::1]", "2001:db8::1"},
		{"IPv4 in IPv6", nil, "h", "6", "IPv6:::ffff:192.0.2.1", "[192.0.2.1]", "192.0.2.1"},
		{"zone", nil, "h", "6", "fe80::1%eth0", "[fe80::1]", "fe80::1"},
		{"Unix socket", nil, "localhost", "L", "/run/x", "localhost", ""},
		{"unknown", nil, "localhost", "U", "", "localhost", ""},
		{"no address", nil, "h", "4", "nonsense", "h", ""},
	}
	for _, tt := range tests {
		h := accepting()
		m := serve(t, h).dial()
		m.negotiate()
		m.macros(cmdConnect, tt.macros...)
		m.connect(tt.host, tt.family, tt.addr)
		m.args(cmdHelo, "helo")
		m.deliver("a@example", []string{"b@example"}, nil, "x")
		m.quit()
		c := h.all()[0].Envelope.Client
		addr := ""
		if c.Addr.IsValid() {
			addr = c.Addr.String()
		}
		if c.Name != tt.wantName || addr != tt.wantAddr {
			t.Errorf("%s: name %q, address %q; want %q, %q", tt.what, c.Name, addr, tt.wantName, tt.wantAddr)
		}
	}
}
