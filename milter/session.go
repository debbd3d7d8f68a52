package milter

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"time"

	milterlib "github.com/emersion/go-milter"

	"mailseal/internal/fault"
	"mailseal/internal/message"
)

// A session is what is known of one connection of the MTA. It takes the packets
// in the order in which they come (take), and answers those that the library
// passes on to it (MailFrom, RcptTo, Body). All of it happens in the one
// goroutine that the library has for the connection.
type session struct {
	milterlib.NoOpMilter
	server *Server
	conn   *conn

	negotiated bool
	macros     macros
	host       string
	addr       netip.Addr
	helo       string

	mail *mail // nil between mails
	id   string
	rcpt *message.Recipient // the one to be answered
}

var _ milterlib.Milter = (*session)(nil)

// take takes one packet. It reports whether the library is to answer it.
func (s *session) take(p packet) (answer bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v)
			answer, err = answered(p.code), nil
		}
	}()
	if !s.negotiated && p.code != cmdOptNeg {
		return false, fmt.Errorf("command %q before the negotiation", p.code)
	}
	switch p.code {
	case cmdOptNeg:
		err = s.negotiate(p.data)
	case cmdMacro:
		err = s.takeMacros(p.data)
	case cmdConnect:
		err = s.connect(p.data)
	case cmdHelo:
		err = s.takeHelo(p.data)
	case cmdMail:
		err = s.begin(p.data)
	case cmdRcpt:
		err = s.takeRcpt(p.data)
	case cmdHeader:
		err = s.takeHeader(p.data)
	case cmdBody, cmdEOM:
		// libmilter takes a last piece of the body with the end of the
		// message; MTAs of old send it.
		if s.mail != nil {
			s.mail.addBody(p.data, s.server.create)
		}
	case cmdAbort:
		s.drop()
		s.macros.aborted()
	case cmdData, cmdEOH:
	default:
		// In version 2 of the protocol there are no others: DATA and unknown
		// commands of SMTP are not told, and nobody sends QUIT_NC.
		return false, fmt.Errorf("unknown command %q", p.code)
	}
	return answered(p.code), err
}

func (s *session) negotiate(data []byte) error {
	if s.negotiated {
		return fmt.Errorf("second negotiation")
	}
	if _, err := negotiation(data); err != nil {
		return err
	}
	s.negotiated = true
	return nil
}

func (s *session) takeMacros(data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("macros without the command they are for")
	}
	code, data := data[0], data[1:]
	if err := s.macros.set(code, data); err != nil {
		return fmt.Errorf("macros: %w", err)
	}
	// sendmail tells the queue id at MAIL and no more; Postfix has none
	// before the first good recipient and tells it from the second or from
	// the header on, then with every field. With CONNECT and HELO it could
	// only be that of another mail, and that with MAIL belongs to the mail
	// that MAIL begins.
	switch code {
	case cmdConnect, cmdHelo, cmdMail:
		return nil
	}
	if id := lookUp(data, macroQueueID); s.mail != nil && len(id) > 0 && string(id) != s.id {
		s.id = string(id)
		s.mail.envelope.QueueID = s.id
	}
	return nil
}

