package control

import (
	"context"
	"net"
	"sync"

	"mailseal/internal/peercred"
)

// A peer is a connection with who is at its other end.
type peer struct {
	net.Conn
	uid  int
	once sync.Once
	gone func()
}

func (p *peer) Close() error {
	p.once.Do(p.gone)
	return p.Conn.Close()
}

type peerKey struct{}

// withPeer notes the peer in the context of its requests.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if p, ok := c.(*peer); ok {
		return context.WithValue(ctx, peerKey{}, p.uid)
	}
	return ctx
}

// uidOf is who asks; false where that is not known.
func uidOf(ctx context.Context) (int, bool) {
	uid, ok := ctx.Value(peerKey{}).(int)
	return uid, ok
}

// peers accepts connections of known users. One user but root has so many and
// no more: others and root always find room.
type peers struct {
	net.Listener
	trusted func(uid int) bool

	mu   sync.Mutex
	all  int
	open map[int]int
}

// Accept closes at once what there is no room for.
func (l *peers) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		unix, ok := c.(*net.UnixConn)
		if !ok {
			c.Close()
			continue
		}
		uid, err := peercred.UID(unix)
		if err != nil || !l.enter(uid) {
			c.Close()
			continue
		}
		return &peer{Conn: c, uid: uid, gone: func() { l.leave(uid) }}, nil
	}
}

func (l *peers) enter(uid int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= maxConnections || !l.trusted(uid) && (l.open[uid] >= maxOfOthers || l.all >= maxConnections-maxOfOthers) {
		return false
	}
	l.all++
	l.open[uid]++
	return true
}

func (l *peers) leave(uid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.open[uid]--; l.open[uid] == 0 {
		delete(l.open, uid)
	}
}
