package tlslog_test

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"mailseal/internal/logfile"
	"mailseal/internal/logline"
	"mailseal/internal/tlslog"
	"mailseal/internal/tlslog/tally"
)

// busyLog is what a busy Postfix logs: most lines are not about TLS.
func busyLog(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i/20) * time.Second).Format(time.Stamp)
		pid, peer, q := 1000+i%500, i%5000, fmt.Sprintf("%X", 1<<30+i)
		who := fmt.Sprintf("mx%d.example.jp[198.51.%d.%d]", peer, peer/250, peer%250)
		fmt.Fprintf(&b, "%s mx postfix/smtpd[%d]: connect from %s\n", at, pid, who)
		fmt.Fprintf(&b, "%s mx postfix/smtpd[%d]: Anonymous TLS connection established from %s: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256\n", at, pid, who)
		fmt.Fprintf(&b, "%s mx postfix/smtpd[%d]: %s: client=%s\n", at, pid, q, who)
		fmt.Fprintf(&b, "%s mx postfix/cleanup[%d]: %s: message-id=<%d@example.jp>\n", at, pid, q, i)
		fmt.Fprintf(&b, "%s mx postfix/qmgr[99]: %s: from=<a%d@example.jp>, size=2048, nrcpt=1 (queue active)\n", at, q, i)
		fmt.Fprintf(&b, "%s mx postfix/smtpd[%d]: disconnect from %s ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7\n", at, pid, who)
		fmt.Fprintf(&b, "%s mx postfix/smtp[%d]: Untrusted TLS connection established to %s:25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\n", at, pid+5000, who)
		fmt.Fprintf(&b, "%s mx postfix/smtp[%d]: %s: to=<b@example.jp>, relay=%s:25, delay=0.09, delays=0.01/0.03/0.02/0.02, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 8CF9B9D44C7)\n", at, pid+5000, q, who)
		fmt.Fprintf(&b, "%s mx postfix/qmgr[99]: %s: removed\n", at, q)
		fmt.Fprintf(&b, "%s mx opendkim[77]: %s: DKIM-Signature field added (s=a, d=example.jp)\n", at, q)
	}
	return b.Bytes()
}

func sum(b testing.TB, log []byte) (lines int) {
	t := tally.New(tally.MaxPeers, tally.MaxFaults)
	r := tlslog.NewReader(func(e tlslog.Event) { t.Add(&e) }, false)
	p := &logline.Parser{Latest: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Location: time.UTC}
	if err := logfile.Each(bytes.NewReader(log), func(line []byte) error {
		lines++
		if e, ok := p.Parse(line); ok {
			r.Line(e, line)
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	r.Flush()
	t.Report()
	return lines
}

func BenchmarkPostfix(b *testing.B) { benchmark(b, busyLog(16<<20)) }

func BenchmarkSendmail(b *testing.B) {
	one, err := os.ReadFile("testdata/sendmail-client.log")
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, bytes.Repeat(one, 2000))
}

func benchmark(b *testing.B, log []byte) {
	b.SetBytes(int64(len(log)))
	lines := 0
	begun := processorTime(b)
	for b.Loop() {
		lines += sum(b, log)
	}
	b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(lines)/(processorTime(b)-begun).Seconds(), "lines/cpu-s")
}

// processorTime is what the process has used of processors: others use them too.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
