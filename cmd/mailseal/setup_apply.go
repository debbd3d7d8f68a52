package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"mailseal/certmgr"
	"mailseal/certmgr/ca/index"
	program "mailseal/certmgr/command"
	"mailseal/certmgr/install"
	"mailseal/certmgr/probe"
	"mailseal/certmgr/setup"
	"mailseal/internal/config"
)

const goos = runtime.GOOS

const (
	// reloadLimit is how long a server's reload may take.
	reloadLimit = time.Minute
	// proofLimit is how long after that it may take until it serves what is new.
	proofLimit = time.Minute
)

// job is what the journal has to know before the first change.
func (s *setupRun) job() setup.Job {
	j := setup.Job{
		Name: s.target.Name, Server: s.place.Server, Config: s.config, Reload: s.reloads,
		Edits: slices.Concat(s.ours, s.theirs), Dir: filepath.Dir(s.layout.Files[install.CA].Path),
	}
	for _, f := range s.layout.Files {
		j.Files = append(j.Files, f.Path)
	}
	slices.Sort(j.Files)
	j.Links = slices.Sorted(maps.Keys(s.layout.Links))
	if s.target.Probe == nil || len(s.target.Probe) > 0 {
		j.Address = s.smtpAddress()
	}
	return j
}

// reload has a server read its files, and waits until it answers again.
func reload(ctx context.Context, line, address string) error {
	if line == "" {
		return nil
	}
	if _, err := program.Shell(ctx, reloadLimit, line); err != nil {
		return fmt.Errorf("have the server read its files: %w", err)
	}
	if address == "" {
		return nil
	}
	if _, err := setup.Reloaded(ctx, address, proofLimit); err != nil {
		return fmt.Errorf("the server does not answer after it was told to read its files (%s): %w", line, err)
	}
	return nil
}

// apply changes the host, and takes it back where the server does not come up
// with it.
func (s *setupRun) apply(ctx context.Context) error {
	unlock, err := s.journal.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	job := s.job()
	if err := s.journal.Begin(job); err != nil {
		return fmt.Errorf("write the journal, and nothing has been changed: %w", err)
	}
	proof, err := s.change(ctx)
	if err != nil {
		return s.takeBack(job, err)
	}
	if err := s.journal.Done(job.Name); err != nil {
		return err
	}
	s.tell(proof)
	return nil
}

// change makes all changes, the files before the settings that name them, and has
// the server show that it serves them.
func (s *setupRun) change(ctx context.Context) ([]probe.Result, error) {
	if s.newCA != nil {
		if err := s.newCA.make(s.env); err != nil {
			return nil, fmt.Errorf("make the CA: %w", err)
		}
		fmt.Fprintf(s.env.Stdout, "CA          %s\n", s.newCA.dir)
	}
	if err := setup.Write(s.ours); err != nil {
		return nil, err
	}
	kept, err := s.makeFiles(ctx)
	if err != nil {
		return nil, err
	}
	if kept != "" {
		fmt.Fprintf(s.env.Stdout, "kept        %s has the files that were there\n", kept)
	}
	if err := setup.Write(s.theirs); err != nil {
		return nil, err
	}
	if err := reload(ctx, s.reloads, s.job().Address); err != nil {
		return nil, err
	}
	return s.prove(ctx, proofLimit)
}

// makeFiles has certmgr make the files as its daemon would; the server is told
// later, when its settings name them.
func (s *setupRun) makeFiles(ctx context.Context) (kept string, err error) {
	k, err := s.keeper(func(t *certmgr.Target) { t.Reload, t.Probes = "", nil })
	if err != nil {
		return "", err
	}
	reports, err := k.Once(ctx)
	for _, r := range reports {
		kept = r.Kept
	}
	return kept, err
}

