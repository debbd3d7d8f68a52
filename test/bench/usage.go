package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc (USER_HZ, proc(5)): the same on every
// Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is what the process has spent, user and system together.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("%s has gone: %w: %s", p.name, err, p.tail())
	}
	own, _, err := cpuTimes(string(stat))
	return own, err
}

// peak is the most that the process has had in memory, in bytes.
func (p *process) peak() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	fmt.Sscan(after, &kib) // 0 if there is none
	return kib << 10, nil
}

// cpuInside is what the processes that work in a folder or below have spent,
// with those of their children that have ended.
func cpuInside(dir string) (time.Duration, error) {
	folders, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, f := range folders {
		at, err := os.Readlink(f)
		if err != nil || at != dir && !strings.HasPrefix(at, dir+"/") {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(f), "stat"))
		if err != nil {
			continue // it has just ended, and its parent counts it
		}
		own, children, err := cpuTimes(string(stat))
		if err != nil {
			return 0, err
		}
		sum += own + children
	}
	return sum, nil
}

// cpuTimes reads /proc/PID/stat: utime, stime, cutime and cstime are fields 14
// to 17, and the second is a name in parentheses that may hold anything.
func cpuTimes(stat string) (own, children time.Duration, err error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return 0, 0, fmt.Errorf("/proc/PID/stat: %q", stat)
	}
	var ticks [4]time.Duration
	for i := range ticks {
		n, err := strconv.ParseInt(fields[11+i], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		ticks[i] = time.Duration(n) * tick
	}
	return ticks[0] + ticks[1], ticks[2] + ticks[3], nil
}
