package tlslog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"mailseal/internal/logline"
	"mailseal/internal/tlslog"
)

// shown is what is read of lines, without the time.
func shown(t testing.TB, lines ...string) []string {
	t.Helper()
	var all []string
	for _, e := range read(t, strings.Join(lines, "\n"), false) {
		_, s, _ := strings.Cut(show(e), " ")
		_, s, _ = strings.Cut(s, " ")
		all = append(all, s)
	}
	return all
}

// TestForged: what a stranger can have logged makes no result for somebody else.
func TestForged(t *testing.T) {
	const (
		sm  = "Nov 21 09:08:21 mx sm-mta[7]: "
		in  = "Nov 21 09:08:21 mx postfix/smtpd[8]: "
		out = "Nov 21 09:08:21 mx postfix/smtp[9]: "
		ex  = "2026-11-21 09:08:21 "
	)
	for _, tt := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"a name with control characters", []string{sm + `STARTTLS=server, relay=a+1B[2J+0Aevil [192.0.2.1], version=TLSv1.3, verify=OK, cipher=X, bits=256/256`},
			[]string{`in OK name="a\x1b[2J\nevil" address="192.0.2.1" said="verify=OK" version="TLSv1.3"`}},
		{"a name that may be forged", []string{sm + `STARTTLS=server, relay=mx.bank.example [192.0.2.1] (may be forged), version=TLSv1.3, verify=FAIL, cipher=X, bits=256/256`},
			[]string{`in FAIL address="192.0.2.1" said="verify=FAIL" version="TLSv1.3"`}},
		{"a certificate that says that it is fine", []string{
			sm + `STARTTLS: TLS cert verify: depth=0 /CN=x, state=1, reason=ok, state=0, reason=certificate has expired`,
			sm + `STARTTLS=server, relay=evil [192.0.2.1], version=TLSv1.3, verify=FAIL, cipher=X, bits=256/256`,
			sm + `STARTTLS=server, cert-subject=/CN=x,+20verifymsg=ok, cert-issuer=/CN=y, verifymsg=certificate has expired`},
			[]string{`in FAIL name="evil" address="192.0.2.1" said="verify=FAIL" version="TLSv1.3" reason="certificate has expired" subject="/CN=x, verifymsg=ok" issuer="/CN=y" -> expired`}},
		{"a recipient like a ruleset", []string{sm + `6AM80LSd019869: to=<"ruleset=tls_server, arg1=FAIL, relay=mx.bank.example, reject=403 4.7.0 x"@x>, stat=Deferred`}, nil},
		{"a sender like a result", []string{sm + `6AM80LSd019869: from=<"STARTTLS=server, relay=mx.bank.example [192.0.2.9], version=TLSv1.3, verify=OK"@x>, size=1`}, nil},
		{"a recipient like a delivery", []string{
			out + `Trusted TLS connection established to mx.good.example[192.0.2.2]:25: TLSv1.3 with cipher X (256/256 bits)`,
			out + `503F99D45B9: to=<"a, relay=mx.bank.example[192.0.2.9]:25, x"@good.example>, relay=mx.good.example[192.0.2.2]:25, delay=1, status=sent (250 ok, relay=mx.bank.example[192.0.2.9]:25, delay=1)`},
			[]string{`out OK name="mx.good.example" address="192.0.2.2" said="Trusted" version="TLSv1.3"`}},
		{"a greeting like a wait", []string{out + `503F99D45B9: to=<a@b>, relay=mx.evil.example[192.0.2.2]:25, delay=1, status=bounced (host said: 550 status=deferred (Server certificate not verified))`}, nil},
		{"a name that is two words of Postfix", []string{in + `Trusted TLS connection established from x to y: z[192.0.2.1]: TLSv1.3 with cipher X (1/1 bits)`},
			[]string{`in OK name="x" said="Trusted" version="z[192.0.2.1]:"`}},
		{"a name of another's in HELO", []string{ex + `1tFqGa-0003Yb-2x <= a@b H=(mx.bank.example [192.0.2.9]) [192.0.2.1] P=esmtps X=TLS1.3:X:256 CV=no S=1 id=x`},
			[]string{`in NO address="192.0.2.1" said="CV=no" version="TLS1.3"`}},
		{"an address in HELO", []string{ex + `1tFqGa-0003Yb-2x <= a@b H=([192.0.2.9]) [192.0.2.1] P=esmtps X=TLS1.3:X:256 CV=no S=1`},
			[]string{`in NO address="192.0.2.1" said="CV=no" version="TLS1.3"`}},
		{"an answer like a field", []string{ex + `1tFqGa-0003Yb-2x => a@b R=r T=t H=mx.evil.example [192.0.2.1] X=TLS1.3:X:256 CV=no C="250 CV=yes DN=\"x\" H=mx.bank.example [192.0.2.9]"`},
			[]string{`out FAIL name="mx.evil.example" address="192.0.2.1" said="CV=no" version="TLS1.3"`}},
		{"another program's text", []string{"Nov 21 09:08:21 mx sshd[7]: STARTTLS=server, relay=mx.bank.example [192.0.2.9], version=TLSv1.3, verify=FAIL, cipher=X, bits=1/1",
			"Nov 21 09:08:21 mx sshd[7]: Untrusted TLS connection established to mx.bank.example[192.0.2.9]:25: TLSv1.3"}, nil},
		{"an author like a result of ours", []string{`Nov 21 09:08:21 mx mailseal[1]: 4gDk2P0Jz6z9sWn: verified smime=none verify=NO author="\"a\" verify\x3dOK@x.example"`},
			[]string{`mail NO name="x.example" said="smime=none"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, shown(t, tt.lines...)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestApart: lines of several processes between each other are put together
// rightly, and a process's number comes again.
func TestApart(t *testing.T) {
	line := func(pid int, at, text string) string {
		return fmt.Sprintf("Nov 21 %s mx postfix/smtp[%d]: %s", at, pid, text)
	}
	got := shown(t,
		line(1, "09:00:00", "certificate verification failed for a[192.0.2.1]:25: untrusted issuer /CN=A"),
		line(2, "09:00:00", "server certificate verification failed for b[192.0.2.2]:25: certificate has expired"),
		line(2, "09:00:01", "Untrusted TLS connection established to b[192.0.2.2]:25: TLSv1.3 with cipher X (1/1 bits)"),
		line(1, "09:00:01", "Untrusted TLS connection established to a[192.0.2.1]:25: TLSv1.2 with cipher X (1/1 bits)"),
		line(1, "09:00:02", "A1B2C3D4E5F: to=<x@a>, relay=a[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)"),
		line(2, "09:00:02", "A1B2C3D4E5F: to=<x@b>, relay=b[192.0.2.2]:25, delay=1, dsn=4.7.5, status=deferred (Server certificate not verified)"),
		// Hours later, another process with this number has no TLS with a.
		line(1, "15:00:02", "A1B2C3D4E5F: to=<x@a>, relay=a[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)"),
		line(3, "15:00:02", "SSL_connect error to c[192.0.2.3]:25: Connection timed out"),
	)
	want := []string{
		`out FAIL name="a" address="192.0.2.1" said="Untrusted" version="TLSv1.2" reason="untrusted issuer /CN=A" issuer="/CN=A" -> unknown-ca`,
		`out FAIL name="b" address="192.0.2.2" said="Untrusted" version="TLSv1.3" reason="certificate has expired" waits -> expired`,
		`out NONE name="a" address="192.0.2.1" said="no STARTTLS" -> clear`,
		`out SOFTWARE name="c" address="192.0.2.3" said="handshake failed" reason="Connection timed out" -> timeout`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestKept: sendmail's access map keeps a mail here, with a result that came
// before and with one that did not.
func TestKept(t *testing.T) {
	const sm = "Nov 21 09:08:21 mx sm-mta[7]: "
	got := shown(t,
		sm+"STARTTLS=client, relay=mx.a.example., version=TLSv1.3, verify=FAIL, cipher=X, bits=1/1",
		sm+"STARTTLS=client, cert-subject=/CN=a, cert-issuer=/CN=b, verifymsg=certificate has expired",
		sm+"6AM80LSd019869: ruleset=tls_server, arg1=FAIL, relay=mx.a.example, reject=403 4.7.0 authentication failed",
		sm+"6AM80LSd019869: to=<x@a.example>, delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=30014, relay=mx.a.example. [192.0.2.1], dsn=4.7.0, stat=Deferred: 403 4.7.0 authentication failed",
		sm+"ruleset=tls_server, arg1=NONE, relay=mx.b.example, reject=403 4.7.0 not authenticated",
	)
	want := []string{
		`out FAIL name="mx.a.example" address="192.0.2.1" said="verify=FAIL" version="TLSv1.3" reason="certificate has expired" subject="/CN=a" issuer="/CN=b" waits -> expired`,
		`out NONE name="mx.b.example" said="verify=NONE" waits -> not-offered`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestManyProcesses: what was pending when memory is made free is not lost.
func TestManyProcesses(t *testing.T) {
	var log strings.Builder
	const n = 40_000
	for i := range n {
		fmt.Fprintf(&log, "Nov 21 09:00:00 mx sm-mta[%d]: STARTTLS=server, relay=c%d [192.0.2.1], version=TLSv1.3, verify=OK, cipher=X, bits=1/1\n", i+1, i)
	}
	seen := map[string]int{}
	for _, e := range read(t, log.String(), false) {
		seen[e.Name]++
	}
	if len(seen) != n {
		t.Errorf("%d of %d", len(seen), n)
	}
}

// TestKeeps: the lines that an Event was made of.
func TestKeeps(t *testing.T) {
	log := "Nov 21 09:08:21 mx postfix/smtpd[8]: SSL_accept error from unknown[192.0.2.1]: -1\n" +
		"Nov 21 09:08:21 mx postfix/smtpd[8]: warning: TLS library problem: error:0A000412:SSL routines::sslv3 alert bad certificate:../ssl/record/rec_layer_s3.c:1601:SSL alert number 42:\n" +
		"Nov 21 09:08:21 mx postfix/smtpd[8]: lost connection after STARTTLS from unknown[192.0.2.1]\n"
	all := read(t, log, true)
	if len(all) != 1 || len(all[0].Lines) != 2 || !strings.HasSuffix(all[0].Lines[1], "number 42:") {
		t.Errorf("%+v", all)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"mx.example.jp":        "mx.example.jp",
		"山田":                   "山田",
		"a\x1b[2J\n\x00\x7f\\": `a\x1b[2J\x0a\x00\x7f\x5c`,
		"\u202egpj.exe\u2028":  `\u{202e}gpj.exe\u{2028}`,
		"\xff\u009b":           `\xff\u{9b}`,
		"\U000e0001":           `\u{e0001}`,
	} {
		if got := tlslog.Printable(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// FuzzReader: no line does harm, and what is kept of it is bounded and can be
// printed.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"sm-mta\nSTARTTLS=server, relay=a [192.0.2.1], version=TLSv1.3, verify=FAIL, cipher=X, bits=1/1\nSTARTTLS=server, cert-subject=/CN=x, cert-issuer=/CN=y, verifymsg=ok",
		"sm-mta\nSTARTTLS=client, error: connect failed=-1, reason=x, SSL_error=1\nruleset=tls_server, arg1=SOFTWARE, relay=a., reject=454 4.7.0 x",
		"sm-mta\nSTARTTLS=server: file /x unsafe: No such file or directory\nSTARTTLS=server, error: SSL_CTX_check_private_key failed(/x): 0",
		"postfix/smtpd\nSSL_accept error from unknown[192.0.2.1]: -1\nwarning: TLS library problem: error:0A000412:SSL routines::x:y:1:",
		"postfix/smtpd\nwarning: key at index 1 in /x does not match next certificate\ndisconnect from a[192.0.2.1] ehlo=1 starttls=0/1 mail=1",
		"postfix/smtp\ncertificate verification failed for a[192.0.2.1]:25: untrusted issuer /CN=x\nUntrusted TLS connection established to a[192.0.2.1]:25: TLSv1.3 with cipher X",
		"exim\n1tFqGa-0003Yb-2x <= a@b H=(x) [192.0.2.1] P=esmtps X=TLS1.3:X:256 CV=no DN=\"x\"\nTLS error on connection from a [192.0.2.1] (gnutls_handshake): x",
		"dovecot\nimap-login: Disconnected: rip=192.0.2.1, TLS handshaking: SSL_accept() failed: error:1:2:3:4, session=<x>",
		"mailseal\n-: probe url=smtp://x verify=OK tls=\"a b\"\nA1: verified smime=fail verify=FAIL signer=a@b reason=\"x\\ny\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		program, rest, _ := strings.Cut(text, "\n")
		r := tlslog.NewReader(func(e tlslog.Event) {
			for _, s := range []string{e.Name, e.Address, e.Said, e.Version, e.Cipher, e.Reason, e.Subject, e.Issuer, e.File} {
				if len(s) > 600 {
					t.Errorf("%d bytes are kept", len(s))
				}
				for _, r := range tlslog.Printable(s) {
					if !unicode.IsPrint(r) {
						t.Errorf("%q is printed as %q", s, tlslog.Printable(s))
					}
				}
			}
			if e.Side.String() == "" || e.Side != tlslog.Own && e.Verdict == tlslog.NoVerdict {
				t.Errorf("%+v", e)
			}
		}, true)
		at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
		for line := range strings.SplitSeq(rest, "\n") {
			r.Line(logline.Entry{Time: at, Program: []byte(program), PID: 7, Message: []byte(line)}, []byte(line))
		}
		r.Flush()
	})
}
