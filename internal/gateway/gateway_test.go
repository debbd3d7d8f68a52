package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/keystore"
	"mailseal/internal/maillog"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/policy"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/internal/trust"
	"mailseal/internal/trust/revocation"
	"mailseal/internal/verdict"
	"mailseal/smime"
)

const id = "mx.example.jp"

var (
	inside  = message.Client{Name: "pc.example.jp", Addr: netip.MustParseAddr("10.0.0.5")}
	outside = message.Client{Name: "mail.partner.example", Addr: netip.MustParseAddr("192.0.2.1")}
)

// A bench is a gateway with all its parts, real ones.
type bench struct {
	testing.TB
	pki  *testpki.PKI
	conf Config
	log  bytes.Buffer
}

func newBench(t testing.TB) *bench {
	b := &bench{TB: t, pki: testpki.New(t)}
	store, err := spool.New(spool.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b.conf = Config{
		AuthservID: id,
		Policy: &policy.Set{
			LocalDomains:  []string{"example.jp"},
			InternalHosts: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			Sign:          true,
		},
		Identities: keystore.NewIdentities([]pki.Identity{b.pki.User("alice@example.jp", ca.P256)}),
		Anchors:    trust.New(trust.Sources{Mail: b.pki.Roots()}, trust.Options{Revocation: revocation.Off}),
		Spool:      store,
		Log:        slog.New(maillog.New(&b.log, slog.LevelInfo)),
	}
	return b
}

func (b *bench) read(mail string) *message.Message {
	b.Helper()
	m, err := message.Read(strings.NewReader(strings.ReplaceAll(mail, "\n", "\r\n")), b.conf.Spool, message.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Body.Close() })
	return m
}

// handle takes one mail through the gateway and gives what the MTA would
// deliver.
func (b *bench) handle(mail string, c message.Client) (delivered string, v message.Verdict) {
	b.Helper()
	m := b.read(mail)
	m.Envelope = message.Envelope{QueueID: "Q1", Sender: "sender@example.jp", Client: c, Recipients: []message.Recipient{{Address: "bob@partner.example"}}}
	g, err := New(b.conf)
	if err != nil {
		b.Fatal(err)
	}
	b.log.Reset()
	if v, err = g.Handle(context.Background(), m); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { v.Close() })
	after, err := m.Apply(v.Edits)
	if err != nil {
		b.Fatal(err)
	}
	var out strings.Builder
	if _, err := after.WriteTo(&out); err != nil {
		b.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n"), v
}

func (b *bench) logged(words ...string) {
	b.Helper()
	line := b.log.String()
	if strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "Q1: ") {
		b.Errorf("log is not one line of the mail: %q", line)
	}
	for _, w := range words {
		if !strings.Contains(line, w) {
			b.Errorf("log %q lacks %q", line, w)
		}
	}
}

const plain = "From: Alice <alice@example.jp>\nTo: bob@partner.example\nSubject: secret words\n\nGood day.\n"

// What one gateway signs, the other believes, and one changed letter is seen.
func TestSignThenVerify(t *testing.T) {
	b := newBench(t)
	signed, v := b.handle(plain, inside)
	if v.Action != message.Accept || !strings.Contains(signed, "multipart/signed") {
		t.Fatalf("%v: %s", v.Action, signed)
	}
	b.logged("signed", "direction=outbound", "identity=", "author=alice@example.jp")

	got, _ := b.handle(signed, outside)
	b.logged("verified", "smime=pass", "verify=OK", "signer=alice@example.jp", "direction=inbound")
	want := "Authentication-Results: mx.example.jp; smime=pass\n body.smime-identifier=alice@example.jp body.smime-part=2\n"
	if !strings.HasPrefix(got, want) || got != want+signed {
		t.Errorf("delivered:\n%s", got)
	}
	if strings.Contains(b.log.String(), "secret") {
		t.Error("the subject is in the log")
	}

	b.handle(strings.Replace(signed, "Good day", "Bad day!", 1), outside)
	b.logged("smime=fail", "verify=FAIL", `reason="content was changed after it was signed"`)
}

