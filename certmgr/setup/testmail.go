package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"regexp"
	"strings"
	"time"
)

// A TestMail is one that is sent to see how it travels.
type TestMail struct {
	Server string // host:port of the server that is asked to send it
	Host   string // the name that is said to it
	From   string
	To     string
	Log    string // the file that the server logs to
	Limit  time.Duration
}

// A Trip is what the log says of a mail.
type Trip struct {
	Queue string // its id
	// Delivery is the line of its delivery, TLS that of the connection on which
	// it went, "" where there was none.
	Delivery, TLS string
}

// Send hands a mail to the server and waits for the server to have delivered it,
// or tried to.
func (m TestMail) Send(ctx context.Context) (Trip, error) {
	ctx, cancel := context.WithTimeout(ctx, m.Limit)
	defer cancel()
	log, err := os.Open(m.Log)
	if err != nil {
		return Trip{}, fmt.Errorf("read the mail log: %w; say with -log where it is", err)
	}
	defer log.Close()
	if _, err := log.Seek(0, io.SeekEnd); err != nil {
		return Trip{}, err
	}
	id, err := m.submit(ctx)
	if err != nil {
		return Trip{}, fmt.Errorf("hand a mail to %s: %w", m.Server, err)
	}
	return m.follow(ctx, log, id)
}

// maxTalk bounds what a server may say: no honest one comes near it.
const maxTalk = 64 << 10

// talk speaks lines on a connection.
func talk(c net.Conn) *textproto.Conn {
	return textproto.NewConn(struct {
		io.Reader
		io.Writer
		io.Closer
	}{io.LimitReader(c, maxTalk), c, c})
}

// submit speaks SMTP (RFC 5321) and returns the server's id of the mail.
func (m TestMail) submit(ctx context.Context) (string, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	if at, ok := ctx.Deadline(); ok {
		raw.SetDeadline(at)
	}
	c := talk(raw)
	if _, _, err := c.ReadResponse(220); err != nil {
		return "", err
	}
	say := func(want int, format string, args ...any) (string, error) {
		if err := c.PrintfLine(format, args...); err != nil {
			return "", err
		}
		_, text, err := c.ReadResponse(want)
		return text, err
	}
	for _, line := range []string{"EHLO " + m.Host, "MAIL FROM:<" + m.From + ">", "RCPT TO:<" + m.To + ">"} {
		if strings.ContainsAny(line, "\r\n") {
			return "", fmt.Errorf("%q: want one address", line)
		}
		if _, err := say(2, "%s", line); err != nil {
			return "", err
		}
	}
	if _, err := say(3, "DATA"); err != nil {
		return "", err
	}
	text, err := say(250, "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\nMessage-ID: <%d.setup@%s>\r\nSubject: mailseal setup\r\n\r\n"+
		"This shows with which certificate %s sends.\r\n.", m.From, m.To, time.Now().Format(time.RFC1123Z), time.Now().UnixNano(), m.Host, m.Host)
	if err != nil {
		return "", err
	}
	say(2, "QUIT") // it has the mail already
	return queueID(text)
}

// queueID finds the id in the answer to DATA: sendmail says "2.0.0 4ALD1xyz01234
// Message accepted for delivery", Postfix "2.0.0 Ok: queued as 4XyZ".
func queueID(text string) (string, error) {
	words := strings.Fields(text)
	for i, w := range words {
		switch {
		case w == "as" && i > 0 && words[i-1] == "queued" && i+1 < len(words):
			return words[i+1], nil
		case w == "Message" && i > 0 && i+1 < len(words) && words[i+1] == "accepted":
			return words[i-1], nil
		}
	}
	return "", fmt.Errorf("%q does not say under which id the mail is queued", text)
}

var (
	// delivery is a line about a recipient: sendmail's has stat=, Postfix's status=.
	delivery = regexp.MustCompile(`\[(\d+)\]: (\w+): to=<.*(stat|status)=`)
	// handshake is what both log of a connection as a client. At higher log levels sendmail
	// writes other lines too that begin so: the certificate's names, how TLS is ended.
	handshake = regexp.MustCompile(`\[(\d+)\]: (STARTTLS=client, relay=.*, verify=|(Anonymous|Untrusted|Trusted|Verified) TLS connection (established|reused) to )`)
	// pending: the daemon has taken the mail and not yet tried.
	pending = regexp.MustCompile(`stat=(queued|Deferred: .*held)`)
)

// follow reads what is logged from now on.
func (m TestMail) follow(ctx context.Context, log io.Reader, id string) (Trip, error) {
	trip := Trip{Queue: id}
	clients := map[string]string{} // the last handshake of each process
	rest := ""
	buf := make([]byte, 64<<10)
	for {
		n, err := log.Read(buf)
		if err != nil && !errors.Is(err, io.EOF) {
			return trip, err
		}
		all := strings.SplitAfter(rest+string(buf[:n]), "\n")
		rest = all[len(all)-1]
		if len(rest) > len(buf) {
			rest = ""
		}
		for _, line := range all[:len(all)-1] {
			if h := handshake.FindStringSubmatch(line); h != nil {
				clients[h[1]] = strings.TrimSpace(line)
			}
			if d := delivery.FindStringSubmatch(line); d != nil && d[2] == id && !pending.MatchString(line) {
				trip.Delivery, trip.TLS = strings.TrimSpace(line), clients[d[1]]
				return trip, nil
			}
		}
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return trip, fmt.Errorf("%s says nothing about the delivery of %s within %v; look at the queue, and say with -log where the server logs", m.Log, id, m.Limit)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Verify is the word of the handshake: sendmail's verify=, and for Postfix, which
// has words of its own, what sendmail would call it.
func (t Trip) Verify() string {
	if _, after, ok := strings.Cut(t.TLS, "verify="); ok {
		word, _, _ := strings.Cut(after, ",")
		return word
	}
	h := handshake.FindStringSubmatch(t.TLS)
	switch {
	case h == nil:
		return "NONE"
	case h[3] == "Trusted", h[3] == "Verified":
		return "OK"
	case h[3] == "Anonymous":
		return "NO"
	}
	return "FAIL"
}

// LogOf finds the file that a server logs to, by what is usual. The error says
// where it was looked for.
func LogOf(s *Server) (string, error) {
	paths := []string{}
	if s.Log != "" && s.Log != "/dev/stdout" {
		paths = append(paths, s.Log)
	}
	for _, p := range []string{"/var/log/mail.log", "/var/log/maillog"} {
		paths = append(paths, s.Prefix+p)
	}
	for _, p := range paths {
		if exists(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("no mail log at %s; say with -log FILE where it is (a system with journald alone: journalctl -f -t sm-mta >FILE)", strings.Join(paths, ", "))
}
