package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

const maxURL = 2048 // octets

// global6 is all that is assigned as global unicast (RFC 4291 section 2.4,
// IANA's registry). Loopback, link-local, unique local, multicast, NAT64
// (64:ff9b::/96, 64:ff9b:1::/48) and IPv4-compatible addresses are outside.
var global6 = netip.MustParsePrefix("2000::/3")

// special are networks of IANA's special-purpose registries (RFC 6890) where
// nobody who is on the Internet serves a list.
var special = func() (ps []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8",       // this host
		"10.0.0.0/8",      // private, RFC 1918
		"100.64.0.0/10",   // shared by carriers, RFC 6598
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local; also the metadata of clouds
		"172.16.0.0/12",   // private
		"192.0.0.0/24",    // protocol assignments
		"192.0.2.0/24",    // documentation
		"192.88.99.0/24",  // 6to4 relays, RFC 7526
		"192.168.0.0/16",  // private
		"198.18.0.0/15",   // benchmarks
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, broadcast
		"2001::/23",       // protocol assignments: Teredo, ORCHID, benchmarks
		"2001:db8::/32",   // documentation
		"2002::/16",       // 6to4, which hides an IPv4 address
		"3fff::/20",       // documentation, RFC 9637
	} {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}()

// errAddress is that of an address that nobody may make us ask.
var errAddress = errors.New("its address is not one of the Internet; [fetch] allow does not name it")

// errPort is that of another port than those of HTTP.
var errPort = errors.New("its port is neither 80 nor 443, and [fetch] allow does not name its address")

// mayDial judges where a connection is about to go: after the name has been
// looked up, so that no answer of a name server leads elsewhere.
func mayDial(ap netip.AddrPort, allow []netip.Prefix) error {
	a := ap.Addr()
	if a.Zone() != "" {
		return errAddress
	}
	a = a.Unmap()
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	switch {
	case slices.ContainsFunc(allow, in):
		return nil
	case slices.ContainsFunc(special, in), a.Is6() && !global6.Contains(a):
		return errAddress
	case ap.Port() != 80 && ap.Port() != 443:
		return errPort
	}
	return nil
}

// control is a net.Dialer's ControlContext: the last word before connect(2).
func control(allow []netip.Prefix) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !strings.HasPrefix(network, "tcp") {
			return errAddress
		}
		return mayDial(ap, allow)
	}
}

// parseURL reads an address out of a certificate, and refuses at once what is
// never asked.
func parseURL(s string, allow []netip.Prefix) (*url.URL, error) {
	if len(s) > maxURL {
		return nil, errors.New("its URL is too long")
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("its URL is malformed")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("only http and https are fetched, not %.20q", u.Scheme)
	case u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("its URL names no host")
	case u.User != nil:
		return nil, errors.New("its URL has a user")
	}
	u.Fragment, u.RawFragment = "", ""
	// Behind a proxy nobody else looks at it.
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		ap, err := netip.ParseAddrPort(hostPort(u))
		if err != nil {
			return nil, errors.New("its URL is malformed")
		}
		if err := mayDial(netip.AddrPortFrom(a, ap.Port()), allow); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// hostPort is where a URL leads, with its port.
func hostPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
