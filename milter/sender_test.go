package milter

import (
	"testing"

	"mailseal/internal/message"
)

// SMFIR_CHGFROM is the address, a NUL, all parameters in one string, a NUL.
func TestReturnHeaders(t *testing.T) {
	const postfix, sendmail = "Postfix 3.7.11", "8.17.1.9"
	for _, tt := range []struct {
		mta  string
		mail []string // as the MTA tells it
		want string   // "" for no such packet
	}{
		{postfix, []string{"<a@example>"}, "e<a@example>\x00RET=HDRS\x00"},
		{postfix, []string{"a@example"}, "e<a@example>\x00RET=HDRS\x00"}, // sendmail(1) of Postfix
		{postfix, []string{"<a@example>", "SIZE=9", "BODY=8BITMIME", "ret=full", "envid=QQ+3D"}, "e<a@example>\x00RET=HDRS envid=QQ+3D\x00"},
		{postfix, []string{"<\xc3\xa9@example>", "SMTPUTF8"}, "e<\xc3\xa9@example>\x00RET=HDRS\x00"},
		{sendmail, []string{"<a@example>"}, "e<a@example>\x00RET=HDRS\x00"},
		{sendmail, []string{"<a@example>", "SIZE=9", "body=8BITMIME", "AUTH=<>", "RET=FULL", "ENVID=x", "BY=120;R"},
			"e<a@example>\x00RET=HDRS body=8BITMIME ENVID=x BY=120;R\x00"},
		{sendmail, []string{"<\xc3\xa9@example>", "SMTPUTF8"}, "e<\xc3\xa9@example>\x00RET=HDRS SMTPUTF8\x00"},
		{sendmail, []string{`<"a> b"@example>`}, "e<\"a> b\"@example>\x00RET=HDRS\x00"},
		{postfix, []string{"<>", "BODY=8BITMIME"}, ""},
		{sendmail, []string{"<>"}, ""},
	} {
		m := serve(t, &recorder{verdict: message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.ReturnHeaders{}, message.AddField{Field: field("X-Top", " top")},
		}}}).dial()
		m.negotiate()
		m.macros(cmdConnect, "v", tt.mta)
		m.connect("client.example", "4", "192.0.2.1")
		m.mail(tt.mail...)
		m.rcpt("<b@example>")
		m.content([]string{"Subject: s"}, "x")
		got := m.eom()
		m.quit()
		want := []string{tt.want, "i\x00\x00\x00\x00X-Top\x00 top\x00", "a"}
		if tt.want == "" {
			want = want[1:]
		}
		if show(got) != show(want) {
			t.Errorf("%s, %q:\n%swant\n%s", tt.mta, tt.mail, show(got), show(want))
		}
	}
}
