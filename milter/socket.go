package milter

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// SocketOptions are the rights on a Unix socket; others have none.
type SocketOptions struct {
	Mode  fs.FileMode // zero: 0660
	Group string      // name or number; "" leaves it to the folder and the process
	// Log is told of a socket that was removed; nil: nobody.
	Log *slog.Logger
}

// ParseSocket reads a socket as milters write it: unix:/path, local:/path,
// inet:port@host, inet6:port@host. (Postfix has host:port in its own
// configuration.) Network and address are those of package net.
func ParseSocket(spec string) (network, address string, err error) {
	kind, rest, ok := strings.Cut(spec, ":")
	if !ok {
		return "", "", fmt.Errorf("socket %q: no kind; want unix:/path, inet:port@host or inet6:port@host", spec)
	}
	switch strings.ToLower(kind) {
	case "unix", "local":
		if err := checkPath(rest); err != nil {
			return "", "", fmt.Errorf("socket %q: %w", spec, err)
		}
		return "unix", filepath.Clean(rest), nil
	case "inet":
		network = "tcp4"
	case "inet6":
		network = "tcp6"
	default:
		return "", "", fmt.Errorf("socket %q: unknown kind %q; want unix, local, inet or inet6", spec, kind)
	}
	address, err = hostPort(network, rest)
	if err != nil {
		return "", "", fmt.Errorf("socket %q: %w", spec, err)
	}
	return network, address, nil
}

// maxPath is the longest path of a Unix socket: sun_path has 104 bytes on the
// BSDs, 108 on Linux, with a NUL.
const maxPath = 103

func checkPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("no path")
	case !filepath.IsAbs(path):
		return fmt.Errorf("path %q is not absolute", path)
	case strings.HasSuffix(path, "/"):
		return fmt.Errorf("path %q is a folder", path)
	case len(path) > maxPath:
		return fmt.Errorf("path has %d bytes; a socket's may have %d", len(path), maxPath)
	}
	return nil
}

func hostPort(network, rest string) (string, error) {
	port, host, ok := strings.Cut(rest, "@")
	if !ok {
		if strings.Contains(rest, ":") {
			return "", fmt.Errorf("host:port is how Postfix writes it; here it is port@host")
		}
		return "", fmt.Errorf("no host; write %s@127.0.0.1 (or @0.0.0.0, if every host on the net may feed the milter)", port)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("port %q; want a number up to 65535", port)
	} else {
		port = strconv.FormatUint(n, 10)
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" {
		return "", fmt.Errorf("no host behind @")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Is4() != (network == "tcp4") {
			return "", fmt.Errorf("%s is an address of the other family; inet is IPv4, inet6 is IPv6", host)
		}
	} else if strings.ContainsAny(host, ":/ @") {
		return "", fmt.Errorf("host %q", host)
	}
	return net.JoinHostPort(host, port), nil
}

// Listen opens the socket that spec names. Options are for Unix sockets.
func Listen(spec string, o SocketOptions) (net.Listener, error) {
	network, address, err := ParseSocket(spec)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		return listenUnix(address, o)
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", spec, err)
	}
	return ln, nil
}
