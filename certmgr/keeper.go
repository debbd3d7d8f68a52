// Package certmgr keeps mail servers' keys and certificates right: they are there,
// they are good, and the server serves them.
//
//	k, err := certmgr.New(certmgr.Config{Targets: targets, Connect: connect, State: dir, Log: log})
//	plans, err := k.Plan(ctx)    // what is wrong and what would be done; changes nothing
//	reports, err := k.Once(ctx)  // does it
//	err = k.Run(ctx)             // does it whenever something is not as it should be
//
// A pass over one target: what is on the disk is compared with what shall be
// (certmgr/install), what is missing is had from the CA and installed, the server
// is told to read it, and a connection shows what it serves now (certmgr/probe).
// Where it does not come up with it the old files come back, if a server can work
// with them, and the pass is made again later, ever more rarely.
//
// What a pass needs besides is in the folder State:
//
//	install/, replaced/   of install.Journal
//	targets/NAME.pem      the last key and certificate that were had for a target
//	targets/NAME.owed     its files are changed, and the server may not have read them
//	targets/NAME.lock     held (flock) while somebody works on it
//	targets/NAME.dh       its own Diffie-Hellman parameters
//	authority.pem, .crl   the CA as it was last seen
//	notices.json          who was written to, and when
//
// The key is kept so that the same pair comes back when a file is lost or the
// server did not take it: what goes wrong a hundred times takes one certificate
// from the CA, and what is lost is there again without it.
package certmgr

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/command"
	"mailseal/certmgr/install"
	"mailseal/certmgr/notice"
	"mailseal/certmgr/probe"
	"mailseal/certmgr/watch"
)

// A Target is a server whose files are kept right. What it knows of the CA is
// filled in by the Keeper.
type Target struct {
	install.Target
	Server string
	// Reload is a command for /bin/sh, "" for none. It stands for that of the
	// layout.
	Reload string
	// Probes are where the server is asked; none: nobody asks it.
	Probes []probe.URL
	// Key and Days are those of new certificates; 0 days: what the CA has.
	Key  ca.KeyKind
	Days int
}

// An Authority is a CA, in a folder or behind a socket. One that is an io.Closer
// is closed when it is not needed any more.
type Authority interface {
	Chain() []*x509.Certificate
	CRL() (*ca.CRL, error)
	CRLDue() (time.Time, error)
	RenewCRL(by string) (*ca.CRL, error)
	Issue(ca.Request) (*ca.Issued, error)
}

// A Watcher tells which targets have something changed; see certmgr/watch.
type Watcher interface {
	Set(map[string][]string)
	Changed() <-chan string
	Close()
}

// Config is what a Keeper needs.
type Config struct {
	Targets []Target
	// Connect gets the CA, each time that it is needed; nil: there is none.
	Connect func(context.Context) (Authority, error)
	// Authority are files of the CA whose change says that it is another one.
	Authority []string
	// State is a folder that nobody else may write to.
	State string
	Log   *slog.Logger
	// Notify writes to somebody, and may take its time. nil: nobody is told.
	Notify func(context.Context, []notice.Notice) error
	// Poll is how often is looked for what nobody tells, 0: a minute.
	Poll time.Duration
	// ReloadTime is how long a reload may take, ProofTime how long a server may
	// take after that until it serves what is new. 0: half a minute.
	ReloadTime, ProofTime time.Duration
	// Parallel is how many targets are worked on at once, 0: eight.
	Parallel int

	// These are for tests; nil: the real ones.
	Now    func() time.Time
	Reload func(context.Context, Target) error
	Probe  func(context.Context, probe.URL, probe.Want) probe.Result
	Watch  func() Watcher
	// Connects reports whether a port takes connections at all.
	Connects func(context.Context, probe.URL) bool
}

const (
	usualTime     = 30 * time.Second
	usualPoll     = time.Minute
	usualParallel = 8
)

// A Keeper keeps targets right. Of Once and Run one may be called at a time.
type Keeper struct {
	c       Config
	log     *slog.Logger
	journal *install.Journal
	notices *notice.Book
	poke    chan struct{}
	primes  chan string // whose own parameters have been found

	mu     sync.Mutex
	found  map[string]string // what was wrong with a target when it was logged last
	failed map[string]logged // what was logged last of a server that fails
}

type logged struct {
	text string
	at   time.Time
}

