package milter

import "sync/atomic"

// Stats are counts since New.
type Stats struct {
	Open          int   // connections now
	Connections   int64 // connections ever
	Messages      int64 // mails given to a handler
	Panics        int64 // panics of the handler or of ours
	AcceptRetries int64 // connections that could not be accepted at once
}

type counters struct {
	connections, messages, panics, retries atomic.Int64
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Open:          open,
		Connections:   s.stats.connections.Load(),
		Messages:      s.stats.messages.Load(),
		Panics:        s.stats.panics.Load(),
		AcceptRetries: s.stats.retries.Load(),
	}
}
