package install

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"mailseal/certmgr/bought"
	"mailseal/certmgr/ca"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
)

// A shop is a public CA of which the system knows the root, with one between, that
// has sold a certificate; and a target for which it is dropped into a folder.
type shop struct {
	*bench
	seller *testpki.PKI
	chain  []*x509.Certificate
	folder string
}

// newShop may be given the CA, which then is not made again.
func newShop(t *testing.T, seller *testpki.PKI) *shop {
	t.Helper()
	s := &shop{bench: newBenchWithout(t), seller: seller, chain: seller.CA().Chain(), folder: filepath.Join(t.TempDir(), "bought")}
	s.do(os.Mkdir(s.folder, 0o700))
	root := s.chain[len(s.chain)-1]
	s.layout("sendmail", Choices{Bundle: testpki.Write(t, "bundle.crt", ca.EncodeCertificates(s.pki.Root(), root))})
	s.target.Issuer, s.target.From = FromFiles, s.folder
	s.from = gone{} // nobody is asked
	return s
}

// newBenchWithout is a bench of a host that has no CA of its own.
func newBenchWithout(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.target.Authority, b.target.CRL = nil, nil
	return b
}

func (s *shop) sell(hosts ...string) pki.Identity {
	return s.seller.Issue(ca.Request{Profile: ca.Host, Hosts: hosts, Key: ca.P256})
}

func (s *shop) drop(name string, content ...[]byte) {
	s.t.Helper()
	s.do(os.WriteFile(filepath.Join(s.folder, name), bytes.Join(content, nil), 0o600))
}

// In whatever form a certificate comes, it is found, and installed with what is
// between it and the root; the root is in the file of CAs.
func TestDropped(t *testing.T) {
	seller := testpki.New(t).Stranger().Below()
	for _, tt := range []struct {
		what string
		drop func(s *shop, id pki.Identity, key, leaf, between []byte)
		// files are those that are named, in order.
		files string
	}{
		{"one file", func(s *shop, _ pki.Identity, key, leaf, between []byte) { s.drop("all.pem", between, leaf, key) }, "all.pem"},
		{"three files", func(s *shop, _ pki.Identity, key, leaf, between []byte) {
			s.drop("server.key", key)
			s.drop("0815.crt", leaf)
			s.drop("bundle.ca-bundle", between)
			s.drop("README", []byte("Thank you."))
		}, "0815.crt and server.key"},
		{"DER, and a key for a request", func(s *shop, id pki.Identity, key, _, _ []byte) {
			s.drop("server.csr", []byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
			s.drop("mx.request.key", key)
			s.drop("mx.cer", id.Certificate.Raw)
			s.drop("between.der", id.Chain[0].Raw)
		}, "mx.cer and mx.request.key"},
		{"PKCS #12", func(s *shop, id pki.Identity, _, _, _ []byte) {
			s.drop("mx.p12", testpki.PKCS12(s.t, id, "secret"))
			s.drop("mx.pass", []byte("secret\n"))
		}, "mx.p12"},
		{"PKCS #12 without a passphrase", func(s *shop, id pki.Identity, _, _, _ []byte) {
			s.drop("mx.PFX", testpki.PKCS12(s.t, id, ""))
		}, "mx.PFX"},
		{"encrypted key", func(s *shop, id pki.Identity, _, leaf, between []byte) {
			// As openssl does it, with few rounds.
			key, err := pkcs8.MarshalPrivateKey(id.Key, []byte("secret"), &pkcs8.Opts{Cipher: pkcs8.AES256CBC,
				KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 2048, HMACHash: crypto.SHA256}})
			s.do(err)
			s.drop("mx.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: key}))
			s.drop("mx.pass", []byte("secret\r\n"))
			s.drop("fullchain.pem", leaf, between)
		}, "fullchain.pem and mx.key"},
		{"a root that the system does not know", func(s *shop, _ pki.Identity, key, leaf, between []byte) {
			s.do(os.WriteFile(s.target.Bundle, ca.EncodeCertificates(s.pki.Root()), 0o644))
			s.drop("all.pem", key, leaf, between)
			s.drop("root.pem", ca.EncodeCertificates(s.chain[1]))
		}, "all.pem"},
		{"older ones beside", func(s *shop, id pki.Identity, key, leaf, between []byte) {
			for _, name := range []string{"a", "b"} {
				old := s.old(hosts...)
				s.drop(name+".pem", testpki.PEM(s.t, old))
			}
			s.drop("all.pem", key, leaf, between)
		}, "all.pem"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := newShop(t, seller)
			id := s.sell(hosts...)
			key, err := ca.EncodeKey(id.Key, nil)
			s.do(err)
			tt.drop(s, id, key, ca.EncodeCertificates(id.Certificate), ca.EncodeCertificates(id.Chain...))
			p, _ := s.plan()
			want := strings.ReplaceAll(filepath.Join(s.folder, tt.files), " and ", " and "+s.folder+"/")
			if !strings.HasPrefix(p.Take, want+", serial ") || p.Issue {
				t.Errorf("takes %q; want %q; %q", p.Take, want, p.Notes)
			}
			s.right()
			s.wantIn("host.cert", append([]*x509.Certificate{id.Certificate}, id.Chain...)...)
			s.wantIn("cacert.pem", s.chain[1])
			s.do(os.RemoveAll(s.folder)) // what is installed stands for itself
			if p, _ := s.plan(); !p.Done() || !p.Right() {
				t.Errorf("with the folder gone: %v", p.Findings)
			}
		})
	}
}

