package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// terminal returns the file of a stream that somebody types into.
func terminal(r io.Reader) (*os.File, bool) {
	f, ok := r.(*os.File)
	if !ok {
		return nil, false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	return f, err == nil
}

// agree asks on a terminal whether to go on. Where nobody sits at one it goes
// on: scripts have said what they want.
func agree(env Env, text string) error {
	if _, ok := terminal(env.Stdin); !ok {
		return nil
	}
	switch answer, err := answerTo(env, text+" [y/N] "); {
	case err != nil:
		return err
	case strings.EqualFold(answer, "y"), strings.EqualFold(answer, "yes"):
		return nil
	}
	return failf(exTempFail, "not done, as you wish")
}

// answerTo asks, and reads one line.
func answerTo(env Env, text string) (string, error) {
	fmt.Fprint(env.Stderr, text)
	line, err := bufio.NewReader(io.LimitReader(env.Stdin, 1<<10)).ReadString('\n')
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", failf(exNoInput, "no answer: %v", err)
	}
	return strings.TrimSpace(line), nil
}

// maxSecret bounds a passphrase that is typed.
const maxSecret = 1 << 10

// askSecret reads a passphrase that does not show. Signals are keys here, so
// that the terminal never stays without echo.
func askSecret(env Env, text string) ([]byte, error) {
	f, ok := terminal(env.Stdin)
	if !ok {
		return nil, failf(exNoInput, "there is no terminal to ask for the passphrase; give -passphrase-file")
	}
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, fail(exOSErr, err)
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	quiet.Cc[unix.VMIN], quiet.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, setTermios, &quiet); err != nil {
		return nil, fail(exOSErr, err)
	}
	defer unix.IoctlSetTermios(fd, setTermios, before)
	fmt.Fprint(env.Stderr, text)
	defer fmt.Fprintln(env.Stderr)
	return typed(f)
}

// typed reads what is typed up to the end of a line.
func typed(r io.Reader) ([]byte, error) {
	var line, one []byte
	for one = make([]byte, 1); ; {
		n, err := r.Read(one)
		switch {
		case n == 0 && err == nil:
			continue
		case n == 0 && (len(line) == 0 || !errors.Is(err, io.EOF)):
			return nil, failf(exNoInput, "no passphrase: %v", err)
		case n == 0, one[0] == '\r', one[0] == '\n':
			return line, nil
		case one[0] == 3, one[0] == 4: // ^C, ^D
			return nil, failf(exNoInput, "no passphrase")
		case one[0] == 21: // ^U
			line = nil
		case one[0] == 8, one[0] == 0x7f:
			for len(line) > 0 { // a whole character of UTF-8
				last := line[len(line)-1]
				line = line[:len(line)-1]
				if last&0xc0 != 0x80 {
					break
				}
			}
		case len(line) == maxSecret:
			return nil, failf(exDataErr, "a passphrase of more than %d bytes", maxSecret)
		default:
			line = append(line, one[0])
		}
	}
}
