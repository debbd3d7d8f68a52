package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/edition"
)

// A State is what a Server answers from; it can be exchanged.
type State struct {
	CA    *ca.CA
	Press *edition.Press
	// Web is the user that the web runs as, below zero for none. Hosts are those
	// that it may have certificates issued for, in lower case and A-labels.
	Web   int
	Hosts []string
}

// Config is what a Server needs.
type Config struct {
	State
	// Changed is told that the CA has issued or revoked something or made a
	// list; nil: nobody is.
	Changed func()
	Log     *slog.Logger
	Now     func() time.Time // defaults to time.Now
}

// A Server answers on the socket.
type Server struct {
	state   atomic.Pointer[State]
	changed func()
	log     *slog.Logger
	rates   rates
	whole   chan struct{} // holds one while a large edition is told
	own     int           // the user that we run as
	http    http.Server
	end     context.CancelFunc
}

// New makes a Server.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	ctx, end := context.WithCancel(context.Background())
	s := &Server{changed: c.Changed, log: c.Log, rates: rates{now: c.Now, used: make(map[rateKey]time.Time)},
		whole: make(chan struct{}, 1), own: os.Geteuid(), end: end}
	s.Use(c.State)
	s.http = http.Server{
		Handler:           s,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: slowRequest,
		ReadTimeout:       slowRequest,
		WriteTimeout:      slowAnswer,
		IdleTimeout:       idle,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,

		DisableGeneralOptionsHandler: true,
	}
	return s
}

// Use exchanges what is answered from. What is in work ends with the old.
func (s *Server) Use(state State) { s.state.Store(&state) }

// Serve answers until Stop, and then returns nil. It closes the listener,
// which is one of a Unix socket.
func (s *Server) Serve(ln net.Listener) error {
	l := &peers{Listener: ln, trusted: s.trusted, open: make(map[int]int)}
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Stop closes the listener, waits for what is in work until the context ends,
// and then cuts it off.
func (s *Server) Stop(ctx context.Context) {
	s.end() // who waits for a new edition is told that there is none
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

// trusted reports whether a user could do everything without us: in the folder.
func (s *Server) trusted(uid int) bool { return uid == 0 || uid == s.own }

// A call is one request.
type call struct {
	*State
	ctx     context.Context
	uid     int
	trusted bool
	by      string
	changed func()
	record  func(c *call, name string, err error) error // of what is refused
	large   func(c *call, name string) error            // before an answer of megabytes
	leave   func()                                      // when that was told; nil: there was none
}

// large lets one large answer through at a time, and not too many: the memory
// that they take is that of who has the key.
func (s *Server) large(c *call, name string) error {
	busy := fmt.Errorf("%s: %w; try again later", name, ErrBusy)
	select {
	case s.whole <- struct{}{}:
	default:
		return busy
	}
	c.leave = func() { <-s.whole }
	if !s.rates.take(c.uid, wholly) {
		return busy
	}
	return nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	uid, known := uidOf(r.Context())
	name, version := strings.CutPrefix(r.URL.Path, "/v1/")
	o, ok := operations[name]
	switch {
	case !known:
		s.refuse(w, "who asks is not known", ErrForbidden)
		return
	case !ok || !version:
		s.tell(w, http.StatusNotFound, nil, fmt.Errorf("no operation %q: another version of mailseal runs here; restart it", r.URL.Path))
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		s.tell(w, http.StatusMethodNotAllowed, nil, errors.New("want POST"))
		return
	}
	c := &call{State: s.state.Load(), ctx: r.Context(), uid: uid, trusted: s.trusted(uid),
		by: fmt.Sprintf("uid %d", uid), changed: s.changed, record: s.record, large: s.large}
	defer func() {
		if c.leave != nil {
			c.leave()
		}
	}()
	if err := s.permit(c, name, o); err != nil {
		s.fail(w, c, name, err)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		s.tell(w, http.StatusBadRequest, nil, fmt.Errorf("read the request: %w", err))
		return
	}
	// The time for the request is over, or who waits for an answer would be cut
	// off by it. A recorder of tests has none.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	answer, err := o.run(c, body)
	if err != nil {
		s.fail(w, c, name, err)
		return
	}
	s.tell(w, http.StatusOK, answer, nil)
}

// permit decides by who asks and how often. What is refused is on record, for
// as long as that fills no disk.
func (s *Server) permit(c *call, name string, o operation) error {
	if c.trusted {
		return nil
	}
	web := c.uid == c.Web && c.Web >= 0
	switch {
	case web && o.web && s.rates.take(c.uid, o.rate):
		return nil
	case web && o.web:
		return fmt.Errorf("%s: %w; try again later", name, ErrBusy)
	}
	err := fmt.Errorf("%s: user %d: %w; ask as root", name, c.uid, ErrForbidden)
	return s.record(c, name, err)
}

// record puts a refusal into the audit file and the log.
func (s *Server) record(c *call, name string, err error) error {
	if !s.rates.take(c.uid, forbidden) {
		return fmt.Errorf("%s: %w", name, ErrBusy)
	}
	s.log.Warn("refused", "operation", name, "uid", c.uid, "error", err)
	if aerr := c.CA.Refuse(name, c.by, err); !errors.Is(aerr, err) {
		s.log.Error("cannot record a refusal", "error", aerr)
	}
	return err
}

// A trouble is an error on its way.
type trouble struct {
	Error string   `json:"error"`
	Kinds []string `json:"kinds,omitempty"`
}

// kinds are the errors that whoever asks can tell apart.
var kinds = []struct {
	name   string
	err    error
	status int
}{
	{"forbidden", ErrForbidden, http.StatusForbidden},
	{"busy", ErrBusy, http.StatusTooManyRequests},
	{"not-found", ca.ErrNotFound, http.StatusNotFound},
	{"refused", ca.ErrRefused, http.StatusUnprocessableEntity},
	{"no-key", ca.ErrNoKey, http.StatusServiceUnavailable},
}

// fail answers with an error. What is wrong with the folder only root is told.
func (s *Server) fail(w http.ResponseWriter, c *call, name string, err error) {
	status, told := http.StatusInternalServerError, trouble{Error: err.Error()}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			if told.Kinds == nil {
				status = k.status
			}
			told.Kinds = append(told.Kinds, k.name)
		}
	}
	if told.Kinds == nil {
		s.log.Error("cannot", "operation", name, "uid", c.uid, "error", err)
		if !c.trusted {
			told.Error = name + ": the CA cannot do that now; the log of certmgr says why"
		}
	}
	s.tell(w, status, told, nil)
}

func (s *Server) refuse(w http.ResponseWriter, text string, err error) {
	s.tell(w, http.StatusForbidden, trouble{text, []string{kinds[0].name}}, nil)
	s.log.Warn("refused", "error", fmt.Errorf("%s: %w", text, err))
}

// tell answers, with what err says where it is not nil.
func (s *Server) tell(w http.ResponseWriter, status int, answer any, err error) {
	if err != nil {
		answer = trouble{Error: err.Error()}
	}
	b, err := json.Marshal(answer)
	if err != nil {
		s.log.Error("cannot answer", "error", err)
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b) // who has gone needs no answer
}

// decode reads a request strictly.
func decode(body []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("request: %v: %w", err, ca.ErrRefused)
	}
	if d.More() {
		return fmt.Errorf("request: more than one: %w", ca.ErrRefused)
	}
	return nil
}
