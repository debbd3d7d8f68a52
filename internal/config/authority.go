package config

import (
	"net"
	"strconv"
	"strings"

	"mailseal/milter"
)

// CA is the private CA, and who may ask its daemon for what.
type CA struct {
	Dir            string // its folder, "" for none
	PassphraseFile string // of its key, "" where it has none
	// Socket is the path of the daemon's Unix socket.
	Socket string
	// WebUser is who `mailseal web` runs as, "" for nobody, and WebHosts are the
	// hosts that it may have certificates issued for, in lower case and A-labels.
	WebUser  string
	WebHosts []string
}

// Web is what `mailseal web` serves by HTTP.
type Web struct {
	Listen string // as net.Listen has it, "" for nowhere
}

// caSocket takes the daemon's socket: a Unix one, as the peer's user decides.
func caSocket(v value) {
	const want = `"unix:/path"`
	s, ok := v.str(want)
	if !ok {
		return
	}
	s = v.d.inFolder(s)
	network, address, err := milter.ParseSocket(s)
	switch {
	case err != nil:
		v.fail("%v", err) // which says what it wants
	case network != "unix":
		v.fail("%q: who asks is known by a Unix socket alone; want %s", s, want)
	default:
		v.d.c.CA.Socket = address
	}
}

func webUser(v value) {
	const want = `the name of a user, as "mailseal-web", or "" for none`
	s, ok := v.str(want)
	switch {
	case !ok:
	case s == "root" || strings.ContainsAny(s, " :\x00"):
		v.fail("%q; want %s", s, want)
	default:
		v.d.c.CA.WebUser = s
	}
}

func webHosts(v value) {
	hosts := []string{}
	v.list(`hosts, as ["mx.example.jp"]`, func(v value) {
		var host string
		if v.domain(&host, `a host, as "mx.example.jp"`); host != "" {
			hosts = append(hosts, host)
		}
	})
	v.d.c.CA.WebHosts = hosts
}

// webListen takes where to listen. Without a host it is everywhere.
func webListen(v value) {
	const want = `":80", "192.0.2.1:80", "[2001:db8::1]:80", or "" for nowhere`
	s, ok := v.str(want)
	if !ok {
		return
	}
	if s != "" {
		_, port, err := net.SplitHostPort(s)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 {
			v.fail("%q; want %s", s, want)
			return
		}
	}
	v.d.c.Web.Listen = s
}
