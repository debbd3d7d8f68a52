package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want URL
		out  string // "" for in
	}{
		{"smtp://127.0.0.1:25", URL{"smtp", "127.0.0.1", "25", ""}, ""},
		{"smtp://mx.example.jp", URL{"smtp", "mx.example.jp", "25", ""}, "smtp://mx.example.jp:25"},
		{"smtps://mx.example.jp/", URL{"smtps", "mx.example.jp", "465", ""}, "smtps://mx.example.jp:465"},
		{"pop3://[::1]", URL{"pop3", "::1", "110", ""}, "pop3://[::1]:110"},
		{"pop3s://[::1]:1995", URL{"pop3s", "::1", "1995", ""}, ""},
		{"imap://h", URL{"imap", "h", "143", ""}, "imap://h:143"},
		{"imaps://127.0.0.1?name=imap.example.jp", URL{"imaps", "127.0.0.1", "993", "imap.example.jp"}, "imaps://127.0.0.1:993?name=imap.example.jp"},
		{"SMTP://h", URL{"smtp", "h", "25", ""}, "smtp://h:25"},
	} {
		u, err := Parse(c.in)
		if err != nil || u != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.in, u, err, c.want)
		}
		if c.out == "" {
			c.out = c.in
		}
		if u.String() != c.out {
			t.Errorf("%s is written as %s; want %s", c.in, u, c.out)
		}
		if again, err := Parse(u.String()); err != nil || again != u {
			t.Errorf("%s read again: %+v, %v", u, again, err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:25", "http://h", "smtp://", "smtp://:25", "smtp://h:0", "smtp://h:70000", "smtp://h:smtp",
		"smtp://u@h", "smtp://h/path", "smtp://h?name=", "smtp://h?sni=x", "smtp://h?name=a&name=b", "smtp://h#x", "smtp:h", "off", "smtp://h?%zz"} {
		if u, err := Parse(bad); err == nil || !strings.Contains(err.Error(), "want smtp://") {
			t.Errorf("%q: %+v, %v; want an error", bad, u, err)
		}
	}
}

// TestGood: every protocol, with a client certificate and without.
func TestGood(t *testing.T) {
	p := testpki.New(t)
	id := hostOf(p)
	clients := x509.NewCertPool()
	clients.AddCert(p.Root())
	for _, scheme := range Schemes() {
		t.Run(scheme, func(t *testing.T) {
			cfg := serving(id)
			cfg.ClientAuth, cfg.ClientCAs = tls.VerifyClientCertIfGiven, clients
			u := serve(t, scheme, good[strings.TrimSuffix(scheme, "s")], cfg)
			w := wanted(p)
			w.Leaf = id.Certificate
			r := Check(t.Context(), u, w)
			if !r.OK() || r.Verify() != "OK" || !r.Offered || len(r.Notes) > 0 {
				t.Errorf("verify=%s offered %t: %v %q", r.Verify(), r.Offered, r.Err, r.Notes)
			}
			if r.Banner != host || r.Version != "TLSv1.3" || r.Cipher == "" || r.Curve == "" || !r.Leaf().Equal(id.Certificate) {
				t.Errorf("greets as %q with %s %s %s, certificate %v", r.Banner, r.Version, r.Cipher, r.Curve, r.Leaf().Subject)
			}
			if want := []string{p.Root().Subject.String()}; !r.AsksClient || !slices.Equal(r.AcceptsFrom, want) {
				t.Errorf("asks for a client certificate: %t, of %q; want %q", r.AsksClient, r.AcceptsFrom, want)
			}
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
			wantFailure(t, Check(t.Context(), u, w), "FAIL", Handshake, "certificate required", "may want one")
			w.Client = &serving(id).Certificates[0]
			if r := Check(t.Context(), u, w); !r.OK() {
				t.Errorf("with a client certificate: %v", r.Err)
			}
		})
	}
}

