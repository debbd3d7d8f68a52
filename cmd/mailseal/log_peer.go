package main

import (
	"fmt"
	"net/netip"
	"path"
	"strings"

	"mailseal/internal/tlslog"
)

// A peerPattern chooses peers: by name, by a pattern as of the shell, by address
// or network. The zero value chooses all, and this host's faults besides.
type peerPattern struct {
	text    string
	network netip.Prefix
}

func (p *peerPattern) String() string { return p.text }

func (p *peerPattern) Set(s string) error {
	*p = peerPattern{text: strings.ToLower(s)}
	if n, err := netip.ParsePrefix(s); err == nil {
		p.network = n.Masked()
		return nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		p.network = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	if _, err := path.Match(p.text, ""); err != nil || s == "" {
		return fmt.Errorf("want a name, a pattern as *.example.jp, an address or a network")
	}
	return nil
}

func (p *peerPattern) matches(e *tlslog.Event) bool {
	switch {
	case p.text == "":
		return true
	case e.Side == tlslog.Own:
		return false
	case p.network.IsValid():
		a, err := netip.ParseAddr(strings.TrimPrefix(e.Address, "IPv6:"))
		return err == nil && p.network.Contains(a.Unmap())
	}
	name := strings.ToLower(e.Name)
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.Contains(name[:i], ":") {
		if ok, _ := path.Match(p.text, name[:i]); ok {
			return true
		}
	}
	ok, _ := path.Match(p.text, name)
	return ok
}
