// Package metrics counts for Prometheus what the daemon does, and answers its
// scrapes: how many mails went which way and with what result, how long each
// step took, how the MTA's connections are, when identities expire. doc/metrics.md
// has all of it in a table.
//
// Labels have values from small fixed sets, but for the names of our own
// identities, which are as many as the postmaster has. No address, host or
// text of a mail is ever one.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"mailseal/internal/fault"
	"mailseal/internal/gateway"
	"mailseal/internal/spool"
	"mailseal/milter"
)

// A Config is what Metrics are told once. The zero Config is good.
type Config struct {
	Version, Revision, Go string       // of this program
	Spool                 *spool.Usage // nil: an empty one
	Now                   func() time.Time
}

// Metrics are all collectors, in a registry of their own. As a gateway.Meter
// and a milter.Meter they are fed without a lock and without memory.
type Metrics struct {
	registry *prometheus.Registry
	now      func() time.Time

	mails      mails
	encrypted  map[gateway.Decrypted]prometheus.Counter
	before     cleanings
	faults     map[fault.Kind]prometheus.Counter
	steps      steps
	reloads    reloads
	identities expiries
}

var (
	_ gateway.Meter = (*Metrics)(nil)
	_ milter.Meter  = (*Metrics)(nil)
)

// New makes Metrics. The configuration counts as read now.
func New(c Config) *Metrics {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Spool == nil {
		c.Spool = new(spool.Usage)
	}
	r := prometheus.NewRegistry()
	f := promauto.With(r)
	m := &Metrics{
		registry: r, now: c.Now,
		mails: newMails(f), encrypted: newEncrypted(f), before: newCleanings(f), faults: newFaults(f), steps: newSteps(f), reloads: newReloads(f),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mailseal_build_info", Help: "Always 1; the labels say which mailseal this is.",
		ConstLabels: prometheus.Labels{"version": valid(c.Version), "revision": valid(c.Revision), "goversion": valid(c.Go)},
	}, func() float64 { return 1 })
	r.MustRegister(&m.identities, holdings{c.Spool},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.reloads.took(m.now())
	return m
}

// Decided counts a mail that the gateway has decided on.
func (m *Metrics) Decided(d gateway.Measure) {
	m.mails.add(mail{d.Direction, d.Event, d.Status})
	if c, ok := m.encrypted[d.Decrypted]; ok {
		c.Inc()
	}
	if d.Failed {
		counter(m.faults, d.Fault, fault.Internal).Inc()
	}
	m.steps.decide.Observe(d.Took.Decide.Seconds())
	// 0 is a step that was not taken.
	if s := d.Took.Sign; s > 0 {
		m.steps.sign.Observe(s.Seconds())
	}
	if v := d.Took.Verify; v > 0 {
		m.steps.verify.Observe(v.Seconds())
	}
}

// Cleaned counts a mail that was looked at before other milters were.
func (m *Metrics) Cleaned(results int) {
	m.before.all.Inc()
	if results > 0 {
		m.before.cleaned.Inc()
	}
}

// Took counts a step of the milter.
func (m *Metrics) Took(s milter.Step, d time.Duration) {
	if o, ok := m.steps.milter[s]; ok {
		o.Observe(d.Seconds())
	}
}

// Reloaded is told that the configuration was read again, or that the old one
// stays because of err.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.reloads.failed.Inc()
		m.reloads.good.Set(0)
		return
	}
	m.reloads.ok.Inc()
	m.reloads.took(m.now())
}

// counter returns the counter of a key, or of the one that stands for all that
// are unknown.
func counter[K comparable](of map[K]prometheus.Counter, key, unknown K) prometheus.Counter {
	if c, ok := of[key]; ok {
		return c
	}
	return of[unknown]
}
