package probe

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A URL is where a server is asked, and how:
//
//	smtp://127.0.0.1:25                    EHLO, STARTTLS
//	smtps://mx.example.jp                  TLS from the first byte, port 465
//	pop3://[::1]:110                       CAPA, STLS
//	pop3s://127.0.0.1                      port 995
//	imap://127.0.0.1                       CAPABILITY, STARTTLS, port 143
//	imaps://127.0.0.1?name=imap.example.jp asks for that name's certificate
//
// It is made by Parse.
type URL struct {
	// Scheme is one of smtp, smtps, pop3, pop3s, imap, imaps.
	Scheme string
	Host   string // a name or an address, without brackets
	Port   string // a number
	// Name is what is asked for by server name indication, "" for what the
	// protocol's clients do: mail programs name the server that they want,
	// other mail servers do not.
	Name string
}

// ports are the protocols with the ports they have by default.
var ports = map[string]string{"smtp": "25", "smtps": "465", "pop3": "110", "pop3s": "995", "imap": "143", "imaps": "993"}

// Parse reads a URL.
func Parse(s string) (URL, error) {
	bad := func(why string) (URL, error) {
		return URL{}, fmt.Errorf("probe %q: %s; want smtp://HOST[:PORT][?name=NAME], or smtps, pop3, pop3s, imap, imaps", s, why)
	}
	u, err := url.Parse(s)
	if err != nil {
		return bad("not a URL")
	}
	port, known := ports[u.Scheme]
	switch {
	case !known:
		return bad("unknown protocol")
	case u.Hostname() == "":
		return bad("no host")
	case u.User != nil || u.Fragment != "" || u.Opaque != "" || u.Path != "" && u.Path != "/":
		return bad("more than a host and a port")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return bad("no such port")
		}
		port = p
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("a query other than name=")
	}
	for k, v := range query {
		if k != "name" || len(v) != 1 || v[0] == "" {
			return bad("a query other than name=")
		}
	}
	return URL{Scheme: u.Scheme, Host: u.Hostname(), Port: port, Name: query.Get("name")}, nil
}

// Schemes are the protocols that there are.
func Schemes() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for s := range ports {
			if !yield(s) {
				return
			}
		}
	})
}

func (u URL) String() string {
	s := u.Scheme + "://" + u.Address()
	if u.Name != "" {
		s += "?name=" + url.QueryEscape(u.Name)
	}
	return s
}

// Address is host:port, to dial.
func (u URL) Address() string { return net.JoinHostPort(u.Host, u.Port) }

// Implicit reports whether TLS begins with the first byte.
func (u URL) Implicit() bool { return strings.HasSuffix(u.Scheme, "s") }
