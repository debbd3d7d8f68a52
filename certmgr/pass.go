package certmgr

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailseal/certmgr/ca/index"
	"mailseal/certmgr/install"
	"mailseal/certmgr/probe"
)

// A look is what a pass is for.
type look struct {
	// proof: the server is asked even if nothing was changed.
	proof bool
	// reload: it may be told to read its files again where it serves others,
	// though nothing was changed.
	reload bool
	// unless is what was wrong when the last pass failed: if nothing else is,
	// this one is not its turn.
	unless string
}

// The causes of which somebody is told once a day each.
const (
	causeAuthority = "authority" // of all targets
	causeIssue     = "issue"
	causeInstall   = "install"
	causeReload    = "reload"
	causeServer    = "server"
	causeOthers    = "others" // who have to do something
	causeRepeated  = "repeated"
	causeJournal   = "journal"
)

// pass puts one target right.
func (k *Keeper) pass(ctx context.Context, t Target, l look) Report {
	r := Report{Target: t.Name}
	unlock, err := k.lock(ctx, t)
	if err != nil {
		return r.fail(causeInstall, err)
	}
	defer unlock()
	v := k.look(ctx)
	defer v.close()
	k.remember(v)
	t = k.with(t, v)
	before, err := install.Inspect(t.Target)
	if err != nil {
		return r.fail(causeInstall, err)
	}
	r.Found = t.Plan(before, k.c.Now())
	if r.left = wrong(r.Found); l.unless != "" && r.left == l.unless {
		r.unless = true
		return r
	}
	if r.Found.Done() {
		k.tell(t, install.Plan{})
		r.due = r.Found.Due
		r.fail(causeOthers, byOthers(r.Found))
		if l.proof || k.owes(t) {
			k.confirm(ctx, t, before, &r, l.reload && r.Err == nil)
		}
		return r
	}
	k.tell(t, r.Found)
	k.mend(ctx, t, v, before, &r)
	k.remains(t, &r)
	return r
}

// wrong is what is wrong, to compare with what was.
func wrong(p install.Plan) string {
	var all []string
	for _, f := range p.Findings {
		all = append(all, string(f.Fault)+" "+f.Path+" "+f.Text)
	}
	slices.Sort(all)
	return strings.Join(append(all, p.Steps...), "\n")
}

// byOthers is what is wrong with files about which nothing can be done here, as
// when a bought certificate ends and no newer one was dropped.
func byOthers(p install.Plan) error {
	var failed error
	for _, f := range p.Findings {
		failed = errors.Join(failed, fmt.Errorf("%s: %s %s", p.Target, f.Path, f.Text))
	}
	return failed
}

// remains looks at what a pass has left.
func (k *Keeper) remains(t Target, r *Report) {
	after, err := install.Inspect(t.Target)
	if err != nil {
		r.Err = errors.Join(r.Err, err)
		return
	}
	p := t.Plan(after, k.c.Now())
	if r.left, r.due = wrong(p), p.Due; p.Done() {
		r.fail(causeOthers, byOthers(p))
	}
}

// tell logs what is wrong, unless it is what was wrong the last time.
func (k *Keeper) tell(t Target, p install.Plan) {
	k.mu.Lock()
	same := k.found[t.Name] == wrong(p)
	k.found[t.Name] = wrong(p)
	k.mu.Unlock()
	if same {
		return
	}
	for _, f := range p.Findings {
		k.log.Info("found", "target", t.Name, "fault", string(f.Fault), "file", f.Path, "what", f.Text)
	}
}

func (r *Report) fail(cause string, err error) Report {
	if err != nil && r.Err == nil {
		r.cause = cause
	}
	if errors.Is(err, errAuthority) {
		r.cause = causeAuthority
	}
	r.Err = errors.Join(r.Err, err)
	return *r
}

// mend has what is missing made, installs it, and sees to it that the server
// comes up with it.
func (k *Keeper) mend(ctx context.Context, t Target, v view, before install.State, r *Report) {
	contents, err := t.Obtain(ctx, r.Found, before, source{k, t, v})
	if err != nil {
		r.fail(causeIssue, err)
	}
	files := len(contents) > 0 || r.Found.MakeDir || r.Found.Map
	if !files && !r.Found.Links {
		return // nothing is to be done without the CA
	}
	read := files && r.Found.Reload // what the server has read and holds
	answer := func() []probe.Result { return nil }
	if read {
		if err := k.owe(t); err != nil {
			r.fail(causeInstall, err)
			return
		}
		answer = k.askBeside(ctx, t)
	}
	done, err := k.journal.Install(t.Target, contents, before, k.c.Now())
	was := answer()
	if err != nil {
		r.fail(causeInstall, err)
		if read && !k.changed(t, before) {
			k.settle(t)
		}
		return
	}
	r.Installed, r.Kept = true, done.Kept
	r.fail(causeInstall, done.Map)
	k.installed(t, contents, *r)
	if read {
		k.comeUp(ctx, t, done, before, contents, was, r)
	}
}

// changed reports whether an installation that failed has changed a file.
func (k *Keeper) changed(t Target, before install.State) bool {
	after, err := install.Inspect(t.Target)
	if err != nil {
		return true
	}
	for role, f := range before.Files {
		if string(f.Content) != string(after.Files[role].Content) {
			return true
		}
	}
	return false
}