// TestNoTLS: servers that do not come to a handshake.
func TestNoTLS(t *testing.T) {
	p := testpki.New(t)
	cfg := serving(hostOf(p))
	plainEHLO := "250-mx.example.jp\r\n250 SIZE\r\n"
	for _, c := range []struct {
		name, scheme string
		changes      []string
		verify       string
		cause        Cause
		offered      bool
		words        []string
	}{
		{"switched off", "smtp", []string{"EHLO", plainEHLO, "STARTTLS", "502 5.5.1 Error: command not implemented\r\n"},
			"NO", NotOffered, false, []string{"STARTTLS is not offered", `"502 5.5.1 Error: command not implemented"`, "switched off"}},
		{"unusable", "smtp", []string{"EHLO", plainEHLO, "STARTTLS", "454 4.3.3 TLS not available after start\r\n"},
			"NO", Unavailable, false, []string{"STARTTLS is not offered", "454 4.3.3 TLS not available", "cannot use its key"}},
		{"unusable though offered", "smtp", []string{"STARTTLS", "454 4.7.0 TLS not available due to local problem\r\n"},
			"NO", Unavailable, true, []string{"offered, and refused", "due to local problem", "its own log"}},
		{"not for us", "smtp", []string{"STARTTLS", "554 5.7.1 no\r\n"}, "FAIL", Refused, true, []string{"554 5.7.1 no"}},
		{"no EHLO", "smtp", []string{"EHLO", "500 what?\r\n"}, "NO", NotOffered, false, []string{"without EHLO"}},
		{"later", "smtp", []string{"", "421 4.3.2 too many connections\r\n\x00"}, "TEMP", Unreachable, false, []string{"greeting", "421 4.3.2"}},
		{"nobody", "smtp", []string{"", "554 5.3.2 no mail here\r\n\x00"}, "FAIL", Refused, false, []string{"554"}},
		{"another protocol", "smtp", []string{"", "+OK POP3\r\n"}, "FAIL", Protocol, false, []string{"none of the protocol"}},
		{"closes", "smtp", []string{"", "\x00"}, "TEMP", Unreachable, false, []string{"closes the connection"}},
		{"injection", "smtp", []string{"STARTTLS", "220 go\r\n250 evil\r\n"}, "FAIL", Protocol, true, []string{"10 bytes in clear"}},
		{"endless line", "smtp", []string{"", "220 " + strings.Repeat("x", maxTalk)}, "FAIL", Protocol, false, []string{"more than any mail server"}},
		{"endless greeting", "smtp", []string{"", strings.Repeat("220-mx.example.jp\r\n", maxTalk/10)}, "FAIL", Protocol, false, []string{"more than any mail server"}},
		{"escape sequences", "smtp", []string{"", "554 \x1b[2J\u202e\x07\xff\r\n\x00"}, "FAIL", Refused, false, []string{`"554 ?[2J???"`}},

		{"switched off", "pop3", []string{"CAPA", "+OK\r\nTOP\r\n.\r\n", "STLS", "-ERR unknown command\r\n"}, "NO", NotOffered, false, []string{"STLS is not offered", "-ERR unknown"}},
		{"no CAPA", "pop3", []string{"CAPA", "-ERR\r\n", "STLS", "-ERR\r\n"}, "NO", NotOffered, false, []string{"STLS is not offered"}},
		{"unusable though offered", "pop3", []string{"STLS", "-ERR TLS initialization failed\r\n"}, "NO", Unavailable, true, []string{"initialization failed"}},
		{"nobody", "pop3", []string{"", "-ERR go away\r\n\x00"}, "FAIL", Refused, false, []string{"-ERR go away"}},
		{"another protocol", "pop3", []string{"", "220 mx\r\n"}, "FAIL", Protocol, false, []string{"no answer of a POP3 server"}},
		{"injection", "pop3", []string{"STLS", "+OK\r\n+OK\r\n"}, "FAIL", Protocol, true, []string{"in clear"}},
		{"endless list", "pop3", []string{"CAPA", "+OK\r\n" + strings.Repeat("TOP\r\n", maxTalk)}, "FAIL", Protocol, false, []string{"more than any"}},

		{"switched off", "imap", []string{"CAPABILITY", "* CAPABILITY IMAP4rev1\r\nTAG OK\r\n", "STARTTLS", "TAG BAD unknown\r\n"}, "NO", NotOffered, false, []string{"BAD unknown"}},
		{"unusable though offered", "imap", []string{"STARTTLS", "TAG BAD TLS initialization failed\r\n"}, "NO", Unavailable, true, []string{"initialization failed"}},
		{"nobody", "imap", []string{"", "* BYE overloaded\r\n\x00"}, "FAIL", Refused, false, []string{"BYE overloaded"}},
		{"already in", "imap", []string{"", "* PREAUTH hello\r\n"}, "FAIL", Protocol, false, []string{"PREAUTH"}},
		{"another protocol", "imap", []string{"", "220 mx\r\n"}, "FAIL", Protocol, false, []string{"none of an IMAP server"}},
		{"injection", "imap", []string{"STARTTLS", "TAG OK\r\n* CAPABILITY\r\n"}, "FAIL", Protocol, true, []string{"in clear"}},
		{"another's answer", "imap", []string{"CAPABILITY", "x9 OK\r\n"}, "FAIL", Protocol, false, []string{"no answer of an IMAP"}},
		{"endless list", "imap", []string{"CAPABILITY", strings.Repeat("* CAPABILITY\r\n", maxTalk)}, "FAIL", Protocol, false, []string{"more than any"}},
	} {
		t.Run(c.scheme+" "+c.name, func(t *testing.T) {
			u := serve(t, c.scheme, good[c.scheme].but(c.changes...), cfg)
			r := Check(t.Context(), u, wanted(p))
			wantFailure(t, r, c.verify, c.cause, c.words...)
			if r.Offered != c.offered {
				t.Errorf("offered: %t; want %t", r.Offered, c.offered)
			}
		})
	}
}

