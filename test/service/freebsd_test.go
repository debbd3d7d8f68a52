package service_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailseal/test/daemon"
)

// A freebsd is a FreeBSD host as far as service(8) and the script know it.
type freebsd struct {
	*house
	shell, script, group string
	leash                *os.File
}

// newFreeBSD installs the script. The product runs as nobody, as it would as
// mailseal; the folders of its run are not there yet.
func newFreeBSD(t *testing.T, shell string) *freebsd {
	t.Helper()
	u, uid, gid := nobody(t)
	f := &freebsd{house: newHouse(t), shell: tool(t, shell), group: u.Gid}
	f.give(uid, gid)
	for _, name := range []string{"run", "state"} {
		ok(t, os.Remove(f.path(name)))
	}
	ok(t, os.Mkdir(f.path("log"), 0o777))
	ok(t, os.Chmod(f.path("log"), 0o777))
	self, err := os.Executable()
	ok(t, err)
	b, err := os.ReadFile(self)
	ok(t, err)
	f.put("bin/daemon", string(b))
	ok(t, os.Chmod(f.path("bin/daemon"), 0o755))
	text, err := os.ReadFile(source(t, "rc.d/mailseal_milter"))
	ok(t, err)
	f.script = f.path("rc.d/mailseal_milter")
	f.put("rc.d/mailseal_milter", strings.NewReplacer(
		". /etc/rc.subr", ". "+source(t, "test/service/testdata/freebsd/rc.subr"),
		"/usr/local/bin/mailseal", f.product, "/usr/sbin/daemon", f.path("bin/daemon"),
	).Replace(string(text)))
	f.enable("YES")

	ok(t, syscall.Mkfifo(f.path("leash"), 0o666))
	ok(t, os.Chmod(f.path("leash"), 0o666))
	f.leash, err = os.OpenFile(f.path("leash"), os.O_RDWR, 0)
	ok(t, err)
	t.Cleanup(f.clear)
	return f
}

// clear ends what still runs.
func (f *freebsd) clear() {
	f.leash.Close()
	for end := time.Now().Add(daemon.Patience); ; time.Sleep(5 * time.Millisecond) {
		left := f.processes()
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			f.t.Errorf("left running: %v", left)
			return
		}
	}
	if f.t.Failed() {
		f.t.Logf("log of mailseal:\n%s", f.log())
	}
}

