package ca

import (
	"fmt"
	"net/mail"
	"strings"

	"golang.org/x/net/idna"
)

const (
	maxEmail = 254 // RFC 5321 section 4.5.3.1.3
	maxHost  = 253 // RFC 1035 section 2.3.4, in text
)

// parseEmail takes a mail address as it stands in an rfc822Name: ASCII, the
// domain as A-labels (RFC 9598 section 3).
func parseEmail(s string) (string, error) {
	local, domain, ok := cutLast(s, '@')
	if !ok {
		return "", fmt.Errorf("e-mail address %q: no @", s)
	}
	host, err := parseHost(domain)
	if err != nil || strings.HasPrefix(host, "*") {
		return "", fmt.Errorf("e-mail address %q: %q is not a domain", s, domain)
	}
	if !isASCII(local) {
		return "", fmt.Errorf("e-mail address %q: only ASCII can stand before the @ here", s)
	}
	a, err := mail.ParseAddress(local + "@" + host)
	if err != nil || a.Name != "" || a.Address != local+"@"+host {
		return "", fmt.Errorf("e-mail address %q: want LOCAL@DOMAIN", s)
	}
	if len(a.Address) > maxEmail {
		return "", fmt.Errorf("e-mail address %q: longer than %d characters", s, maxEmail)
	}
	return a.Address, nil
}

// parseHost takes a host or domain name, perhaps with "*." before it, as it
// stands in a dNSName: in A-labels (RFC 5280 section 7.2).
func parseHost(s string) (string, error) {
	base, wild := strings.CutPrefix(s, "*.")
	a, err := idna.Registration.ToASCII(strings.ToLower(base))
	if err != nil || a == "" || len(a) > maxHost || strings.HasSuffix(a, ".") {
		return "", fmt.Errorf("host name %q: want labels of letters, digits and hyphens, as mx.example.jp", s)
	}
	for label := range strings.SplitSeq(a, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", fmt.Errorf("host name %q: want labels of letters, digits and hyphens, as mx.example.jp", s)
		}
	}
	if wild {
		a = "*." + a
	}
	return a, nil
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
