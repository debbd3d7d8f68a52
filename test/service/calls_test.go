package service_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestSystemCalls: the unit's filter allows all that the daemon asks of the
// kernel in a life with a large mail, a good and a broken reload, and a watchdog:
// once with systemd's socket, once with one of its own that has a group.
func TestSystemCalls(t *testing.T) {
	strace, analyze := tool(t, "strace"), tool(t, "systemd-analyze")
	if os.Getenv("MAILSEAL_TEST_RACE") != "" {
		t.Skip("the race detector has system calls of its own")
	}
	allowed := filter(t, analyze, "mailseal-milter.service")
	if allowed["mount"] || allowed["bpf"] || allowed["setuid"] || !allowed["read"] {
		t.Fatal("the filter is not read as systemd reads it")
	}
	h := newHouse(t)
	h.configure(fmt.Sprintf("socket_group = \"%d\"\nspool_memory = \"32KiB\"", os.Getegid()))
	m := newManager(t, h)
	used := map[string]bool{}
	for name, flags := range map[string][]string{
		"systemd's": nil,
		"own":       {"-p", "unix:" + h.path("run/own.sock")},
	} {
		trace, pidfile := h.path(name+".trace"), h.path("run/pid")
		script := `export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@"`
		socket := m.socket
		if flags != nil {
			script, socket = "unset LISTEN_FDS; "+script, h.path("run/own.sock")
		}
		argv := []string{strace, "-f", "-c", "-U", "name", "-o", trace, "/bin/sh", "-c", script, "sh", h.product, "milter", "-config", h.config(), "-P", pidfile}
		p := m.start(nil, append(argv, flags...)...)
		m.live(p, pidfile, socket)
		ok(t, os.Remove(m.socket))
		for _, call := range calls(t, trace) {
			used[call] = true
		}
	}
	for call := range used {
		if !allowed[call] {
			t.Errorf("the daemon calls %s, which the unit does not allow", call)
		}
	}
	for _, call := range []string{"accept4", "connect", "flock", "fchownat", "unlinkat"} {
		if !used[call] {
			t.Errorf("no %s was seen; did the daemon live?", call)
		}
	}
}

// live is a daemon's life.
func (m *manager) live(p *process, pidfile, socket string) {
	t, h := m.t, m.house
	t.Helper()
	p.says("listening")
	b, err := os.ReadFile(pidfile)
	ok(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	ok(t, err)
	for m.next() != "WATCHDOG=1" {
	}
	c := dial(t, "unix", socket)
	c.begin(strings.Repeat("a long line of a large mail\r\n", 40000))
	if !c.finish() {
		t.Error("no mail is signed")
	}
	ok(t, syscall.Kill(pid, syscall.SIGHUP))
	p.says("reloaded")
	ok(t, os.Rename(h.config(), h.path("etc/kept.toml")))
	ok(t, syscall.Kill(pid, syscall.SIGHUP))
	p.says("kept the old configuration")
	ok(t, os.Rename(h.path("etc/kept.toml"), h.config()))
	ok(t, syscall.Kill(pid, syscall.SIGTERM))
	if status := p.status(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// calls are the names of a summary of strace -c.
func calls(t *testing.T, file string) (names []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	ok(t, err)
	for _, line := range strings.Split(string(b), "\n") {
		if name := strings.TrimSpace(line); regexp.MustCompile(`^[a-z_0-9]+$`).MatchString(name) && name != "syscall" && name != "total" {
			names = append(names, name)
		}
	}
	if len(names) < 20 {
		t.Fatalf("strace says\n%s", b)
	}
	return names
}

// filter is the set of system calls that a unit allows: of its settings the
// first makes a list, those with ~ take from it (systemd.exec(5)).
func filter(t *testing.T, analyze, unit string) map[string]bool {
	t.Helper()
	out, err := exec.Command(analyze, "--no-pager", "syscall-filter").Output()
	ok(t, err)
	groups := map[string][]string{}
	group := ""
	for _, line := range strings.Split(string(out), "\n") {
		switch word := strings.TrimSpace(line); {
		case word == "" || word[0] == '#':
		case line[0] == '@':
			group = word
		case group != "" && line[0] == ' ':
			groups[group] = append(groups[group], word)
		default:
			group = "" // what is in no group
		}
	}
	var expand func(name string) []string
	expand = func(name string) (all []string) {
		if name[0] != '@' {
			return []string{name}
		}
		if groups[name] == nil {
			t.Fatalf("systemd does not know %s", name)
		}
		for _, n := range groups[name] {
			all = append(all, expand(n)...)
		}
		return all
	}
	allowed := map[string]bool{}
	for _, name := range expand("@default") {
		allowed[name] = true
	}
	for _, value := range setting(t, unit, "SystemCallFilter") {
		value, without := strings.CutPrefix(value, "~")
		for _, word := range strings.Fields(value) {
			for _, name := range expand(word) {
				allowed[name] = !without
			}
		}
	}
	return allowed
}
