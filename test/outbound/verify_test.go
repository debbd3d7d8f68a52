package outbound_test

import (
	"strings"
	"testing"

	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/peers"
)

// Judges are who must take a mail for well signed.
type judges struct {
	peers   []peers.Peer
	anchors string
}

func newJudges(t *testing.T, p *testpki.PKI) judges {
	anchors := testpki.Write(t, "ca.pem", testpki.CertPEM(p.Roots()...))
	return judges{peers.All(t, peers.Config{Anchors: anchors}), anchors}
}

// verify has all of them look at a mail, and returns what is signed.
func (j judges) verify(t *testing.T, mail []byte) (inner []byte) {
	t.Helper()
	stdout, stderr, status := daemon.Run(t, mail, "verify", "-ca", j.anchors)
	if first, _, _ := strings.Cut(stdout, "\n"); status != 0 || !strings.Contains(first, "smime=pass") {
		t.Errorf("mailseal verify: status %d, %s%s", status, stdout, stderr)
	}
	for _, p := range j.peers {
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