// TestHeaderProtection: header fields go under the signature. Nothing is hidden
// of a mail that everybody can read.
func TestHeaderProtection(t *testing.T) {
	for p, protects := range map[smime.HeaderProtection]bool{smime.HeadersOff: false, smime.HeadersSigned: true, smime.HideSubject: true} {
		b := newBench(t)
		b.conf.Sign.Protect = p
		signed, _ := b.handle(plain, inside)
		b.logged("signed")
		header, body, _ := strings.Cut(signed, "\n\n")
		if !strings.Contains(header, "\nSubject: secret words\n") {
			t.Errorf("%v: the header has lost its subject:\n%s", p, header)
		}
		if strings.Contains(body, "\nSubject: secret words\n") != protects || strings.Contains(body, "hp=") != protects {
			t.Errorf("%v: signed:\n%s", p, body)
		}
		got, _ := b.handle(signed, outside)
		b.logged("smime=pass")
		if !strings.HasSuffix(got, signed) {
			t.Errorf("%v: delivered:\n%s", p, got)
		}
	}

	b := newBench(t)
	b.conf.Sign.Protect = smime.HeadersSigned
	pgp := strings.Replace(plain, "\n\n", "\nContent-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=x\n\n", 1) + "--x\n\nGood day.\n--x\n\nsignature\n--x--\n"
	if got, v := b.handle(pgp, inside); v.Action != message.Accept || got != pgp {
		t.Errorf("%v, with a PGP signature:\n%s", v.Action, got)
	}
	b.logged("passed", "header fields cannot be protected")
}

func TestInbound(t *testing.T) {
	b := newBench(t)
	sign := func(id pki.Identity, mail string) string {
		edits, err := smime.Sign(b.read(mail), smime.SignOptions{Identity: id, Spool: b.conf.Spool})
		if err != nil {
			t.Fatal(err)
		}
		m, err := b.read(mail).Apply(edits)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if _, err := m.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(out.String(), "\r\n", "\n")
	}
	alice := b.pki.User("alice@example.jp", ca.P256)
	for _, tt := range []struct {
		name, mail string
		status     verdict.Status
		log        string
	}{
		{"unsigned", plain, verdict.None, "verify=NO"},
		{"empty", "\n", verdict.None, "verify=NO"},
		{"no header", "", verdict.None, "verify=NO"},
		{"signed by the author", sign(alice, plain), verdict.Pass, "verify=OK"},
		{"author's domain in other case", sign(alice, strings.Replace(plain, "alice@example.jp", "alice@Example.JP", 1)), verdict.Pass, "verify=OK"},
		{"author in other case", sign(alice, strings.Replace(plain, "alice@example.jp", "Alice@example.jp", 1)), verdict.Policy, "certificate is not for the From address"},
		{"name of the author in ISO-2022-JP", sign(alice, strings.Replace(plain, "Alice", "=?ISO-2022-JP?B?GyRCOzNFRBsoQg==?=", 1)), verdict.Pass, "verify=OK"},
		{"author with a letter that Unicode folds to the certificate's", sign(b.pki.User("boss@example.jp", ca.P256), strings.Replace(plain, "alice@example.jp", "bo\u017fs@example.jp", 1)), verdict.Policy, "certificate is not for the From address"},
		{"encoded word as local part", sign(alice, strings.Replace(plain, "alice@example.jp", "=?utf-8?Q?alice=40example.jp=00?=@evil.example", 1)), verdict.Policy, "encoded word"},
		{"signed by somebody else", sign(b.pki.User("mallory@partner.example", ca.P256), plain), verdict.Policy, "verify=FAIL"},
		{"display name is the author", sign(b.pki.User("mallory@partner.example", ca.P256), strings.Replace(plain, "From: Alice <alice@example.jp>", `From: "alice@example.jp" <eve@partner.example>`, 1)), verdict.Policy, "certificate is not for the From address"},
		{"author said twice", sign(alice, strings.Replace(plain, "Alice <", "alice@example.jp <", 1)), verdict.Pass, "verify=OK"},
		{"author and another in the name", sign(alice, strings.Replace(plain, "Alice <", "mallory@partner.example <", 1)), verdict.Policy, "From: field cannot be read"},
		{"signer's address in the name", sign(alice, strings.Replace(plain, "Alice <alice@example.jp>", "alice@example.jp <eve@partner.example>", 1)), verdict.Policy, "From: field cannot be read"},
		{"two From fields", sign(alice, "From: mallory@partner.example\n"+plain), verdict.Policy, "From has several addresses"},
		{"two From addresses", sign(alice, strings.Replace(plain, "From: ", "From: mallory@partner.example, ", 1)), verdict.Policy, "verify=FAIL"},
		{"From is a group", sign(alice, strings.Replace(plain, "From: Alice <alice@example.jp>", "From: team: alice@example.jp;", 1)), verdict.Policy, "verify=FAIL"},
		{"no From", sign(alice, strings.Replace(plain, "From:", "X-From:", 1)), verdict.Policy, "mail has no From"},
		{"untrusted CA", sign(b.pki.Stranger().User("alice@example.jp", ca.P256), plain), verdict.Fail, `reason="no path to a trust anchor"`},
		{"expired", sign(b.pki.Expired("alice@example.jp", ca.P256), plain), verdict.Fail, `reason="certificate has expired"`},
		{"through a sub-CA", sign(b.pki.Below().User("alice@example.jp", ca.P256), plain), verdict.Pass, "verify=OK"},
		{"not for e-mail", sign(b.pki.Client("alice@example.jp", ca.P256), plain), verdict.Fail, `reason="certificate is not for e-mail"`},
		{"another type behind a CR", "X: y\rContent-Type: text/html\n" + sign(alice, plain), verdict.Neutral, "only some readers see it"},
		{"another type behind a control character", "Content-Type\v: text/html\n" + sign(alice, plain), verdict.Neutral, "for some readers the header ends there"},
		{"another boundary in a comment", strings.Replace(sign(alice, plain), "multipart/signed;", "multipart/signed (x; boundary=X;);", 1), verdict.Neutral, "comment or a backslash"},
		{"another boundary behind a quoted quote", strings.Replace(sign(alice, plain), "multipart/signed;", `multipart/signed; x="\"; boundary=X; y=";`, 1), verdict.Neutral, "comment or a backslash"},
		{"encoded as a whole", "Content-Transfer-Encoding: base64\n" + sign(alice, plain), verdict.Neutral, "encoded as a whole"},
		{"not encoded, in capitals", "Content-Transfer-Encoding: 8BIT\n" + sign(alice, plain), verdict.Pass, "verify=OK"},
		{"unsigned, with a type behind a CR", "X: y\rContent-Type: text/html\n" + plain, verdict.None, "verify=NO"},
		{"a CR that hides nothing", "X: y\r z\n" + sign(alice, plain), verdict.Pass, "verify=OK"},
		{"label without signature", "From: alice@example.jp\nContent-Type: application/pkcs7-mime; smime-type=signed-data\n\nhello\n", verdict.Neutral, "verify=FAIL"},
		{"multipart/signed without boundary", "From: alice@example.jp\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"\n\nhello\n", verdict.Neutral, "verify=FAIL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, v := b.handle(tt.mail, outside)
			first, rest, _ := strings.Cut(strings.ReplaceAll(got, "\n ", " "), "\n")
			if v.Action != message.Accept || !strings.HasPrefix(first, "Authentication-Results: mx.example.jp; smime="+string(tt.status)) {
				t.Errorf("%v, %s; want smime=%s", v.Action, first, tt.status)
			}
			if !strings.HasSuffix(strings.ReplaceAll(tt.mail, "\n ", " "), rest) {
				t.Errorf("mail was changed:\n%s", got)
			}
			b.logged(tt.log)
		})
	}
}

