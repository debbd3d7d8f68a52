package watcher_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// lacking takes something away, wants new certificates, and looks that the old
// ones go on being served; then it gives it back, and the new ones come.
func (w *world) lacking(t *testing.T, what, says string, take func() (restore func())) {
	t.Helper()
	counts := make([]tally, len(w.servers))
	old := map[*server]string{}
	for i, s := range w.servers {
		counts[i] = s.clients.tally()
		c, err := s.leaf()
		ok(t, err)
		old[s] = c.SerialNumber.String()
	}
	mark := w.certmgr.Mark()
	restore := take()
	w.rename(strings.ReplaceAll(what, " ", "-") + ".example.test")
	line, err := w.certmgr.WaitLog(mark, says)
	ok(t, err)
	t.Logf("%s: %s", what, line)
	for i, s := range w.servers {
		ok(t, s.lives(t, counts[i]))
		c, err := s.serves()
		ok(t, err)
		if c.SerialNumber.String() != old[s] {
			t.Errorf("%s: %s does not serve the old certificate", what, s.name)
		}
	}
	restore()
	begin := time.Now()
	for i, s := range w.servers {
		soon(t, begin, s.name+" after "+what, s.sound)
		ok(t, s.lives(t, counts[i]))
		t.Logf("%s: %s is right %v after, %v", what, s.name, time.Since(begin).Round(time.Millisecond), s.clients.tally().since(counts[i]))
	}
}

// reloads changes the command that has servers read their files.
func (w *world) reloads(how func(s *server) string) func() func() {
	return func() func() {
		old := map[*server][]string{}
		for _, s := range w.servers {
			old[s] = s.settings["reload"]
			s.settings["reload"] = []string{how(s)}
		}
		return func() {
			for s, r := range old {
				s.settings["reload"] = r
			}
			w.configure()
		}
	}
}

// A reload that fails, one that hangs, and one with which the server loses its
// TLS: the old files come back, and are served.
func TestReload(t *testing.T) {
	slow(t)
	w := newWorld(t, nil, sendmail, dovecot) // Postfix's processes take what is there, when they are new
	w.start()
	w.lacking(t, "reload fails", "rolled.*back", w.reloads(func(*server) string { return "echo it is broken >&2; exit 3" }))
	w.lacking(t, "reload hangs", "rolled.*back", w.reloads(func(*server) string { return "sleep 4711 & sleep 4711" }))
	if out, err := exec.Command("pgrep", "-f", "sleep 4711").Output(); err == nil {
		t.Errorf("the hanging command still runs: %s", out)
	}
}

// A server that comes up without TLS gets its old files back, and has TLS again.
func TestReloadKillsTLS(t *testing.T) {
	slow(t)
	w := newWorld(t, nil, sendmail)
	w.start()
	s := w.servers[0]
	before, err := s.leaf()
	ok(t, err)
	good := s.settings["reload"]
	flag := w.path("spoilt")
	ok(t, os.WriteFile(flag, nil, 0o600))
	s.settings["reload"] = []string{fmt.Sprintf("if rm %s 2>/dev/null; then chmod 644 %s; fi; %s", flag, s.keyFile(), good[0])}
	mark, count := w.certmgr.Mark(), s.clients.tally()
	begin := time.Now()
	w.rename("spoilt.example.test")
	line, err := w.certmgr.WaitLog(mark, "rolled.*back")
	ok(t, err)
	took := soon(t, begin, "the old certificate", func() error {
		c, err := s.serves()
		if err != nil {
			return notYet("%v", err)
		}
		if !c.Equal(before) && s.whole() != nil {
			return notYet("neither the old nor the new one")
		}
		return nil
	})
	t.Logf("%s\nTLS again after %v; %v", line, took, s.clients.tally().since(count))
	if took > 20*time.Second { // it has half a minute to come up, but not without TLS
		t.Errorf("TLS again after %v", took)
	}
	// The second time it goes well.
	t.Logf("the new one after %v", soon(t, begin, "the new certificate", s.sound))
}

// No server runs: the files are put right all the same, nothing is taken back, and
// the server starts with the new ones.
func TestNoServer(t *testing.T) {
	slow(t)
	w := newWorld(t, nil, sendmail, dovecot)
	w.start()
	for _, s := range w.servers {
		s.clients.end()
		ok(t, s.mta.Stop())
	}
	mark := w.certmgr.Mark()
	w.rename("absent.example.test")
	for _, s := range w.servers {
		soon(t, time.Now(), s.name+", the files", s.whole)
	}
	time.Sleep(2 * time.Second) // in which somebody might take them back
	for _, s := range w.servers {
		ok(t, s.whole())
		ok(t, s.mta.Start())
		soon(t, time.Now(), s.name+", what is served", s.sound) // it may just be told to read them, which was owed
		s.clients.again()
	}
	t.Logf("%s", strings.Join(w.certmgr.Lines(mark, "target="), "\n"))
}
