package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"time"

	"mailseal/internal/config"
)

func checkCommand() command {
	return command{
		name:  "check",
		args:  "[-config FILE] [-json]",
		short: "is the configuration right; changes nothing",
		long: `Builds from the configuration what the milter would, and neither listens nor
changes anything. Exits with 0 when all is well, with 78 when the milter would
not start; then each mistake is a line FILE:LINE:COL: KEY: what is wrong; want
what. Warnings go to standard error and do not count.`,
		setup: func(fs *flag.FlagSet) runner {
			name := fs.String("config", defaultConfig(), "configuration `FILE`")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				return runCheck(*name, nil, *asJSON, env)
			}
		},
	}
}

// advice is given always: no configuration of ours shows whether it is taken.
var advice = []string{
	"Postfix: set milter_default_action = tempfail; sendmail: give INPUT_MAIL_FILTER F=T. " +
		"With anything else the MTA itself delivers half-edited mail when the milter ends in the middle of it.",
	"sendmail: define(`confMAX_MIME_HEADER_LENGTH', `0/0'), or it rewrites header fields within signed mail that is oddly made.",
	"Postfix: set bounce_size_limit = 1; sendmail: put nobodyreturn into confPRIVACY_FLAGS. " +
		"mailseal asks for notices without the content (RET=HDRS), but not every filter between this MTA and the mailbox passes that on. " +
		"A captured mail that is sent again and bounces would bring its sender what was opened.",
}

// runCheck checks and tells. With the flags of the daemon it looks at what that
// would run with, and refuses what it would.
func runCheck(name string, f *milterFlags, asJSON bool, env Env) error {
	s, err := check(name, f, time.Now())
	if asJSON {
		if werr := writeJSON(env.Stdout, s); werr != nil {
			return fail(exIOErr, werr)
		}
		if err != nil {
			return fail(exConfig, nil) // told as JSON
		}
		return nil
	}
	for _, w := range s.Warnings {
		fmt.Fprintln(env.Stderr, w)
	}
	if err != nil {
		return err
	}
	return s.write(env.Stdout)
}

// check builds from a configuration. The summary is there with an error too.
func check(name string, f *milterFlags, now time.Time) (*summary, error) {
	s := &summary{File: name, Errors: []remark{}, Warnings: []remark{}, Identities: []identityReport{}, trustReport: trustReport{Anchors: []anchorReport{}}}
	c, err := loadHostConfig(name)
	if err == nil && f != nil {
		err = c.ForMail()
	}
	if err != nil {
		s.fault(err)
		return s, err
	}
	if c.ForMail() != nil {
		return checkHost(s, c)
	}
	if f != nil {
		f.over(c)
	}
	p, err := collect(c)
	errs := unjoin(err)
	for _, r := range p.exposed {
		if f != nil {
			errs = append(errs, r)
			continue
		}
		s.warn(fmt.Errorf("%w; the milter refuses such files", r))
	}
	errs = append(errs, checkBefore(c), checkGroup(c, "milter.socket_group", c.Milter.SocketGroup), checkGroup(c, "metrics.socket_group", c.Metrics.SocketGroup))
	_, targetErr := keeperConfig(c, Env{})
	errs = append(errs, targetErr)
	if err == nil {
		s.describe(p)
		s.describeTargets(c)
		for _, w := range slices.Concat(warnPolicy(c), warnIdentities(p, now), warnTrust(p, now), warnFolders(c), warnPeers(c)) {
			s.warn(w)
		}
		if _, gerr := p.gateway(os.TempDir(), nil); gerr != nil {
			errs = append(errs, gerr)
		}
	}
	if err = errors.Join(errs...); err != nil {
		err = fail(exConfig, err)
		s.fault(err)
		return s, err
	}
	s.OK, s.Advice = true, advice
	return s, nil
}

// checkHost checks a configuration without a word of mail.
func checkHost(s *summary, c *config.Config) (*summary, error) {
	if _, err := keeperConfig(c, Env{}); err != nil {
		err = fail(exConfig, err)
		s.fault(err)
		return s, err
	}
	s.warn(fmt.Errorf("%s has no authserv_id and no local_domains: it is for certmgr and web, the milter would not start", s.File))
	s.OK = true
	s.describeTargets(c)
	return s, nil
}

func checkGroup(c *config.Config, key, g string) error {
	if _, err := strconv.ParseUint(g, 10, 31); g == "" || err == nil {
		return nil
	}
	if _, err := user.LookupGroup(g); err != nil {
		return c.At(key, fmt.Errorf("no group %q; want one of /etc/group", g))
	}
	return nil
}