func TestOutboundUnsigned(t *testing.T) {
	b := newBench(t)
	user := func(login string) message.Client { c := outside; c.Login = login; return c }
	for _, tt := range []struct {
		name, mail string
		client     message.Client
		reason     string
	}{
		{"no identity", strings.ReplaceAll(plain, "alice", "carol"), inside, `reason="no identity for carol@example.jp"`},
		{"somebody else's login", plain, user("bob@example.jp"), `reason="login bob@example.jp may not send as alice@example.jp"`},
		{"two authors", "From: bob@example.jp\n" + plain, inside, "2 addresses"},
		{"re-injected by a list", "Authentication-Results: mx.example.jp; smime=none\n" + plain, inside, "inbound before"},
		{"fetched from elsewhere", "Received: from x (x [192.0.2.9]) by pop.example; now\n" + plain, inside, "outside internal_hosts"},
		{"relayed, with a HELO that looks like an internal client", "Received: from [10.0.0.1] by x (unknown [192.0.2.9]) by mx1.example.jp (Postfix); now\n" + plain, inside, "outside internal_hosts"},
		{"OpenPGP", "MIME-Version: 1.0\nContent-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\n" + strings.Replace(plain, "\n\n", "\n\n--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b\nContent-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\n\n-----END PGP MESSAGE-----\n--b--\n", 1), inside, "signed or encrypted already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, v := b.handle(tt.mail, tt.client)
			if v.Action != message.Accept || got != tt.mail {
				t.Errorf("%v:\n%s", v.Action, got)
			}
			b.logged("passed", tt.reason, "direction=outbound")
		})
	}
	signed, _ := b.handle(plain, user("alice@example.jp"))
	if again, _ := b.handle(signed, inside); again != signed {
		t.Errorf("signed mail was changed:\n%s", again)
	}
	b.logged("passed", "signed or encrypted already")
}

