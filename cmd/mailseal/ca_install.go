package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"mailseal/certmgr"
	"mailseal/certmgr/ca"
	"mailseal/certmgr/install"
	"mailseal/internal/config"
)

// An installFlag is a switch that may have the name of a target.
type installFlag struct {
	on   bool
	name string
}

func (f *installFlag) String() string   { return "" }
func (f *installFlag) IsBoolFlag() bool { return true }

func (f *installFlag) Set(s string) error {
	switch s {
	case "true":
		f.on = true
	case "false":
		*f = installFlag{}
	case "":
		return errors.New("want the name of a target, or none with its =")
	default:
		f.on, f.name = true, s
	}
	return nil
}

// An installing is how a certificate gets into a target of the configuration.
type installing struct {
	conf   certmgr.Config
	target certmgr.Target
	keeper *certmgr.Keeper
	report certmgr.Report
}

// prepareInstall finds the target, and what would hinder the installation, before
// anything is issued. What the flags do not say the target does.
func (i *caIssue) prepareInstall(env Env) error {
	switch {
	case !i.install.on:
		return nil
	case i.dir != "":
		return failf(exUsage, "-install is for the CA of the configuration, from which certmgr goes on; leave -dir out")
	case i.csr != "" || i.append:
		return failf(exUsage, "-install puts a new key and its certificate into a server's own files; leave -csr and -append out")
	case i.r.Profile != 0 && i.r.Profile != ca.Host:
		return failf(exUsage, "-install is for servers, and a %s certificate is none's; leave -profile out", i.r.Profile)
	}
	i.r.Profile = ca.Host
	c, err := config.Load(i.config)
	if err != nil {
		return fail(exConfig, err)
	}
	if err := guarded(i.config); err != nil { // it says which commands are run
		return fail(exNoPerm, err)
	}
	if err := guardedState(c); err != nil {
		return fail(exNoPerm, err)
	}
	to := &installing{}
	if to.conf, err = keeperConfig(c, env); err != nil {
		return fail(exConfig, err)
	}
	to.conf.Notify, to.conf.Log = nil, slog.New(slog.DiscardHandler) // it is told here
	if to.target, err = chooseTarget(to.conf.Targets, i.install.name, i.names()); err != nil {
		return fail(exDataErr, err)
	}
	i.to = to
	return i.like(to.target)
}

// names are the hosts that the flags ask for.
func (i *caIssue) names() []string {
	names := slices.Clone(i.r.Hosts)
	if i.cn != "" {
		names = append([]string{i.cn}, names...)
	}
	for n, s := range names {
		names[n] = strings.ToLower(s)
	}
	return names
}

// like has a certificate issued as the target wants it.
func (i *caIssue) like(t certmgr.Target) error {
	if i.r.Key == 0 {
		i.r.Key = t.Key
	}
	if i.r.Key != t.Key {
		return failf(exDataErr, "-key: the target %s has keys of another kind (%v); leave -key out, or set its key", t.Name, t.Key)
	}
	if i.r.Days == 0 {
		i.r.Days = t.Days
	}
	if i.r.Memo == "" {
		i.r.Memo = "target " + t.Name
	}
	if len(i.names()) == 0 && i.subject == "" {
		i.r.Hosts = slices.Clone(t.Hosts)
	}
	return nil
}

// chooseTarget is the target of a name, or the one that names are for; without
// either, the only one.
func chooseTarget(all []certmgr.Target, name string, names []string) (certmgr.Target, error) {
	var fit []certmgr.Target
	var known []string
	for _, t := range all {
		known = append(known, fmt.Sprintf("%s (%s)", t.Name, strings.Join(t.Hosts, " ")))
		switch {
		case name != "" && t.Name != name, t.Issuer != "" && t.Issuer != install.ByCA:
		case name == "" && !covers(names, t.Hosts):
		default:
			fit = append(fit, t)
		}
	}
	if len(all) == 0 {
		return certmgr.Target{}, errors.New("-install: the configuration has no [[target]] to install into")
	}
	list := strings.Join(known, ", ")
	switch {
	case len(fit) == 1 && len(names) > 0 && !covers(names, fit[0].Hosts):
		return certmgr.Target{}, fmt.Errorf("-install: the target %s is for %s; give all of these with -dns, or no names", fit[0].Name, strings.Join(fit[0].Hosts, " "))
	case len(fit) == 1:
		return fit[0], nil
	case len(fit) > 1:
		return certmgr.Target{}, fmt.Errorf("-install: more than one target would do; say which with -install=NAME: %s", list)
	case name != "":
		return certmgr.Target{}, fmt.Errorf("-install: no target %q whose certificate is the CA's; there are: %s", name, list)
	}
	return certmgr.Target{}, fmt.Errorf("-install: these names are not those of a target whose certificate is the CA's; there are: %s", list)
}

