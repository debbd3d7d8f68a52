package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// patience is the default of Want.Timeout.
const patience = 30 * time.Second

// Check connects to a server and looks at what it presents. It always returns a
// result, within Want.Timeout or when ctx ends.
func Check(ctx context.Context, u URL, w Want) Result {
	timeout := w.Timeout
	if timeout <= 0 {
		timeout = patience
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := Result{URL: u}
	conn, done, err := dial(ctx, u)
	if err != nil {
		r.Err = err
		return r
	}
	defer done()
	w.examine(conn, &r)
	return r
}

// examine does all that is done on a connection.
func (w Want) examine(conn net.Conn, r *Result) {
	p := r.URL.protocol()
	var err error
	if r.Banner, r.Offered, err = toTLS(conn, r.URL); err != nil {
		r.Err = err
		return
	}
	c := tls.Client(conn, w.config(r))
	defer c.Close()
	err = c.Handshake()
	s := c.ConnectionState()
	r.Chain = s.PeerCertificates
	if err != nil {
		r.Err = handshake(err)
		return
	}
	r.version, r.Version, r.Cipher = s.Version, VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite)
	if s.CurveID != 0 {
		r.Curve = strings.Replace(s.CurveID.String(), "CurveP", "P-", 1)
	}
	within := newWire(c)
	if r.URL.Implicit() {
		r.Banner, err = p.greeting(within)
	} else {
		err = p.ask(within)
	}
	if err != nil {
		r.Err = afterwards(err, r.AsksClient && w.Client == nil)
		return
	}
	w.judge(r)
	// The server need not log that we went without a word. Its answer is waited
	// for because what is unread at the end would reset the connection.
	if p.bye(within) == nil {
		c.SetReadDeadline(time.Now().Add(time.Second))
		within.ReadLine()
	}
}

// toTLS speaks to a server until TLS begins.
func toTLS(conn net.Conn, u URL) (banner string, offered bool, err error) {
	if u.Implicit() {
		return "", true, nil
	}
	p, clear := u.protocol(), newWire(conn)
	if banner, err = p.greeting(clear); err != nil {
		return "", false, err
	}
	if offered, err = p.startTLS(clear); err != nil {
		return banner, offered, err
	}
	if n := clear.early(); n > 0 {
		return banner, true, &Failure{Cause: Protocol, Text: fmt.Sprintf("it sends %d bytes in clear after its answer to STARTTLS: "+
			"somebody in between may have put them in", n)}
	}
	return banner, true, nil
}

func (w Want) config(r *Result) *tls.Config {
	var suites []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		suites = append(suites, s.ID)
	}
	return &tls.Config{
		InsecureSkipVerify: true, // judge does it, and says what is wrong
		ServerName:         w.sni(r.URL),
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       suites,
		GetClientCertificate: func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			r.AsksClient, r.AcceptsFrom = true, authorities(i.AcceptableCAs)
			if w.Client == nil {
				return new(tls.Certificate), nil
			}
			return w.Client, nil
		},
	}
}

// sni is the name that a client of the protocol would ask for. Postfix and
// sendmail, which speak smtp, ask for none unless they are told to.
func (w Want) sni(u URL) string {
	switch {
	case u.Name != "":
		return u.Name
	case u.Scheme == "smtp":
		return ""
	}
	return w.host(u)
}

func authorities(raw [][]byte) []string {
	var names []string
	for _, der := range raw {
		var rdn pkix.RDNSequence
		if rest, err := asn1.Unmarshal(der, &rdn); err != nil || len(rest) > 0 {
			continue
		}
		names = append(names, plain(rdn.String()))
	}
	return names
}

// handshake says why there was none.
func handshake(err error) error {
	text := plain(err.Error())
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		text = "no answer in time"
	case errors.Is(err, io.EOF):
		text = "it closes the connection"
	case noCommon(err):
		text += "; no cipher in common, or the server does nothing but Diffie-Hellman without elliptic curves, which this program cannot"
	}
	return &Failure{Cause: Handshake, Text: "TLS handshake: " + text, Err: err}
}

// noCommon reports whether the server has sent the alert handshake_failure
// (RFC 8446 section 6.2), which crypto/tls tells of in words alone.
func noCommon(err error) bool {
	e := (*net.OpError)(nil)
	return errors.As(err, &e) && e.Op == "remote error" && e.Err.Error() == "tls: handshake failure"
}

// afterwards is about a server that has agreed and then does not go on.
func afterwards(err error, withoutCertificate bool) error {
	f := (*Failure)(nil)
	if !errors.As(err, &f) || f.Cause != Unreachable {
		return err
	}
	text := "after the handshake: " + f.Text
	if withoutCertificate {
		text += "; it has asked for a client certificate, and may want one"
	}
	return &Failure{Cause: Handshake, Text: text, Err: f.Err}
}

// Versions finds which versions of TLS a server takes, lowest first, from
// SSL 3.0 (0x0300) to tls.VersionTLS13. It connects once for each, and leaves
// after the first message.
func Versions(ctx context.Context, u URL) ([]uint16, error) {
	var taken []uint16
	for v := uint16(ssl30); v <= tls.VersionTLS13; v++ {
		h := hello{version: v, suites: append(append([]uint16{}, suitesOther...), suitesDHE...)}
		if v == tls.VersionTLS13 {
			h.suites = suites13
		}
		a, err := h.ask(ctx, u, false)
		if err != nil {
			return taken, err
		}
		if a.version == v {
			taken = append(taken, v)
		}
	}
	return taken, nil
}

// DHBits is the size of the prime by which a server does Diffie-Hellman with
// those that know neither TLS 1.3 nor elliptic curves: what dh.param is for. It is
// 0 where the server does none.
func DHBits(ctx context.Context, u URL) (int, error) {
	a, err := hello{version: tls.VersionTLS12, suites: suitesDHE}.ask(ctx, u, true)
	return a.dhBits, err
}

// ask says hello to a server.
func (h hello) ask(ctx context.Context, u URL, wantDH bool) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, done, err := dial(ctx, u)
	if err != nil {
		return answer{}, err
	}
	defer done()
	if _, _, err := toTLS(conn, u); err != nil {
		return answer{}, err
	}
	if h.name = u.Name; h.name == "" && u.Scheme != "smtp" && net.ParseIP(u.Host) == nil {
		h.name = u.Host
	}
	record, err := h.record()
	if err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(record); err != nil {
		return answer{}, handshake(err)
	}
	a, err := readAnswer(conn, wantDH)
	// Some servers refuse without a word.
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return a, nil
	} else if err != nil {
		return a, handshake(err)
	}
	return a, nil
}
