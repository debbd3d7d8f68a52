package doctor

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
)

// TestKept: what certmgr keeps nobody has to mend by hand.
func TestKept(t *testing.T) {
	w := newWorld(t, "MyCorp CA", nil)
	f := w.right(Sendmail)
	s := &f.Servers[0]
	s.Kept, s.Issuer, s.Pairs[0].Key.Mode = true, "ca", 0o644
	got := find(Diagnose(f), "mode.key")
	if got == nil || !got.Kept || !slices.Equal(got.Commands, []string{"mailseal certmgr -once"}) {
		t.Errorf("%+v", got)
	}
	// Nor does certmgr mend what only the server's settings name.
	s.KeptFiles = map[string]string{"certificate": "/etc/mail/certs/other.cert"}
	if got := find(Diagnose(f), "mode.key"); got == nil || got.Kept {
		t.Errorf("%+v", got)
	}
	s.KeptFiles = nil
	// A new certificate has to be bought, which nobody does by itself.
	s.Issuer, s.Pairs[0] = "files", w.pair(func(c *x509.Certificate) { c.NotAfter = noon })
	if got := find(Diagnose(f), "certificate.expired"); got == nil || got.Kept || got.Commands != nil {
		t.Errorf("%+v", got)
	}
	gone(&s.Pairs[0].Cert)
	missing := find(Diagnose(f), "certificate.missing")
	if missing == nil || !missing.Kept || !missing.Bought {
		t.Fatalf("%+v", missing)
	}
	ja, err := Language("ja")
	if err != nil {
		t.Fatal(err)
	}
	if said := ja.Say(*got); !strings.Contains(said.Cure, "certmgr") {
		t.Errorf("%+v", said)
	}
	if said := ja.Say(*missing); !strings.Contains(said.Cure, " from ") {
		t.Errorf("where to drop it is not said: %+v", said)
	}
}
