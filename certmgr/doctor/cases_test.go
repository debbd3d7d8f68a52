package doctor

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/dh"
	"mailseal/certmgr/hashdir"
)

// A testCase makes one thing wrong on a host on which all is right.
type testCase struct {
	id       string
	kind     Kind // "" is sendmail
	severity Severity
	change   func(w *world, f *Facts, s *Server)
	// command is in one of those that mend it.
	command string
	// without: this is not said any more, or besides.
	without string
}

// leaf makes a certificate with a change.
func leaf(change func(c *x509.Certificate)) func(*world, *Facts, *Server) {
	return func(w *world, _ *Facts, s *Server) {
		s.Pairs[0] = w.pair(change)
		s.Live = nil
	}
}

func set(name, value string) func(*world, *Facts, *Server) {
	return func(_ *world, _ *Facts, s *Server) { s.Settings[name] = value }
}

func live(change func(l *Live)) func(*world, *Facts, *Server) {
	return func(_ *world, _ *Facts, s *Server) { change(&s.Live[0]) }
}

func cert(change func(f *File)) func(*world, *Facts, *Server) {
	return func(_ *world, _ *Facts, s *Server) { change(&s.Pairs[0].Cert) }
}

func key(change func(f *File)) func(*world, *Facts, *Server) {
	return func(_ *world, _ *Facts, s *Server) { change(&s.Pairs[0].Key) }
}

func gone(f *File) { *f = File{Path: f.Path, State: Missing, Err: "no such file or directory"} }

func broken(f *File) { *f = File{Path: f.Path, State: Broken, Err: "no PEM", Mode: 0o600} }

