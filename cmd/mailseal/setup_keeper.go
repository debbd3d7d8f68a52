package main

import (
	"log/slog"
	"slices"
	"time"

	"mailseal/certmgr"
)

// keeper is that of certmgr's daemon, for the target alone; change may have it do
// less.
func (s *setupRun) keeper(change func(*certmgr.Target)) (*certmgr.Keeper, error) {
	c, err := keeperConfig(s.conf, s.env)
	if err != nil {
		return nil, fail(exConfig, err)
	}
	c.Targets = slices.DeleteFunc(c.Targets, func(t certmgr.Target) bool { return t.Name != s.target.Name })
	for i := range c.Targets {
		if change != nil {
			change(&c.Targets[i])
		}
	}
	c.Notify, c.Log = nil, slog.New(slog.DiscardHandler) // it is told here
	c.ProofTime = 2 * time.Second                        // and waited for
	return certmgr.New(c)
}
