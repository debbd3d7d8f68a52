package authority

import (
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"

	"mailseal/internal/testpki"
)

// folder writes the certificates as files by their names, and their chains and
// roots as those with these endings.
func folder(t testing.TB, all []*certificate) tool {
	t.Helper()
	p := tool{dir: t.TempDir()}
	for _, c := range all {
		p.write(t, c.name+".pem", testpki.CertPEM(c.cert))
		p.write(t, c.name+".chain", testpki.CertPEM(c.chain...))
		p.write(t, c.name+".full", testpki.CertPEM(append([]*x509.Certificate{c.cert}, c.chain...)...))
		p.write(t, c.name+".root", testpki.CertPEM(c.root))
	}
	return p
}

type openSSL struct{ tool }

func newOpenSSL(t testing.TB, all []*certificate) program {
	need(t, "openssl")
	return openSSL{folder(t, all)}
}

func (openSSL) name() string { return "openssl" }

// accepts has OpenSSL look at all of RFC 5280 that it knows (-x509_strict), and
// at the root's own signature.
func (o openSSL) accepts(c *certificate, u use) error {
	purpose := map[use]string{signing: "smimesign", encrypting: "smimeencrypt", serving: "sslserver", connecting: "sslclient", issuing: "crlsign"}[u]
	command := []string{"openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose, "-CAfile", c.name + ".root"}
	if len(c.chain) > 0 {
		command = append(command, "-untrusted", c.name+".chain")
	}
	if c.email() != "" {
		command = append(command, "-verify_email", c.email())
	}
	if c.host() != "" {
		command = append(command, "-verify_hostname", c.host())
	}
	_, err := o.run("", append(command, c.name+".pem")...)
	return err
}

type gnuTLS struct{ tool }

func newGnuTLS(t testing.TB, all []*certificate) program {
	need(t, "certtool")
	return gnuTLS{folder(t, all)}
}

func (gnuTLS) name() string { return "certtool" }

func (g gnuTLS) accepts(c *certificate, u use) error {
	command := []string{"certtool", "--verify", "--load-ca-certificate", c.name + ".root", "--infile", c.name + ".full"}
	purpose := map[use]string{signing: "1.3.6.1.5.5.7.3.4", encrypting: "1.3.6.1.5.5.7.3.4", serving: "1.3.6.1.5.5.7.3.1", connecting: "1.3.6.1.5.5.7.3.2"}[u]
	if purpose != "" {
		command = append(command, "--verify-purpose", purpose)
	}
	if c.email() != "" {
		command = append(command, "--verify-email", c.email())
	}
	if c.host() != "" {
		command = append(command, "--verify-hostname", c.host())
	}
	_, err := g.run("", command...)
	return err
}

// nss is certutil with a store that has all certificates but those that it
// does not take.
type nss struct {
	tool
	refused map[string]error // by the certificate
}

func newNSS(t testing.TB, all []*certificate) program {
	need(t, "certutil")
	n := nss{folder(t, all), map[string]error{}}
	n.must(t, "", "certutil", "-N", "-d", "sql:.", "--empty-password")
	// One run for most: each opens the store and makes it durable. The first
	// that it does not take ends it.
	var batch strings.Builder
	for _, s := range stored(all) {
		n.write(t, s.name, testpki.CertPEM(s.cert))
		trust := ",,"
		if s.anchor {
			trust = "CT,C,C" // T: for clients
		}
		if has[ed25519.PublicKey](s.cert) {
			_, n.refused[string(s.cert.Raw)] = n.run("", "certutil", "-A", "-d", "sql:.", "-n", s.name, "-t", trust, "-i", s.name)
			continue
		}
		fmt.Fprintf(&batch, "-A -n %s -t %s -i %[1]s\n", s.name, trust)
	}
	n.write(t, "batch", []byte(batch.String()))
	n.must(t, "", "certutil", "-B", "-d", "sql:.", "-i", "batch")
	return n
}

func (nss) name() string { return "certutil" }

func (n nss) accepts(c *certificate, u use) error {
	for _, one := range []*x509.Certificate{c.cert, c.root} {
		if err := n.refused[string(one.Raw)]; err != nil {
			return err
		}
	}
	usage := map[use]string{signing: "S", encrypting: "R", serving: "V", connecting: "C", issuing: "L"}[u]
	_, err := n.run("", "certutil", "-V", "-d", "sql:.", "-n", c.name, "-u", usage, "-e")
	return err
}

// An entry is one of a store.
type entry struct {
	name   string
	cert   *x509.Certificate
	anchor bool
}

// stored are all certificates with those above them, each once.
func stored(all []*certificate) (list []entry) {
	known := map[string]bool{}
	add := func(e entry) {
		if !known[string(e.cert.Raw)] {
			known[string(e.cert.Raw)] = true
			list = append(list, e)
		}
	}
	for _, c := range all {
		add(entry{c.name + "-root", c.root, true})
		for i, above := range c.chain {
			add(entry{fmt.Sprintf("%s-above-%d", c.name, i), above, false})
		}
		add(entry{c.name, c.cert, false})
	}
	return list
}

// gpgsm has a home with all certificates. It knows nothing of TLS.
type gpgsm struct{ tool }

func newGPGSM(t testing.TB, all []*certificate) program {
	need(t, "gpgsm", "gpg-agent", "gpgconf")
	g := gpgsm{folder(t, all)}
	// The agent's socket is in its home, and its name must be short.
	home, err := os.MkdirTemp("/tmp", "ms-gpg-")
	if err != nil {
		t.Fatal(err)
	}
	g.env = []string{"GNUPGHOME=" + home}
	t.Cleanup(func() {
		g.run("", "gpgconf", "--kill", "all") // of this home only
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	var trusted strings.Builder
	var certs []*x509.Certificate
	for _, s := range stored(all) {
		certs = append(certs, s.cert)
		if s.anchor {
			fmt.Fprintf(&trusted, "%s S relax\n", fingerprint(s.cert))
		}
	}
	at := tool{dir: home}
	at.write(t, "trustlist.txt", []byte(trusted.String()))
	at.write(t, "gpgsm.conf", []byte("disable-crl-checks\ndisable-dirmngr\nno-greeting\nbatch\nno-random-seed-file\n"))
	at.write(t, "gpg-agent.conf", []byte("allow-loopback-pinentry\n"))
	g.write(t, "all", testpki.CertPEM(certs...))
	// It fails where there is one that it does not take, whose absence it will
	// find when it is asked.
	g.run("", "gpgsm", "--import", "all")
	return g
}

func fingerprint(c *x509.Certificate) string { return fmt.Sprintf("%X", sha1.Sum(c.Raw)) }

func (gpgsm) name() string { return "gpgsm" }

func (g gpgsm) accepts(c *certificate, u use) error {
	if u == encrypting {
		_, err := g.run("text", "gpgsm", "--encrypt", "--recipient", fingerprint(c.cert), "--output", "/dev/null")
		return err
	}
	out, err := g.run("", "gpgsm", "--list-keys", "--with-validation", fingerprint(c.cert))
	if err != nil {
		return err
	}
	if err := said(out, "[certificate is good]"); err != nil {
		return err
	}
	if u == signing {
		return said(out, "digitalSignature")
	}
	return nil
}

// programs are all of them, each told the certificates.
func programs(t testing.TB, all []*certificate) []program {
	t.Helper()
	return []program{newOpenSSL(t, all), newGnuTLS(t, all), newNSS(t, all), newGPGSM(t, all)}
}