// processes are those whose program is in the house.
func (f *freebsd) processes() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range all {
		b, err := os.ReadFile(name)
		if arg0, _, _ := bytes.Cut(b, []byte{0}); err == nil && strings.HasPrefix(string(arg0), f.dir+"/") {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func (f *freebsd) log() string {
	b, _ := os.ReadFile(f.path("log/mailseal"))
	return string(b)
}

func (f *freebsd) logs(words string) {
	f.t.Helper()
	until(f.t, fmt.Sprintf("the log has %q", words), func() bool { return strings.Contains(f.log(), words) })
}

// enable writes rc.conf. What the script has defaults for is set where this is
// no FreeBSD.
func (f *freebsd) enable(word string) {
	f.t.Helper()
	f.put("etc/rc.conf", fmt.Sprintf(`mailseal_milter_config=%s
mailseal_milter_flags=-v
mailseal_milter_user=nobody
mailseal_milter_group=%s
mailseal_milter_rundir=%s
mailseal_milter_statedir=%s
`, f.config(), f.group, f.path("run"), f.path("state")))
	if word != "" {
		b, err := os.ReadFile(f.path("etc/rc.conf"))
		ok(f.t, err)
		f.put("etc/rc.conf", string(b)+"mailseal_milter_enable="+word+"\n")
	}
}

// command is `service mailseal_milter VERB`.
func (f *freebsd) command(verb string) *exec.Cmd {
	cmd := exec.Command(f.shell, f.script, verb)
	cmd.Env = []string{
		"PATH=" + source(f.t, "test/service/testdata/freebsd/bin") + ":/usr/sbin:/usr/bin:/sbin:/bin",
		"RC_CONF=" + f.path("etc/rc.conf"), logVar + "=" + f.path("log/mailseal"), leashVar + "=" + f.path("leash"),
	}
	return cmd
}

// service runs a verb to its end.
func (f *freebsd) service(verb string) (stdout, stderr string, status int) {
	f.t.Helper()
	cmd := f.command(verb)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		f.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// wants runs a verb and compares; # stands for a number.
func (f *freebsd) wants(verb, stdout, stderr string, status int) {
	f.t.Helper()
	out, errs, got := f.service(verb)
	number := regexp.MustCompile(`[0-9]+`)
	if number.ReplaceAllString(out, "#") != stdout || number.ReplaceAllString(errs, "#") != stderr || got != status {
		f.t.Errorf("%s: status %d, want %d\nstdout %q\n  want %q\nstderr %q\n  want %q", verb, got, status, out, stdout, errs, stderr)
	}
}

// pid is that of the milter or the supervisor, 0 for none.
func (f *freebsd) pid(name string) int {
	b, _ := os.ReadFile(f.path("run/" + name + ".pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

// shells are those that the script has to work with.
func shells(t *testing.T, test func(t *testing.T, f *freebsd)) {
	for _, shell := range []string{"dash", "bash"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			test(t, newFreeBSD(t, shell))
		})
	}
}

const (
	name     = "mailseal_milter"
	stopping = "Stopping " + name + ".\nWaiting for PIDS: #"
)

// TestRcDisabled: without mailseal_milter_enable nothing starts, and one... does.
func TestRcDisabled(t *testing.T) {
	shells(t, func(t *testing.T, f *freebsd) {
		for _, word := range []string{"", "NO"} {
			f.enable(word)
			f.wants("start", "Cannot 'start' "+name+". Set "+name+"_enable to YES in /etc/rc.conf or use 'onestart' instead of 'start'.\n", "", 0)
		}
		f.wants("enabled", "", "", 1)
		f.wants("rcvar", "# "+name+" : mailseal: gateway S/MIME milter\n#\n"+name+"_enable=\"NO\"\n#   (default: \"\")\n\n", "", 0)
		f.wants("status", name+" is not running.\n", "", 1)
		if left := f.processes(); len(left) > 0 {
			t.Errorf("%v run", left)
		}
		f.wants("onestart", "Starting "+name+".\n", "", 0)
		f.logs("listening")
		f.wants("status", name+" is running as pid #.\n", "", 0)
		if !signs(t, "unix", f.socket()) {
			t.Error("no mail is signed")
		}
		// What runs can be stopped without one.
		if out, _, status := f.service("stop"); status != 0 || !strings.HasPrefix(out, "Stopping "+name+".\n") {
			t.Errorf("stop: status %d, %q", status, out)
		}
	})
}

// TestRcLife: start, reload, restart, stop, and what each says.
func TestRcLife(t *testing.T) {
	shells(t, func(t *testing.T, f *freebsd) {
		_, uid, gid := nobody(t)
		f.wants("enabled", "", "", 0)
		f.wants("rcvar", "# "+name+" : mailseal: gateway S/MIME milter\n#\n"+name+"_enable=\"YES\"\n#   (default: \"\")\n\n", "", 0)
		f.wants("stop", "", name+" not running? (check "+digits(f.path("run/daemon.pid"))+").\n", 1)
		f.wants("reload", "", name+" not running? (check "+digits(f.path("run/milter.pid"))+").\n", 1)
		f.wants("start", "Starting "+name+".\n", "", 0)
		f.logs("listening")
		owner(t, f.path("run"), uid, gid)
		owner(t, f.path("state"), uid, gid)
		owner(t, f.socket(), uid, gid)
		owner(t, fmt.Sprintf("/proc/%d/stat", f.pid("daemon")), uid, gid)
		f.wants("start", "", name+" already running?  (pid=#).\n", 1)
		f.wants("status", name+" is running as pid #.\n", "", 0)

		milter := f.pid("milter")
		f.wants("reload", "", "", 0)
		f.logs("reloaded")
		f.wants("restart", stopping+".\nStarting "+name+".\n", "", 0)
		until(t, "a new milter runs", func() bool { p := f.pid("milter"); return p != 0 && p != milter })
		until(t, "the new milter listens", func() bool { return strings.Count(f.log(), ": listening ") == 2 })
		if !signs(t, "unix", f.socket()) {
			t.Error("no mail is signed")
		}
		if out, errs, status := f.service("stop"); status != 0 || errs != "" {
			t.Errorf("stop: status %d, %q, %q", status, out, errs)
		}
		if left := f.processes(); len(left) > 0 {
			t.Errorf("%v run", left)
		}
		f.wants("status", name+" is not running.\n", "", 1)
		f.wants("extracommands", "reload check\n", "", 0)
		if _, errs, status := f.service("frob"); status != 1 || !strings.Contains(errs, "unknown directive 'frob'.\nUsage: ") {
			t.Errorf("frob: status %d, %q", status, errs)
		}
	})
}

// digits is a text as wants compares it.
func digits(s string) string { return regexp.MustCompile(`[0-9]+`).ReplaceAllString(s, "#") }

// TestRcBroken: with a wrong configuration nothing starts, and what runs goes on.
func TestRcBroken(t *testing.T) {
	shells(t, func(t *testing.T, f *freebsd) {
		place := f.config() + ":6:1: milter.sokcet: unknown key; want socket"
		refused := func(verb string) {
			t.Helper()
			_, errs, status := f.service(verb)
			if status != 1 || !strings.Contains(errs, place) || !strings.Contains(errs, "WARNING: "+f.config()+" is wrong, see above; nothing was changed") {
				t.Errorf("%s: status %d, %q", verb, status, errs)
			}
		}
		f.configure("sokcet = \"x\"")
		refused("start")
		if left := f.processes(); len(left) > 0 {
			t.Errorf("%v run", left)
		}
		if _, errs, status := f.service("check"); status == 0 || !strings.Contains(errs, place) {
			t.Errorf("check: status %d, %q", status, errs)
		}

		f.configure("")
		if out, errs, status := f.service("check"); status != 0 || !strings.Contains(out, f.config()+": OK\n") {
			t.Errorf("check: status %d, %q, %q", status, out, errs)
		}
		f.wants("start", "Starting "+name+".\n", "", 0)
		f.logs("listening")
		milter := f.pid("milter")

		f.configure("sokcet = \"x\"")
		refused("reload")
		refused("restart")
		if f.pid("milter") != milter || !signs(t, "unix", f.socket()) {
			t.Error("the milter does not run on")
		}
		if strings.Contains(f.log(), "kept the old configuration") {
			t.Error("the milter was told to reload")
		}

		// Keys that its user cannot read are wrong too, though root could.
		f.configure("")
		ok(t, os.Chown(f.path("etc/identities/alice.pem"), 0, 0))
		if _, errs, status := f.service("reload"); status != 1 || !strings.Contains(errs, "alice.pem: permission denied") {
			t.Errorf("reload: status %d, %q", status, errs)
		}
	})
}

// TestRcDrain: stop returns when the mail in work has been finished, though
// daemon(8) ends at once.
func TestRcDrain(t *testing.T) {
	shells(t, func(t *testing.T, f *freebsd) {
		f.wants("start", "Starting "+name+".\n", "", 0)
		f.logs("listening")
		m := dial(t, "unix", f.socket())
		m.begin("hello\r\n")
		supervisor, milter := f.pid("daemon"), f.pid("milter")
		stop := start(t, f.command("stop"))
		until(t, "daemon(8) ends", func() bool { return errors.Is(syscall.Kill(supervisor, 0), syscall.ESRCH) })
		stop.says("Waiting for PIDS: " + strconv.Itoa(milter))
		if !m.finish() {
			t.Error("the mail in work was not signed")
		}
		if status := stop.status(); status != 0 {
			t.Errorf("status %d", status)
		}
		if left := f.processes(); len(left) > 0 {
			t.Errorf("stop has returned, and %v run", left)
		}
	})
}

// TestRcCrash: daemon(8) starts the milter again, and can still be stopped.
func TestRcCrash(t *testing.T) {
	f := newFreeBSD(t, "dash")
	f.wants("start", "Starting "+name+".\n", "", 0)
	f.logs("listening")
	milter := f.pid("milter")
	ok(t, syscall.Kill(milter, syscall.SIGKILL))
	until(t, "another milter listens", func() bool { return strings.Count(f.log(), ": listening ") == 2 })
	if f.pid("milter") == milter || !signs(t, "unix", f.socket()) {
		t.Error("no mail is signed")
	}
	if _, errs, status := f.service("stop"); status != 0 || errs != "" {
		t.Errorf("stop: status %d, %q", status, errs)
	}
}

// TestRcScript: the script is what sh and shellcheck take, and says what rcorder(8)
// and a port need.
func TestRcScript(t *testing.T) {
	script := source(t, "rc.d/mailseal_milter")
	files := []string{script, source(t, "rc.d/mailseal_certmgr"), source(t, "rc.d/mailseal_web")}
	for _, name := range []string{"limits", "su", "pwait"} {
		files = append(files, source(t, "test/service/testdata/freebsd/bin/"+name))
	}
	for _, shell := range []string{"dash", "bash"} {
		for _, file := range append(files, source(t, "test/service/testdata/freebsd/rc.subr")) {
			if out, err := exec.Command(tool(t, shell), "-n", file).CombinedOutput(); err != nil {
				t.Errorf("%s -n %s: %v\n%s", shell, file, err, out)
			}
		}
	}
	if out, err := exec.Command(tool(t, "shellcheck"), files...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
	b, err := os.ReadFile(script)
	ok(t, err)
	for _, want := range []string{"#!/bin/sh\n", "\n# PROVIDE: mailseal_milter\n", "\n# REQUIRE: DAEMON\n", "\n# BEFORE: mail\n", "\n# KEYWORD: shutdown\n", "\n. /etc/rc.subr\n", "\nrun_rc_command \"$1\"\n"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q", want)
		}
	}
	for _, name := range strings.Fields("enable config flags user group rundir statedir") {
		if strings.Count(string(b), "mailseal_milter_"+name) < 3 {
			t.Errorf("mailseal_milter_%s is not both told of, given a default and used", name)
		}
	}
	if info, err := os.Stat(script); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
