package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mailseal/internal/config"
)

// patience is how long anything may take that takes a moment.
const patience = 30 * time.Second

// house writes the files of TestScript into a folder and returns the path of
// its configuration.
func house(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range people(t) {
		put(t, filepath.Join(dir, name), string(data))
	}
	return filepath.Join(dir, "mailseal.toml")
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rewrite changes the configuration.
func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), from) {
		t.Fatalf("no %q in %s", from, data)
	}
	put(t, path, strings.Replace(string(data), from, to, 1))
}

// A logbook is what a daemon logs, line by line.
type logbook struct {
	t     *testing.T
	lines chan string
	seen  []string
}

// newLogbook reads to the end of r.
func newLogbook(t *testing.T, r io.Reader) *logbook {
	l := &logbook{t: t, lines: make(chan string, 1000)}
	go func() {
		defer close(l.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			l.lines <- s.Text()
		}
	}()
	return l
}

// await returns the next line that holds all the words.
func (l *logbook) await(words ...string) string {
	l.t.Helper()
	end := time.After(patience)
	for {
		select {
		case line, ok := <-l.lines:
			if !ok {
				l.t.Fatalf("the log ended without %q:\n%s", words, strings.Join(l.seen, "\n"))
			}
			l.seen = append(l.seen, line)
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return line
			}
		case <-end:
			l.t.Fatalf("no line with %q in the log:\n%s", words, strings.Join(l.seen, "\n"))
		}
	}
}

// A running daemon of the test's own process.
type running struct {
	*daemon
	log   *logbook
	again chan os.Signal
	stop  context.CancelFunc
	ended chan error
}

func start(t *testing.T, name string, getenv func(string) string) *running {
	t.Helper()
	return startWith(t, name, getenv, func(*daemon) {})
}

