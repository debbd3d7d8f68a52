package mtarig

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// A Mail is an envelope and the exact bytes of a mail.
type Mail struct {
	From string   // without angle brackets; "" is the null sender
	To   []string // without angle brackets
	Data []byte
	// Args follow MAIL FROM, as "BODY=8BITMIME" or "SMTPUTF8". A Sink fills in
	// these two.
	Args []string
}

// A Client speaks SMTP in the way that it is told to: it checks nothing and
// changes no byte. A reply other than the wanted is a *textproto.Error. Every
// step has Timeout.
type Client struct {
	Extensions map[string]string // of the last EHLO: keyword in capitals, parameters
	Timeout    time.Duration

	conn net.Conn
	text *textproto.Conn
}

// Dial connects and reads the greeting.
func Dial(addr string) (*Client, error) { return DialFrom("", addr) }

// DialFrom connects from an address of its own, as 127.0.0.2.
func DialFrom(source, addr string) (*Client, error) {
	d := net.Dialer{Timeout: commandTimeout}
	if source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	// Long: an MTA answers the end of a mail when all milters have.
	c := &Client{Timeout: 2 * time.Minute, conn: conn, text: textproto.NewConn(conn)}
	if _, err := c.Reply(220); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greeting of %s: %w", addr, err)
	}
	return c, nil
}

// Send delivers one mail in a session of its own.
func Send(addr string, m Mail) error {
	c, err := Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello("client.example.test"); err != nil {
		return err
	}
	if err := c.Send(m); err != nil {
		return err
	}
	return c.Quit()
}

// Cmd sends a line and reads the reply. A wanted code of one or two digits
// stands for all codes that begin so.
func (c *Client) Cmd(want int, format string, args ...any) (string, error) {
	line := fmt.Sprintf(format, args...)
	if err := c.Raw([]byte(line + "\r\n")); err != nil {
		return "", err
	}
	text, err := c.Reply(want)
	if err != nil {
		return text, fmt.Errorf("%s: %w", line, err)
	}
	return text, nil
}

// Raw sends bytes as they are.
func (c *Client) Raw(b []byte) error {
	c.conn.SetDeadline(time.Now().Add(c.Timeout))
	_, err := c.conn.Write(b)
	return err
}

// Reply reads a reply.
func (c *Client) Reply(want int) (string, error) {
	c.conn.SetDeadline(time.Now().Add(c.Timeout))
	_, text, err := c.text.ReadResponse(want)
	return text, err
}

// Hello says EHLO.
func (c *Client) Hello(name string) error {
	text, err := c.Cmd(250, "EHLO %s", name)
	if err != nil {
		return err
	}
	c.Extensions = map[string]string{}
	for _, l := range strings.Split(text, "\n")[1:] {
		key, params, _ := strings.Cut(l, " ")
		c.Extensions[strings.ToUpper(key)] = params
	}
	return nil
}

// StartTLS changes to TLS. The next thing to say is Hello.
func (c *Client) StartTLS(cfg *tls.Config) error {
	if _, err := c.Cmd(220, "STARTTLS"); err != nil {
		return err
	}
	conn := tls.Client(c.conn, cfg)
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	c.conn, c.text = conn, textproto.NewConn(conn)
	return nil
}

// XClient makes Postfix take the session for another client's: attributes as
// NAME=mx.example.org, ADDR=192.0.2.1, LOGIN=alice@example.test (which stands
// for SMTP AUTH). The next thing to say is Hello.
func (c *Client) XClient(attributes ...string) error {
	line := "XCLIENT"
	for _, a := range attributes {
		name, value, _ := strings.Cut(a, "=")
		line += " " + name + "=" + xtext(value)
	}
	_, err := c.Cmd(220, "%s", line)
	return err
}

// xtext encodes a value as RFC 3461 section 4 says.
func xtext(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// From says MAIL FROM.
func (c *Client) From(addr string, args ...string) error {
	_, err := c.Cmd(250, "%s", strings.Join(append([]string{"MAIL FROM:<" + addr + ">"}, args...), " "))
	return err
}

// To says RCPT TO.
func (c *Client) To(addr string, args ...string) error {
	_, err := c.Cmd(25, "%s", strings.Join(append([]string{"RCPT TO:<" + addr + ">"}, args...), " "))
	return err
}

// Data sends a mail. Its bytes arrive as they are, but that an end of line is
// added to a mail without.
func (c *Client) Data(mail []byte) error {
	if _, err := c.Cmd(354, "DATA"); err != nil {
		return err
	}
	if err := c.Raw(append(Stuff(mail), ".\r\n"...)); err != nil {
		return err
	}
	_, err := c.Reply(250)
	return err
}

// Stuff doubles the dots at the beginning of lines (RFC 5321 section 4.5.2)
// and ends the last line.
func Stuff(mail []byte) []byte {
	out := make([]byte, 0, len(mail)+len(mail)/64+3)
	start := true
	for i, c := range mail {
		if start && c == '.' {
			out = append(out, '.')
		}
		out = append(out, c)
		start = c == '\n' && i > 0 && mail[i-1] == '\r'
	}
	if !start {
		out = append(out, "\r\n"...)
	}
	return out
}

// Send delivers a mail within the session. If anything is refused, the
// transaction is reset.
func (c *Client) Send(m Mail) error {
	err := c.send(m)
	if refused := new(textproto.Error); errors.As(err, &refused) && refused.Code != 421 {
		return errors.Join(err, c.Reset())
	}
	return err
}

func (c *Client) send(m Mail) error {
	if err := c.From(m.From, m.Args...); err != nil {
		return err
	}
	for _, to := range m.To {
		if err := c.To(to); err != nil {
			return err
		}
	}
	return c.Data(m.Data)
}

// Reset says RSET.
func (c *Client) Reset() error {
	_, err := c.Cmd(250, "RSET")
	return err
}

// Quit says QUIT and closes the connection.
func (c *Client) Quit() error {
	_, err := c.Cmd(221, "QUIT")
	return errors.Join(err, c.Close())
}

// Close closes the connection without a word.
func (c *Client) Close() error {
	if err := c.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return nil
}

// Code returns the code of the SMTP reply that an error holds, or 0.
func Code(err error) int {
	if e := new(textproto.Error); errors.As(err, &e) {
		return e.Code
	}
	return 0
}