// Who sends from inside and gets no signature finds out why.
func TestInsidersMailThatIsInbound(t *testing.T) {
	b := newBench(t)
	user := outside
	user.Login = "alice@example.jp"
	for from, reason := range map[string]string{
		"bob@partner.example":                 `inbound="From is not of a local domain"`,
		"sales@example.jp <alice@example.jp>": `inbound="From: field cannot be read as addresses"`,
	} {
		for _, c := range []message.Client{user, inside} {
			b.handle(strings.Replace(plain, "Alice <alice@example.jp>", from, 1), c)
			b.logged("verified", "smime=none", reason, "direction=inbound")
		}
		b.handle(strings.Replace(plain, "Alice <alice@example.jp>", from, 1), outside)
		if strings.Contains(b.log.String(), "inbound=") {
			t.Errorf("of strangers too: %s", &b.log)
		}
	}
}

// A mail of ours that would not be believed at the other end leaves unsigned, as
// any other that cannot be signed.
func TestAmbiguousMailIsNotSigned(t *testing.T) {
	b := newBench(t)
	mail := "X: y\rContent-Type: text/html\n" + plain
	got, v := b.handle(mail, inside)
	b.logged("passed", "Content-Type is there once more", "direction=outbound")
	if got != mail || v.Action != message.Accept || len(v.Edits) > 0 {
		t.Errorf("%v, %d edits: %q", v.Action, len(v.Edits), got)
	}
}

// failing is a body that cannot be read: a spool on a broken disk.
type failing struct{ message.Body }

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

var _ io.ReaderAt = failing{}

func TestFaults(t *testing.T) {
	b := newBench(t)
	mixed := strings.Replace(plain, "\n\n", "\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n", 1)
	for _, tt := range []struct {
		name    string
		client  message.Client
		onError message.Action
		want    message.Action
		code    int
	}{
		{"inbound, tempfail", outside, message.Defer, message.Defer, 452},
		{"inbound, accept", outside, message.Accept, message.Accept, 0},
		{"inbound, reject", outside, message.Reject, message.Reject, 554},
		{"inbound, quarantine", outside, message.Quarantine, message.Quarantine, 0},
		{"to be signed: deferred whatever on_error says", inside, message.Accept, message.Defer, 452},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.conf.OnError = tt.onError
			g, err := New(b.conf)
			if err != nil {
				t.Fatal(err)
			}
			m := b.read(mixed)
			m.Envelope.Client, m.Envelope.QueueID = tt.client, "Q1"
			m.Body = failing{m.Body}
			b.log.Reset()
			v, _ := g.Handle(context.Background(), m)
			if v.Action != tt.want || v.Reply.Code != tt.code {
				t.Errorf("%v, %+v", v.Action, v.Reply)
			}
			if strings.Contains(v.Reply.Text, "input/output") {
				t.Errorf("the cause left the house: %q", v.Reply.Text)
			}
			if v.Action == message.Accept && len(v.Edits) != 1 {
				t.Error("delivered unchecked without a word")
			}
			b.logged("error=", "input/output error")
		})
	}
	t.Run("broken off: deferred whatever on_error says", func(t *testing.T) {
		b.conf.OnError = message.Reject
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		g, err := New(b.conf)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []message.Client{inside, outside} {
			m := b.read(plain)
			m.Envelope.Client = c
			if o := g.Decide(ctx, m); o.Verdict.Action != message.Defer || len(o.Verdict.Edits) != 0 {
				t.Errorf("%+v", o)
			}
		}
	})
	t.Run("out of time", func(t *testing.T) {
		b.conf.OnError = message.Defer
		ctx, cancel := context.WithTimeout(context.Background(), -time.Second)
		defer cancel()
		g, err := New(b.conf)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []message.Client{inside, outside} {
			m := b.read(plain)
			m.Envelope.Client = c
			if o := g.Decide(ctx, m); o.Verdict.Action != message.Defer || len(o.Verdict.Edits) != 0 {
				t.Errorf("%+v", o)
			}
		}
	})
}

func TestNewRefusesHalfAConfiguration(t *testing.T) {
	if _, err := New(Config{AuthservID: id}); err == nil {
		t.Error("no error")
	}
}
