package install

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
)

// SelfSigned is the Source of targets that are BySelf: there is no CA. Nobody
// believes such a certificate who was not given it.
type SelfSigned struct {
	Key ca.KeyKind
	// Days are how long a certificate is good, 0 for a year.
	Days int
	// Now is the clock, nil for the system's.
	Now func() time.Time
}

var _ Source = SelfSigned{}

// Certificate makes a key and a certificate that is signed with it.
//
// It is a CA's, as that of `openssl req -x509`, for peers are given it as one, and
// GnuTLS verifies nothing with a certificate that is none. But it can be one for
// its own names alone (RFC 5280 section 4.2.1.10), so that who trusts it need not
// trust the host with any other.
func (s SelfSigned) Certificate(_ context.Context, hosts []string) (pki.Identity, error) {
	key, err := ca.GenerateKey(s.Key)
	if err != nil {
		return pki.Identity{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return pki.Identity{}, err
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	days := s.Days
	if days == 0 {
		days = 365
	}
	begin := now().Add(-time.Hour) // a peer's clock may be slow
	template := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		Subject:               pkix.Name{CommonName: hosts[0]},
		NotBefore:             begin,
		NotAfter:              begin.AddDate(0, 0, days),
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},

		PermittedDNSDomainsCritical: true,
	}
	if s.Key <= ca.RSA4096 {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			template.PermittedIPRanges = append(template.PermittedIPRanges, only(ip))
		} else {
			template.DNSNames = append(template.DNSNames, h)
			template.PermittedDNSDomains = append(template.PermittedDNSDomains, strings.TrimPrefix(h, "*."))
		}
	}
	if len(hosts[0]) > 64 { // RFC 5280 ub-common-name
		template.Subject.CommonName = ""
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return pki.Identity{}, fmt.Errorf("sign a certificate with its own key: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	return pki.Identity{Certificate: c, Key: key}, err
}

// only is one address as a range.
func only(ip net.IP) *net.IPNet {
	if v4 := ip.To4(); v4 != nil {
		ip = v4
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}

// CRL is never asked for: who signs but itself revokes nothing.
func (SelfSigned) CRL(context.Context) ([]byte, error) {
	return nil, errors.New("a certificate that is signed by itself has no list of what is revoked")
}
