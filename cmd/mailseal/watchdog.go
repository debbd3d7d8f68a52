package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// watchdogPeriod is how long systemd waits for a sign of life before it ends
// us, 0 when it does not wait for any (sd_watchdog_enabled(3)).
func watchdogPeriod(getenv func(string) string) (time.Duration, error) {
	usec, pid := getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID")
	if usec == "" {
		return 0, nil
	}
	if pid != "" {
		if n, err := strconv.Atoi(pid); err != nil || n != os.Getpid() {
			return 0, nil // meant for another process
		}
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("WATCHDOG_USEC=%q: want microseconds, up to a day", usec)
	}
	return time.Duration(n) * time.Microsecond, nil
}

// answers asks every socket.
func (d *daemon) answers(ctx context.Context, patience time.Duration) error {
	answers := make(chan error, len(d.lns))
	for _, ln := range d.lns {
		go func() { answers <- ln.answers(ctx, patience) }()
	}
	var errs []error
	for range d.lns {
		errs = append(errs, <-answers)
	}
	return errors.Join(errs...)
}

// answers asks one. It is no bad answer of a server that has all the connections
// which it takes to leave others waiting.
func (ln listener) answers(ctx context.Context, patience time.Duration) error {
	if ln.full() {
		return nil
	}
	if err := ask(ctx, ln.Addr(), patience); err != nil && !ln.full() {
		return err
	}
	return nil
}

func (ln listener) full() bool {
	stats := ln.server.Stats()
	return stats.Open >= stats.Limit
}

// ask negotiates as an MTA does. What keeps the question from being put at all
// is no bad answer: no descriptor left, or a socket that systemd opened in
// a folder which we may not enter.
func ask(ctx context.Context, a net.Addr, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, a.Network(), a.String())
	if err != nil {
		if unasked(err) {
			return nil
		}
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, question); err != nil {
		return fmt.Errorf("socket %s does not answer: %w", a, err)
	}
	var head [5]byte // length and code
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return fmt.Errorf("socket %s does not answer: %w", a, err)
	}
	if head[4] != 'O' {
		return fmt.Errorf("socket %s answers %q; want SMFIC_OPTNEG", a, head[4])
	}
	_, _ = io.WriteString(conn, goodbye) // it has answered
	return nil
}

// The packets SMFIC_OPTNEG, with version 6 and all actions and flags that
// Postfix offers, and SMFIC_QUIT.
const (
	question = "\x00\x00\x00\x0dO" + "\x00\x00\x00\x06" + "\x00\x00\x01\xff" + "\x00\x1f\xff\xff"
	goodbye  = "\x00\x00\x00\x01Q"
)

func unasked(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, fs.ErrPermission, fs.ErrNotExist} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
