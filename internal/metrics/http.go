package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// Bounds of scraping: it is for one or two Prometheus servers and now and then
// a person, and must never be what the daemon is busy with.
const (
	maxScrapers = 16 // connections
	maxScrapes  = 4  // at once
	maxHeader   = 8 << 10
	slowest     = 10 * time.Second // of a request, and of taking an answer
	idleScraper = 2 * time.Minute  // Prometheus comes once a minute or more often
)

// Handler answers GET and HEAD of /metrics.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	scrape := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError, // the rest is better than nothing
		MaxRequestsInFlight: maxScrapes,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/metrics":
			http.Error(w, "only /metrics is here", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		default:
			scrape.ServeHTTP(w, r)
		}
	})
}

// A Server answers scrapes.
type Server struct{ http http.Server }

// NewServer makes a Server, which says in the log what goes wrong.
func (m *Metrics) NewServer(log *slog.Logger) *Server {
	return &Server{http.Server{
		Handler:           m.Handler(log),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: slowest,
		ReadTimeout:       slowest,
		WriteTimeout:      2 * slowest, // from the end of the header, so with the rest of the request
		IdleTimeout:       idleScraper,
		MaxHeaderBytes:    maxHeader,

		DisableGeneralOptionsHandler: true, // or OPTIONS * would be answered
	}}
}

// Serve answers until Stop, and then returns nil. It closes the listener.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.http.Serve(netutil.LimitListener(ln, maxScrapers)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Stop closes the listener, waits for the scrapes in work until the context
// ends, and then cuts them off.
func (s *Server) Stop(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}
