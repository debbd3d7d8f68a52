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

// A Socket says which server counts are of. The zero Socket is milter.socket.
type Socket int

const (
	Milter Socket = iota // milter.socket
	Before               // milter.before_socket
)

func (s Socket) String() string {
	if s == Before {
		return "before"
	}
	return "milter"
}

// Watch has a server's counts told too. It is called once for a Socket.
func (m *Metrics) Watch(of Socket, c Counted) {
	s := server{Counted: c}
	for _, r := range readings {
		s.descs = append(s.descs, prometheus.NewDesc(r.name, r.help, nil, prometheus.Labels{"socket": of.String()}))
	}
	s.faults = prometheus.NewDesc(faultsName, faultsHelp, []string{"kind"}, prometheus.Labels{"stage": of.String()})
	m.registry.MustRegister(s)
}

// A server tells what one has counted.
type server struct {
	Counted
	descs  []*prometheus.Desc // as readings
	faults *prometheus.Desc
}

// readings are what is told of a server's Stats, but for the faults.
var readings = []struct {
	name, help string
	kind       prometheus.ValueType
	value      func(milter.Stats) int64
}{
	{"mailseal_open_connections", "Connections of MTAs now.",
		prometheus.GaugeValue, func(s milter.Stats) int64 { return int64(s.Open) }},
	{"mailseal_max_connections", "The limit on connections; none is refused, further ones wait until one ends.",
		prometheus.GaugeValue, func(s milter.Stats) int64 { return int64(s.Limit) }},
	{"mailseal_connections_total", "Connections that were accepted.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Connections }},
	{"mailseal_connection_waits_total", "Times that the limit on connections was reached.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Waits }},
	{"mailseal_broken_connections_total", "Connections that ended within a packet, by an error, by silence or because they spoke no milter protocol.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Broken }},
	{"mailseal_accept_retries_total", "Times that a connection could not be accepted at once, as when file descriptors run out.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.AcceptRetries }},
	{"mailseal_received_bytes_total", "Bytes that MTAs sent us.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Received }},
	{"mailseal_sent_bytes_total", "Bytes that we sent MTAs.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Sent }},
	{"mailseal_panics_total", "Mistakes of the program that ended the work on a mail; the log has their stacks.",
		prometheus.CounterValue, func(s milter.Stats) int64 { return s.Panics }},
}

func (s server) Describe(c chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		c <- d
	}
	c <- s.faults
}

func (s server) Collect(c chan<- prometheus.Metric) {
	stats := s.Stats()
	for i, r := range readings {
		c <- prometheus.MustNewConstMetric(s.descs[i], r.kind, float64(r.value(stats)))
	}
	for _, k := range fault.Kinds() {
		c <- prometheus.MustNewConstMetric(s.faults, prometheus.CounterValue, float64(stats.Faults[k]), k.String())
	}
}

// A Log tells how many of its lines were lost, as a maillog.Queue does.
type Log interface{ Lost() int64 }

// WatchLog has that told too. It is called once.
func (m *Metrics) WatchLog(l Log) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mailseal_log_lines_lost_total",
		Help: "Lines that nobody took who should have written them to the log.",
	}, func() float64 { return float64(l.Lost()) }))
}