// covers reports whether a certificate for names is good for hosts. No names are
// those of the target.
func covers(names, hosts []string) bool {
	if len(names) == 0 {
		return true
	}
	for _, h := range hosts {
		_, domain, _ := strings.Cut(h, ".")
		if !slices.Contains(names, strings.ToLower(h)) && !slices.Contains(names, "*."+strings.ToLower(domain)) {
			return false
		}
	}
	return true
}

// prepare makes sure, before anything is issued, that it can be installed.
func (n *installing) prepare(c authority) (err error) {
	if n == nil {
		return nil
	}
	n.conf.Connect = func(context.Context) (certmgr.Authority, error) { return unclosed{c}, nil }
	if n.keeper, err = certmgr.New(n.conf); err != nil {
		return fail(exConfig, err)
	}
	if err := n.keeper.Repair(); err != nil {
		return fail(exCantCreate, err)
	}
	return nil
}

// unclosed is a CA that is asked again later.
type unclosed struct{ authority }

// install puts what was issued into the target's files, and has the server serve
// it.
func (n *installing) install(ctx context.Context, issued *ca.Issued) (err error) {
	if n == nil {
		return nil
	}
	n.report, err = n.keeper.Install(ctx, n.target.Name, issued.Identity())
	switch {
	case err == nil:
		return nil
	case n.report.RolledBack:
		return fail(exTempFail, fmt.Errorf("%s is issued, and the server did not come up with it; the old files are back: %w", issued.Serial(), err))
	}
	return fail(exTempFail, fmt.Errorf("%s is issued, and the target %s is not right; mailseal certmgr -plan says what is missing: %w", issued.Serial(), n.target.Name, err))
}

// A proven is what a server was seen to serve.
type proven struct {
	URL    string `json:"url"`
	Verify string `json:"verify"`
	TLS    string `json:"tls,omitempty"`
	Error  string `json:"error,omitempty"`
}

// A placement is what was done with a target, for programs.
type placement struct {
	Target     string   `json:"target"`
	Files      []string `json:"files"`
	Kept       string   `json:"kept,omitempty"`
	RolledBack bool     `json:"rolled_back,omitempty"`
	Proof      []proven `json:"proof"`
}

func (n *installing) told() *placement {
	if n == nil {
		return nil
	}
	t := &placement{Target: n.target.Name, Files: []string{}, Kept: n.report.Kept, RolledBack: n.report.RolledBack, Proof: []proven{}}
	if n.report.Installed {
		for _, role := range n.report.Found.Write {
			t.Files = append(t.Files, n.target.Files[role].Path)
		}
	}
	for _, p := range n.report.Proof {
		one := proven{URL: fmt.Sprint(p.URL), Verify: p.Verify(), TLS: p.Version}
		if p.Err != nil {
			one.Error = oneLine(p.Err)
		}
		t.Proof = append(t.Proof, one)
	}
	return t
}

// lines are the same for people.
func (t *placement) lines() []string {
	if t == nil {
		return nil
	}
	lines := []string{"target      " + t.Target}
	for _, f := range t.Files {
		lines = append(lines, "installed   "+f)
	}
	if t.Kept != "" {
		lines = append(lines, "kept        "+t.Kept)
	}
	if t.RolledBack {
		lines = append(lines, "the old files are back")
	}
	for _, p := range t.Proof {
		line := "proof       " + p.URL + " verify=" + p.Verify
		if p.TLS != "" {
			line += " tls=" + p.TLS
		}
		if p.Error != "" {
			line += " " + p.Error
		}
		lines = append(lines, plain(line))
	}
	if len(t.Proof) == 0 {
		lines = append(lines, "proof       none: the target has no probe")
	}
	return lines
}
