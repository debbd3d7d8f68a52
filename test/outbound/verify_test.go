package outbound_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/peers"
)

// Judges are who must take a mail for well signed. No program but ours reads
// signatures of all kinds of keys: with some, those have to do that can.
type judges struct {
	peers   []peers.Peer
	anchors string
	ids     []pki.Identity
}

func newJudges(t *testing.T, p *testpki.PKI, ids ...pki.Identity) judges {
	anchors := testpki.Write(t, "ca.pem", testpki.CertPEM(p.Roots()...))
	return judges{peers.All(t, peers.Config{Anchors: anchors}), anchors, ids}
}

// author is the certificate of the one whose mail it is.
func (j judges) author(m mtarig.Mail) *x509.Certificate {
	for _, id := range j.ids {
		if strings.HasPrefix(string(m.Data), "From: "+id.Certificate.EmailAddresses[0]+"\r\n") {
			return id.Certificate
		}
	}
	return nil
}

// verify has all of them look at a mail, and returns what is signed.
func (j judges) verify(t *testing.T, mail []byte, author *x509.Certificate) (inner []byte) {
	t.Helper()
	stdout, stderr, status := daemon.Run(t, mail, "verify", "-ca", j.anchors)
	if first, _, _ := strings.Cut(stdout, "\n"); status != 0 || !strings.Contains(first, "smime=pass") {
		t.Errorf("mailseal verify: status %d, %s%s", status, stdout, stderr)
	}
	able := slices.DeleteFunc(slices.Clone(j.peers), func(p peers.Peer) bool { return p.Reads(author) != nil })
	if len(able) == 0 {
		t.Errorf("nobody reads signatures of %v", author.PublicKeyAlgorithm)
	}
	for _, p := range able {
		r, err := p.Verify(mail)
		if err != nil {
			t.Errorf("%s: %v", p.Name(), err)
			continue
		}
		if inner != nil && string(inner) != string(r.Content) {
			t.Errorf("%s takes something else for signed than those before:\n%.500q", p.Name(), r.Content)
		}
		inner = r.Content
	}
	return inner
}