// old has certificates that were sold before others.
func (s *shop) old(hosts ...string) pki.Identity {
	id := s.sell(hosts...)
	at := *id.Certificate
	at.NotBefore = at.NotBefore.Add(-30 * 24 * time.Hour)
	// As nobody's signature but the seller's would do, it is one of itself.
	var err error
	id.Certificate, err = testpki.Certificate(&at, &at, id.Key.Public(), id.Key)
	s.do(err)
	return id
}

// What is wrong with what lies there is said so that it can be mended, and nothing
// is installed.
func TestDroppedWrong(t *testing.T) {
	seller := testpki.New(t).Stranger().Below()
	expired := testpki.NewAt(t, time.Now().AddDate(-5, 0, 0)).Issue(ca.Request{Profile: ca.Host, Hosts: hosts, Key: ca.P256})
	for _, tt := range []struct {
		what string
		drop func(s *shop, id pki.Identity)
		want string
	}{
		{"nothing", func(*shop, pki.Identity) {}, "has no certificate with its key; drop key, certificate and what came with it there"},
		{"no folder", func(s *shop, _ pki.Identity) { s.do(os.Remove(s.folder)) }, "is missing; make it, mode 0700"},
		{"no folder but a file", func(s *shop, _ pki.Identity) {
			s.do(os.Remove(s.folder))
			s.do(os.WriteFile(s.folder, nil, 0o600))
		}, "not a directory"},
		{"a key alone", func(s *shop, id pki.Identity) { s.drop("mx.key", testpki.KeyPEM(s.t, id.Key)) }, "/mx.key is a key that waits for its certificate; drop it there"},
		{"a certificate alone", func(s *shop, id pki.Identity) { s.drop("mx.crt", testpki.CertPEM(id.Certificate)) }, "/mx.crt (CN=mx.example.jp,O=mailseal tests,C=JP): its private key is not there; drop it there, too"},
		{"another's key", func(s *shop, id pki.Identity) {
			s.drop("mx.pem", testpki.CertPEM(id.Certificate), testpki.KeyPEM(s.t, s.sell(hosts...).Key))
		}, "its private key is not there"},
		{"without what is between", func(s *shop, id pki.Identity) {
			id.Chain = nil
			s.drop("mx.pem", testpki.PEM(s.t, id))
		}, "the certificate of its issuer, " + seller.CA().Chain()[0].Subject.String() + ", is neither there nor a public CA's; drop it there, too"},
		{"of a root that nobody knows", func(s *shop, id pki.Identity) {
			s.do(os.WriteFile(s.target.Bundle, ca.EncodeCertificates(s.pki.Root()), 0o644))
			s.drop("mx.pem", testpki.PEM(s.t, id))
		}, "the certificate of its issuer, " + seller.CA().Chain()[1].Subject.String() + ", is neither there"},
		{"no public CAs", func(s *shop, id pki.Identity) {
			s.do(os.Remove(s.target.Bundle))
			s.drop("mx.pem", testpki.PEM(s.t, id))
		}, "should hold the public CAs: install them"},
		{"too few names", func(s *shop, _ pki.Identity) { s.drop("mx.pem", testpki.PEM(s.t, s.sell(hosts[0]))) }, "does not cover mail.example.jp; it has mx.example.jp"},
		{"expired", func(s *shop, _ pki.Identity) { s.drop("mx.pem", testpki.PEM(s.t, expired)) }, "has expired at "},
		{"not yet valid", func(s *shop, id pki.Identity) {
			s.now = s.now.AddDate(0, 0, -2)
			s.drop("mx.pem", testpki.PEM(s.t, id))
		}, "is not valid before "},
		{"for mail", func(s *shop, _ pki.Identity) {
			s.drop("mx.pem", testpki.PEM(s.t, s.seller.Issue(ca.Request{Profile: ca.User, Emails: []string{"a@example.jp"}, Key: ca.P256})))
		}, "is not for servers"},
		{"signed by itself", func(s *shop, _ pki.Identity) { s.drop("mx.pem", testpki.PEM(s.t, s.old(hosts...))) }, "is signed by itself and by no CA"},
		{"the wrong passphrase", func(s *shop, id pki.Identity) {
			s.drop("mx.p12", testpki.PKCS12(s.t, id, "secret"))
			s.drop("mx.pass", []byte("Secret"))
		}, "/mx.p12: wrong passphrase"},
		{"no passphrase", func(s *shop, id pki.Identity) { s.drop("mx.p12", testpki.PKCS12(s.t, id, "secret")) }, "/mx.p12: the key is encrypted and needs its passphrase"},
		{"half a file", func(s *shop, id pki.Identity) { s.drop("mx.pem", testpki.PEM(s.t, id)[:300]) }, "drop key, certificate and what came with it"},
		{"an archive", func(s *shop, _ pki.Identity) { s.drop("mx.zip", []byte("PK")) }, "/mx.zip: unpack it there"},
		{"a large file", func(s *shop, _ pki.Identity) { s.drop("mx.pem", make([]byte, 2<<20)) }, "more than 1048576 octets"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := newShop(t, seller)
			tt.drop(s, s.sell(hosts...))
			p, before := s.plan()
			if got := strings.Join(p.Notes, "\n"); !strings.Contains(got, tt.want) {
				t.Errorf("%s; want %q", got, tt.want)
			}
			if strings.Contains(strings.Join(p.Notes, "\n"), "PRIVATE KEY") || p.Take != "" || p.Issue || p.Right() {
				t.Errorf("takes %q, issues %v", p.Take, p.Issue)
			}
			s.install(p, before)
			if p, _ := s.plan(); !p.Done() || p.Right() { // nothing more can be done
				t.Errorf("%v", p.Steps)
			}
			if _, err := os.Stat(s.path("host.key")); err == nil {
				t.Error("a key was installed")
			}
		})
	}
}

