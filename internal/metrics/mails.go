package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"mailseal/internal/fault"
	"mailseal/internal/gateway"
	"mailseal/internal/policy"
	"mailseal/internal/verdict"
	"mailseal/milter"
)

// A mail is what mails are counted by.
type mail struct {
	direction policy.Direction
	action    string // as the log has it
	status    verdict.Status
}

// other stands for words that are not in the sets. There are none; were there
// any, there would still be an end to them.
const other = "other"

var (
	directions = []policy.Direction{policy.Inbound, policy.Outbound}
	actions    = []string{"signed", "verified", "passed", "deferred", "rejected", "discarded", "quarantined"}
	statuses   = []verdict.Status{
		verdict.None, verdict.Pass, verdict.Fail, verdict.Policy, verdict.Neutral, verdict.TempError, verdict.PermError,
	}
)

// usual are the mails that the gateway makes. Their counters are there from the
// start, so that the first one is a change from 0 and not a new series.
func usual() []mail {
	all := []mail{
		{policy.Outbound, "signed", ""}, {policy.Outbound, "passed", ""},
		{policy.Inbound, "passed", verdict.TempError}, {policy.Inbound, "quarantined", verdict.TempError},
	}
	for _, d := range directions {
		all = append(all, mail{d, "deferred", ""}, mail{d, "rejected", ""})
	}
	for _, s := range statuses {
		all = append(all, mail{policy.Inbound, "verified", s})
	}
	return all
}

type mails struct {
	ready map[mail]prometheus.Counter // not changed after newMails
	all   *prometheus.CounterVec
}

func newMails(f promauto.Factory) mails {
	ms := mails{map[mail]prometheus.Counter{}, f.NewCounterVec(prometheus.CounterOpts{
		Name: "mailseal_mails_total",
		Help: "Mails decided on, by whose they are, what was done and what the signature is worth (empty: none was judged).",
	}, []string{"direction", "action", "smime"})}
	for _, m := range usual() {
		ms.ready[m] = ms.counter(m)
	}
	return ms
}

func (ms mails) counter(m mail) prometheus.Counter {
	if !slices.Contains(actions, m.action) {
		m.action = other
	}
	if m.status != "" && !slices.Contains(statuses, m.status) {
		m.status = other
	}
	return ms.all.WithLabelValues(m.direction.String(), m.action, string(m.status))
}

func (ms mails) add(m mail) {
	c, ok := ms.ready[m]
	if !ok {
		c = ms.counter(m)
	}
	c.Inc()
}

// cleanings are the mails that came to before_socket. They are not among mails:
// each of them comes to the other socket too.
type cleanings struct{ all, cleaned prometheus.Counter }

func newCleanings(f promauto.Factory) cleanings {
	return cleanings{
		all: f.NewCounter(prometheus.CounterOpts{
			Name: "mailseal_before_mails_total", Help: "Mails at before_socket; each comes to the other socket too.",
		}),
		cleaned: f.NewCounter(prometheus.CounterOpts{
			Name: "mailseal_before_cleaned_mails_total", Help: "Mails at before_socket from which results in our name were taken away.",
		}),
	}
}

// newEncrypted counts mails that came in encrypted, by whether they were decrypted.
func newEncrypted(f promauto.Factory) map[gateway.Decrypted]prometheus.Counter {
	vec := f.NewCounterVec(prometheus.CounterOpts{
		Name: "mailseal_encrypted_mails_total", Help: "Mails that came in encrypted, by whether they were decrypted.",
	}, []string{"decrypted"})
	all := map[gateway.Decrypted]prometheus.Counter{}
	for _, d := range []gateway.Decrypted{gateway.DecryptedYes, gateway.DecryptedNo, gateway.DecryptedFailed} {
		all[d] = vec.WithLabelValues(string(d))
	}
	return all
}

// The faults that the gateway meets and those that the sockets answer by
// themselves have one name, so that a sum is over all of them.
const (
	faultsName = "mailseal_faults_total"
	faultsHelp = "Mails that could not be processed, by where and why. Of too-many-recipients: recipients."
)

func newFaults(f promauto.Factory) map[fault.Kind]prometheus.Counter {
	vec := f.NewCounterVec(prometheus.CounterOpts{
		Name: faultsName, Help: faultsHelp, ConstLabels: prometheus.Labels{"stage": "gateway"},
	}, []string{"kind"})
	all := map[fault.Kind]prometheus.Counter{}
	for _, k := range fault.Kinds() {
		all[k] = vec.WithLabelValues(k.String())
	}
	return all
}

// buckets, in seconds, reach from reading a header to the longest that an MTA
// waits.
var buckets = []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 100, 300}

type steps struct {
	decide, sign, verify prometheus.Observer
	milter               map[milter.Step]prometheus.Observer
}

func newSteps(f promauto.Factory) steps {
	vec := f.NewHistogramVec(prometheus.HistogramOpts{
		Name: "mailseal_step_duration_seconds",
		Help: "Time of each step of a mail. receive: from MAIL to the end of the message, the client's speed. " +
			"decide: reading header and rules. sign, verify: the cryptography. " +
			"send: from the decision until the MTA has edits and answer, the MTA's speed. " +
			"whole: from the end of the message to the answer, what the client waits for us.",
		Buckets: buckets,
	}, []string{"step"})
	return steps{
		decide: vec.WithLabelValues("decide"), sign: vec.WithLabelValues("sign"), verify: vec.WithLabelValues("verify"),
		milter: map[milter.Step]prometheus.Observer{
			milter.Receive: vec.WithLabelValues("receive"),
			milter.Send:    vec.WithLabelValues("send"),
			milter.Whole:   vec.WithLabelValues("whole"),
		},
	}
}

type reloads struct {
	ok, failed  prometheus.Counter
	good, since prometheus.Gauge
}

func newReloads(f promauto.Factory) reloads {
	vec := f.NewCounterVec(prometheus.CounterOpts{
		Name: "mailseal_reloads_total", Help: "Times that the configuration was read again; failed: the old one stayed.",
	}, []string{"result"})
	return reloads{
		ok: vec.WithLabelValues("ok"), failed: vec.WithLabelValues("failed"),
		good: f.NewGauge(prometheus.GaugeOpts{
			Name: "mailseal_last_reload_successful",
			Help: "1 if the configuration in force is the one that was read last, 0 if that one was wrong.",
		}),
		since: f.NewGauge(prometheus.GaugeOpts{
			Name: "mailseal_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was read.",
		}),
	}
}

// took is told that a configuration took force.
func (r reloads) took(now time.Time) {
	r.good.Set(1)
	r.since.Set(float64(now.Unix()))
}
