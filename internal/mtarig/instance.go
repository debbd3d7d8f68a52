package mtarig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTimeout   = time.Minute // until the port answers; a fifth of a second is usual
	startAttempts  = 3
	greetTimeout   = 2 * time.Second
	stopTimeout    = 5 * time.Second // until SIGKILL
	commandTimeout = 30 * time.Second
	pollInterval   = 10 * time.Millisecond
)

// instance is what Postfix and Sendmail have in common: a folder, a port, a
// process group and a watchdog over it. Its methods are for one goroutine at
// a time, but for Log and WaitLog.
type instance struct {
	name string // "postfix" and the like, for errors
	cfg  Config
	dir  string
	env  []string // for every program of the MTA

	held  []int // sockets that keep the ports until the start
	port  int
	greet func(addr string) (string, error) // what the port says, its host name first

	daemon   *exec.Cmd     // nil when stopped
	exited   chan struct{} // closed when the daemon is gone
	watchdog *exec.Cmd
	leash    io.WriteCloser // the watchdog acts when this closes
}

// makeInstance makes the folder and takes a port.
func makeInstance(name string, cfg Config) (*instance, error) {
	if cfg.Hostname == "" {
		cfg.Hostname = defaultHostname
	}
	if cfg.Parent == "" {
		cfg.Parent = "/tmp"
	}
	i := &instance{name: name, cfg: cfg, greet: greet}
	var err error
	if i.port, err = i.takePort(); err != nil {
		return nil, err
	}
	if i.dir, err = os.MkdirTemp(cfg.Parent, "ms-"); err != nil {
		i.release()
		return nil, fmt.Errorf("make a folder for %s: %w", name, err)
	}
	// sendmail trusts no folder that others may write; Postfix's own user must
	// get through it.
	if err := os.Chmod(i.dir, folderMode); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// takePort takes a port of the loopback and keeps it until the start. Nobody
// listens there: who connects is told so.
func (i *instance) takePort() (int, error) {
	port, err := func() (int, error) {
		// Not without the lock that keeps a process that is just being made from
		// getting it too: not all systems close it in one step.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return 0, err
		}
		unix.CloseOnExec(s)
		i.held = append(i.held, s)
		if err := unix.Bind(s, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return 0, err
		}
		name, err := unix.Getsockname(s)
		if err != nil {
			return 0, err
		}
		return name.(*unix.SockaddrInet4).Port, nil
	}()
	if err != nil {
		return 0, fmt.Errorf("take a port for %s: %w", i.name, err)
	}
	return port, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Dir returns the instance's own folder.
func (i *instance) Dir() string { return i.dir }

// Addr returns where the instance takes mail, as 127.0.0.1:PORT. It is known,
// and nobody else's, before the start.
func (i *instance) Addr() string { return loopback(i.port) }

// Hostname returns what the instance calls itself.
func (i *instance) Hostname() string { return i.cfg.Hostname }

// hop is where mail goes next.
type hop struct{ host, port string }

// bracketed is the hop in Postfix's notation: no look-up of an MX.
func (h hop) bracketed() string { return "[" + h.host + "]:" + h.port }

func parseHop(addr string) (hop, error) {
	host, port, err := net.SplitHostPort(addr)
	return hop{host, port}, err
}

// nextHop returns where mail goes. Nobody answers at the discard port, so
// without a relay it stays in the queue.
func (i *instance) nextHop() (hop, error) {
	if i.cfg.Relay == "" {
		return hop{"127.0.0.1", "9"}, nil
	}
	h, err := parseHop(i.cfg.Relay)
	if err != nil {
		return hop{}, fmt.Errorf("relay: %w", err)
	}
	return h, nil
}

// SetMilters attaches other milters, from the next start on. A milter whose
// socket is in the instance's folder can be named only once that exists.
func (i *instance) SetMilters(m ...Milter) { i.cfg.Milters = m }

// run starts the daemon and waits until its port greets with its name. It is
// tried again when the daemon ends at once: between our giving the port up and
// its taking it, an outgoing connection of anybody's may have got it.
func (i *instance) run(daemon func() *exec.Cmd) error {
	i.release()
	for attempt := 1; ; attempt++ {
		if err := i.launch(daemon()); err != nil {
			return errors.Join(fmt.Errorf("start %s: %w", i.name, err), i.Stop())
		}
		err := i.awaitGreeting()
		if err == nil {
			return nil
		}
		output, _ := os.ReadFile(i.path("output"))
		err = errors.Join(fmt.Errorf("start %s: %w\n%s%s", i.name, err, output, i.Log()), i.Stop())
		if !errors.Is(err, errEnded) || attempt == startAttempts {
			return err
		}
	}
}

// release gives the ports up. A process that another goroutine is just making
// would still hold them until it becomes another program: not under ForkLock.
func (i *instance) release() {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for _, s := range i.held {
		unix.Close(s)
	}
	i.held = nil
}

// launch starts the daemon and its watchdog.
func (i *instance) launch(cmd *exec.Cmd) error {
	out, err := os.OpenFile(i.path("output"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(cmd.Environ(), i.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	i.daemon, i.exited = cmd, make(chan struct{})
	go func(done chan struct{}) {
		// Who dies of a signal does not log it.
		note := fmt.Sprintf("%s has ended: %v\n", i.name, cmd.Wait())
		if f, err := os.OpenFile(i.path("output"), os.O_WRONLY|os.O_APPEND, 0o600); err == nil {
			f.WriteString(note)
			f.Close()
		}
		close(done)
	}(i.exited)
	return i.watch()
}

// awaitGreeting returns when the port is served by this instance and not, say,
// by somebody who took it in between.
func (i *instance) awaitGreeting() error {
	deadline := time.Now().Add(startTimeout)
	for {
		greeting, err := i.greet(i.Addr())
		if err == nil && strings.HasPrefix(greeting, i.cfg.Hostname+" ") {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%s is served by somebody else: %q", i.Addr(), greeting)
		}
		select {
		case <-i.exited:
			return errEnded
		case <-time.After(pollInterval):
		}
		if strings.Contains(i.Log(), "bad command startup") {
			return errors.New("Postfix does not accept its configuration")
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no greeting within %v: %w", startTimeout, err)
		}
	}
}

var errEnded = errors.New("it ended at once")

func greet(addr string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(greetTimeout))
	text := textproto.NewConn(c)
	_, greeting, err := text.ReadResponse(220)
	if err == nil {
		text.PrintfLine("QUIT")
		text.ReadResponse(221)
	}
	return greeting, err
}

// watchdog waits for a line that says that all went well. If its input ends
// without, the process that held the instance is gone, and it cleans up: the
// process group, then whatever has its working folder inside ours.
const watchdog = `read word; [ "$word" = stopped ] && exit 0
kill -TERM "-$1"; sleep 1; kill -KILL "-$1"
for p in /proc/[0-9]*; do
	case $(readlink "$p/cwd") in "$2"|"$2"/*) kill -KILL "${p#/proc/}";; esac
done
rm -rf "$2"`

func (i *instance) watch() error {
	cmd := exec.Command("/bin/sh", "-c", watchdog, "watchdog", strconv.Itoa(i.daemon.Process.Pid), i.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is for us alone
	leash, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the watchdog of %s: %w", i.name, err)
	}
	i.watchdog, i.leash = cmd, leash
	return nil
}

// Stop ends the instance and everything it started. Its folder stays, with
// queue and log, and Start starts it again on the same port.
func (i *instance) Stop() error {
	if i.daemon == nil {
		return nil
	}
	group := -i.daemon.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-i.exited:
	case <-time.After(stopTimeout):
	}
	syscall.Kill(group, syscall.SIGKILL)
	<-i.exited
	i.daemon = nil
	err := i.sweep()
	if i.watchdog != nil {
		io.WriteString(i.leash, "stopped\n")
		err = errors.Join(err, i.leash.Close(), i.watchdog.Wait())
		i.watchdog = nil
	}
	return err
}

// Close stops the instance and removes its folder.
func (i *instance) Close() error {
	i.release()
	return errors.Join(i.Stop(), os.RemoveAll(i.dir))
}

// sweep kills what has left the process group: sendmail's deliveries in the
// background have their own. All of an MTA works in its queue folder.
func (i *instance) sweep() error {
	deadline := time.Now().Add(stopTimeout)
	for {
		left := inside(i.dir)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("stop %s: processes %v do not end", i.name, left)
		}
		for _, pid := range left {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(pollInterval)
	}
}

// inside lists the processes whose working folder is dir or below. Where there
// is no /proc it finds none.
func inside(dir string) []int {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	var pids []int
	for _, l := range links {
		at, err := os.Readlink(l)
		if err != nil || (at != dir && !strings.HasPrefix(at, dir+"/")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(l)))
		if err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// command runs one of the MTA's programs to its end and returns its output.
func (i *instance) command(stdin io.Reader, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Stdin = stdin
	cmd.Env = append(cmd.Environ(), i.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.Bytes(), nil
}

func (i *instance) path(elem ...string) string {
	return filepath.Join(append([]string{i.dir}, elem...)...)
}

// Log returns the instance's mail log.
func (i *instance) Log() string {
	b, _ := os.ReadFile(i.path("maillog")) // none before the first line
	return string(b)
}

// WaitLog waits until a line of the mail log matches the regular expression
// and returns the first that does.
func (i *instance) WaitLog(pattern string, timeout time.Duration) (string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", err
	}
	var line string
	err = poll(timeout, func() (bool, error) {
		for l := range strings.Lines(i.Log()) {
			if strings.HasSuffix(l, "\n") && re.MatchString(l) {
				line = strings.TrimSuffix(l, "\n")
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return "", fmt.Errorf("wait for %q in the log of %s: %w", pattern, i.name, err)
	}
	return line, nil
}
