package maillog

import (
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"time"
)

// stampFormat is RFC 3339 with milliseconds, as Postfix 3.9 can write it.
const stampFormat = "2006-01-02T15:04:05.000Z07:00"

// Stamped puts the time before every line that goes to w: for a terminal or a
// file. systemd and syslog have their own.
func Stamped(w io.Writer) io.Writer { return stamped{w} }

type stamped struct{ io.Writer }

var _ EventWriter = stamped{}

func (s stamped) WriteEvent(at time.Time, _ slog.Level, line []byte) error {
	_, err := fmt.Fprintf(s, "%s %s", at.Format(stampFormat), line)
	return err
}

// Syslog connects to the host's syslog daemon: facility mail, tag mailseal,
// severity by level. It connects again by itself. The caller closes it.
func Syslog() (io.WriteCloser, error) {
	w, err := syslog.New(syslog.LOG_MAIL|syslog.LOG_INFO, "mailseal")
	if err != nil {
		return nil, fmt.Errorf("connect to syslog: %w", err)
	}
	return &syslogTarget{w}, nil
}

// severities is what syslogTarget needs of a *syslog.Writer.
type severities interface {
	io.WriteCloser
	Debug(string) error
	Info(string) error
	Warning(string) error
	Err(string) error
}

var _ severities = (*syslog.Writer)(nil)

type syslogTarget struct{ severities }

var _ EventWriter = (*syslogTarget)(nil)

func (t *syslogTarget) WriteEvent(_ time.Time, level slog.Level, line []byte) error {
	switch s := string(line); {
	case level >= slog.LevelError:
		return t.Err(s)
	case level >= slog.LevelWarn:
		return t.Warning(s)
	case level >= slog.LevelInfo:
		return t.Info(s)
	default:
		return t.Debug(s)
	}
}
