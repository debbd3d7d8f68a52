package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"time"
	"unicode"
)

// maxTalk bounds what a server may say on either side of the handshake: no
// honest one comes near it.
const maxTalk = 64 << 10

// maxText bounds what is quoted of it.
const maxText = 200

var errTooMuch = errors.New("it says more than any mail server does")

// A meter reads so much and no more.
type meter struct {
	r    io.Reader
	left int
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left == 0 {
		return 0, errTooMuch
	}
	n, err := m.r.Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}

// A wire is a connection on which lines are spoken, clear or within TLS.
type wire struct {
	net.Conn
	*textproto.Reader
	// tag counts IMAP's commands.
	tag int
}

func newWire(c net.Conn) *wire {
	return &wire{Conn: c, Reader: textproto.NewReader(bufio.NewReader(&meter{c, maxTalk}))}
}

func (w *wire) say(format string, args ...any) error {
	_, err := fmt.Fprintf(w.Conn, format+"\r\n", args...)
	return err
}

// early is what the server has said without being asked: bytes that came in clear
// must not be taken for such that came within TLS (CVE-2011-0411).
func (w *wire) early() int { return w.R.Buffered() }

// dial connects, and has the connection end with ctx at the latest.
func dial(ctx context.Context, u URL) (net.Conn, func(), error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", u.Address())
	if err != nil {
		return nil, nil, &Failure{Unreachable, "cannot connect: " + plain(err.Error()), err}
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	return c, func() { stop(); c.Close() }, nil
}

// lost says why a server's answer did not come. What it was asked is doing.
func lost(doing string, err error) error {
	var already *Failure
	var reply *textproto.Error
	var wrong textproto.ProtocolError
	switch {
	case errors.As(err, &already):
		return err
	case errors.Is(err, errTooMuch):
		return &Failure{Protocol, fmt.Sprintf("%s: %v", doing, err), err}
	case errors.As(err, &wrong):
		return &Failure{Protocol, fmt.Sprintf("%s: its answer is none of the protocol: %s", doing, plain(wrong.Error())), err}
	case errors.As(err, &reply):
		return refused(doing, reply.Code, said(reply.Code, reply.Msg))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Failure{Unreachable, doing + ": no answer in time", err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Failure{Unreachable, doing + ": it closes the connection", err}
	}
	return &Failure{Unreachable, doing + ": " + plain(err.Error()), err}
}

// refused is an SMTP reply that lets nobody in: for now, or for good.
func refused(doing string, code int, reply string) error {
	cause := Refused
	if code/100 == 4 {
		cause = Unreachable
	}
	return &Failure{cause, fmt.Sprintf("%s: it answers %q", doing, reply), nil}
}

func said(code int, text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return plain(fmt.Sprintf("%03d %s", code, first))
}

// plain makes what a server has said fit for a terminal and a line of the log.
func plain(s string) string {
	cut := ""
	if len(s) > maxText {
		s, cut = s[:maxText], "..."
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?")) + cut
}