// prove asks the server until it serves the files that are there.
func (s *setupRun) prove(ctx context.Context, limit time.Duration) ([]probe.Result, error) {
	k, err := s.keeper(func(t *certmgr.Target) { t.Reload = "" })
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(limit); ; {
		reports, err := k.Once(ctx)
		if err == nil {
			var proof []probe.Result
			for _, r := range reports {
				proof = append(proof, r.Proof...)
			}
			if err = served(proof); err == nil {
				return proof, nil
			}
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// served is what is wrong with what a server serves: one that does not answer is
// right for certmgr, and not here.
func served(proof []probe.Result) error {
	for _, p := range proof {
		if !p.OK() {
			return fmt.Errorf("%s: %w", p.URL, p.Err)
		}
	}
	return nil
}

// settled reports whether nothing is left to do: the settings are right, and the
// server serves what certmgr would make.
func (s *setupRun) settled(ctx context.Context) (bool, error) {
	if len(s.ours)+len(s.theirs) > 0 || s.newCA != nil || s.known && !s.before.Done {
		return false, nil
	}
	k, err := s.keeper(nil)
	if err != nil {
		return false, err
	}
	plans, err := k.Plan(ctx)
	if err != nil {
		return false, err
	}
	for _, p := range plans {
		if !p.Done() {
			return false, nil
		}
	}
	proof, err := s.prove(ctx, 0)
	if err != nil {
		return false, nil // it has not read them, or does not run
	}
	s.tell(proof)
	return true, nil
}

// takeBack puts everything back as it was before this run.
func (s *setupRun) takeBack(job setup.Job, why error) error {
	ctx := context.Background() // also when somebody has pressed ^C
	var u setup.Undone
	var err error
	if s.known && s.before.Done {
		u, err = s.revert(job)
	} else {
		u, err = s.undo(job.Name)
	}
	if err != nil {
		return fmt.Errorf("%w; and taking it back has failed: %w; try mailseal setup undo", why, err)
	}
	if len(u.Left) > 0 {
		return fmt.Errorf("%w; all was put back but for %s, which somebody else has changed meanwhile", why, strings.Join(u.Left, ", "))
	}
	but := ""
	if s.newCA != nil && there(filepath.Join(s.newCA.dir, "cacert.pem")) {
		but = ", but for the new CA in " + s.newCA.dir
	}
	if !u.Nothing() && reload(ctx, s.reloads, job.Address) != nil {
		but += ", and the server may not know it: have it read its files"
	}
	return fmt.Errorf("%w; all is as it was before%s", why, but)
}

// revert takes back what this run has changed, where an earlier one stays. If that
// was a request alone, the files are this one's.
func (s *setupRun) revert(job setup.Job) (setup.Undone, error) {
	var files setup.Undone
	if len(s.before.Files) == 0 {
		sums, err := sumsOf(s.conf.Certmgr.State, job.Name)
		if err != nil {
			return files, err
		}
		if files, err = s.journal.Undo(setup.Undoing{Name: job.Name, Ours: sums, FilesOnly: true}); err != nil {
			return files, err
		}
	}
	u, err := s.journal.Revert(job)
	u.Restored, u.Removed, u.Left = append(u.Restored, files.Restored...), append(u.Removed, files.Removed...), append(u.Left, files.Left...)
	return u, err
}

// undo takes back what the journal has of a target, whole.
func (s *setupRun) undo(name string) (setup.Undone, error) {
	sums, err := sumsOf(s.conf.Certmgr.State, name)
	if err != nil {
		return setup.Undone{}, err
	}
	u, err := s.journal.Undo(setup.Undoing{Name: name, Ours: sums})
	if err != nil || len(u.Left) > 0 {
		return u, err
	}
	return u, s.journal.Forget(name)
}

// tell prints what the server serves now.
func (s *setupRun) tell(proof []probe.Result) {
	for _, p := range proof {
		fmt.Fprintf(s.env.Stdout, "%s verify=%s", p.URL, p.Verify())
		if l := p.Leaf(); l != nil {
			fmt.Fprintf(s.env.Stdout, " tls=%s name=%s serial=%s until=%s", p.Version, s.target.Hosts[0], index.Serial(l.SerialNumber), l.NotAfter.UTC().Format(time.RFC3339))
		}
		fmt.Fprintln(s.env.Stdout)
	}
}

// next says what is left to a person.
func (s *setupRun) next() {
	w := s.env.Stdout
	start := "systemctl enable --now mailseal-certmgr, or systemctl reload mailseal-certmgr where it runs"
	if goos == "freebsd" {
		start = "sysrc mailseal_certmgr_enable=YES; service mailseal_certmgr start, or service mailseal_certmgr reload where it runs"
	}
	fmt.Fprintf(w, "mailseal certmgr keeps it so: %s\n", start)
	if s.files().CRL != "" && s.place.Server == "sendmail" {
		fmt.Fprintln(w, "without it the list of what was revoked ends in some weeks, and sendmail then says verify=FAIL of everybody")
	} else {
		fmt.Fprintln(w, "without it the certificate ends one day, and nobody makes another")
	}
	if s.newCA != nil {
		here := ""
		if s.again("config", "prefix") != "" {
			here = " -config " + setup.Quoted(s.config)
		}
		fmt.Fprintf(w, "other hosts: mailseal setup %s -request FILE there, then mailseal ca issue%s -csr FILE -profile host -out BASE here\n", s.place.Server, here)
	}
	fmt.Fprintf(w, "back: mailseal setup undo%s\n", s.again("config", "prefix", "name"))
}

// setupError gives an error its exit status.
func setupError(err error) error {
	var known *exit
	var place *config.Error
	switch {
	case err == nil, errors.As(err, &known), errors.As(err, &place):
		return err
	case errors.Is(err, setup.ErrNoServer), errors.Is(err, fs.ErrNotExist):
		return fail(exNoInput, err)
	case errors.Is(err, setup.ErrNoName), errors.Is(err, setup.ErrRefused):
		return fail(exConfig, err)
	case errors.Is(err, setup.ErrChanged):
		return fail(exTempFail, err)
	case errors.Is(err, fs.ErrPermission):
		return fail(exNoPerm, err)
	}
	return fail(exUnavailable, err)
}
