package milter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// An mta is the other end of a connection: it says what Postfix or sendmail
// would, or what they never would, and reads every byte that comes back.
type mta struct {
	t testing.TB
	net.Conn
	br *bufio.Reader
	// progress counts the packets that were skipped by answer.
	progress int
}

func newMTA(t testing.TB, c net.Conn) *mta {
	return &mta{t: t, Conn: c, br: bufio.NewReader(c)}
}

// send writes one packet; the strings are not terminated.
func (m *mta) send(code byte, data ...string) {
	m.t.Helper()
	if _, err := m.Write(appendPacket(nil, code, data...)); err != nil {
		m.t.Errorf("send %q: %v", code, err)
	}
}

// args writes one packet of NUL-terminated strings.
func (m *mta) args(code byte, args ...string) {
	m.t.Helper()
	m.send(code, nul(args...))
}

func nul(args ...string) string {
	var b strings.Builder
	for _, a := range args {
		b.WriteString(a + "\x00")
	}
	return b.String()
}

func (m *mta) macros(code byte, kv ...string) {
	m.t.Helper()
	m.send(cmdMacro, string(code), nul(kv...))
}

// read returns the next packet, as code and data in one string.
func (m *mta) read() (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(m.br, head[:]); err != nil {
		return "", err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(m.br, b)
	return string(b), err
}

// answer returns the next packet that is no progress.
func (m *mta) answer() string {
	m.t.Helper()
	for {
		p, err := m.read()
		if err != nil {
			m.t.Errorf("read an answer: %v", err)
			return ""
		}
		if p != "p" {
			return p
		}
		m.progress++
	}
}

func (m *mta) want(want string) {
	m.t.Helper()
	if got := m.answer(); got != want {
		m.t.Errorf("answer %q; want %q", got, want)
	}
}

// closed checks that the milter has nothing more to say and hangs up.
func (m *mta) closed() {
	m.t.Helper()
	if b, err := io.ReadAll(m.br); len(b) > 0 {
		m.t.Errorf("after the end: %q, %v", b, err)
	}
}

// negotiate offers what both MTAs do and returns what is asked for.
func (m *mta) negotiate() string {
	m.t.Helper()
	m.send(cmdOptNeg, "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	return m.answer()
}

func (m *mta) connect(host, family, addr string) {
	m.t.Helper()
	if family == "U" {
		m.send(cmdConnect, nul(host), "U")
		return
	}
	m.send(cmdConnect, nul(host), family, "\x09\xc4", nul(addr))
}

func (m *mta) mail(args ...string) {
	m.t.Helper()
	m.args(cmdMail, args...)
	m.want("c")
}

func (m *mta) rcpt(args ...string) {
	m.t.Helper()
	m.args(cmdRcpt, args...)
	m.want("c")
}

// content sends a header of "Name:value" lines and a body in one chunk.
func (m *mta) content(header []string, body string) {
	m.t.Helper()
	for _, h := range header {
		name, value, _ := strings.Cut(h, ":")
		m.args(cmdHeader, name, value)
	}
	m.send(cmdEOH)
	if body != "" {
		m.send(cmdBody, body)
	}
}

// eom ends the message and returns all packets up to the answer.
func (m *mta) eom() []string {
	m.t.Helper()
	m.send(cmdEOM)
	var packets []string
	for {
		p := m.answer()
		packets = append(packets, p)
		if p == "" || strings.ContainsAny(p[:1], "acdrty") {
			return packets
		}
	}
}

// start brings a session to where MAIL may come.
func (m *mta) start() *mta {
	m.t.Helper()
	m.negotiate()
	m.connect("client.example", "4", "192.0.2.1")
	m.args(cmdHelo, "client.example")
	return m
}

// deliver tells a whole small mail.
func (m *mta) deliver(sender string, rcpts []string, header []string, body string) []string {
	m.t.Helper()
	m.mail("<" + sender + ">")
	for _, r := range rcpts {
		m.rcpt("<" + r + ">")
	}
	m.content(header, body)
	return m.eom()
}

func (m *mta) quit() {
	m.t.Helper()
	m.send(cmdQuit)
	m.closed()
	m.Close()
}

// show makes packets readable in golden files: one a line, bodies shortened.
func show(packets []string) string {
	var b strings.Builder
	for _, p := range packets {
		code, data := p[0], p[1:]
		switch {
		case (code == 'm' || code == 'i') && len(data) > 4:
			fmt.Fprintf(&b, "%c %d %q\n", code, binary.BigEndian.Uint32([]byte(data)), data[4:])
		case len(data) > 400:
			fmt.Fprintf(&b, "%c %d bytes %q ... %q\n", code, len(data), data[:20], data[len(data)-20:])
		default:
			fmt.Fprintf(&b, "%c %q\n", code, data)
		}
	}
	return b.String()
}

// A pipeListener hands out connections without a system under them, which makes
// them fit for synctest's bubbles.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (l *pipeListener) dial() net.Conn {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
	case <-l.done:
		there.Close()
	}
	return here
}

// A lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu chan struct{}
	b  bytes.Buffer
}

func newLockedBuffer() *lockedBuffer { return &lockedBuffer{mu: make(chan struct{}, 1)} }

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu <- struct{}{}
	defer func() { <-l.mu }()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu <- struct{}{}
	defer func() { <-l.mu }()
	return l.b.String()
}

const testWait = 10 * time.Second
