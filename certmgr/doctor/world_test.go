package doctor

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"mailseal/certmgr/dh"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A world is a CA with what it has signed.
type world struct {
	t      testing.TB
	root   *x509.Certificate
	key    crypto.Signer
	serial int64
}

func newWorld(t testing.TB, name string, change func(*x509.Certificate)) *world {
	t.Helper()
	w := &world{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"MyCorp"}, CommonName: name},
		NotBefore: noon.Add(-10 * day), NotAfter: noon.Add(10000 * day), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
	}
	if change != nil {
		change(template)
	}
	w.root = w.sign(template, template, w.key.Public())
	return w
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *world) sign(template, parent *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	w.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// host is a certificate for mx.example.jp and its key.
func (w *world) host(change func(*x509.Certificate)) (*x509.Certificate, crypto.Signer) {
	w.t.Helper()
	w.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(100 + w.serial), Subject: pkix.Name{CommonName: "mx.example.jp"},
		NotBefore: noon.Add(-10 * day), NotAfter: noon.Add(355 * day), DNSNames: []string{"mx.example.jp"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	key := newKey(w.t)
	return w.sign(template, w.root, key.Public()), key
}

// pair is such a certificate and key as two files of a server.
func (w *world) pair(change func(*x509.Certificate)) Pair {
	c, key := w.host(change)
	return Pair{
		Key:  File{Path: "/etc/mail/certs/host.key", State: Read, Mode: 0o600, Time: noon.Add(-day), Key: key.Public()},
		Cert: File{Path: "/etc/mail/certs/host.cert", State: Read, Mode: 0o644, Time: noon.Add(-day), Certificates: []*x509.Certificate{c}},
	}
}

// list is a CRL with a time to live.
func (w *world) list(begin, end time.Time, revoked ...*x509.Certificate) *x509.RevocationList {
	w.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: begin, NextUpdate: end}
	for _, c := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: begin})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, w.root, w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func (w *world) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(w.root)
	return p
}

// right are the facts of a host on which all is right, with one server of a kind.
func (w *world) right(k Kind) *Facts {
	s := Server{
		Name: string(k), Kind: k, Conf: "/etc/conf", Hostname: "mx.example.jp", Reload: "reload it", Postconf: "postconf",
		ConfFile: File{Path: "/etc/conf", State: Read, Time: noon.Add(-day)},
		Settings: map[string]string{}, Pairs: []Pair{w.pair(nil)},
		CAs:   []File{{Path: "/etc/mail/certs/cacert.pem", State: Read, Mode: 0o644, Time: noon.Add(-day), Certificates: []*x509.Certificate{w.root}}},
		Lists: []File{{Path: "/etc/mail/certs/crl.pem", State: Read, Mode: 0o644, CRLs: []*x509.RevocationList{w.list(noon.Add(-day), noon.Add(29*day))}}},
		Dirs:  []Dir{{Path: "/etc/mail/certs", For: "CACertPath", State: Read}},
		DH:    &File{Path: "/etc/mail/certs/dh.param", State: Read, Mode: 0o644, DH: &dh.Judgement{Bits: 2048, Group: "ffdhe2048", Safe: true}},
	}
	for name, value := range rightSettings[k] {
		s.Settings[name] = value
	}
	chain := s.Pairs[0].Cert.Certificates
	s.Live = []Live{{URL: "smtp://127.0.0.1:25", Expected: true, Answered: true, Offered: true, Banner: "mx.example.jp", Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Chain: chain, Verify: "OK"}}
	return &Facts{
		Now: noon, Once: "mailseal certmgr -once", Servers: []Server{s},
		CA: Authority{
			Dir: "/etc/mail/CA", Chain: []*x509.Certificate{w.root},
			File: File{Path: "/etc/mail/CA/cacert.pem", State: Read, Certificates: []*x509.Certificate{w.root}},
			Key:  File{Path: "/etc/mail/CA/private/cakey.pem", State: Read, Mode: 0o600},
			CRL:  File{Path: "/etc/mail/CA/crl.pem", State: Read, CRLs: []*x509.RevocationList{w.list(noon.Add(-day), noon.Add(29*day))}},
		},
	}
}

// rightSettings are those to which there is nothing to say.
var rightSettings = map[Kind]map[string]string{
	Sendmail: {
		"cacertpath": "/etc/mail/certs", "cacertfile": "/etc/mail/certs/cacert.pem", "servercertfile": "/etc/mail/certs/host.cert", "serverkeyfile": "/etc/mail/certs/host.key",
		"clientcertfile": "/etc/mail/certs/host.cert", "clientkeyfile": "/etc/mail/certs/host.key", "loglevel": "9",
	},
	Postfix: {
		"smtpd_tls_security_level": "may", "smtp_tls_security_level": "may", "smtpd_tls_loglevel": "1", "smtp_tls_loglevel": "1", "queue_directory": "/var/spool/postfix",
		"smtpd_tls_cert_file": "/etc/mail/certs/host.cert", "smtp_tls_cert_file": "/etc/mail/certs/host.cert", "smtpd_tls_CAfile": "/etc/mail/certs/cacert.pem", "smtp_tls_CAfile": "/etc/mail/certs/cacert.pem",
	},
	Exim:  {"tls_advertise_hosts": "*", "tls_certificate": "/etc/mail/certs/host.cert"},
	XMail: {"EnableSMTP-TLS": "1"},
}
