package milter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A conn is one connection of an MTA as the library sees it. Reading from it
// gives the library those packets that want an answer, and of them only the
// code: what they hold the session has taken already. Read, Write and what they
// call belong to the library's goroutine for the connection.
//
// The library logs every error but io.EOF on the standard logger and then
// closes the connection. So each error is logged here and told as io.EOF.
type conn struct {
	net.Conn
	server  *Server
	session *session
	in      *bufio.Reader
	out     outbox
	pending []byte // what the library has yet to read of the packet it gets
	packet  []byte // where the data of the latest large packet is
	watch   stopwatch

	mu     sync.Mutex // guards inMail
	inMail bool       // an idle connection may be closed, this one not
	closed sync.Once
}

const readBuffer = 8 << 10

// errClosing ends a connection that begins a mail while the server shuts down.
var errClosing = errors.New("shutting down")

func newConn(s *Server, nc net.Conn) *conn {
	quick := quickAck(nc)
	c := &conn{Conn: nc, server: s}
	c.session = &session{server: s, conn: c}
	c.in = bufio.NewReaderSize(readerFunc(func(p []byte) (int, error) {
		quick()
		n, err := nc.Read(p)
		s.stats.received.Add(int64(n))
		return n, bare(err)
	}), readBuffer)
	c.out.w = writerFunc(func(p []byte) (int, error) {
		_ = nc.SetWriteDeadline(time.Now().Add(s.conf.Write))
		n, err := nc.Write(p)
		s.stats.sent.Add(int64(n))
		return n, bare(err)
	})
	return c
}

// bare leaves the addresses out of an error: that of a Unix socket is where it
// was made, which says nothing to anybody.
func bare(err error) error {
	if op := new(net.OpError); errors.As(err, &op) {
		return op.Err
	}
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Read gives the library the next packet that it has to answer.
func (c *conn) Read(p []byte) (int, error) {
	for len(c.pending) == 0 {
		if c.out.err != nil {
			c.lost(fmt.Errorf("answer not sent: %w", c.out.err))
			return 0, io.EOF
		}
		if c.session.mail == nil && !c.idle() {
			return 0, io.EOF
		}
		packet, err := c.next()
		if err != nil {
			c.lost(err)
			return 0, io.EOF
		}
		if packet.code == cmdQuit {
			return 0, io.EOF
		}
		answer, err := c.session.take(packet)
		if err != nil {
			c.lost(err)
			return 0, io.EOF
		}
		if answer {
			c.pending = []byte{0, 0, 0, 1, packet.code}
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// next reads one packet. The MTA may think for a long time before it begins
// one, but not within.
func (c *conn) next() (packet, error) {
	if c.in.Buffered() == 0 {
		patience := c.server.conf.Idle
		if !c.session.negotiated {
			patience = c.server.conf.Read
		}
		c.wait(patience)
		if _, err := c.in.Peek(1); err != nil {
			return packet{}, err
		}
	}
	if !c.buffered() {
		c.wait(c.server.conf.Read)
	}
	head, err := c.in.Peek(headSize)
	if err != nil {
		return packet{}, cut(err)
	}
	length, code := binary.BigEndian.Uint32(head), head[4]
	if length == 0 {
		return packet{}, errors.New("packet of no bytes")
	}
	if length > uint32(limit(code)) {
		return packet{}, fmt.Errorf("packet %q of %d bytes, more than %d", code, length, limit(code))
	}
	data, err := c.data(int(length - 1))
	if err != nil {
		return packet{}, cut(err)
	}
	return packet{code: code, data: data}, nil
}

// headSize is the length of a packet and its code.
const headSize = 5

// buffered reports whether the next packet has come as a whole. Most of them
// come many at a time, and a deadline for each costs more than reading it.
func (c *conn) buffered() bool {
	if c.in.Buffered() < headSize {
		return false
	}
	head, _ := c.in.Peek(headSize) // they are there
	return uint64(c.in.Buffered()) >= 4+uint64(binary.BigEndian.Uint32(head))
}

// data reads the n bytes behind the head of a packet, which is in the buffer
// still. What fits is not taken out of it.
func (c *conn) data(n int) ([]byte, error) {
	if headSize+n <= readBuffer {
		whole, err := c.in.Peek(headSize + n)
		if err != nil {
			return nil, err
		}
		_, err = c.in.Discard(headSize + n)
		return whole[headSize:], err
	}
	if _, err := c.in.Discard(headSize); err != nil {
		return nil, err
	}
	data := c.room(n)
	_, err := io.ReadFull(c.in, data)
	return data, err
}

// room returns n bytes to read a packet into.
func (c *conn) room(n int) []byte {
	if cap(c.packet) < n {
		if n <= outboxSize {
			c.packet = c.server.buffer()
		} else {
			c.packet = make([]byte, n)
		}
	}
	return c.packet[:n]
}

// wait sets how long the next reads may take. It fails on a connection that has
// ended, which reading will tell better.
func (c *conn) wait(d time.Duration) { _ = c.SetReadDeadline(time.Now().Add(d)) }

// cut tells the end of a connection within a packet from one between packets.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// lost logs why a connection ends. sendmail just closes it on a 421.
func (c *conn) lost(err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errClosing), errors.Is(err, net.ErrClosed):
	default:
		c.server.stats.broken.Add(1)
		c.session.log().Warn("connection", "error", err)
	}
	c.session.drop()
}

// Write takes the library's answers and sends them with all that waits. The
// library is never told of an error: it would log it elsewhere. The next Read
// ends the connection.
func (c *conn) Write(p []byte) (int, error) {
	if c.out.append(p) == nil {
		_ = c.out.flush() // the outbox remembers it
	}
	c.watch.stop()
	c.release()
	return len(p), nil
}

// send writes edits. They leave with the answer, or when there are too many to
// wait for it.
func (c *conn) send(p *plan) error {
	c.out.buf = c.server.buffer()
	return c.out.plan(p)
}

// release gives large buffers back: connections are many and mostly idle.
func (c *conn) release() {
	for _, b := range []*[]byte{&c.out.buf, &c.packet} {
		if cap(*b) > readBuffer {
			c.server.recycle(*b)
			*b = nil
		}
	}
}

// progress tells the MTA to go on waiting (SMFIR_PROGRESS).
func (c *conn) progress() error {
	if err := c.out.append([]byte{0, 0, 0, 1, 'p'}); err != nil {
		return err
	}
	return c.out.flush()
}

// busy says that a mail begins. It reports false when none may.
func (c *conn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inMail = true
	return !c.server.closing()
}

// idle says that there is no mail. It reports false when the connection should
// end.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inMail = false
	return !c.server.closing()
}

// closeIfIdle ends a connection that waits for its next mail.
func (c *conn) closeIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inMail {
		c.Conn.Close()
	}
}

// Close ends the connection. The library always calls it, once, when its
// goroutine ends: it is the close callback that the library has not.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.closed.Do(func() {
		c.session.drop()
		c.server.forget(c)
	})
	return err
}
