package setup

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestFollow: the connection of a mail is the one that the process had made which
// delivered it.
func TestFollow(t *testing.T) {
	const sendmailLog = `Nov 22 08:14:10 krb5 sm-mta[101]: STARTTLS=server, relay=localhost [127.0.0.1], version=TLSv1.3, verify=NO, cipher=X, bits=256/256
Nov 22 08:14:10 krb5 sm-mta[102]: STARTTLS=client, relay=other.example., version=TLSv1.3, verify=FAIL, cipher=X, bits=256/256
Nov 22 08:14:10 krb5 sm-mta[103]: STARTTLS=client, relay=dhcp.example., version=TLSv1.3, verify=OK, cipher=X, bits=256/256
Nov 22 08:14:10 krb5 sm-mta[102]: 6AM8EACd017625: to=<a@other.example>, mailer=esmtp, dsn=2.0.0, stat=Sent
Nov 22 08:14:10 krb5 sm-mta[100]: 6AM8EACd017624: to=<a@dhcp.example>, mailer=esmtp, pri=30052, stat=queued
Nov 22 08:14:10 krb5 sm-mta[103]: 6AM8EACd017624: to=<a@dhcp.example>, mailer=esmtp, relay=dhcp.example., dsn=2.0.0, stat=Sent
`
	const talkativeLog = `Nov 22 08:14:10 krb5 sm-mta[103]: STARTTLS=client, init=1
Nov 22 08:14:10 krb5 sm-mta[103]: STARTTLS=client, start=ok
Nov 22 08:14:10 krb5 sm-mta[103]: STARTTLS=client, relay=dhcp.example., version=TLSv1.3, verify=OK, cipher=X, bits=256/256
Nov 22 08:14:10 krb5 sm-mta[103]: STARTTLS=client, cert-subject=/CN=dhcp.example, cert-issuer=/CN=CA, verifymsg=ok
Nov 22 08:14:10 krb5 sm-mta[103]: 6AM8EACd017626: to=<a@dhcp.example>, mailer=esmtp, relay=dhcp.example., dsn=2.0.0, stat=Sent
`
	const postfixLog = `Nov 22 08:26:41 dhcp postfix/smtp[11]: Untrusted TLS connection established to a.example[192.0.2.1]:25: TLSv1.3 with cipher X
Nov 22 08:26:41 dhcp postfix/smtp[12]: %s TLS connection established to b.example[192.0.2.2]:25: TLSv1.3 with cipher X
Nov 22 08:26:41 dhcp postfix/smtp[12]: CE4529D7EF6: to=<a@b.example>, relay=b.example[192.0.2.2]:25, dsn=2.0.0, status=sent (250 2.0.0 OK)
`
	word := func(w string) string { return strings.Replace(postfixLog, "%s", w, 1) }
	for _, c := range []struct{ log, id, verify, stat string }{
		{sendmailLog, "6AM8EACd017624", "OK", "stat=Sent"},
		{sendmailLog, "6AM8EACd017625", "FAIL", "stat=Sent"},
		{talkativeLog, "6AM8EACd017626", "OK", "stat=Sent"},
		{word("Trusted"), "CE4529D7EF6", "OK", "status=sent"},
		{word("Verified"), "CE4529D7EF6", "OK", "status=sent"},
		{word("Untrusted"), "CE4529D7EF6", "FAIL", "status=sent"},
		{word("Anonymous"), "CE4529D7EF6", "NO", "status=sent"},
		{"Nov 22 08:14:10 krb5 sm-mta[1]: 6AM8: to=<root>, mailer=local, stat=Sent\n", "6AM8", "NONE", "stat=Sent"},
	} {
		trip, err := TestMail{Log: "maillog"}.follow(t.Context(), strings.NewReader(c.log), c.id)
		if err != nil || trip.Verify() != c.verify || !strings.Contains(trip.Delivery, c.stat) {
			t.Errorf("%s: verify=%s, %q, %v; want verify=%s and %s", c.id, trip.Verify(), trip.Delivery, err, c.verify, c.stat)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if trip, err := (TestMail{Log: "maillog"}).follow(ctx, strings.NewReader(sendmailLog), "6AM8other"); err == nil {
		t.Errorf("a mail that is not in the log: %+v", trip)
	}
}

func TestQueueID(t *testing.T) {
	for text, want := range map[string]string{
		"2.0.0 4ALD1xyz01234 Message accepted for delivery": "4ALD1xyz01234",
		"2.0.0 Ok: queued as 4XyZ":                          "4XyZ",
		"thanks":                                            "",
		"queued as":                                         "",
	} {
		got, err := queueID(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}