// TestUnreachable: nobody listens, nobody speaks, nobody waits.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := URL{Scheme: "smtp", Host: "127.0.0.1", Port: strings.TrimPrefix(l.Addr().String(), "127.0.0.1:")}
	w := Want{Timeout: 50 * time.Millisecond}
	wantFailure(t, Check(t.Context(), u, w), "TEMP", Unreachable, "no answer in time")
	u.Scheme = "smtps"
	wantFailure(t, Check(t.Context(), u, w), "FAIL", Handshake, "no answer in time")
	ended, end := context.WithCancel(t.Context())
	end()
	wantFailure(t, Check(ended, u, Want{}), "TEMP", Unreachable)
	l.Close()
	wantFailure(t, Check(t.Context(), u, Want{Timeout: time.Minute}), "TEMP", Unreachable, "cannot connect", "refused")
}

// TestJudge: what is served is not what should be.
func TestJudge(t *testing.T) {
	p := testpki.New(t)
	id, below := hostOf(p), p.Below()
	deep := hostOf(below)
	if len(deep.Chain) != 1 {
		t.Fatalf("%d certificates above a host's of a CA below another; want 1", len(deep.Chain))
	}
	bare := deep
	bare.Chain = nil
	renewed := p.Issue(ca.Request{Profile: ca.Host, Hosts: []string{host}, Key: ca.P256})
	stranger := p.Stranger()
	withRoot := hostOf(stranger)
	withRoot.Chain = []*x509.Certificate{stranger.Root()}
	own := selfSignedHost(t, "", host)
	old, oldRoot := outliving(t)
	year := time.Now().AddDate(1, 0, 0)
	for _, c := range []struct {
		name   string
		serves pki.Identity
		want   func(*Want)
		cause  Cause
		words  []string
		notes  []string
	}{
		{name: "a chain", serves: deep},
		{name: "the wanted one", serves: id, want: func(w *Want) { w.Leaf = id.Certificate }},
		{name: "any name", serves: id, want: func(w *Want) { w.Host = "" }},
		{name: "self-signed and trusted", serves: own, want: func(w *Want) { w.CAs = []*x509.Certificate{own.Certificate} }},
		{name: "not the new one", serves: id, want: func(w *Want) { w.Leaf = renewed.Certificate }, cause: OtherLeaf,
			words: []string{serial(id.Certificate), "not " + serial(renewed.Certificate), "has not read the new files"}},
		{name: "expired", serves: id, want: func(w *Want) { w.At = time.Now().AddDate(3, 0, 0) }, cause: Expired,
			words: []string{"its certificate has expired at " + day(id.Certificate.NotAfter)}},
		{name: "not yet", serves: id, want: func(w *Want) { w.At = time.Now().AddDate(-1, 0, 0) }, cause: NotYet,
			words: []string{"not valid before", "is the clock right?"}},
		{name: "CA expired", serves: old, want: func(w *Want) { w.CAs, w.At = []*x509.Certificate{oldRoot}, oldRoot.NotAfter.AddDate(0, 0, 1) }, cause: Expired,
			words: []string{"certificate of its CA CN=Old CA has expired at " + day(oldRoot.NotAfter)}},
		{name: "another name", serves: id, want: func(w *Want) { w.Host = "mail.example.jp" }, cause: OtherName,
			words: []string{"does not cover mail.example.jp; it covers " + host}},
		{name: "no names", serves: selfSignedHost(t, host), cause: SelfSigned, words: []string{"self-signed"},
			notes: []string{"no subjectAltName"}},
		{name: "self-signed", serves: own, cause: SelfSigned, words: []string{"is self-signed: no CA vouches for it"}},
		{name: "unknown CA", serves: hostOf(stranger), cause: UnknownCA, words: []string{stranger.Root().Subject.String(), "the chain is incomplete, or the CA unknown"}},
		{name: "unknown root", serves: withRoot, cause: UnknownCA, words: []string{"its root " + stranger.Root().Subject.String() + " is not in the CA file"}},
		{name: "another CA of the name", serves: hostOf(testpki.New(t)), cause: UnknownCA, words: []string{"has another key", "made at boot"}},
		{name: "intermediate missing", serves: bare, cause: UnknownCA, words: []string{"the chain is incomplete"}},
		{name: "intermediate only ours", serves: bare, want: func(w *Want) { w.CAs = append(w.CAs, deep.Chain...) },
			notes: []string{"does not send the certificate of " + deep.Chain[0].Subject.String()}},
		{name: "root missing", serves: bare, want: func(w *Want) { w.CAs = deep.Chain }, cause: Incomplete, words: []string{"but not its root"}},
		{name: "no CA", serves: id, want: func(w *Want) { w.CAs = nil }, cause: UnknownCA},
		{name: "for clients", serves: p.Client("anna@example.jp", ca.P256), want: func(w *Want) { w.Host = "" }, cause: Invalid, words: []string{"key usage"},
			notes: []string{"greets as"}},
		{name: "old TLS", serves: id, want: func(w *Want) { w.MinVersion = tls.VersionTLS13 + 1 }, cause: OldVersion, words: []string{"TLSv1.3 at best"}},
		{name: "two things", serves: id, want: func(w *Want) { w.At, w.Host = year.AddDate(5, 0, 0), "x.example.jp" }, cause: Expired,
			notes: []string{"does not cover x.example.jp"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := wanted(p)
			if c.want != nil {
				c.want(&w)
			}
			r := Check(t.Context(), serve(t, "smtp", good["smtp"], serving(c.serves)), w)
			if c.cause != "" {
				wantFailure(t, r, "FAIL", c.cause, c.words...)
			} else if !r.OK() {
				t.Errorf("%s: %v", r.Cause(), r.Err)
			}
			for i, n := range c.notes {
				if i >= len(r.Notes) || !strings.Contains(r.Notes[i], n) {
					t.Fatalf("notes %q; want %q in number %d", r.Notes, n, i)
				}
			}
			if len(r.Notes) != len(c.notes) {
				t.Errorf("notes %q; want %d", r.Notes, len(c.notes))
			}
			if len(r.Chain) != 1+len(c.serves.Chain) {
				t.Errorf("%d certificates; want %d", len(r.Chain), 1+len(c.serves.Chain))
			}
		})
	}
}

