package main

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailseal/internal/config"
	"mailseal/internal/mailaddr"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/trust"
	"mailseal/milter"
)

// warnFolders tells of folders that are not there yet.
func warnFolders(c *config.Config) (ws []error) {
	folder := func(key, network, socket string) {
		if _, err := os.Stat(filepath.Dir(socket)); network == "unix" && errors.Is(err, fs.ErrNotExist) {
			ws = append(ws, c.At(key, fmt.Errorf("no folder %s; make it before the milter starts", filepath.Dir(socket))))
		}
	}
	for _, s := range []struct{ key, socket string }{{"milter.socket", c.Milter.Socket}, {"milter.before_socket", c.Milter.BeforeSocket}} {
		if network, path, err := milter.ParseSocket(s.socket); err == nil { // "" is none
			folder(s.key, network, path)
		}
	}
	folder("metrics.listen", c.Metrics.Network, c.Metrics.Address)
	if fi, err := os.Stat(c.State); err == nil && !fi.IsDir() {
		ws = append(ws, c.At("state", fmt.Errorf("%s is no folder", c.State)))
	}
	return ws
}

// warnPolicy tells of choices that are allowed and dangerous.
func warnPolicy(c *config.Config) (ws []error) {
	if c.Milter.OnError == message.Accept {
		ws = append(ws, c.At("milter.on_error", errors.New("mail that could not be checked is delivered unchecked; want tempfail")))
	}
	switch m := c.Milter; {
	case m.EarlierMilters && m.BeforeSocket == "":
		ws = append(ws, c.At("milter.earlier_milters", errors.New("what came from outside in our name stays where those milters do not take it away, which OpenDKIM does not always; want before_socket too")))
	case !m.EarlierMilters && m.BeforeSocket != "":
		ws = append(ws, c.At("milter.before_socket", errors.New("of no use as long as earlier_milters is false: no milter's results stay")))
	}
	for i, p := range c.InternalHosts {
		if p.Bits() == 0 {
			ws = append(ws, c.At("internal_hosts", fmt.Errorf("%s is everybody: anyone who reaches the MTA sends with your signature", p), i))
		}
	}
	return slices.Concat(ws, warnReach(c), warnLogins(c))
}

// warnReach tells of sockets that not only the MTA reaches: a milter believes
// what it is told of client and login.
func warnReach(c *config.Config) []error {
	network, address, err := milter.ParseSocket(c.Milter.Socket)
	switch host, _, _ := net.SplitHostPort(address); {
	case err != nil:
	case network == "unix" && c.Milter.SocketMode&0o002 != 0:
		return []error{c.At("milter.socket_mode", fmt.Errorf("%04o: any user of this host can have mail signed; want \"0660\" and socket_group", c.Milter.SocketMode))}
	case network != "unix" && host != "localhost" && !loopback(host):
		return []error{c.At("milter.socket", fmt.Errorf("anyone who reaches %s can have mail signed; want a loopback address, or a unix socket", address))}
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// warnLogins tells of leave to send that is never used: only mail from local
// domains is signed.
func warnLogins(c *config.Config) (ws []error) {
	unused := func(key, domain string) {
		if !ofOurs(c, domain) {
			ws = append(ws, c.At(key, fmt.Errorf("%s is not in local_domains; nothing from there is signed", strings.TrimPrefix(domain, "."))))
		}
	}
	if d := c.Milter.LoginDomain; d != "" {
		unused("milter.login_domain", d)
	}
	for _, login := range slices.Sorted(maps.Keys(c.Logins)) {
		for _, as := range c.Logins[login] {
			unused("logins", as[strings.LastIndexByte(as, '@')+1:])
		}
	}
	return ws
}

// ofOurs reports whether a domain, or one below it where it has a leading dot,
// can be a local one.
func ofOurs(c *config.Config, domain string) bool {
	return mailaddr.In(domain, c.LocalDomains) || slices.ContainsFunc(c.LocalDomains, func(d string) bool {
		return mailaddr.In(strings.TrimPrefix(d, "."), []string{domain}) || d == domain
	})
}

// soon is when a certificate wants renewing.
const soon = 30 * 24 * time.Hour

func warnIdentities(p *parts, now time.Time) (ws []error) {
	c := p.conf
	warn := func(id pki.Identity, format string, args ...any) {
		ws = append(ws, c.At("smime.identities", fmt.Errorf("identity %s: %s", id.Name, fmt.Sprintf(format, args...))))
	}
	if len(p.identities) == 0 && c.SMIME.Sign {
		ws = append(ws, c.At("smime.identities", fmt.Errorf("no identity in %s; nothing will be signed", c.SMIME.Identities)))
	}
	for _, id := range p.identities {
		cert := id.Certificate
		switch {
		case now.After(cert.NotAfter):
			warn(id, "expired on %s; it signs no more", cert.NotAfter.Format(time.DateOnly))
		case now.Before(cert.NotBefore):
			warn(id, "not valid before %s", cert.NotBefore.Format(time.DateOnly))
		case now.Add(soon).After(cert.NotAfter):
			warn(id, "expires on %s; renew it", cert.NotAfter.Format(time.DateOnly))
		}
		opens := c.SMIME.Inbound.Decrypt && len(openings(c, id)) > 0
		if !serves(c, cert) && !opens {
			warn(id, "none of its addresses (%q) is in local_domains; it will neither sign nor decrypt", pki.Addresses(cert))
		}
		switch why := trust.Unfit(cert); {
		case opens && (id.Key == nil || !serves(c, cert) || encrypts(cert)): // it is there to decrypt
		case id.Key == nil:
			warn(id, "its key only decrypts; it will never sign")
		case why != "":
			warn(id, "%s; it will never sign", why)
		}
		if k, ok := cert.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
			warn(id, "RSA with %d bits is too weak; want 2048 at least", k.N.BitLen())
		}
	}
	return ws
}

// encrypts reports whether a certificate says that it is for encryption and not
// for signatures.
func encrypts(cert *x509.Certificate) bool {
	return cert.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) != 0 &&
		cert.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0
}

// serves reports whether one of the certificate's addresses is of ours.
func serves(c *config.Config, cert *x509.Certificate) bool {
	return slices.ContainsFunc(pki.Addresses(cert), func(s string) bool {
		a, err := mailaddr.ParseIA5(s)
		return err == nil && mailaddr.In(a.Domain, c.LocalDomains)
	})
}
