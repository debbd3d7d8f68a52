//go:build !linux

package main

// monotonic is for systemd, which runs on Linux alone.
func monotonic() (int64, bool) { return 0, false }