// TestAsksByName: mail programs ask for the server's name, mail servers for none,
// and everybody for what the URL says.
func TestAsksByName(t *testing.T) {
	p := testpki.New(t)
	for _, c := range []struct{ scheme, query, want string }{
		{"smtp", "", ""}, {"smtps", "", host}, {"pop3", "", host}, {"imaps", "", host}, {"smtp", "?name=sub.example.jp", "sub.example.jp"},
	} {
		names := make(chan string, 1)
		cfg := serving(hostOf(p))
		cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- h.ServerName
			return nil, nil
		}
		u := serve(t, c.scheme, good[strings.TrimSuffix(c.scheme, "s")], cfg)
		u, err := Parse(u.String() + c.query)
		if err != nil {
			t.Fatal(err)
		}
		if r := Check(t.Context(), u, wanted(p)); !r.OK() {
			t.Errorf("%s: %v", u, r.Err)
		}
		if got := <-names; got != c.want {
			t.Errorf("%s asks for %q; want %q", u, got, c.want)
		}
	}
}

// TestVersions: what a server takes, and nothing else.
func TestVersions(t *testing.T) {
	id := hostOf(testpki.New(t))
	for _, c := range []struct{ least, most uint16 }{{0x0301, 0x0304}, {0x0303, 0x0303}, {0x0304, 0x0304}, {0x0301, 0x0301}, {0x0302, 0x0303}} {
		cfg := serving(id)
		cfg.MinVersion, cfg.MaxVersion = c.least, c.most
		var want []uint16
		for v := c.least; v <= c.most; v++ {
			want = append(want, v)
		}
		for _, scheme := range []string{"smtp", "imaps"} {
			u := serve(t, scheme, good[strings.TrimSuffix(scheme, "s")], cfg)
			if got, err := Versions(t.Context(), u); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s with %x to %x takes %x, %v", scheme, c.least, c.most, got, err)
			}
			if bits, err := DHBits(t.Context(), u); err != nil || bits != 0 {
				t.Errorf("crypto/tls does Diffie-Hellman with %d bits, %v", bits, err)
			}
		}
	}
	if got := []string{VersionName(0x0300), VersionName(0x0301), VersionName(0x0302), VersionName(0x0304)}; !slices.Equal(got, []string{"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.3"}) {
		t.Errorf("they are called %q", got)
	}
}
