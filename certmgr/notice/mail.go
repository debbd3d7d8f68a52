package notice

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// A Mail sends notices to somebody.
type Mail struct {
	Admin  string // whom
	Server string // host:port
	Host   string // this host's name
}

// patience bounds a mail from dialling to the server's last answer.
const patience = 2 * time.Minute

// maxTalk bounds what a server may say: no honest one comes near it.
const maxTalk = 64 << 10

// A bounded connection reads so much and no more.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("it says more than any mail server does")
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// Send sends one mail about all of them. It is plain SMTP: the server is this
// host's own, or takes what this host sends.
func (m Mail) Send(ctx context.Context, ns []Notice) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return fmt.Errorf("notify %s: %w", m.Admin, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c := smtp.NewClient(&bounded{conn, maxTalk})
	defer c.Close()
	if err := m.hand(c, ns); err != nil {
		return fmt.Errorf("notify %s by %s: %w", m.Admin, m.Server, err)
	}
	_ = c.Quit() // it is the server's already
	return nil
}

func (m Mail) hand(c *smtp.Client, ns []Notice) error {
	if err := c.Hello(m.Host); err != nil {
		return err
	}
	return c.SendMail(m.Admin, []string{m.Admin}, bytes.NewReader(m.compose(ns, time.Now())))
}

// compose writes the mail. Sender and recipient are the same: there is no other
// address that is known to take what comes back.
func (m Mail) compose(ns []Notice, now time.Time) []byte {
	var b bytes.Buffer
	subject := fmt.Sprintf("mailseal on %s: %s", m.Host, about(ns[0]))
	if more := len(ns) - 1; more > 0 {
		subject += fmt.Sprintf(", and %d more", more)
	}
	for _, f := range [][2]string{
		{"From", "mailseal certmgr <" + m.Admin + ">"},
		{"To", "<" + m.Admin + ">"},
		{"Subject", mime.QEncoding.Encode("utf-8", subject)},
		{"Date", now.Format("Mon, 02 Jan 2006 15:04:05 -0700")},
		{"Message-ID", "<" + rand.Text() + "@" + m.Host + ">"},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834 section 5
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	fmt.Fprintf(w, "mailseal certmgr on %s cannot put this right by itself:\r\n", m.Host)
	for _, n := range ns {
		fmt.Fprintf(w, "\r\n* %s, %s\r\n", about(n), n.At.Format("2006-01-02 15:04:05 -0700"))
		for line := range strings.SplitSeq(strings.TrimSpace(n.Text), "\n") {
			fmt.Fprintf(w, "  %s\r\n", strings.Map(printable, line))
		}
	}
	fmt.Fprint(w, "\r\nIt is tried again and again, at least every quarter of an hour. The log tells when it is\r\n"+
		"well again. This is told once a day, as long as it lasts. What to do: doc/certmgr.md;\r\n"+
		"mailseal certmgr -plan shows what is wrong with the files.\r\n")
	_ = w.Close() // into memory
	return b.Bytes()
}

// about names what a notice is about.
func about(n Notice) string {
	what := map[string]string{
		"authority": "the CA cannot be asked",
		"issue":     "no new certificate or list is to be had",
		"install":   "files cannot be installed",
		"reload":    "the server cannot be told to read its files",
		"server":    "the server does not serve its certificate",
		"absent":    "the server does not answer",
		"others":    "files are wrong about which nothing can be done here",
		"repeated":  "somebody changes files again and again",
		"journal":   "an installation that was cut short cannot be ended",
	}[n.Cause]
	if what == "" {
		what = n.Cause
	}
	if n.Target == "" {
		return what
	}
	return n.Target + ": " + what
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}
