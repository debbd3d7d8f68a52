package metrics

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailseal/internal/fault"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/milter"
)

// valid makes a label's value of what may be no UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Identities is told which identities there are now.
func (m *Metrics) Identities(ids []pki.Identity) { m.identities.set(ids) }

// expiries tell when the identities expire.
type expiries struct {
	byName atomic.Pointer[map[string]time.Time]
}

var expiry = prometheus.NewDesc("mailseal_identity_expiry_timestamp_seconds",
	"When the certificate of an identity of ours expires; subtract time() for the seconds that are left.", []string{"identity"}, nil)

func (e *expiries) set(ids []pki.Identity) {
	m := make(map[string]time.Time, len(ids))
	for _, id := range ids {
		name, end := valid(id.Name), id.Certificate.NotAfter
		if before, ok := m[name]; !ok || end.Before(before) {
			m[name] = end
		}
	}
	e.byName.Store(&m)
}

func (e *expiries) Describe(c chan<- *prometheus.Desc) { c <- expiry }

func (e *expiries) Collect(c chan<- prometheus.Metric) {
	m := e.byName.Load()
	if m == nil {
		return
	}
	for name, end := range *m {
		c <- prometheus.MustNewConstMetric(expiry, prometheus.GaugeValue, float64(end.Unix()), name)
	}
}

// holdings tell what the spool holds.
type holdings struct{ *spool.Usage }

var (
	spoolFiles = prometheus.NewDesc("mailseal_spool_files", "Bodies of mails in work, those that came and those that were made of them.", nil, nil)
	spoolBytes = prometheus.NewDesc("mailseal_spool_bytes", "What the bodies in work hold of memory, and of the disk of the state folder.", []string{"place"}, nil)
)

func (holdings) Describe(c chan<- *prometheus.Desc) {
	c <- spoolFiles
	c <- spoolBytes
}

func (h holdings) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	gauge(spoolFiles, h.Files())
	gauge(spoolBytes, h.Memory(), "memory")
	gauge(spoolBytes, h.Disk(), "disk")
}

// A Counted tells its counts, as a milter.Server does.
type Counted interface{ Stats() milter.Stats }

// Watch has a server's counts told too. It is called once.
func (m *Metrics) Watch(s Counted) { m.registry.MustRegister(server{s}) }

type server struct{ Counted }

// A reading is one of a server's Stats.
type reading struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(milter.Stats) int64
}

func read(name, help string, kind prometheus.ValueType, value func(milter.Stats) int64) reading {
	return reading{prometheus.NewDesc(name, help, nil, nil), kind, value}
}

// readings are what is told of a server, but for the faults.
var readings = []reading{
	read("mailseal_open_connections", "Connections of MTAs now.",
		prometheus.GaugeValue, func(s milter.Stats) int64 { return int64(s.Open) }),
	read("mailseal_max_connections", "The limit on connections; none is refused, further ones wait until one ends.",
		prometheus.GaugeValue, func(s milter.Stats) int64 { return int64(s.Limit) }),
	read("mailseal_connections_total", "Connections that were accepted.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Connections }),
	read("mailseal_connection_waits_total", "Times that the limit on connections was reached.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Waits }),
	read("mailseal_broken_connections_total", "Connections that ended within a packet, by an error, by silence or because they spoke no milter protocol.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Broken }),
	read("mailseal_accept_retries_total", "Times that a connection could not be accepted at once, as when file descriptors run out.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.AcceptRetries }),
	read("mailseal_received_bytes_total", "Bytes that MTAs sent us.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Received }),
	read("mailseal_sent_bytes_total", "Bytes that we sent MTAs.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Sent }),
	read("mailseal_panics_total", "Mistakes of the program that ended the work on a mail; the log has their stacks.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Panics }),
}

var answeredFaults = prometheus.NewDesc(faultsName, faultsHelp, []string{"kind"}, prometheus.Labels{"stage": "milter"})

func (server) Describe(c chan<- *prometheus.Desc) {
	for _, n := range readings {
		c <- n.desc
	}
	c <- answeredFaults
}

func (s server) Collect(c chan<- prometheus.Metric) {
	stats := s.Stats()
	for _, n := range readings {
		c <- prometheus.MustNewConstMetric(n.desc, n.kind, float64(n.value(stats)))
	}
	for _, k := range fault.Kinds() {
		c <- prometheus.MustNewConstMetric(answeredFaults, prometheus.CounterValue, float64(stats.Faults[k]), k.String())
	}
}