var testCases = []testCase{
	{id: "ca.ok", severity: OK, change: func(*world, *Facts, *Server) {}},
	{id: "ca.none", severity: Note, command: "mailseal ca init", without: "ca.ok", change: func(_ *world, f *Facts, _ *Server) { f.CA = Authority{} }},
	{id: "ca.none", severity: Warning, change: func(_ *world, f *Facts, s *Server) { f.CA, s.CAs = Authority{}, nil }},
	{id: "ca.none", severity: Error, change: func(_ *world, f *Facts, s *Server) { f.CA, s.Kept, s.Issuer = Authority{}, true, "ca" }},
	{id: "ca.none", severity: Note, change: func(w *world, f *Facts, s *Server) { f.CA, f.System, s.CAs = Authority{}, w.pool(), nil }},
	{id: "ca.none", severity: Note, change: func(w *world, f *Facts, s *Server) { f.CA, f.Servers = Authority{}, nil }},
	{id: "ca.denied", severity: Note, without: "certificate.alone", change: func(_ *world, f *Facts, _ *Server) { f.CA.Chain, f.CA.File.State = nil, Denied }},
	{id: "ca.denied", severity: Note, without: "ca.none", change: func(_ *world, f *Facts, _ *Server) { f.CA.Chain, f.CA.File.State = nil, Denied }},
	{id: "ca.broken", severity: Error, without: "ca.none", change: func(_ *world, f *Facts, _ *Server) { f.CA.Chain = nil; broken(&f.CA.File) }},
	{id: "ca.expired", severity: Error, change: func(_ *world, f *Facts, _ *Server) { f.Now = f.CA.Chain[0].NotAfter }},
	{id: "ca.ending", severity: Warning, command: "ca renew", change: func(_ *world, f *Facts, _ *Server) { f.Now = f.CA.Chain[0].NotAfter.Add(-300 * day) }},
	{id: "ca.future", severity: Error, change: func(_ *world, f *Facts, _ *Server) { f.Now = f.CA.Chain[0].NotBefore.Add(-time.Second) }},
	{id: "ca.key-open", severity: Error, command: "chmod 600 /etc/mail/CA/private/cakey.pem", change: func(_ *world, f *Facts, _ *Server) { f.CA.Key.Mode = 0o640 }},
	{id: "ca.silent", severity: Note, change: func(_ *world, f *Facts, _ *Server) { f.CA.Silent = "connection refused" }},
	{id: "ca.silent", severity: Warning, change: func(_ *world, f *Facts, s *Server) { f.CA.Silent, s.Kept = "connection refused", true }},
	{id: "ca.crl-none", severity: Note, change: func(_ *world, f *Facts, _ *Server) { gone(&f.CA.CRL) }},
	{id: "ca.crl-ended", severity: Error, without: "ca.crl-ending", change: func(w *world, f *Facts, _ *Server) {
		f.CA.CRL.CRLs = []*x509.RevocationList{w.list(noon.Add(-30*day), noon)}
	}},
	{id: "ca.crl-ending", severity: Warning, without: "ca.crl-ended", change: func(w *world, f *Facts, _ *Server) {
		f.CA.CRL.CRLs = []*x509.RevocationList{w.list(noon.Add(-24*day), noon.Add(6*day))}
	}},

	{id: "certificate.ours", severity: OK, change: func(*world, *Facts, *Server) {}},
	{id: "certificate.public", severity: OK, without: "certificate.other", change: func(w *world, f *Facts, s *Server) {
		public := newWorld(w.t, "Public CA", nil)
		s.Pairs[0], f.System, s.Live = public.pair(nil), public.pool(), nil
	}},
	{id: "certificate.alone", severity: Note, without: "certificate.ours", change: func(_ *world, f *Facts, _ *Server) { f.CA = Authority{} }},
	{id: "certificate.other", severity: Warning, without: "certificate.ours", command: "mailseal setup sendmail", change: func(w *world, _ *Facts, s *Server) {
		s.Pairs[0], s.Live = newWorld(w.t, "Former CA", nil).pair(nil), nil
	}},
	{id: "certificate.missing", severity: Error, change: cert(gone)},
	{id: "certificate.missing", kind: Postfix, severity: Error, change: func(_ *world, _ *Facts, s *Server) { s.Pairs = nil }},
	{id: "certificate.broken", severity: Error, change: cert(broken)},
	{id: "pair.ok", severity: OK, change: func(*world, *Facts, *Server) {}},
	{id: "pair.mismatch", severity: Error, without: "pair.ok", change: func(w *world, _ *Facts, s *Server) { s.Pairs[0].Key.Key = newKey(w.t).Public() }},
	{id: "pair.no-key", severity: Error, without: "pair.ok", change: key(gone)},
	{id: "ca-file.ok", severity: OK, change: func(*world, *Facts, *Server) {}},
	{id: "ca-file.other", severity: Warning, command: "cat /etc/mail/CA/cacert.pem >>/etc/mail/certs/cacert.pem", without: "ca-file.ok", change: func(w *world, _ *Facts, s *Server) {
		s.CAs[0].Certificates = []*x509.Certificate{newWorld(w.t, "Former CA", nil).root}
	}},
	{id: "ca-file.ok", severity: OK, without: "ca-file.other", change: func(w *world, _ *Facts, s *Server) {
		s.CAs[0].Certificates = []*x509.Certificate{newWorld(w.t, "Public CA", nil).root}
		s.Kept, s.Issuer = true, "files"
	}},
	{id: "ca-file.missing", severity: Error, change: func(_ *world, _ *Facts, s *Server) { gone(&s.CAs[0]) }},
	{id: "ca-file.missing", kind: Postfix, severity: Warning, change: func(_ *world, _ *Facts, s *Server) { gone(&s.CAs[0]) }},
	{id: "pair.ok", kind: Files, severity: OK, without: "ca-file.unset", change: func(_ *world, _ *Facts, s *Server) { s.Conf, s.CAs, s.Dirs = "", nil, nil }},
	{id: "ca-file.unset", kind: Postfix, severity: Note, change: func(_ *world, _ *Facts, s *Server) { s.CAs, s.Dirs = nil, nil }},

	{id: "settings.unread", severity: Note, change: func(_ *world, _ *Facts, s *Server) { s.Unread = "permission denied" }},
	{id: "settings.elsewhere", severity: Warning, change: func(_ *world, _ *Facts, s *Server) {
		s.Kept, s.Issuer, s.KeptFiles = true, "ca", map[string]string{"certificate": "/etc/mail/certs/other.cert"}
	}},
	{id: "settings.elsewhere", kind: Postfix, severity: Warning, change: func(w *world, _ *Facts, s *Server) { // its client reads what is kept
		kept := w.pair(nil)
		kept.Client = true
		s.Kept, s.Issuer, s.KeptFiles = true, "ca", map[string]string{"pair": kept.Cert.Path}
		s.Pairs = append(s.Pairs, kept)
		s.Pairs[0].Cert.Path = "/etc/postfix/other.pem"
	}},
	{id: "file.denied", severity: Note, without: "pair.no-key", change: key(func(f *File) { f.State, f.Key = Denied, nil })},
	{id: "file.denied", severity: Note, without: "links.folder", change: func(_ *world, _ *Facts, s *Server) { s.Dirs[0].State = Denied }},
	{id: "tls.off", severity: Error, command: "switch it on", without: "live.no-tls", change: func(_ *world, _ *Facts, s *Server) {
		s.Off, s.On, s.Live[0].Offered, s.Live[0].Verify, s.Live[0].Chain = "level = none", []string{"switch it on"}, false, "NO", nil
	}},
	{id: "tls.daemon-off", severity: Warning, change: set("daemonportoptions", "Name=MTA, M=aS")},
	{id: "tls.client-off", kind: Postfix, severity: Warning, command: "postconf -e 'smtp_tls_security_level = may'", change: set("smtp_tls_security_level", "")},

	{id: "key.broken", severity: Error, change: key(broken)},
	{id: "key.encrypted", severity: Error, without: "key.broken", command: "openssl pkey", change: key(func(f *File) { f.Key, f.Encrypted = nil, true })},
	{id: "key.small", severity: Error, change: func(w *world, _ *Facts, s *Server) {
		k, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			w.t.Fatal(err)
		}
		c := *s.Pairs[0].Cert.Certificates[0]
		c.PublicKey, s.Pairs[0].Key.Key = k.Public(), k.Public()
		s.Pairs[0].Cert.Certificates, s.Live = []*x509.Certificate{&c}, nil
	}},
	{id: "signature.md5", severity: Error, change: signedBy(x509.MD5WithRSA)},
	{id: "signature.sha1", severity: Warning, change: signedBy(x509.SHA1WithRSA)},
	{id: "chain.incomplete", severity: Warning, change: between(false)},
	{id: "certificate.ours", severity: OK, without: "chain.incomplete", change: func(w *world, f *Facts, s *Server) {
		between(true)(w, f, s)
		f.CA.Chain = []*x509.Certificate{s.Pairs[0].Cert.Certificates[1], w.root}
	}},
	{id: "certificate.boot", severity: Warning, without: "certificate.no-san", change: func(w *world, _ *Facts, s *Server) {
		dn := func(c *x509.Certificate) {
			c.Subject = pkix.Name{Country: []string{"XX"}, Organization: []string{"Some-org"}, CommonName: "mx.example.jp"}
			c.DNSNames = nil
		}
		s.Pairs[0], s.Live = newWorld(w.t, "", dn).pair(dn), nil
	}},
	{id: "certificate.self", severity: Warning, without: "chain.incomplete", change: func(w *world, _ *Facts, s *Server) {
		self := newWorld(w.t, "mx.example.jp", func(c *x509.Certificate) { c.DNSNames, c.IsCA = []string{"mx.example.jp"}, false })
		s.Pairs[0].Cert.Certificates, s.Pairs[0].Key.Key, s.Live = []*x509.Certificate{self.root}, self.key.Public(), nil
	}},
	{id: "certificate.self", severity: Warning, without: "certificate.public", change: func(w *world, f *Facts, s *Server) {
		self := newWorld(w.t, "mx.example.jp", func(c *x509.Certificate) { c.DNSNames = []string{"mx.example.jp"} })
		s.Pairs[0].Cert.Certificates, s.Pairs[0].Key.Key, s.Live = []*x509.Certificate{self.root}, self.key.Public(), nil
		f.System = self.pool()
	}},
	{id: "certificate.expired", severity: Error, without: "certificate.ending", change: leaf(func(c *x509.Certificate) { c.NotAfter = noon })},
	{id: "certificate.ending", severity: Warning, without: "certificate.expired", change: leaf(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = noon.Add(-336*day), noon.Add(29*day) })},
	{id: "certificate.ours", severity: OK, without: "certificate.ending", change: leaf(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = noon.Add(-300*day), noon.Add(65*day) })},
	{id: "certificate.ending", severity: Warning, command: "mailseal certmgr -once", change: func(w *world, f *Facts, s *Server) {
		leaf(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = noon.Add(-300*day), noon.Add(65*day) })(w, f, s)
		s.Kept, s.Issuer = true, "ca"
	}},
	{id: "certificate.not-yet", severity: Error, change: leaf(func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Second) })},
	{id: "certificate.long", severity: Note, change: leaf(func(c *x509.Certificate) { c.NotAfter = noon.Add(827 * day) })},
	{id: "certificate.no-san", severity: Warning, without: "certificate.name", change: leaf(func(c *x509.Certificate) { c.DNSNames = nil })},
	{id: "certificate.name", severity: Warning, change: leaf(func(c *x509.Certificate) { c.DNSNames = []string{"mail.example.jp"} })},
	{id: "certificate.name", severity: Warning, change: func(_ *world, _ *Facts, s *Server) { s.Hosts = []string{"mx.example.jp", "mail.example.jp"} }},
	{id: "certificate.ours", severity: OK, without: "certificate.name", change: leaf(func(c *x509.Certificate) { c.DNSNames = []string{"*.example.jp"} })},
	{id: "certificate.not-server", severity: Error, change: leaf(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] })},
	{id: "certificate.not-client", severity: Warning, change: leaf(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })},
	{id: "certificate.revoked", severity: Error, change: func(w *world, _ *Facts, s *Server) {
		s.Lists[0].CRLs = []*x509.RevocationList{w.list(noon.Add(-day), noon.Add(29*day), s.Pairs[0].Cert.Certificates[0])}
	}},

	{id: "crl.ended", severity: Error, without: "crl.ending", change: func(w *world, _ *Facts, s *Server) {
		s.Lists[0].CRLs = []*x509.RevocationList{w.list(noon.Add(-30*day), noon)}
	}},
	{id: "crl.ending", severity: Warning, without: "crl.ended", change: func(w *world, _ *Facts, s *Server) {
		s.Lists[0].CRLs = []*x509.RevocationList{w.list(noon.Add(-24*day), noon.Add(6*day))}
	}},
	{id: "crl.missing", severity: Warning, change: func(_ *world, _ *Facts, s *Server) { gone(&s.Lists[0]) }},
	{id: "ca.crl-none", severity: Note, without: "crl.missing", change: func(_ *world, f *Facts, s *Server) {
		gone(&f.CA.CRL)
		gone(&s.Lists[0])
		s.Conf = ""
	}},
	{id: "crl.unset", severity: Note, change: func(_ *world, _ *Facts, s *Server) { s.Lists = nil }},
	{id: "crl.unknown", kind: Postfix, severity: Note, change: func(*world, *Facts, *Server) {}},
	{id: "crl.unknown", kind: XMail, severity: Note, change: func(*world, *Facts, *Server) {}},
	{id: "dh.missing", severity: Warning, command: "group:ffdhe2048", change: func(_ *world, _ *Facts, s *Server) { gone(s.DH) }},
	{id: "dh.broken", severity: Warning, change: func(_ *world, _ *Facts, s *Server) { broken(s.DH) }},
	{id: "dh.small", severity: Warning, without: "dh.unsafe", change: func(_ *world, _ *Facts, s *Server) { s.DH.DH = &dh.Judgement{Bits: 1024, Safe: true} }},
	{id: "dh.unsafe", severity: Warning, change: func(_ *world, _ *Facts, s *Server) { s.DH.DH = &dh.Judgement{Bits: 2048} }},

	{id: "mode.key", severity: Error, command: "chmod 600 /etc/mail/certs/host.key", change: key(func(f *File) { f.Mode = 0o644 })},
	{id: "mode.key", severity: Error, command: "chmod g-r /etc/mail/certs/host.key", change: key(func(f *File) { f.Mode = 0o640 })},
	{id: "mode.key", kind: Postfix, severity: Note, change: key(func(f *File) { f.Mode = 0o640 })},
	{id: "pair.ok", severity: OK, without: "mode.key", change: func(w *world, f *Facts, s *Server) {
		key(func(f *File) { f.Mode = 0o640 })(w, f, s)
		s.Settings["dontblamesendmail"] = "TrustStickyBit,GroupReadableKeyFile"
	}},
	{id: "mode.writable", severity: Error, command: "chmod go-w /etc/mail/certs/host.cert", change: cert(func(f *File) { f.Mode = 0o664 })},
	{id: "mode.writable", kind: Postfix, severity: Warning, change: cert(func(f *File) { f.Mode = 0o664 })},
	{id: "mode.owner", severity: Error, command: "chown root /etc/mail/certs/host.key", change: key(func(f *File) { f.UID = 1000 })},
	{id: "mode.folder", severity: Error, command: "chmod go-w /etc/mail", change: cert(func(f *File) { f.Open = []Folder{{"/etc/mail", fs.ModeDir | 0o775}} })},
	{id: "mode.folder", severity: Error, change: cert(func(f *File) { f.Open = []Folder{{"/tmp", fs.ModeDir | fs.ModeSticky | 0o777}} })},
	{id: "certificate.ours", kind: Postfix, severity: OK, without: "mode.folder", change: cert(func(f *File) { f.Open = []Folder{{"/tmp", fs.ModeDir | fs.ModeSticky | 0o777}} })},
	{id: "links.folder", severity: Error, command: "mkdir", change: func(_ *world, _ *Facts, s *Server) { s.Dirs[0].State = Missing }},
	{id: "links.stale", severity: Warning, command: "rm /etc/mail/certs/12345678.0", change: func(_ *world, _ *Facts, s *Server) { s.Dirs[0].Links = []hashdir.Change{{Name: "12345678.0"}} }},
	{id: "links.missing", severity: Warning, command: "ln -sfn cacert.pem /etc/mail/certs/12345678.0", change: func(_ *world, _ *Facts, s *Server) {
		s.Dirs[0].Links = []hashdir.Change{{Name: "12345678.0", Target: "cacert.pem"}}
	}},
	{id: "clock.future", severity: Warning, change: cert(func(f *File) { f.Time = noon.Add(time.Hour) })},

	{id: "postfix.both", kind: Postfix, severity: Warning, command: "postconf -X smtpd_tls_cert_file", change: set("smtpd_tls_chain_files", "/etc/postfix/host.pem")},
	{id: "postfix.capath-chroot", kind: Postfix, severity: Warning, change: func(_ *world, _ *Facts, s *Server) {
		s.Chroot, s.Settings["smtpd_tls_CApath"] = true, "/etc/ssl/certs"
	}},
	{id: "postfix.verify-without-ca", kind: Postfix, severity: Error, change: func(_ *world, _ *Facts, s *Server) {
		s.Settings["smtp_tls_security_level"], s.Settings["smtp_tls_CAfile"] = "verify", ""
	}},
	{id: "postfix.ask-without-ca", kind: Postfix, severity: Warning, change: func(_ *world, _ *Facts, s *Server) {
		s.Settings["smtpd_tls_ask_ccert"], s.Settings["smtpd_tls_CAfile"] = "yes", ""
	}},
	{id: "postfix.require", kind: Postfix, severity: Warning, change: set("smtpd_tls_req_ccert", "yes")},
	{id: "postfix.dane", kind: Postfix, severity: Warning, change: set("smtp_tls_security_level", "dane")},
	{id: "postfix.no-client-certificate", kind: Postfix, severity: Note, change: set("smtp_tls_cert_file", "")},
	{id: "postfix.silent", kind: Postfix, severity: Note, change: set("smtpd_tls_loglevel", "0")},
	{id: "postfix.sni-open", kind: Postfix, severity: Error, command: "chmod 600 /etc/postfix/sni.db", change: func(_ *world, _ *Facts, s *Server) {
		s.Tables = []File{{Path: "/etc/postfix/sni.db", State: Read, Mode: 0o644}}
	}},
	{id: "postfix.unused", kind: Postfix, severity: Warning, change: func(_ *world, _ *Facts, s *Server) { s.Complaints = []string{"smtpd_tls_certfile"} }},
	{id: "sendmail.relative", severity: Error, change: set("crlfile", "certs/crl.pem")},
	{id: "sendmail.not-asked", severity: Note, change: set("tlssrvoptions", "V")},
	{id: "sendmail.no-client-certificate", severity: Warning, change: set("clientcertfile", "")},
	{id: "sendmail.mc-newer", severity: Warning, command: "make -C /etc/mail", change: func(_ *world, _ *Facts, s *Server) { s.MC, s.Conf = "/etc/mail/sendmail.mc", "/etc/mail/sendmail.cf" }},
	{id: "sendmail.silent", severity: Note, change: set("loglevel", "8")},
	{id: "dovecot.old-version", kind: Dovecot, severity: Warning, change: set("ssl_min_protocol", "TLSv1")},
	{id: "dovecot.plaintext", kind: Dovecot, severity: Warning, change: set("disable_plaintext_auth", "no")},
	{id: "dovecot.plaintext", kind: Dovecot, severity: Warning, change: set("auth_allow_cleartext", "yes")},
	{id: "exim.self-made", kind: Exim, severity: Warning, change: set("tls_certificate", "")},
	{id: "xmail.no-anchors", kind: XMail, severity: Error, change: set("SSLWantVerify", "1")},
	{id: "xmail.self-signed", kind: XMail, severity: Warning, change: func(_ *world, _ *Facts, s *Server) {
		s.Settings["SSLWantVerify"], s.Settings["SSLAllowSelfSigned"], s.Settings["SSLUseCertsFile"] = "1", "1", "1"
	}},

	{id: "reload.older", severity: Warning, command: "reload it", change: func(_ *world, _ *Facts, s *Server) { s.Started = noon.Add(-2 * day) }},
	{id: "live.silent", severity: Warning, change: live(func(l *Live) { *l = Live{URL: l.URL, Expected: true, Verify: "TEMP", Err: "refused"} })},
	{id: "live.ok", severity: OK, without: "live.silent", change: func(_ *world, _ *Facts, s *Server) {
		s.Live = append(s.Live, Live{URL: "smtps://127.0.0.1:465", Verify: "TEMP", Err: "refused"})
	}},
	{id: "live.no-tls", severity: Error, command: "reload it", change: live(func(l *Live) { l.Offered, l.Verify, l.Chain = false, "NO", nil })},
	{id: "live.other", severity: Error, command: "reload it", change: func(w *world, _ *Facts, s *Server) { s.Live[0].Chain = w.pair(nil).Cert.Certificates }},
	{id: "live.name", severity: Warning, change: live(func(l *Live) { l.Banner = "localhost.localdomain" })},
	{id: "live.old-version", severity: Warning, change: live(func(l *Live) { l.Old = []string{"TLS 1.0", "TLS 1.1"} })},
	{id: "live.old-version", kind: Postfix, severity: Warning, command: "smtpd_tls_protocols = >=TLSv1.2", change: live(func(l *Live) { l.Old = []string{"TLS 1.1"} })},
	{id: "live.fail", severity: Warning, without: "live.ok", change: live(func(l *Live) { l.Verify, l.Err = "FAIL", "unknown CA" })},
	{id: "live.ok", severity: OK, change: func(*world, *Facts, *Server) {}},
}