// A newer one takes the place of the one before; one that is no good does not.
func TestDroppedNewer(t *testing.T) {
	s := newShop(t, testpki.New(t).Stranger().Below())
	before := testpki.NewAt(t, time.Now().AddDate(0, 0, -60))
	s.do(os.WriteFile(s.target.Bundle, ca.EncodeCertificates(before.Root(), s.chain[1]), 0o644))
	first := before.Issue(ca.Request{Profile: ca.Host, Hosts: hosts, Key: ca.P256})
	s.drop("2026.pem", testpki.PEM(s.t, first))
	s.right()
	for name, id := range map[string]pki.Identity{"other-names.pem": s.sell("www.example.jp"), "self.pem": s.old(hosts...), "nobody.pem": testpki.New(t).Issue(ca.Request{Profile: ca.Host, Hosts: hosts, Key: ca.P256})} {
		s.drop(name, testpki.PEM(t, id))
	}
	s.wantRight()
	s.host(s.sell(hosts...)) // somebody's own idea of it
	if p, _ := s.plan(); len(p.Findings) != 1 || p.Findings[0].Fault != Outdated {
		t.Errorf("%v", p.Findings)
	}
	s.right()
	if !s.firstIn("host.cert").Equal(first.Certificate) {
		t.Error("not the one that lies there")
	}
	second := s.sell(hosts...)
	s.drop("2027.pem", testpki.PEM(s.t, second))
	if p, _ := s.plan(); !strings.Contains(p.Take, "2027.pem") || !slices.Equal(p.Write, []Role{CA, Key, Certificate}) {
		t.Errorf("takes %q, writes %v", p.Take, p.Write)
	}
	done := s.right()
	s.do(done.RollBack())
	if !s.firstIn("host.cert").Equal(first.Certificate) {
		t.Error("not rolled back")
	}
	s.right()
	// Thirty days before its end somebody is reminded, and it is served to its end.
	s.now = bought.Remind(second.Certificate)
	p, _ := s.plan()
	if !p.Done() || !p.Right() || !strings.Contains(strings.Join(p.Notes, "\n"), "drop a newer one into "+s.folder) || !p.Due.Equal(second.Certificate.NotAfter) {
		t.Errorf("%v %q due %v", p.Findings, p.Notes, p.Due)
	}
	s.now = second.Certificate.NotAfter
	if p, _ := s.plan(); p.Right() || !p.Done() || p.Findings[0].Fault != Expired {
		t.Errorf("%v %v", p.Findings, p.Steps)
	}
}

