package logfile_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/internal/logfile"
)

// patience is how long a line may take that takes a millisecond.
const patience = time.Minute

// A tail follows a log for a test.
type tail struct {
	t     *testing.T
	name  string
	lines chan string
	idle  chan struct{} // gets one each time that there is no more
	ended chan error
	stop  context.CancelFunc
}

func follow(t *testing.T, name string, start bool) *tail {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	f := &tail{t: t, name: name, lines: make(chan string, 1000), idle: make(chan struct{}), ended: make(chan error, 1), stop: stop}
	l := logfile.Follower{
		Name: name, Start: start, Poll: time.Millisecond,
		Take: func(line []byte) { f.lines <- string(line) },
		Idle: func() {
			select {
			case f.idle <- struct{}{}:
			default:
			}
		},
	}
	go func() { f.ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-f.ended; err != nil {
			t.Errorf("follow: %v", err)
		}
	})
	return f
}

// rest waits until what has been written so far is read. The first time may be
// one of before.
func (f *tail) rest() {
	f.t.Helper()
	for range 2 {
		select {
		case <-f.idle:
		case err := <-f.ended:
			f.ended <- err
			f.t.Fatalf("it has ended: %v", err)
		case <-time.After(patience):
			f.t.Fatal("it does not rest")
		}
	}
}

// want waits for lines.
func (f *tail) want(lines ...string) {
	f.t.Helper()
	for _, want := range lines {
		select {
		case got := <-f.lines:
			if got != want {
				f.t.Fatalf("got %q, want %q", got, want)
			}
		case <-time.After(patience):
			f.t.Fatalf("no %q", want)
		}
	}
	f.rest()
	select {
	case got := <-f.lines:
		f.t.Fatalf("got %q besides", got)
	default:
	}
}

// log appends to a file.
func (f *tail) log(text string) {
	f.t.Helper()
	file, err := os.OpenFile(f.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *tail) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestFollow(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "mail.log"), []byte("before\n"))
	f := follow(t, name, false)
	f.rest()
	f.log("one\ntwo\n")
	f.want("one", "two")
	f.log("thr")
	f.want()
	f.log("ee\r\n")
	f.want("three")
	long := strings.Repeat("x", 3*logfile.MaxLine)
	f.log(long + "\nfour\n")
	f.want(long[:logfile.MaxLine], "four")
}

func TestFollowFromStart(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "mail.log"), []byte("before\n"))
	f := follow(t, name, true)
	f.want("before")
	f.log("one\n")
	f.want("one")
}

// TestFollowRename: logrotate and newsyslog rename the file and make another;
// the daemon goes on writing into the old one until it is told.
func TestFollowRename(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "mail.log"), []byte("before\n"))
	f := follow(t, name, false)
	f.rest()
	f.log("one\n")
	f.want("one")
	f.must(os.Rename(name, name+".1"))
	f.rest()
	old := &tail{t: t, name: name + ".1"}
	old.log("late\ncut off")
	f.want("late")
	f.log("two\n")
	f.want("cut off", "two")
	for range 3 {
		f.must(os.Rename(name, name+".1"))
		f.log("again\n")
		f.want("again")
	}
}

// TestFollowCopyTruncate: the file is copied and cut down, and has already grown
// longer than it was when it is looked at.
func TestFollowCopyTruncate(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "mail.log"), nil)
	f := follow(t, name, false)
	f.rest()
	f.log("one\n")
	f.want("one")
	f.must(os.Truncate(name, 0))
	f.log("2\n")
	f.want("2")
	// At one stroke, so that nobody sees it shorter.
	file, err := os.OpenFile(name, os.O_RDWR, 0o600)
	f.must(err)
	defer file.Close()
	_, err = file.WriteAt([]byte("another log\nthat is longer\n"), 0)
	f.must(err)
	f.want("another log", "that is longer")
}

// TestFollowAbsent: the file comes later, or is away for a while.
func TestFollowAbsent(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mail.log")
	f := follow(t, name, false)
	f.rest()
	f.log("one\n")
	f.want("one")
	f.must(os.Remove(name))
	f.rest()
	f.log("two\n")
	f.want("two")
}
