package watcher_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/x509key"
	"mailseal/test/rig"
)

// instance is a private server.
type instance interface {
	Start() error
	Stop() error
	Close() error
	Addr() string
	Dir() string
	Log() string
	ReloadCommand() string
}

// A server is one target of certmgr, alive.
type server struct {
	w          *world
	name, kind string
	dir        string
	settings   map[string][]string // further ones of its table in the configuration
	mta        instance
	clients    *traffic
	session    func() error // one of a client
	serves     func() (*x509.Certificate, error)

	// Names of files; pair stands for key and cert.
	key, cert, pair, ca, crl, dh string
	keyMode                      os.FileMode
	group                        string // of parameters for Diffie-Hellman
	links                        bool   // the folder has hash links
}

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }

// keyFile and certFile are one file for some.
func (s *server) keyFile() string  { return s.file(s.key + s.pair) }
func (s *server) certFile() string { return s.file(s.cert + s.pair) }

// prepared gives a server its folder and what is to be done at its end.
func (w *world) prepared(s *server, mta instance, err error) *server {
	w.t.Helper()
	rig.Missing(w.t, err)
	ok(w.t, err)
	s.w, s.mta = w, mta
	s.settings = map[string][]string{"key": {"p256"}}
	w.t.Cleanup(func() {
		if w.t.Failed() {
			output, _ := os.ReadFile(filepath.Join(mta.Dir(), "output"))
			w.t.Logf("of the log of %s:\n%s%s", s.name, telling(mta.Log()), output)
		}
		if err := mta.Close(); err != nil {
			w.t.Errorf("close %s: %v", s.name, err)
		}
	})
	return s
}

// telling leaves out of a log what is there of every mail.
func telling(log string) string {
	usual := regexp.MustCompile(`verify=OK|verifymsg=ok|TLS connection established|(dis)?connect from|AUTH:|[:] (from|to)=|stat(u)?s=|poststats|<=|Completed|blackhole|Milter: no|client=|message-id=|: removed|Login:|Disconnected|overriding earlier`)
	return strings.Join(slices.DeleteFunc(strings.Split(log, "\n"), usual.MatchString), "\n")
}

// overSMTP has clients send mails, and the certificate looked at by SMTP.
func (s *server) overSMTP() {
	addr := s.mta.Addr()
	s.settings["probe"] = []string{"smtp://" + addr}
	s.session = func() error { return deliver(addr, s.w.checking(hosts[0])) }
	s.serves = func() (*x509.Certificate, error) {
		var leaf *x509.Certificate
		c, err := dialSMTP(addr, &tls.Config{RootCAs: s.w.roots, ServerName: hosts[1], VerifyConnection: seen(&leaf)})
		if err == nil {
			err = c.Quit()
		}
		return leaf, err
	}
}

func seen(leaf **x509.Certificate) func(tls.ConnectionState) error {
	return func(c tls.ConnectionState) error { *leaf = c.PeerCertificates[0]; return nil }
}

func sendmail(w *world) *server {
	dir := w.path("sendmail")
	s := &server{
		name: "sendmail", kind: "sendmail", dir: dir, key: "host.key", cert: "host.cert", ca: "cacert.pem", crl: "crl.pem", dh: "dh.param",
		keyMode: 0o600, group: "ffdhe2048", links: true,
	}
	mta, err := mtarig.NewSendmail(mtarig.Config{
		Tools: rig.Tools(w.t),
		TLS:   mtarig.TLS{Certificate: s.file(s.cert), Key: s.file(s.key), CA: s.file(s.ca), Dir: dir, DH: s.file(s.dh)},
		Extra: []string{"define(`confDELIVERY_MODE', `queueonly')dnl", "define(`confLOG_LEVEL', `10')dnl"},
	})
	w.prepared(s, mta, err)
	s.settings["reload"] = []string{mta.ReloadCommand()}
	s.overSMTP()
	return s
}

func postfix(w *world) *server {
	s := &server{
		name: "postfix", kind: "postfix", dir: w.path("postfix"), pair: "host.pem", ca: "cacert.pem", dh: "dh.param",
		keyMode: 0o600, group: "ffdhe3072",
	}
	mta, err := mtarig.NewPostfix(mtarig.Config{
		Tools: rig.Tools(w.t),
		TLS:   mtarig.TLS{Chain: s.file(s.pair), CA: s.file(s.ca), DH: s.file(s.dh)},
		Extra: []string{"transport_maps = static:discard:", "smtpd_tls_loglevel = 1"},
	})
	w.prepared(s, mta, err)
	s.settings["reload"] = []string{mta.ReloadCommand()}
	s.settings["dh"] = []string{s.group}
	s.overSMTP()
	return s
}

// exim has no file of parameters for Diffie-Hellman: where one is missing that it
// shall read, each session computes its own for many seconds, wants to leave them
// in the folder, which is not its own, and refuses TLS.
func exim(w *world) *server {
	dir := w.path("exim")
	s := &server{
		name: "exim", kind: "exim", dir: dir, key: "exim.key", cert: "exim.crt", ca: "cacert.pem", crl: "crl.pem",
		keyMode: 0o640,
	}
	mta, err := mtarig.NewExim(mtarig.Config{
		Tools: rig.Tools(w.t),
		TLS:   mtarig.TLS{Certificate: s.file(s.cert), Key: s.file(s.key), CA: s.file(s.ca)},
		Extra: []string{"acl_smtp_data = discard", "tls_crl = " + s.file(s.crl)},
	})
	w.prepared(s, mta, err)
	s.settings["group"] = []string{mtarig.EximUser}
	s.settings["dh"] = []string{"off"}
	s.overSMTP()
	return s
}

