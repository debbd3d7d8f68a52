package beside_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
	"mailseal/test/wire"
)

// forged are results that somebody outside wrote in our name: plain ones, those
// that OpenDKIM cannot read, and such as only some readers take for ours.
var forged = []string{
	"mx.example.test; dkim=pass header.d=bank.example",
	"MX.Example.test; dkim=pass header.d=bank.example",
	"mx.example.test 1; dkim=pass header.d=bank.example",
	"mx.example.test;\r\n\tdkim=pass (2048-bit key; unprotected) header.d=bank.example header.i=@bank.example header.b=\"abcd\"",
	"mx.example.test; spf=pass smtp.mailfrom=bank.example",
	"mx.example.test; dmarc=pass (p=reject dis=none) header.from=bank.example",
	"mx.example.test; arc=pass",
	"mx.example.test; none",
	"mx.example.test; dkim=pass header.d=bank.example foo",
	"mx.example.test; dkim=pass header.d=bank.example; smime=pass",
	"mx.example.test; smime=pass body.smime-identifier=ceo@bank.example",
	"mx.example.test; spf=pass; SMIME/1 = pass",
	"mx.example.test;; dkim=pass header.d=bank.example",
	"mx.example.test; dkim = pass header.d = bank.example",
	"mx.example.test; DKIM=pass header.d=bank.example",
	"mx.example.test; dkim/1=pass header.d=bank.example",
	"mx.example.test; dkim=pass header.x=" + strings.Repeat("a", 2000),
	"mx.example.test" + strings.Repeat("; dkim=pass", 15),
	"\"mx.example.test\"; dkim=pass header.d=bank.example",
	"(c) mx.example.test (d); dkim=pass header.d=bank.example",
	"mx.exam(x)ple.test; dkim=pass (mx.example.test)",
	"=?utf-8?q?mx=2Eexample=2Etest?=; dkim=pass (mx.example.test)",
	"mx.example.test.; dkim=pass header.d=bank.example",
	"mx.example.test; (unclosed dkim=pass",
}

func forgeries() string {
	var b strings.Builder
	for i, f := range forged {
		name := []string{"Authentication-Results", "authentication-RESULTS"}[i%2]
		b.WriteString(name + ": " + f + "\r\n")
	}
	return b.String()
}

const (
	foreign   = "Authentication-Results: mx.far.example.org; dkim=pass header.d=bank.example\r\n"
	malformed = "DKIM-Signature: x\r\n"
	unknown   = "DKIM-Signature: v=1; a=rsa-sha256; d=example.test; s=nokey; h=from; bh=AAAA; b=AAAA\r\n"
	from      = "From: " + carol + "\r\n"
)

// Whatever came with a mail in our name is gone, also from mails with which
// OpenDKIM does nothing, or not all of it; what it wrote itself is there.
func TestForgedResults(t *testing.T) {
	mails := map[string]struct{ head, dkim string }{
		"plain":               {forgeries() + foreign + from, "dkim=none"},
		"below":               {from + foreign + forgeries(), "dkim=none"},
		"malformed-signature": {forgeries() + foreign + malformed + from, ""},
		"unknown-key":         {forgeries() + foreign + unknown + from, "dkim=fail"},
		"many-signatures":     {forgeries() + foreign + strings.Repeat(unknown, 10) + from, "dkim=fail"},
		"no-from":             {forgeries() + foreign, "dkim=permerror"},
		"two-from":            {forgeries() + foreign + from + from, "dkim=none"},
		"no-address":          {forgeries() + foreign + "From: <\r\n", "dkim=permerror"},
	}
	p := testpki.New(t)
	for _, setup := range host.Both {
		// Neither of these makes up for the socket before OpenDKIM, nor spoils it.
		for _, removes := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s removes %v", setup, removes), func(t *testing.T) {
				t.Parallel()
				extra := []string{"AlwaysAddARHeader yes"}
				if removes {
					extra = append(extra, "RemoveARAll yes", "RemoveARFrom "+daemon.AuthservID)
				}
				h := receiving(t, setup, daemon.Settings{Trust: p.Roots()}, true, extra...)
				if removes {
					h.Reload(t, func(*daemon.Settings) {}) // and it is all the same
				}
				for name, m := range mails {
					want := []string{"smime=none"}
					if m.dkim != "" {
						want = append(want, m.dkim)
					}
					arrives(t, h, name, m.head, want...)
				}
			})
		}
	}
}

// Without that socket OpenDKIM takes away what it can read, and we what is not
// plain or stands below what it wrote. But where it does nothing, somebody
// else's plain words are there as its own would be: this is why it is wanted.
func TestForgedResultsWithoutTheSocketBefore(t *testing.T) {
	p := testpki.New(t)
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			t.Parallel()
			h := receiving(t, setup, daemon.Settings{Trust: p.Roots()}, false, "AlwaysAddARHeader yes", "RemoveARAll yes", "RemoveARFrom "+daemon.AuthservID)
			arrives(t, h, "plain", forgeries()+foreign+from, "smime=none", "dkim=none", "none")
			arrives(t, h, "malformed-signature", forgeries()+foreign+malformed+from,
				"smime=none", "dkim=pass header.d=bank.example", "spf=pass", "dmarc=pass", "arc=pass", "none")
		})
	}
}

// arrives sends a mail from outside and checks the results in our name, which
// begin so, and that the foreign one is still there.
func arrives(t *testing.T, h *host.Host, name, head string, want ...string) {
	t.Helper()
	m := mtarig.Mail{From: carol, To: []string{name + "@" + host.Modern}, Data: []byte(head + "Subject: x\r\n\r\nbody\r\n")}
	if err := h.DeliverFrom(daemon.Outside, m); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	got := h.Arrived(t, m.To[0]).Data
	rs := results(got)
	ok := slices.EqualFunc(rs, want, func(r, w string) bool {
		_, r, _ = strings.Cut(r, ";")
		return strings.HasPrefix(strings.TrimSpace(r), w)
	})
	if !ok {
		t.Errorf("%s: in our name %q, want %q", name, rs, want)
	}
	if fields, _ := wire.Split(got); !slices.Contains(fields, strings.TrimSuffix(foreign, "\r\n")) {
		t.Errorf("%s: the result of another host is lost", name)
	}
}
