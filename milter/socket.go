package milter

import (
	"errors"
	"io/fs"
	"net"
)

// SocketOptions are the rights on a Unix socket.
type SocketOptions struct {
	Mode  fs.FileMode // zero: 0660
	Group string      // name or number; "" leaves it
}

// ParseSocket reads unix:/path, local:/path, inet:port@host or inet6:port@host.
func ParseSocket(spec string) (network, address string, err error) {
	return "", "", errors.New("milter: not yet")
}

// Listen opens the socket that spec names.
func Listen(spec string, o SocketOptions) (net.Listener, error) {
	return nil, errors.New("milter: not yet")
}
