package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailseal/certmgr/control"
	"mailseal/certmgr/doctor"
	"mailseal/internal/config"
)

// What doctor exits with.
const (
	doctorWarnings = 1
	doctorErrors   = 2
)

func doctorCommand() command {
	return command{
		name:  "doctor",
		args:  "[-config FILE] [-conf DIR]... [-prefix DIR] [-pidfile FILE] [-offline] [-lang LANG] [-json]",
		short: "what is wrong with this host's TLS, and how to mend it",
		long: `Looks at the CA, at the mail servers' keys, certificates and settings, and at
what they serve, and says what is wrong, what follows from it and how to mend
it. It changes nothing. The servers are those of the configuration, where there
is one, and others that are installed; -conf names an instance instead. As root
it sees everything; what it could not look at it says.
Exit status: 0 all is right, 1 something is yellow, 2 something is red, 64 and
above it could not run.`,
		setup: func(fs *flag.FlagSet) runner {
			d := &doctorRun{}
			fs.StringVar(&d.config, "config", "", "configuration `FILE` (default "+defaultConfig()+", where there is one)")
			fs.Var(&d.confs, "conf", "look at the instance with its settings in `DIR` (of Exim, the file), and at no other; again for more")
			fs.StringVar(&d.prefix, "prefix", "", "`DIR` before every usual path")
			fs.StringVar(&d.pidFile, "pidfile", "", "the pid `FILE` of sendmail (default what sendmail.cf says)")
			fs.BoolVar(&d.offline, "offline", false, "connect to no server")
			fs.StringVar(&d.lang, "lang", "", "`LANG` is "+strings.Join(doctor.Languages(), " or ")+" (default by the environment)")
			fs.BoolVar(&d.json, "json", false, "print JSON")
			return d.run
		},
	}
}

// A doctorRun is one run.
type doctorRun struct {
	config, prefix, pidFile, lang string
	confs                         list
	offline, json                 bool
}

func (d *doctorRun) run(ctx context.Context, env Env) error {
	lang := d.lang
	if lang == "" {
		lang = doctor.Choose(env.Getenv("LC_ALL"), env.Getenv("LC_MESSAGES"), env.Getenv("LANG"))
	}
	words, err := doctor.Language(lang)
	if err != nil {
		return failf(exUsage, "-lang: %v", err)
	}
	o, err := d.options()
	if err != nil {
		return err
	}
	facts := doctor.Gather(ctx, o)
	findings := doctor.Diagnose(facts)
	if err := d.print(env, words, facts, findings); err != nil {
		return fail(exIOErr, err)
	}
	switch doctor.Worst(findings) {
	case doctor.Error:
		return fail(doctorErrors, nil)
	case doctor.Warning:
		return fail(doctorWarnings, nil)
	}
	return nil
}

func (d *doctorRun) print(env Env, words *doctor.Words, facts *doctor.Facts, findings []doctor.Finding) error {
	if d.json {
		said := []doctor.Said{}
		for _, f := range findings {
			said = append(said, words.Say(f))
		}
		return writeJSON(env.Stdout, said)
	}
	colour := env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb" && terminalOut(env)
	return words.Print(env.Stdout, findings, facts.Confs(), colour)
}

// terminalOut reports whether somebody reads the output as it comes.
func terminalOut(env Env) bool {
	f, ok := env.Stdout.(*os.File)
	if !ok {
		return false
	}
	_, is := terminal(f)
	return is
}

// options are where to look: as the configuration has it, or without one as it is
// usual.
func (d *doctorRun) options() (doctor.Options, error) {
	name := d.config
	if name == "" {
		name = filepath.Join("/", d.prefix, defaultConfig())
	}
	o := doctor.Options{Offline: d.offline, Once: "mailseal certmgr -once"}
	c, err := loadHostConfig(name)
	switch {
	case err == nil:
		if name != defaultConfig() {
			o.Once += " -config " + name
		}
		d.authority(&o, c)
	case d.config == "" && errors.Is(err, fs.ErrNotExist):
		if dir := filepath.Join("/", d.prefix, "etc/mail/CA"); exists(dir) {
			o.CADir = dir
		}
	case d.config == "" && errors.Is(err, fs.ErrPermission): // not everybody may know it
	default:
		return o, err
	}
	return o, d.servers(&o, c)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// authority has the CA of the configuration looked at, and who keeps it.
func (d *doctorRun) authority(o *doctor.Options, c *config.Config) {
	o.CADir = c.CA.Dir
	if c.CA.Dir == "" || d.offline {
		return
	}
	f := &caFlags{dir: c.CA.Dir}
	o.Daemon = func(ctx context.Context) error {
		client, err := control.Connect(ctx, c.CA.Socket, f.owners()...)
		if unasked(err) || errors.Is(err, control.ErrForbidden) || errors.Is(err, fs.ErrPermission) {
			return nil // it is there
		}
		if err == nil {
			client.Close()
		}
		return err
	}
}

// servers are the instances that were named; else those of the configuration, and
// others that are installed.
func (d *doctorRun) servers(o *doctor.Options, c *config.Config) error {
	for _, conf := range d.confs {
		abs, err := filepath.Abs(conf)
		if err != nil {
			return fail(exOSErr, err)
		}
		kind, ok := doctor.KindOf(abs)
		if !ok {
			return failf(exNoInput, "-conf %s: no main.cf, sendmail.cf, dovecot.conf, exim.conf or SERVER.TAB that may be read; name its folder", conf)
		}
		o.Servers = append(o.Servers, doctor.Instance{Name: instanceName(kind, o.Servers), Kind: kind, Conf: abs, Prefix: d.prefix, PidFile: d.pidFile})
	}
	if len(d.confs) == 0 {
		o.Servers = doctor.Installed(filepath.Join("/", d.prefix))
		for n := range o.Servers {
			o.Servers[n].Prefix, o.Servers[n].PidFile = d.prefix, d.pidFile
		}
	}
	if c == nil {
		return nil
	}
	for n := range c.Targets {
		t, err := doctorTarget(c, n)
		if err != nil {
			return err
		}
		o.Targets = append(o.Targets, t)
		// A MailRoot is wherever somebody has put it.
		if root := c.Targets[n].Dir; len(d.confs) == 0 && t.Kind == doctor.XMail && root != "" && !slices.ContainsFunc(o.Servers, func(i doctor.Instance) bool { return i.Conf == root }) {
			o.Servers = append(o.Servers, doctor.Instance{Name: t.Name, Kind: doctor.XMail, Conf: root})
		}
	}
	o.Named = len(d.confs) > 0
	return nil
}

// instanceName is a kind's, or where it is there already with a number.
func instanceName(kind doctor.Kind, there []doctor.Instance) string {
	n := 1
	for _, i := range there {
		if i.Kind == kind {
			n++
		}
	}
	if n == 1 {
		return string(kind)
	}
	return fmt.Sprintf("%s-%d", kind, n)
}

// doctorTarget is a target of the configuration.
func doctorTarget(c *config.Config, n int) (doctor.Target, error) {
	from := c.Targets[n]
	t, err := target(c, n)
	if err != nil {
		return doctor.Target{}, fail(exConfig, err)
	}
	to := doctor.Target{
		Name: t.Name, Kind: doctor.Kind(from.Server), Issuer: from.Issuer, Hosts: t.Hosts, Dir: t.Dir,
		Probes: from.Probe, Reload: from.Reload, Files: make(map[string]string),
	}
	for role, f := range t.Files {
		to.Files[string(role)] = f.Path
	}
	for _, u := range t.Probes {
		to.Usual = append(to.Usual, u.String())
	}
	return to, nil
}