func (k *Keeper) installed(t Target, c install.Contents, r Report) {
	var files []string
	for _, role := range r.Found.Write {
		if _, ok := c[role]; ok {
			files = append(files, string(role))
		}
	}
	args := []any{"target", t.Name, "files", strings.Join(files, ",")}
	if leaf := leafOf(c[install.Certificate], c[install.PairFile]); leaf != nil {
		args = append(args, "serial", index.Serial(leaf.SerialNumber), "until", stamp(leaf.NotAfter))
	}
	if r.Kept != "" {
		args = append(args, "kept", r.Kept)
	}
	k.log.Info("installed", args...)
}

// comeUp has the server read its files, and takes them back where it does not come
// up with them.
func (k *Keeper) comeUp(ctx context.Context, t Target, done *install.Installed, before install.State, c install.Contents, was []probe.Result, r *Report) {
	now := k.serving(t)
	reload := k.reload(ctx, t, r)
	var err error
	if r.Proof, err = k.prove(ctx, t, now, was); err != nil { // a proof is owed still
		r.fail(causeServer, err)
		return
	}
	verdict := judge(was, r.Proof)
	pair := len(c[install.Key])+len(c[install.Certificate])+len(c[install.PairFile]) > 0
	switch {
	case verdict == good && (reload == nil || pair && len(t.Probes) > 0):
		// What is served is the proof, whatever the command says.
		k.report(t, r.Proof, reload)
		k.settle(t)
		return
	case verdict == absent && (reload == nil || len(t.Probes) > 0):
		k.report(t, r.Proof, reload)
		r.Absent = true
		return
	}
	k.report(t, r.Proof, nil)
	r.fail(causeReload, reload)
	r.fail(causeServer, k.failure(t, r.Proof))
	if verdict == stuck || verdict == good && !pair {
		return // the old files would serve no better
	}
	k.rollBack(ctx, t, done, before, r)
}

// rollBack has the old files back, and the server read them.
func (k *Keeper) rollBack(ctx context.Context, t Target, done *install.Installed, before install.State, r *Report) {
	if err := done.RollBack(); err != nil {
		// Not sound, or not writable: the new ones stay, and are tried again.
		k.log.Error("cannot roll back", "target", t.Name, "error", oneLine(err))
		if !errors.Is(err, install.ErrUnsound) {
			r.fail(causeInstall, err)
		}
		return
	}
	r.RolledBack = true
	k.log.Error("rolled back", "target", t.Name, "error", oneLine(r.Err))
	old := want{leaf: leafOf(before.Files[install.Certificate].Content, before.Files[install.PairFile].Content), cas: k.serving(t).cas}
	r.Proof = k.ask(ctx, t, old)
	var reload error
	if len(t.Probes) == 0 || judge(nil, r.Proof) != good {
		reload = k.reload(ctx, t, r)
		r.fail(causeReload, reload)
		var err error
		if r.Proof, err = k.prove(ctx, t, old, nil); err != nil {
			return
		}
	}
	k.report(t, r.Proof, nil)
	if judge(nil, r.Proof) == good && (reload == nil || len(t.Probes) > 0) {
		k.settle(t)
	}
}

// confirm asks whether the server serves files that are right.
func (k *Keeper) confirm(ctx context.Context, t Target, s install.State, r *Report, mayReload bool) {
	w := k.serving(t)
	owed := k.owes(t)
	if len(t.Probes) == 0 && !owed {
		return
	}
	if !owed {
		r.Proof = k.ask(ctx, t, w)
		switch judge(r.Proof, r.Proof) {
		case good:
			k.report(t, r.Proof, nil)
			return
		case absent:
			k.report(t, r.Proof, nil)
			r.Absent = true
			return
		}
		if !mayReload {
			k.report(t, r.Proof, nil)
			r.fail(causeServer, k.failure(t, r.Proof))
			return
		}
	}
	was := r.Proof
	if owed {
		was = k.ask(ctx, t, w)
		if !mayReload && judge(was, was) == absent {
			k.report(t, was, nil)
			r.Proof, r.Absent = was, true
			return
		}
	}
	reload := k.reload(ctx, t, r)
	var err error
	if r.Proof, err = k.prove(ctx, t, w, was); err != nil {
		r.fail(causeServer, err)
		return
	}
	k.report(t, r.Proof, reload)
	switch verdict := judge(r.Proof, r.Proof); {
	case verdict == absent:
		r.Absent = true
	case verdict == good && (reload == nil || !owed):
		k.settle(t)
	default:
		r.fail(causeReload, reload)
		r.fail(causeServer, k.failure(t, r.Proof))
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// leafOf is the first certificate in the first of contents that has one.
func leafOf(contents ...[]byte) *x509.Certificate {
	for _, c := range contents {
		if certs, err := parse(c); err == nil && len(certs) > 0 {
			return certs[0]
		}
	}
	return nil
}

// reload tells the server to read its files.
func (k *Keeper) reload(ctx context.Context, t Target, r *Report) error {
	if t.Reload == "" {
		return nil
	}
	r.told = true
	begun := time.Now()
	err := k.c.Reload(ctx, t)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		k.log.Error("cannot reload", "target", t.Name, "error", err)
	default:
		k.log.Info("reloaded server", "target", t.Name, "ms", time.Since(begun).Milliseconds())
	}
	if err != nil {
		return fmt.Errorf("reload %s: %w", t.Name, err)
	}
	return nil
}