func dovecot(w *world) *server {
	dir := w.path("dovecot")
	s := &server{
		name: "dovecot", kind: "dovecot", dir: dir, key: "dovecot.key", cert: "dovecot.pem", ca: "ca.pem", dh: "dh.pem",
		keyMode: 0o600, group: "ffdhe2048",
	}
	mta, err := mtarig.NewDovecot(mtarig.Config{
		Tools: rig.Tools(w.t),
		TLS:   mtarig.TLS{Certificate: s.file(s.cert), Key: s.file(s.key), CA: s.file(s.ca), DH: s.file(s.dh)},
	})
	w.prepared(s, mta, err)
	s.settings["reload"] = []string{mta.ReloadCommand()}
	s.settings["probe"] = []string{"imap://" + mta.Addr(), "imaps://" + mta.IMAPS(), "pop3s://" + mta.POP3S()}
	s.session = func() error { return logIn(mta.IMAPS(), w.checking(hosts[0])) }
	s.serves = func() (*x509.Certificate, error) {
		var leaf *x509.Certificate
		return leaf, logIn(mta.IMAPS(), &tls.Config{RootCAs: w.roots, ServerName: hosts[1], VerifyConnection: seen(&leaf)})
	}
	return s
}

// leaf is the certificate on the disk.
func (s *server) leaf() (*x509.Certificate, error) {
	certs, err := pki.ReadCertificates(s.certFile())
	if err != nil {
		return nil, notYet("%v", err)
	}
	return certs[0], nil
}

// sound says what is wrong with a server's files, and with what it serves.
func (s *server) sound() error {
	if err := s.whole(); err != nil {
		return err
	}
	return s.served()
}

// served says what is wrong with what a server serves, by its files.
func (s *server) served() error {
	want, err := s.leaf()
	if err != nil {
		return err
	}
	have, err := s.serves()
	switch {
	case err != nil:
		return notYet("%v", err)
	case !have.Equal(want):
		return notYet("serves certificate %X, and %X is on the disk", have.SerialNumber, want.SerialNumber)
	}
	return nil
}

// whole says what is wrong with the files alone.
func (s *server) whole() error {
	if err := s.identity(); err != nil {
		return err
	}
	authority := s.w.authority()
	cas, err := pki.ReadCertificates(s.file(s.ca))
	switch {
	case err != nil:
		return notYet("%v", err)
	case !cas[0].Equal(authority):
		return notYet("%s does not begin with the present CA", s.ca)
	}
	list := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: s.w.list()})
	if s.crl != "" && !same(s.file(s.crl), list) {
		return notYet("%s is not the present list", s.crl)
	}
	if s.kind == "dovecot" {
		if b, err := os.ReadFile(s.file(s.ca)); err != nil || !bytes.Contains(b, list) {
			return notYet("%s has not the present list", s.ca)
		}
	}
	if s.dh != "" && !same(s.file(s.dh), parameters(s.w.t, s.group)) {
		return notYet("%s is not %s", s.dh, s.group)
	}
	if s.links {
		return s.linked()
	}
	return nil
}

// identity judges key and certificate.
func (s *server) identity() error {
	fi, err := os.Lstat(s.keyFile())
	if err != nil {
		return notYet("%v", err)
	}
	if fi.Mode() != s.keyMode {
		return notYet("%s has mode %v", s.keyFile(), fi.Mode())
	}
	if uid, gid, want := owner(fi), groupOf(fi), s.owning(); uid != 0 || gid != want {
		return notYet("%s belongs to %d:%d", s.keyFile(), uid, gid)
	}
	pair, err := tls.LoadX509KeyPair(s.certFile(), s.keyFile())
	if err != nil {
		return notYet("%v", err)
	}
	leaf := pair.Leaf
	for _, h := range s.w.names {
		if err := leaf.VerifyHostname(h); err != nil {
			return notYet("%v", err)
		}
	}
	if err := x509key.CheckSignature(s.w.authority(), leaf); err != nil {
		return notYet("%v", err)
	}
	if left := time.Until(leaf.NotAfter); left < leaf.NotAfter.Sub(leaf.NotBefore)/4 {
		return notYet("the certificate ends in %v", left)
	}
	list, err := x509.ParseRevocationList(s.w.list())
	if err != nil {
		return notYet("%v", err)
	}
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
			return notYet("the certificate is revoked")
		}
	}
	return nil
}

func (s *server) owning() int {
	if s.kind != "exim" {
		return 0
	}
	g, err := user.LookupGroup(mtarig.EximUser)
	ok(s.w.t, err)
	gid, err := strconv.Atoi(g.Gid)
	ok(s.w.t, err)
	return gid
}

// linked has openssl look up by hash links, as sendmail does, and looks for links
// that lead nowhere.
func (s *server) linked() error {
	for _, name := range []string{s.hash("x509", s.ca) + ".0", s.hash("crl", s.crl) + ".r0"} {
		to, err := os.Readlink(s.file(name))
		if err != nil || strings.Contains(to, "/") {
			return notYet("link %s leads to %q: %v", name, to, err)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return notYet("%v", err)
	}
	for _, e := range entries {
		if _, err := os.Stat(s.file(e.Name())); err != nil {
			return notYet("a link that leads nowhere: %v", err)
		}
	}
	out, err := exec.Command("openssl", "verify", "-no-CAfile", "-no-CAstore", "-CApath", s.dir, "-crl_check", s.certFile()).CombinedOutput()
	if err != nil {
		return notYet("openssl verify: %s", out)
	}
	return nil
}

// hash is the name of a hash link without its end, "" where there is no file.
func (s *server) hash(kind, name string) string {
	out, _ := exec.Command("openssl", kind, "-noout", "-hash", "-in", s.file(name)).Output()
	return strings.TrimSpace(string(out))
}