// startWith starts a daemon that has been changed.
func startWith(t *testing.T, name string, getenv func(string) string, change func(*daemon)) *running {
	t.Helper()
	r, w := io.Pipe()
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	d, err := newDaemon(milterFlags{config: name}, Env{Stderr: w, Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	change(d)
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{daemon: d, log: newLogbook(t, r), again: make(chan os.Signal), stop: cancel, ended: make(chan error, 1)}
	go func() {
		run.ended <- d.run(ctx, run.again)
		w.Close()
	}()
	return run
}

// end stops the daemon and returns what run did.
func (r *running) end() error {
	r.stop()
	r.log.await("stopped")
	for range r.log.lines { // to the end
	}
	return <-r.ended
}

// mail gives one mail to the milter as an MTA would, from an internal host, and
// returns the code of the answer and the value of the new Content-Type.
func mail(t *testing.T, socket string) (answer byte, contentType string) {
	t.Helper()
	answer, contentType, _ = inSession(t, socket)
	return answer, contentType
}

// inSession is mail that returns the new body too.
func inSession(t *testing.T, socket string) (answer byte, contentType, body string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	send := func(code byte, data string) {
		t.Helper()
		packet := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
		if _, err := conn.Write(append(append(packet, code), data...)); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() (code byte, data []byte) {
		t.Helper()
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatal(err)
		}
		data = make([]byte, binary.BigEndian.Uint32(head[:])-1)
		if _, err := io.ReadFull(conn, data); err != nil {
			t.Fatal(err)
		}
		return head[4], data
	}
	send('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff") // all that Postfix offers
	receive()
	send('C', "localhost\x004\x04\x01127.0.0.1\x00")
	send('H', "localhost\x00")
	send('M', "<alice@example.test>\x00")
	receive()
	send('R', "<bob@partner.test>\x00")
	receive()
	send('L', "From\x00 alice@example.test\x00")
	send('L', "Subject\x00 hello\x00")
	send('N', "")
	send('B', "hello\r\n")
	send('E', "")
	for {
		code, data := receive()
		switch code {
		case 'm': // change header: occurrence, name, value
			if f := strings.Split(string(data[4:]), "\x00"); strings.EqualFold(f[0], "Content-Type") {
				contentType = f[1]
			}
		case 'b':
			body += string(data)
		case 'a', 'c', 'd', 'r', 't', 'y':
			send('Q', "")
			return code, contentType, body
		}
	}
}

// TestMilter: the daemon signs, takes a new configuration, keeps the old one
// when the new one is wrong, and ends in order.
func TestMilter(t *testing.T) {
	defer goleak.VerifyNone(t)
	name := house(t)
	socket := filepath.Join(filepath.Dir(name), "milter.sock")
	r := start(t, name, nil)
	r.log.await("listening", socket)
	if a, ct := mail(t, socket); a != 'a' || !strings.Contains(ct, "multipart/signed") {
		t.Errorf("answer %c, Content-Type %q", a, ct)
	}
	r.log.await("signed identity=alice")

	rewrite(t, name, `trust = ["ca.pem"]`, "trust = [\"ca.pem\"]\nformat = \"opaque\"\n[log]\nlevel = \"warn\"\n[milter]\nmax_connections = 7")
	r.again <- syscall.SIGHUP
	line := r.log.await("kept the old configuration", "level=error")
	if want := `mailseal.toml:14:2: key 'milter' has already been defined; want it once"`; !strings.HasSuffix(strings.ReplaceAll(line, `\x3d`, "="), want) {
		t.Errorf("%s\nwant %s", line, want)
	}
	if _, ct := mail(t, socket); !strings.Contains(ct, "multipart/signed") {
		t.Errorf("after a wrong configuration: Content-Type %q", ct)
	}
	r.log.await("signed")

	rewrite(t, name, "[log]\nlevel = \"warn\"\n[milter]\nmax_connections = 7", "")
	rewrite(t, name, "[milter]", "[milter]\nmax_connections = 7")
	r.again <- syscall.SIGUSR1
	r.log.await("restart to change", "keys=milter.max_connections")
	r.log.await("reloaded", "identities=2", "anchors=1")
	if _, ct := mail(t, socket); !strings.Contains(ct, "application/pkcs7-mime") {
		t.Errorf("after a new configuration: Content-Type %q", ct)
	}

	if err := r.end(); err != nil {
		t.Errorf("run: %v", err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestHeaderProtection: what is signed with the content is chosen by the
// configuration, and by a new one from the next mail on.
func TestHeaderProtection(t *testing.T) {
	defer goleak.VerifyNone(t)
	name := house(t)
	socket := filepath.Join(filepath.Dir(name), "milter.sock")
	r := start(t, name, nil)
	r.log.await("listening", socket)
	was := `trust = ["ca.pem"]`
	for _, word := range []string{"", "signed", "hide-subject", "off"} {
		if word != "" {
			now := "trust = [\"ca.pem\"]\nheader_protection = \"" + word + `"`
			rewrite(t, name, was, now)
			was = now
			r.again <- syscall.SIGHUP
			r.log.await("reloaded")
		}
		protects := word == "signed" || word == "hide-subject"
		_, ct, body := inSession(t, socket)
		if !strings.Contains(ct, "multipart/signed") || strings.Contains(body, "\r\nSubject: hello\r\n") != protects || strings.Contains(body, "hp=") != protects {
			t.Errorf("header_protection %q: Content-Type %q, body\n%s", word, ct, body)
		}
	}
	if err := r.end(); err != nil {
		t.Errorf("run: %v", err)
	}
}

// TestIdentitiesVanished: a folder that was not empty before is not believed to
// be empty, unless nothing is to be signed any more.
func TestIdentitiesVanished(t *testing.T) {
	defer goleak.VerifyNone(t)
	name := house(t)
	dir := filepath.Dir(name)
	r := start(t, name, nil)
	r.log.await("listening")
	files, err := filepath.Glob(filepath.Join(dir, "ids/*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	r.again <- syscall.SIGHUP
	r.log.await("kept the old configuration", "no identity is left in "+filepath.Join(dir, "ids"))
	if a, ct := mail(t, filepath.Join(dir, "milter.sock")); a != 'a' || !strings.Contains(ct, "multipart/signed") {
		t.Errorf("answer %c, Content-Type %q", a, ct)
	}
	rewrite(t, name, `trust = ["ca.pem"]`, "trust = [\"ca.pem\"]\nsign = false")
	r.again <- syscall.SIGHUP
	r.log.await("reloaded", "identities=0")
	if err := r.end(); err != nil {
		t.Errorf("run: %v", err)
	}
}

// TestRefused: what keeps the daemon from starting is said with its place.
func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir string)
		status int
		want   string
	}{
		"readable key": {func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, "ids/bob.pass"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, exConfig, "mailseal.toml:9:14: smime.identities: DIR/ids/bob.pass: mode 0644 lets others than its owner at it"},
		"state is a file": {func(t *testing.T, dir string) { put(t, filepath.Join(dir, "state"), "") },
			exConfig, "mailseal.toml:3:9: state: mkdir DIR/state: not a directory"},
		"folder of the socket": {func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(dir, "mailseal.toml"), "unix:milter.sock", "unix:absent/milter.sock")
		}, exUnavailable, "mailseal.toml:6:10: milter.socket: "},
		"group": {func(t *testing.T, dir string) {
			rewrite(t, filepath.Join(dir, "mailseal.toml"), "[milter]", "[milter]\nsocket_group = \"no such group\"")
		}, exUnavailable, "no such group"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := house(t)
			dir := filepath.Dir(conf)
			tt.change(t, dir)
			_, errs, status := call("", "milter", "-config", conf)
			if want := strings.ReplaceAll(tt.want, "DIR", dir); !strings.Contains(errs, want) || status != tt.status {
				t.Errorf("status %d, want %d: %s\nwant %s", status, tt.status, errs, want)
			}
		})
	}
}

// TestNotify: systemd hears when the daemon is ready, reloads and stops.
func TestNotify(t *testing.T) {
	defer goleak.VerifyNone(t)
	name := house(t)
	sd := newSystemd(t)
	hear := sd.hear
	r := start(t, name, sd.getenv)
	if got := hear(); got != "READY=1\nSTATUS=listening" {
		t.Errorf("got %q", got)
	}
	r.again <- syscall.SIGHUP
	if got := hear(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("got %q", got)
	}
	if got := hear(); got != "READY=1" {
		t.Errorf("got %q", got)
	}
	if err := r.end(); err != nil {
		t.Errorf("run: %v", err)
	}
	if got := hear(); got != "STOPPING=1\nWATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	if err := notify(func(string) string { return "relative" }, "READY=1"); err == nil {
		t.Error("a relative NOTIFY_SOCKET is taken")
	}
}

// TestFixed: a key that only a restart changes is told of, any other not.
func TestFixed(t *testing.T) {
	a := config.Default("linux")
	b := a
	b.AuthservID, b.SMIME.Opaque, b.Log.Level = "x", true, 8
	if keys := fixed(&a, &b); len(keys) != 0 {
		t.Errorf("%q", keys)
	}
	b.State, b.Milter.Socket, b.Log.Syslog = "/x", "unix:/x", true
	if keys := fixed(&a, &b); !slices.Equal(keys, []string{"state", "milter.socket", "log.target"}) {
		t.Errorf("%q", keys)
	}
}
