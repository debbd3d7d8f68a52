package main

import (
	"errors"
	"io"
	"os/exec"
	"syscall"
)

// A keeper ends what works in a folder, and removes it, when this process has
// gone without a word: milters know nothing of who started them.
type keeper struct {
	cmd   *exec.Cmd
	leash io.WriteCloser // it acts when this closes
}

const keeping = `read word; [ "$word" = ended ] && exit 0
for p in /proc/[0-9]*; do
	case $(readlink "$p/cwd") in "$1"|"$1"/*) kill -KILL "${p#/proc/}";; esac
done
rm -rf "$1"`

func keep(dir string) (*keeper, error) {
	k := &keeper{cmd: exec.Command("/bin/sh", "-c", keeping, "keeper", dir)}
	k.cmd.Dir = "/"
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is for us alone
	var err error
	if k.leash, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	return k, nil
}

// release says that all has ended.
func (k *keeper) release() error {
	_, err := io.WriteString(k.leash, "ended\n")
	return errors.Join(err, k.leash.Close(), k.cmd.Wait())
}