// signedBy is a certificate that says it is signed so. Nothing signs so any more.
func signedBy(a x509.SignatureAlgorithm) func(*world, *Facts, *Server) {
	return func(_ *world, _ *Facts, s *Server) {
		c := *s.Pairs[0].Cert.Certificates[0]
		c.SignatureAlgorithm = a
		s.Pairs[0].Cert.Certificates, s.Live = []*x509.Certificate{&c}, nil
	}
}

// between has the certificate signed by a CA below the root, whose own certificate
// is in the file or not.
func between(there bool) func(*world, *Facts, *Server) {
	return func(w *world, _ *Facts, s *Server) {
		middle := newWorld(w.t, "Middle CA", nil)
		template := *middle.root
		middle.root = w.sign(&template, w.root, middle.key.Public())
		s.Pairs[0], s.Live = middle.pair(nil), nil
		if there {
			s.Pairs[0].Cert.Certificates = append(s.Pairs[0].Cert.Certificates, middle.root)
		}
	}
}

func find(all []Finding, id string) *Finding {
	for n := range all {
		if all[n].ID == id {
			return &all[n]
		}
	}
	return nil
}

// TestCases: each fault is found, by its id and with its severity; each check has
// a case; and no words lack an argument.
func TestCases(t *testing.T) {
	words, err := Language("en")
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	w := newWorld(t, "MyCorp CA", nil)
	for _, tt := range testCases {
		tried[tt.id] = true
		kind := tt.kind
		if kind == "" {
			kind = Sendmail
		}
		t.Run(tt.id+"/"+string(kind), func(t *testing.T) {
			f := w.right(kind)
			tt.change(w, f, &f.Servers[0])
			all := Diagnose(f)
			got := find(all, tt.id)
			if got == nil {
				t.Fatalf("not found among %v", all)
			}
			if got.Severity != tt.severity {
				t.Errorf("it is %v, want %v", got.Severity, tt.severity)
			}
			if !strings.Contains(strings.Join(got.Commands, "\n"), tt.command) {
				t.Errorf("the commands are %q, want %q", got.Commands, tt.command)
			}
			if tt.without != "" && find(all, tt.without) != nil {
				t.Errorf("%s is said too", tt.without)
			}
			for _, one := range all {
				if s := words.Say(one); strings.ContainsAny(s.Text+s.Consequence+s.Cure, "{}") {
					t.Errorf("%s lacks an argument: %+v", one.ID, s)
				}
			}
		})
	}
	for _, id := range ids() {
		if !tried[id] {
			t.Errorf("%s has no case", id)
		}
	}
}

// TestRight: where all is right nothing is yellow or red.
func TestRight(t *testing.T) {
	w := newWorld(t, "MyCorp CA", nil)
	for _, k := range []Kind{Sendmail, Postfix, Dovecot, Exim, XMail, Files} {
		all := Diagnose(w.right(k))
		for _, f := range all {
			if f.Severity >= Warning {
				t.Errorf("%s: %+v", k, f)
			}
		}
		var order []string
		for _, f := range all {
			order = append(order, f.ID)
		}
		if want := []string{"ca.ok", "certificate.ours", "pair.ok", "ca-file.ok"}; !slices.Equal(order[:4], want) {
			t.Errorf("%s: the diagnosis begins with %v, want %v", k, order[:4], want)
		}
		if got := Worst(all); got >= Warning {
			t.Errorf("the worst is %v", got)
		}
	}
	if got := Worst(nil); got != OK {
		t.Error(got)
	}
}