// New makes a Keeper. It refuses targets that would be in each other's way; it
// changes nothing.
func New(c Config) (*Keeper, error) {
	if err := apart(c.Targets); err != nil {
		return nil, err
	}
	c.Poll = cmp.Or(c.Poll, usualPoll)
	c.ReloadTime, c.ProofTime = cmp.Or(c.ReloadTime, usualTime), cmp.Or(c.ProofTime, usualTime)
	c.Parallel = cmp.Or(c.Parallel, usualParallel)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Reload == nil {
		c.Reload = func(ctx context.Context, t Target) error {
			_, err := command.Shell(ctx, c.ReloadTime, t.Reload)
			return err
		}
	}
	if c.Probe == nil {
		c.Probe = probe.Check
	}
	if c.Connects == nil {
		c.Connects = connects
	}
	if c.Watch == nil {
		c.Watch = func() Watcher { return watch.New(watch.Options{Poll: c.Poll, Log: c.Log}) }
	}
	k := &Keeper{
		c: c, log: c.Log.With("id", "certmgr"), journal: install.NewJournal(c.State),
		poke: make(chan struct{}, 1), primes: make(chan string), failed: make(map[string]logged), found: make(map[string]string),
	}
	k.notices = notice.NewBook(notice.Config{File: k.path("notices.json"), Send: c.Notify, Log: k.log, Now: c.Now})
	return k, nil
}

// apart refuses targets of one name, and two that write the same file.
func apart(targets []Target) error {
	names, files := map[string]bool{}, map[string]string{}
	for _, t := range targets {
		if names[t.Name] {
			return fmt.Errorf("two targets are called %s", t.Name)
		}
		names[t.Name] = true
		for role, f := range t.Files {
			if other, taken := files[f.Path]; taken {
				return fmt.Errorf("target %s: the file %s (%s) is that of target %s too", t.Name, f.Path, role, other)
			}
			files[f.Path] = t.Name
		}
	}
	return nil
}

// Changed tells that the CA has issued or revoked something, or made a list. It
// does not wait.
func (k *Keeper) Changed() {
	select {
	case k.poke <- struct{}{}:
	default: // it will be seen
	}
}

// A Report is what came of one pass over a target.
type Report struct {
	Target string
	// Found is what was wrong, and what was to be done.
	Found install.Plan
	// Installed: files were changed. Kept is the folder with copies of those
	// that were somebody else's, "" for none.
	Installed bool
	Kept      string
	// RolledBack: the old files are back.
	RolledBack bool
	// Proof is what the server serves at the end, by probe.
	Proof []probe.Result
	// Absent: no server answers, neither before nor after, and so nothing is
	// proven.
	Absent bool
	// Err is why the target is not right.
	Err error

	cause  string    // of Err, for notices
	due    time.Time // when something ends
	left   string    // what is still wrong, to compare
	told   bool      // the server was told to read its files
	unless bool      // nothing was done, as nothing has changed since it failed
}

// Plan tells what a pass would do, for each target. The error is about what it
// could not look at; a CA that is not there is told by the plans' notes.
func (k *Keeper) Plan(ctx context.Context) ([]install.Plan, error) {
	var plans []install.Plan
	var failed error
	view := k.look(ctx)
	defer view.close()
	for _, t := range k.c.Targets {
		t = k.with(t, view)
		s, err := install.Inspect(t.Target)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		plans = append(plans, k.told(t, view, t.Plan(s, k.c.Now())))
	}
	return plans, failed
}

// Once puts everything right: first what a crash has cut short, then each target.
// The error says what is not right at the end, and Reports are there with it.
func (k *Keeper) Once(ctx context.Context) ([]Report, error) {
	failed := k.Repair()
	if errors.Is(failed, ErrState) {
		return nil, failed
	}
	reports := make([]Report, len(k.c.Targets))
	var g errgroup.Group
	g.SetLimit(k.c.Parallel)
	for i, t := range k.c.Targets {
		g.Go(func() error {
			reports[i] = k.pass(ctx, t, look{proof: true})
			return nil
		})
	}
	_ = g.Wait() // which has none
	for _, r := range reports {
		k.note(r)
		failed = errors.Join(failed, r.Err)
	}
	return reports, failed
}

// note logs what somebody else has to put right.
func (k *Keeper) note(r Report) {
	for _, n := range r.Found.Notes {
		k.log.Warn("note", "target", r.Target, "what", n)
	}
}

// ErrState: the state folder cannot be used, and so nothing be done.
var ErrState = errors.New("the folder of certmgr's state")

// Repair makes the state folder, and ends what a crash has cut short. Run and Once
// do it first; who wants servers to wait for it does it before. An error that is
// not ErrState is about one target, whose turn comes again.
func (k *Keeper) Repair() error {
	if len(k.c.Targets) == 0 {
		return nil
	}
	if err := k.prepare(); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	err := k.journal.Repair()
	if err != nil {
		k.log.Error("cannot repair", "error", err)
	}
	return err
}
