package config

import (
	"net/netip"
	"net/url"
	"strings"
)

const (
	wantPrefix = `an address or a network, as "192.0.2.0/24"`
	wantProxy  = `a proxy, as "http://proxy.example.jp:3128"`
)

// prefixes takes addresses and networks.
func (v value) prefixes(to *[]netip.Prefix) {
	ps := []netip.Prefix{}
	v.list("addresses and networks", func(v value) {
		s, ok := v.str(wantPrefix)
		if !ok {
			return
		}
		p, err := netip.ParsePrefix(s)
		if a, aErr := netip.ParseAddr(s); aErr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			v.fail("%q is not one; want %s", s, wantPrefix)
			return
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		if m := p.Masked(); m != p {
			v.fail("%q is an address within a network; want %q, or the address alone", s, m)
			return
		}
		ps = append(ps, p)
	})
	*to = ps
}

// proxy takes the URL of an HTTP proxy.
func proxy(v value) {
	s, ok := v.str(wantProxy)
	if !ok || s == "" {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		v.fail("%q is not one that is used; want %s", s, wantProxy)
		return
	}
	v.d.c.Fetch.Proxy = &url.URL{Scheme: u.Scheme, Host: u.Host}
}
