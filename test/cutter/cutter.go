// Package cutter stands between an MTA and its milter. It sees every packet of
// their talk before it goes on, and can end the talk at any of them: so a test
// finds out what becomes of a mail when the milter dies at that very point,
// without a hook in the milter.
//
//	c := cutter.Serve(listener, cutter.To("unix", socket))
//	c.Watch(func(p cutter.Packet) cutter.Action {
//		if p.Side == cutter.MTA && p.Code == 'L' && p.Nth == 2 {
//			milter.Kill()
//			return cutter.Cut
//		}
//		return cutter.Pass
//	})
//
// What the milter had said before the cut has reached the MTA, byte for byte;
// of what it said after, nothing has. A milter that is killed while its last
// words are in the socket would leave more or less of them to the MTA by
// chance.
package cutter

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// A Side is who sends a packet.
type Side byte

const (
	MTA    Side = 'C' // commands
	Milter Side = 'R' // answers and edits
)

// A Packet is a place in the talk on one connection.
type Packet struct {
	Conn int  // connections are counted from 0
	Side Side // who sends it
	Code byte // what it is, as 'B' for a piece of a body
	// N counts the packets of this side, and Nth those of this side and code,
	// on this connection from 0. The sides talk at the same time: how they
	// interleave says nothing.
	N, Nth int
	Size   int  // of the code and the data
	Detail byte // the first of the data: the command that macros are for
}

// names of the packets, for people.
var names = map[Side]map[byte]string{
	MTA: {
		'O': "negotiate", 'D': "macros", 'C': "connect", 'H': "helo", 'M': "mail", 'R': "rcpt", 'T': "data", 'L': "header",
		'N': "end-of-header", 'B': "body", 'E': "end-of-message", 'A': "abort", 'Q': "quit", 'K': "quit-new", 'U': "unknown",
	},
	Milter: {
		'O': "negotiated", 'c': "continue", 'a': "accept", 't': "tempfail", 'r': "reject", 'd': "discard", 'y': "reply", 's': "skip",
		'p': "progress", 'm': "change-header", 'h': "add-header", 'i': "insert-header", 'b': "replace-body", '+': "add-rcpt", '2': "add-rcpt-args",
		'-': "drop-rcpt", 'e': "change-from", 'q': "quarantine",
	},
}

// Name is what the packet is: "mta header", "milter replace-body".
func (p Packet) Name() string {
	side := "mta "
	if p.Side == Milter {
		side = "milter "
	}
	name, ok := names[p.Side][p.Code]
	if !ok {
		name = fmt.Sprintf("%q", p.Code)
	}
	if p.Side == MTA && p.Code == 'D' {
		name += "-of-" + names[MTA][p.Detail]
	}
	return side + name
}

func (p Packet) String() string { return fmt.Sprintf("%s %d", p.Name(), p.Nth) }

// An Action is what becomes of a packet.
type Action int

const (
	Pass  Action = iota
	Cut          // the packet is lost, and the connection
	Break        // half of the packet passes, then the connection is lost
)

// See decides on a packet. It may take its time: the packet waits. It is
// called from one goroutine for each side of each connection.
type See func(Packet) Action

// A Cutter listens for one MTA.
type Cutter struct {
	listener net.Listener
	dial     func() (net.Conn, error)
	see      atomic.Pointer[See]
	wait     sync.WaitGroup

	mu    sync.Mutex
	conns int
	open  map[net.Conn]bool // nil once closed
}

// To dials the milter that is behind.
func To(network, address string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.Dial(network, address) }
}

// Serve has the MTA that connects to the listener talk to the milter that dial
// reaches. Where it cannot be reached the MTA loses its connection.
func Serve(l net.Listener, dial func() (net.Conn, error)) *Cutter {
	c := &Cutter{listener: l, dial: dial, open: map[net.Conn]bool{}}
	c.Watch(nil)
	c.wait.Go(func() {
		for {
			mta, err := l.Accept()
			if err != nil {
				return // closed
			}
			c.wait.Go(func() { c.connection(mta) })
		}
	})
	return c
}

// Watch has see decide on all packets from now on; nil lets them pass.
func (c *Cutter) Watch(see See) {
	if see == nil {
		see = func(Packet) Action { return Pass }
	}
	c.see.Store(&see)
}

// Next is the number that the next connection gets.
func (c *Cutter) Next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns
}

// Close ends all connections and waits for what See is doing.
func (c *Cutter) Close() error {
	err := c.listener.Close()
	c.mu.Lock()
	for conn := range c.open {
		conn.Close()
	}
	c.open = nil
	c.mu.Unlock()
	c.wait.Wait()
	return err
}

// own keeps a connection for Close, and says no when that has been called.
func (c *Cutter) own(conns ...net.Conn) (number int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		return 0, false
	}
	for _, conn := range conns {
		c.open[conn] = true
	}
	c.conns++
	return c.conns - 1, true
}

func (c *Cutter) disown(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		delete(c.open, conn)
	}
}

func (c *Cutter) connection(mta net.Conn) {
	defer mta.Close()
	milter, err := c.dial()
	if err != nil {
		return
	}
	defer milter.Close()
	n, ok := c.own(mta, milter)
	if !ok {
		return
	}
	defer c.disown(mta, milter)

	var both sync.WaitGroup
	pass := func(side Side, from, to net.Conn) {
		both.Go(func() {
			c.pass(n, side, from, to)
			// What was written stays readable. Whichever side ends it, the
			// talk has ended.
			from.Close()
			to.Close()
		})
	}
	pass(MTA, mta, milter)
	pass(Milter, milter, mta)
	both.Wait()
}

// maxPacket is more than either side sends.
const maxPacket = 64 << 20

// pass hands on packets in one direction until one side has gone or See cuts.
func (c *Cutter) pass(conn int, side Side, from io.Reader, to io.Writer) {
	nth := map[byte]int{}
	for n := 0; ; n++ {
		raw, err := read(from)
		if err != nil {
			return
		}
		p := Packet{Conn: conn, Side: side, Code: raw[4], N: n, Nth: nth[raw[4]], Size: len(raw) - 4}
		if len(raw) > 5 {
			p.Detail = raw[5]
		}
		nth[p.Code]++
		switch (*c.see.Load())(p) {
		case Cut:
			return
		case Break:
			to.Write(raw[:len(raw)/2])
			return
		}
		if _, err := to.Write(raw); err != nil {
			return
		}
	}
}

// read reads a packet with its length before it.
func read(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > maxPacket {
		return nil, fmt.Errorf("packet of %d bytes", size)
	}
	raw := make([]byte, 4+size)
	copy(raw, head[:])
	_, err := io.ReadFull(r, raw[4:])
	return raw, err
}
