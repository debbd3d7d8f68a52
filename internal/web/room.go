package web

import (
	"net"
	"net/netip"
	"sync"
)

// Bounds of connections to one listener. One stranger leaves room for others,
// and all of them leave some for this host: for the watchdog, whose manager
// would else end us, and for a proxy that stands before us.
const (
	maxConnections = 500
	maxOfOne       = 100
	ofThisHost     = 20
)

// A room is a listener that closes at once what there is no room for: what
// waited would wait for strangers.
type room struct {
	net.Listener

	mu   sync.Mutex
	all  int
	open map[netip.Prefix]int
}

func newRoom(ln net.Listener) *room {
	return &room{Listener: ln, open: make(map[netip.Prefix]int)}
}

// Accept returns the next connection that there is room for.
func (r *room) Accept() (net.Conn, error) {
	for {
		c, err := r.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who := stranger(c)
		if !r.enter(who) {
			c.Close()
			continue
		}
		return &guest{Conn: c, gone: func() { r.leave(who) }}, nil
	}
}

// A guest is a connection that has room.
type guest struct {
	net.Conn
	once sync.Once
	gone func()
}

func (g *guest) Close() error {
	g.once.Do(g.gone)
	return g.Conn.Close()
}

// stranger is who a connection comes from: an IPv4 address, or what one line
// has of IPv6. It is not valid for this host itself.
func stranger(c net.Conn) netip.Prefix {
	from, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	a := from.AddrPort().Addr().Unmap().WithZone("")
	if here, ok := c.LocalAddr().(*net.TCPAddr); a.IsLoopback() || ok && a == here.AddrPort().Addr().Unmap().WithZone("") {
		return netip.Prefix{}
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // fits
	return p
}

func (r *room) enter(who netip.Prefix) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all >= maxConnections || who.IsValid() && (r.open[who] >= maxOfOne || r.all >= maxConnections-ofThisHost) {
		return false
	}
	r.all++
	r.open[who]++
	return true
}

func (r *room) leave(who netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.open[who]--; r.open[who] == 0 {
		delete(r.open, who)
	}
}
