// Package spoof_test attacks the gateway as forgers do, with real keys: by the
// classes of "Johnny, you are fired!" (Müller et al., USENIX Security 2019), of
// EFAIL (Poddebniak et al., 2018) and of what was found in other gateways.
//
// Mallory has a certificate of her own from the CA that we trust, mails that
// Alice signed, and all of SMTP. What she wants is smime=pass on words that are
// not Alice's, or to read what was encrypted for Bob. Whatever she sends
// arrives, as it was sent; and in every class there are mails that are as they
// should be, so that it is known that the test could fail.
package spoof_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailseal/internal/gateway"
	"mailseal/internal/keystore"
	"mailseal/internal/maillog"
	"mailseal/internal/message"
	"mailseal/internal/policy"
	"mailseal/internal/spool"
	"mailseal/internal/verdict"
	"mailseal/test/wire"
)

const (
	ours    = "mx.example.jp" // the name that we write results under
	alice   = "alice@partner.example"
	mallory = "mallory@evil.example"
	bob     = "bob@example.jp" // who gets it all
)

// An attack is a mail, and what is to be seen of it.
type attack struct {
	class string
	name  string
	mail  string // lines end in LF
	raw   bool   // these are its bytes
	want  verdict.Status
	says  string   // in the reason
	gone  []string // fields that do not arrive
}

// attacks are those of all classes.
func attacks(w *world) []attack {
	return slices.Concat(confusions(w), crowds(w), strangers(w), parts(w), differentials(w), authors(w), addresses(w), domains(w), claims(w))
}

func TestSpoofing(t *testing.T) {
	w := newWorld(t)
	b := newBench(t, w)
	controls := map[string]int{}
	for _, a := range attacks(w) {
		if a.want == verdict.Pass {
			controls[a.class]++
		} else {
			controls[a.class] += 0
		}
		t.Run(a.class+" "+a.name, func(t *testing.T) { b.try(t, a) })
	}
	for class, n := range controls {
		if n == 0 {
			t.Errorf("nothing in class %s could have passed", class)
		}
	}
}

// A bench is a gateway with all its parts.
type bench struct {
	mu      sync.Mutex // for tests at the same time
	gateway *gateway.Gateway
	spool   *spool.Store
	log     bytes.Buffer
}

func newBench(t *testing.T, w *world, settings ...func(*gateway.Config)) *bench {
	t.Helper()
	b := &bench{}
	var err error
	if b.spool, err = spool.New(spool.Config{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	c := gateway.Config{
		AuthservID: ours,
		Policy:     &policy.Set{LocalDomains: []string{"example.jp"}, InternalHosts: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Sign: true, Decrypt: true},
		Identities: keystore.NewIdentities(w.identities()),
		Openers:    keystore.NewOpeners(w.identities()),
		Anchors:    w.anchors(),
		Spool:      b.spool,
		Log:        slog.New(maillog.New(&b.log, slog.LevelInfo)),
		Now:        now,
	}
	for _, set := range settings {
		set(&c)
	}
	if b.gateway, err = gateway.New(c); err != nil {
		t.Fatal(err)
	}
	return b
}

// A delivery is what became of a mail.
type delivery struct {
	outcome gateway.Outcome
	sent    []byte
	mail    []byte
	log     string
	json    string // of the verdict
}

// deliver takes a mail from outside through the gateway.
func (b *bench) deliver(t *testing.T, mail []byte, to ...string) delivery {
	t.Helper()
	m, err := message.Read(bytes.NewReader(mail), b.spool, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Body.Close()
	m.Envelope = message.Envelope{QueueID: "Q1", Sender: mallory, Client: message.Client{Name: "mail.evil.example", Addr: netip.MustParseAddr("192.0.2.1")}}
	for _, r := range to {
		m.Envelope.Recipients = append(m.Envelope.Recipients, message.Recipient{Address: r})
	}
	b.log.Reset()
	d := delivery{sent: mail}
	v, err := b.gateway.Handle(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	d.log = b.log.String()
	d.outcome = b.gateway.Decide(context.Background(), m) // the same again, with its reasons
	defer d.outcome.Verdict.Close()
	j, err := json.Marshal(d.outcome.Result)
	if err != nil {
		t.Fatal(err)
	}
	d.json = string(j)
	if d.outcome.Verdict.Action == message.Accept {
		after, err := m.Apply(d.outcome.Verdict.Edits)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := after.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		d.mail = out.Bytes()
	}
	return d
}

// try sends the mail of an attack to Bob.
func (b *bench) try(t *testing.T, a attack) {
	mail := a.mail
	if !a.raw {
		mail = crlf(mail)
	}
	d := b.deliver(t, []byte(mail), bob)
	d.judged(t, a)
	d.kept(t, a.gone)
	if t.Failed() {
		t.Logf("log: %s\nresult: %s", d.log, d.json)
	}
}

// inOurName is said by a field whose blanks are single ones.
var inOurName = regexp.MustCompile(`^authentication-results ?:(.*[^a-z0-9.-])?mx\.example\.jp\.?([^a-z0-9.-]|$)`)

// judged checks result, log and the only field in our name.
func (d delivery) judged(t *testing.T, a attack) {
	t.Helper()
	r := d.outcome.Result
	if d.outcome.Verdict.Action != message.Accept || r == nil {
		t.Fatalf("%v, result %v, %v", d.outcome.Verdict.Action, r, d.outcome.Err)
	}
	if r.Status != a.want || !strings.Contains(r.Reason, a.says) {
		t.Errorf("smime=%s, %q; want %s, %q", r.Status, r.Reason, a.want, a.says)
	}
	fields, _ := wire.Split(d.mail)
	for i, f := range fields {
		text := strings.ToLower(strings.Join(strings.Fields(f), " "))
		switch is := "authentication-results: " + ours + "; smime=" + string(r.Status); {
		case i == 0 && text != is && !strings.HasPrefix(text, is+" "):
			t.Errorf("on top is %q", f)
		case i > 0 && inOurName.MatchString(text):
			t.Errorf("in our name too: %q", f)
		}
	}
	if strings.Count(d.log, "\n") != 1 || !strings.HasPrefix(d.log, "Q1: verified smime="+string(r.Status)+" verify="+r.Status.Verify()+" ") {
		t.Errorf("log: %q", d.log)
	}
	if r.Status != verdict.Pass && (strings.Contains(d.log, "smime=pass") || strings.Contains(d.json, `"smime":"pass"`)) {
		t.Errorf("there is a pass in %q or %s", d.log, d.json)
	}
}

// kept checks that behind our field the mail is what was sent, but for fields
// that are to be gone.
func (d delivery) kept(t *testing.T, gone []string) {
	t.Helper()
	want := string(d.sent)
	for _, f := range gone {
		before := want
		if want = strings.Replace(want, crlf(f)+"\r\n", "", 1); want == before {
			t.Fatalf("no field %q in the mail", f)
		}
	}
	fields, _ := wire.Split(d.mail)
	if len(fields) == 0 {
		t.Fatalf("no header: %q", d.mail)
	}
	if got := strings.TrimPrefix(string(d.mail), fields[0]+"\r\n"); got != want {
		t.Errorf("mail was changed:\n%q\nwant\n%q", got, want)
	}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
