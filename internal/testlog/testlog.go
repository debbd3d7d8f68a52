// Package testlog is a log that a test reads while goroutines write it. Only tests
// import this package.
package testlog

import (
	"bytes"
	"strings"
	"sync"
)

// A Log takes what is written. The zero Log is empty.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Count tells how often something was written.
func (l *Log) Count(what string) int { return strings.Count(l.String(), what) }
