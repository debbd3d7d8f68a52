package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// An account is a user that the process becomes. Of the zero account it
// becomes nothing.
type account struct {
	name     string
	uid, gid int
	groups   []int // all of them, gid among them
}

// findAccount reads user[:group] as OpenDKIM has it: names or numbers, and
// without a group the user's own. "" is the zero account, and so is who we are
// already.
func findAccount(spec string) (account, error) {
	if spec == "" {
		return account{}, nil
	}
	name, group, named := strings.Cut(spec, ":")
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return account{}, failf(exNoUser, "-u %s: no user %q; make it, or name another", spec, name)
		}
	}
	a := account{name: u.Username}
	gid := u.Gid
	if named {
		if gid, err = findGroup(group); err != nil {
			return account{}, failf(exNoUser, "-u %s: no group %q; make it, or name another", spec, group)
		}
	}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, fail(exNoUser, fmt.Errorf("-u %s: %w", spec, err))
	}
	a.uid, a.gid, err = numbers(u.Uid, gid)
	for _, id := range append(ids, gid) {
		n, e := strconv.Atoi(id)
		if err = errors.Join(err, e); !slices.Contains(a.groups, n) {
			a.groups = append(a.groups, n)
		}
	}
	switch {
	case err != nil:
		return account{}, fail(exOSErr, fmt.Errorf("-u %s: %w", spec, err))
	case a.uid == 0:
		return account{}, failf(exUsage, "-u %s: the daemon needs no rights of root's; name the user that owns the keys", spec)
	case os.Geteuid() == a.uid && os.Getuid() == a.uid && !named:
		return account{}, nil
	case os.Geteuid() != 0:
		return account{}, failf(exNoPerm, "-u %s: only root can become somebody; start it as root, or without -u as %s", spec, a.name)
	}
	return a, nil
}

func findGroup(group string) (gid string, err error) {
	g, err := user.LookupGroup(group)
	if err != nil {
		if g, err = user.LookupGroupId(group); err != nil {
			return "", err
		}
	}
	return g.Gid, nil
}

func numbers(uid, gid string) (int, int, error) {
	u, uerr := strconv.Atoi(uid)
	g, gerr := strconv.Atoi(gid)
	return u, g, errors.Join(uerr, gerr)
}

// become gives up what the process may do as root, for all its threads (the
// functions of package syscall see to that on Linux; elsewhere the kernel does)
// and for good.
func (a account) become() error {
	if a.name == "" {
		return nil
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"setgroups", func() error { return syscall.Setgroups(a.groups) }},
		{"setgid", func() error { return syscall.Setgid(a.gid) }},
		{"setuid", func() error { return syscall.Setuid(a.uid) }},
	} {
		if err := step.do(); err != nil {
			return fail(exOSErr, fmt.Errorf("become user %s: %s: %w", a.name, step.what, err))
		}
	}
	if syscall.Setuid(0) == nil {
		return failf(exOSErr, "become user %s: could be root again", a.name)
	}
	return nil
}
