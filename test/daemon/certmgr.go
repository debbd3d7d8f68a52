package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A Certmgr is a process of `mailseal certmgr` and those that come after it with
// the same configuration file.
type Certmgr struct {
	process
	file  string
	under []string
}

// NewCertmgr writes a configuration into a folder that nobody but root may write
// to, and starts nothing. under is what starts the daemon in its stead and
// becomes it at last, as unshare. What has been started ends with the test.
func NewCertmgr(t testing.TB, dir, text string, under ...string) *Certmgr {
	t.Helper()
	c := &Certmgr{file: filepath.Join(dir, "mailseal.toml"), under: under}
	c.prepare(t, "certmgr")
	c.Configure(text)
	return c
}

// Configure writes the configuration anew. A running daemon does not look at it
// until it is told to.
func (c *Certmgr) Configure(text string) {
	c.t.Helper()
	if err := os.WriteFile(c.file, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// File is the path of the configuration.
func (c *Certmgr) File() string { return c.file }

// Start starts a daemon and returns when it has said so.
func (c *Certmgr) Start() {
	c.t.Helper()
	mark := c.Mark()
	c.begin(slices.Concat(c.under, []string{Binary(c.t), "certmgr", "-config", c.file}))
	said := make(chan error, 1)
	go func() {
		_, err := c.WaitLog(mark, `: starting `)
		said <- err
	}()
	select {
	case err := <-said:
		if err != nil {
			c.t.Fatal(err)
		}
	case <-c.ended:
		if !strings.Contains(c.Log(), ": starting ") {
			c.endedAtOnce()
		}
	}
}
