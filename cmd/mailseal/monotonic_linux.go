package main

import "golang.org/x/sys/unix"

// monotonic is the kernel's clock in microseconds, as systemd reads it.
func monotonic() (int64, bool) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano() / 1000, err == nil
}
