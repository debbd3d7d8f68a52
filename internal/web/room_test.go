package web

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
)

// A caller is a connection with addresses of its own.
type caller struct {
	net.Conn
	from, to string
	closed   bool
}

func (c *caller) RemoteAddr() net.Addr { return tcpAddr(c.from) }
func (c *caller) LocalAddr() net.Addr  { return tcpAddr(c.to) }
func (c *caller) Close() error         { c.closed = true; return nil }

func tcpAddr(s string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", s) // addresses alone: nobody is asked
	if err != nil {
		panic(err)
	}
	return a
}

// A queue is a listener at which callers stand.
type queue struct {
	net.Listener
	callers []*caller
}

func (q *queue) Accept() (net.Conn, error) {
	if len(q.callers) == 0 {
		return nil, io.EOF
	}
	c := q.callers[0]
	q.callers = q.callers[1:]
	return c, nil
}

// TestRoom: one stranger leaves room for others, all of them leave some for
// this host, and who goes makes room.
func TestRoom(t *testing.T) {
	q := &queue{}
	r := newRoom(q)
	var in []net.Conn
	enter := func(n int, from func(int) string) int {
		var all []*caller
		for i := range n {
			all = append(all, &caller{from: from(i), to: "192.0.2.1:80"})
		}
		q.callers = all
		before := len(in)
		for {
			c, err := r.Accept()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, c)
		}
		closed := 0
		for _, c := range all {
			if c.closed {
				closed++
			}
		}
		if got := len(in) - before; got+closed != n {
			t.Errorf("%d of %d are in, %d were closed", got, n, closed)
		}
		return len(in) - before
	}
	one := func(addr string) func(int) string {
		return func(i int) string { return fmt.Sprintf("%s:%d", addr, 1024+i) }
	}
	for _, tt := range []struct {
		what    string
		n, want int
		from    func(int) string
	}{
		{"one stranger", 600, maxOfOne, one("198.51.100.7")},
		{"the same, in IPv6 spelling", 1, 0, one("[::ffff:198.51.100.7]")},
		{"a line of IPv6", 600, maxOfOne, func(i int) string { return fmt.Sprintf("[2001:db8::%x]:1024", i+1) }},
		{"everybody", 600, maxConnections - 2*maxOfOne - ofThisHost, func(i int) string { return fmt.Sprintf("203.0.%d.%d:1024", i/250, i%250) }},
		{"this host, by its address", 1, 1, one("192.0.2.1")},
		{"this host", 100, ofThisHost - 1, one("127.0.0.1")},
	} {
		if got := enter(tt.n, tt.from); got != tt.want {
			t.Errorf("%s: %d connections, want %d", tt.what, got, tt.want)
		}
	}
	for _, c := range in {
		c.Close()
		c.Close() // counts once
	}
	if r.all != 0 || len(r.open) != 0 {
		t.Errorf("all have gone: %d, %v", r.all, r.open)
	}
}