func (s *session) connect(data []byte) (err error) {
	s.drop()
	s.macros.aborted()
	s.macros.arrived(cmdConnect)
	s.helo, s.macros.helo = "", stageMacros{}
	s.host, s.addr, err = connection(data)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// takeHelo takes HELO or EHLO, which ends a mail (RFC 5321 section 4.1.4). The
// second one, after STARTTLS, is the one with TLS macros; the first is told
// with none.
func (s *session) takeHelo(data []byte) (err error) {
	s.drop()
	s.macros.aborted()
	s.macros.arrived(cmdHelo)
	s.helo, _, err = cstring(data)
	if err != nil {
		return fmt.Errorf("helo: %w", err)
	}
	return nil
}

// begin takes MAIL. sendmail sends no ABORT after a mail that was accepted, so
// this is where one mail's end is certain.
func (s *session) begin(data []byte) error {
	s.drop()
	s.macros.arrived(cmdMail)
	address, args, err := path(data)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	if !s.conn.busy() {
		return errClosing
	}
	s.id = s.macros.mail.values[macroQueueID]
	s.mail = &mail{
		handler: s.server.currentHandler(),
		began:   time.Now(),
		envelope: message.Envelope{
			QueueID:    s.id,
			Sender:     address,
			SenderArgs: args,
			Client: message.Client{
				Name:  s.clientName(),
				Addr:  s.addr,
				Helo:  s.helo,
				Login: s.macros.login(),
				TLS:   s.macros.tls(),
			},
		},
	}
	return nil
}

// clientName is the verified name. The name in CONNECT is not: sendmail gives
// one there that may be forged.
func (s *session) clientName() string {
	if name := s.macros.connect.values[macroClientName]; name != "" && name != "unknown" {
		return name
	}
	if s.addr.IsValid() {
		return "[" + s.addr.String() + "]"
	}
	return s.host
}

func (s *session) takeRcpt(data []byte) error {
	s.macros.arrived(cmdRcpt)
	address, args, err := path(data)
	if err != nil {
		return fmt.Errorf("rcpt: %w", err)
	}
	s.rcpt = &message.Recipient{Address: address, Args: args}
	return nil
}

func (s *session) takeHeader(data []byte) error {
	name, value, err := headerField(data)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if s.mail != nil {
		s.mail.addField(name, value, s.server.conf.Limits.Header)
	}
	return nil
}

// drop forgets the mail in progress, if there is one.
func (s *session) drop() {
	if s.mail != nil {
		s.mail.close()
	}
	s.mail, s.rcpt, s.id = nil, nil, ""
}

// MailFrom answers MAIL.
func (s *session) MailFrom(string, *milterlib.Modifier) (milterlib.Response, error) {
	if s.mail == nil || s.mail.fault != nil {
		return answerFault(fault.Internal), nil
	}
	return answerContinue, nil
}

// RcptTo answers RCPT. Both MTAs ask us after their own checks (smtpd_check_rcpt
// of Postfix, check_rcpt of sendmail) and tell of recipients that they refuse
// only those who ask for them with SMFIP_RCPT_REJ, as we do not. What we cannot
// know is that a milter behind us has refused one: it stays in our envelope.
func (s *session) RcptTo(string, *milterlib.Modifier) (milterlib.Response, error) {
	rcpt := s.rcpt
	s.rcpt = nil
	if s.mail == nil || s.mail.fault != nil || rcpt == nil {
		return answerFault(fault.Internal), nil
	}
	if len(s.mail.envelope.Recipients) >= s.server.conf.MaxRecipients {
		s.server.stats.fault(fault.TooManyRecipients)
		return answerFault(fault.TooManyRecipients), nil
	}
	s.mail.envelope.Recipients = append(s.mail.envelope.Recipients, *rcpt)
	return answerContinue, nil
}

// Body answers the end of the message.
func (s *session) Body(*milterlib.Modifier) (resp milterlib.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v)
			resp, err = answerFault(fault.Internal), nil
		}
	}()
	m := s.mail
	if m == nil {
		return answerFault(fault.Internal), nil
	}
	// From here on the mail is not the session's: a handler that does not
	// come to an end keeps it while the next mail is told.
	s.mail = nil
	s.conn.watch.start(s.server.conf.Meter, m.began)
	defer m.close()
	if m.fault != nil {
		return s.refuse(m.fault), nil
	}
	return s.finish(m), nil
}

// refuse answers a fault of ours and tells the log why.
func (s *session) refuse(err error) final {
	kind := fault.Of(err)
	event, level := "rejected", slog.LevelWarn
	if kind.Temporary() {
		event, level = "deferred", slog.LevelError
	}
	s.server.stats.fault(kind)
	s.log().Log(context.Background(), level, event, "fault", kind.String(), "error", err)
	return answerFault(kind)
}

// panicked is told of a panic in this connection's goroutine. The mail, and
// without one the next answer, fails.
func (s *session) panicked(v any) {
	s.server.panicked(s.id, v, debug.Stack())
	if s.mail != nil {
		s.mail.fail(fmt.Errorf("%w: panic: %v", fault.Internal, v))
	}
}

func (s *session) log() *slog.Logger {
	if s.id == "" {
		return s.server.log
	}
	return s.server.log.With("id", s.id)
}
