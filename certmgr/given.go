package certmgr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"mailseal/certmgr/install"
	"mailseal/internal/durable"
	"mailseal/internal/pki"
)

// ErrUnfit: a certificate is not what a target is for.
var ErrUnfit = errors.New("not for this target")

// Install puts a pair that somebody has had issued into a target, as a pass does
// with one that it has had issued itself: the server is told and asked, and where
// it does not come up with it the old files come back. Another process may be at
// Run meanwhile: it waits, and finds that all is well.
func (k *Keeper) Install(ctx context.Context, name string, id pki.Identity) (Report, error) {
	r := Report{Target: name}
	i := slices.IndexFunc(k.c.Targets, func(t Target) bool { return t.Name == name })
	if i < 0 {
		return r, fmt.Errorf("no target %q", name)
	}
	t := k.c.Targets[i]
	if !t.byCA() {
		return r, fmt.Errorf("target %s: its certificate is not the CA's: issuer = %q", name, t.Issuer)
	}
	if err := k.Repair(); err != nil {
		return r, err
	}
	unlock, err := k.lock(ctx, t)
	if err != nil {
		return r, err
	}
	defer unlock()
	v := k.look(ctx)
	defer v.close()
	if v.err != nil {
		return r, fmt.Errorf("target %s: %w", name, v.err)
	}
	k.remember(v)
	t = k.with(t, v)
	if !k.fits(t, id, v) {
		return r, fmt.Errorf("target %s: %w: want one of the present CA for %v, with a key of the kind %v, that is not revoked and has more than a third of its life left", name, ErrUnfit, t.Hosts, t.Key)
	}
	before, err := install.Inspect(t.Target)
	if err != nil {
		return r, err
	}
	last, err := os.ReadFile(k.path("targets", t.Name+".pem"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if err := k.keep(t, id); err != nil { // from where a pass takes it
		return r, err
	}
	r.Found = t.Plan(before, k.c.Now())
	r.Found.Issue, r.Found.Reload = true, true
	for _, role := range []install.Role{install.Key, install.Certificate, install.PairFile} {
		if _, ok := t.Files[role]; ok && !slices.Contains(r.Found.Write, role) {
			r.Found.Write = append(r.Found.Write, role)
		}
	}
	k.mend(ctx, t, v, before, &r)
	if r.RolledBack && last != nil {
		// What the server does serve is to come back when it is lost, and not this.
		if err := durable.WriteFile(k.path("targets", t.Name+".pem"), last, 0o600); err != nil {
			r.fail(causeInstall, err)
		}
	}
	k.remains(t, &r)
	return r, r.Err
}
