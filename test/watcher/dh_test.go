package watcher_test

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailseal/test/daemon"
)

// sendmail and Postfix start with the parameters of each group, and use them; the
// files are openssl's own (sound compares them).
func TestGroups(t *testing.T) {
	slow(t)
	w := newWorld(t, nil, sendmail, postfix)
	for _, s := range w.servers {
		s.settings["key"] = []string{"rsa2048"} // without it there is no Diffie-Hellman but on curves
	}
	w.certmgr.Configure(w.config())
	w.start()
	for _, bits := range []int{2048, 3072, 4096, 6144, 8192} {
		for _, s := range w.servers {
			s.group = "ffdhe" + strconv.Itoa(bits)
			s.settings["dh"] = []string{s.group}
		}
		w.configure()
		for _, s := range w.servers {
			soon(t, time.Now(), s.name+", "+s.group, s.sound)
			want := "Server Temp Key: DH, " + strconv.Itoa(bits) + " bits"
			took := soon(t, time.Now(), s.name+", "+s.group+" in use", func() error {
				if out := s.ephemeral(t); !strings.Contains(out, want) {
					return notYet("%s", out)
				}
				return nil
			})
			t.Logf("%s: %s, after %v", s.name, want, took.Round(time.Millisecond))
		}
	}
	for _, s := range w.servers {
		ok(t, s.lives(t, tally{}))
	}
}

// ephemeral is what openssl says of a session with Diffie-Hellman over a group.
func (s *server) ephemeral(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), daemon.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", "s_client", "-starttls", "smtp", "-connect", s.mta.Addr(), "-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384")
	cmd.Stdin = strings.NewReader("QUIT\r\n")
	out, _ := cmd.CombinedOutput() // its status tells of the end of the session
	return string(out)
}