// The folder may be anybody's mistake.
func TestDroppedFolder(t *testing.T) {
	s := newShop(t, testpki.New(t).Stranger())
	s.drop("mx.pem", testpki.PEM(s.t, s.sell(hosts...)))
	s.do(os.Chmod(s.folder, 0o775))
	s.do(os.Chmod(filepath.Join(s.folder, "mx.pem"), 0o644))
	s.do(os.Mkdir(filepath.Join(s.folder, "old"), 0o700))
	s.do(os.Symlink("gone.pem", filepath.Join(s.folder, "link.pem")))
	s.right()
	p, _ := s.plan()
	wants := []string{"chmod go-w " + s.folder, "others may read it: chmod 600 "}
	if os.Geteuid() == 0 {
		s.do(os.Chown(s.folder, 65534, -1))
		wants = append(wants, "belongs to user 65534, who could have another certificate served")
		p, _ = s.plan()
	}
	for _, want := range wants {
		if !strings.Contains(strings.Join(p.Notes, "\n"), want) {
			t.Errorf("no %q in %q", want, p.Notes)
		}
	}
	// Who drops one has it served: that is not for anybody.
	s.do(os.Chmod(s.folder, 0o777))
	s.drop("2027.pem", testpki.PEM(s.t, s.sell(hosts...)))
	if p, _ := s.plan(); p.Take != "" || len(p.Write) > 0 || !strings.Contains(strings.Join(p.Notes, "\n"), "anybody may write to it; chmod o-w "+s.folder) {
		t.Errorf("takes %q, writes %v, says %q", p.Take, p.Write, p.Notes)
	}
}
