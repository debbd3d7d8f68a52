package milter

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"mailseal/internal/fault"
	"mailseal/internal/message"
	"mailseal/internal/spool"
)

// A bodyFile is where a body is spooled.
type bodyFile interface {
	io.Writer
	message.Body
}

// A mail is one mail while the MTA tells it, from MAIL on. A fault does not
// stop the telling, as most of it is not answered; it is the answer at the end.
type mail struct {
	handler  Handler // the one of the time of MAIL decides
	began    time.Time
	envelope message.Envelope
	header   message.Header
	size     int64 // of the header
	body     bodyFile
	fault    error // the first; wraps a fault.Kind
}

// fail remembers the first fault and frees what will not be used any more.
func (m *mail) fail(err error) {
	if m.fault != nil {
		return
	}
	m.fault = err
	m.close()
	m.header = nil
}

func (m *mail) close() {
	if m.body != nil {
		// The file has no name and its bytes are not wanted any more.
		_ = m.body.Close()
		m.body = nil
	}
}

// addField takes a field as the MTA gives it: the value with all blanks, folds
// as LF. What is kept is what was on the wire.
func (m *mail) addField(name, value string, limit int64) {
	if m.fault != nil {
		return
	}
	raw := name + ":" + crlf(value)
	if !folded(raw) {
		m.fail(fmt.Errorf("%w: header field %.40q holds a line end that is no fold", fault.Malformed, name))
		return
	}
	m.size += int64(len(raw)) + 2
	if m.size > limit {
		m.fail(fmt.Errorf("%w: header of more than %d bytes", fault.TooLarge, limit))
		return
	}
	m.header = append(m.header, message.ParseField(raw))
}

// crlf makes every line end CRLF.
func crlf(value string) string {
	if !strings.Contains(value, "\n") {
		return value
	}
	return strings.ReplaceAll(strings.ReplaceAll(value, "\r\n", "\n"), "\n", "\r\n")
}

// folded reports whether every line end has a blank behind it. An MTA gives no
// other: it would be another field, or the end of the header.
func folded(raw string) bool {
	for {
		i := strings.IndexByte(raw, '\n')
		if i < 0 {
			return true
		}
		if i+1 == len(raw) || raw[i+1] != ' ' && raw[i+1] != '\t' {
			return false
		}
		raw = raw[i+1:]
	}
}

// addBody spools a piece of the body.
func (m *mail) addBody(b []byte, create func() bodyFile) {
	if m.fault != nil || len(b) == 0 {
		return
	}
	if m.body == nil {
		m.body = create()
	}
	if _, err := m.body.Write(b); err != nil {
		kind := fault.Storage
		if errors.Is(err, spool.ErrTooLarge) {
			kind = fault.TooLarge
		}
		m.fail(fmt.Errorf("%w: spool body: %w", kind, err))
	}
}

// message returns the whole. The mail keeps no part of it.
func (m *mail) message(create func() bodyFile) *message.Message {
	if m.body == nil {
		m.body = create()
	}
	body := m.body
	m.body = nil
	return &message.Message{Envelope: m.envelope, Header: m.header, Body: body, Newline: "\r\n"}
}
