package faults_test

import (
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/mtarig"
	"mailseal/internal/pki"
	"mailseal/internal/testpki"
	"mailseal/test/daemon"
	"mailseal/test/host"
)

// Certificates are judged by the time of day. One that is not valid now signs
// nothing: the mail leaves as it came, and the log says why. A signature of a
// peer whose clock differs from ours is not taken for good.
func TestClock(t *testing.T) {
	p := testpki.New(t)
	const early, late, both = "early@example.test", "late@example.test", "both@example.test"
	s := daemon.Settings{Trust: p.Roots(), Identities: []pki.Identity{
		p.NotYetValid(early, ca.P256), p.Expired(late, ca.P256),
		p.Expired(both, ca.P256), p.NotYetValid(both, ca.P384), p.User(both, ca.P256),
	}}
	for _, setup := range host.Both {
		t.Run(setup.String(), func(t *testing.T) {
			h := host.Start(t, setup, s)
			send := func(from, source string, data []byte) string {
				t.Helper()
				to := recipient("%s-%s", strings.TrimSuffix(from, "@example.test"), strings.ReplaceAll(source, ".", "-"))
				if data == nil {
					data = []byte(strings.ReplaceAll(string(mail(to, 100).Data), author, from))
				}
				ok(t, h.DeliverFrom(source, mtarig.Mail{From: from, To: []string{to}, Data: data}))
				return string(h.Arrived(t, to).Data)
			}
			for from, why := range map[string]string{
				early: "no identity valid now for early@example.test: 00 is valid from ", late: "no identity valid now for late@example.test: 01 is valid from ",
			} {
				if got := send(from, daemon.Local, nil); strings.Contains(got, "multipart/signed") {
					t.Errorf("mail of %s is signed", from)
				}
				if line, err := h.Seal.WaitLog(0, ": passed .* from="+from); err != nil || !strings.Contains(line, why) || !strings.Contains(line, "level=warn") {
					t.Errorf("%s, %v; want %s as a warning", line, err, why)
				}
			}
			signed(t, []byte(send(both, daemon.Local, nil)), s.Identities[4].Certificate)

			for from, id := range map[string]pki.Identity{early: s.Identities[0], late: s.Identities[1]} {
				pem := testpki.Write(t, "peer.pem", testpki.PEM(t, id))
				text := strings.ReplaceAll(string(mail(recipient("peer"), 100).Data), author, from)
				out, stderr, status := daemon.Run(t, []byte(text), "sign", "-identity", pem)
				if status != 0 {
					t.Fatalf("mailseal sign: status %d, %s", status, stderr)
				}
				if got := send(from, daemon.Outside, []byte(out)); strings.Contains(got, "smime=pass") || !strings.Contains(got, "smime=") {
					t.Errorf("signature of %s: %.400s", from, got)
				}
				line, err := h.Seal.WaitLog(0, ": verified .* from="+from)
				ok(t, err)
				t.Log(line)
			}
		})
	}
}
