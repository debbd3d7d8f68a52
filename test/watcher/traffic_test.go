package watcher_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"mailseal/internal/mtarig"
)

// pause is how long a client waits between two sessions.
const pause = 50 * time.Millisecond

// sessionLimit bounds a session, on a machine that is busy.
const sessionLimit = time.Minute

// errTLS is a session that ended for TLS: not offered, refused, or with a
// certificate that a client that checks does not believe.
var errTLS = errors.New("no TLS")

// errAway is a server that has been told to read its files again: a sendmail is
// gone for some milliseconds, and a Dovecot cuts off who is just logging in. The
// client comes again.
var errAway = errors.New("away")

// A tally counts sessions.
type tally struct{ Done, Away, Refused, Broken int }

func (c tally) since(o tally) tally {
	return tally{c.Done - o.Done, c.Away - o.Away, c.Refused - o.Refused, c.Broken - o.Broken}
}

func (c tally) String() string {
	return fmt.Sprintf("%d sessions, %d refused for TLS, %d broken otherwise, %d times away", c.Done, c.Refused, c.Broken, c.Away)
}

// traffic is clients that hold sessions with a server, one after another, until
// they are stopped.
type traffic struct {
	mu    sync.Mutex
	count tally
	bad   []string // what was refused or broken
	stop  chan struct{}
	done  sync.WaitGroup

	clients int
	session func() error
}

// startClients starts so many clients.
func startClients(clients int, session func() error) *traffic {
	t := &traffic{clients: clients, session: session}
	t.again()
	return t
}

// again starts them after an end.
func (t *traffic) again() {
	stop := make(chan struct{})
	t.stop = stop
	for range t.clients {
		t.done.Go(func() {
			for {
				t.add(t.session())
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
			}
		})
	}
}

func (t *traffic) add(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.count.Done++
		return
	case errors.Is(err, errAway):
		t.count.Away++
		return
	case errors.Is(err, errTLS):
		t.count.Refused++
	default:
		t.count.Broken++
	}
	t.bad = append(t.bad, time.Now().Format("15:04:05.000 ")+err.Error())
}

func (t *traffic) tally() tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// complaints are what was refused or broken after so many of them.
func (t *traffic) complaints(from int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.bad[from:])
}

// end stops them, if they are not.
func (t *traffic) end() {
	if t.stop == nil {
		return
	}
	close(t.stop)
	t.done.Wait()
	t.stop = nil
}

var letter = mtarig.Mail{
	From: "alice@example.test", To: []string{"bob@example.net"},
	Data: []byte("From: alice@example.test\r\nTo: bob@example.net\r\nSubject: watched\r\n\r\ntext\r\n"),
}

// dialSMTP begins a session with TLS.
func dialSMTP(addr string, cfg *tls.Config) (*mtarig.Client, error) {
	c, err := mtarig.Dial(addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAway, err)
	}
	c.Timeout = sessionLimit
	if err := startTLS(c, cfg); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func startTLS(c *mtarig.Client, cfg *tls.Config) error {
	if err := c.Hello("client.example.test"); err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	if _, ok := c.Extensions["STARTTLS"]; !ok {
		return fmt.Errorf("%w: STARTTLS is not offered", errTLS)
	}
	if err := c.StartTLS(cfg); err != nil {
		return fmt.Errorf("%w: %w", errTLS, err)
	}
	return c.Hello("client.example.test")
}

// deliver sends a mail over TLS.
func deliver(addr string, cfg *tls.Config) error {
	c, err := dialSMTP(addr, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send(letter); err != nil {
		return err
	}
	return c.Quit()
}

// logIn opens the mailbox over IMAP with TLS from the start.
func logIn(addr string, cfg *tls.Config) error {
	d := net.Dialer{Timeout: sessionLimit}
	plain, err := d.Dial("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	defer plain.Close()
	plain.SetDeadline(time.Now().Add(sessionLimit))
	conn := tls.Client(plain, cfg)
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("%w: %w", errTLS, err)
	}
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "* OK") {
		return fmt.Errorf("greeting %q: %w", line, err)
	}
	for _, said := range []string{"a LOGIN " + mtarig.DovecotUser + " " + mtarig.DovecotPassword, "b SELECT INBOX", "c LOGOUT"} {
		if err := ask(conn, r, said); err != nil {
			return err
		}
	}
	return nil
}

// ask says a tagged command and reads until its answer.
func ask(conn net.Conn, r *bufio.Reader, said string) error {
	if _, err := fmt.Fprintf(conn, "%s\r\n", said); err != nil {
		return err
	}
	tag, _, _ := strings.Cut(said, " ")
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("%w: %s: %w", errAway, said, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", said, err)
		}
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") {
				return fmt.Errorf("%s: %s", said, strings.TrimSpace(rest))
			}
			return nil
		}
	}
}
