package daemon

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A logbook is the lines that daemons have logged.
type logbook struct {
	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed, and made anew, with every line
}

// take takes lines until there are no more.
func (l *logbook) take(r io.Reader) {
	for s := bufio.NewReader(r); ; {
		line, err := s.ReadString('\n')
		if line != "" {
			l.mu.Lock()
			l.lines = append(l.lines, strings.TrimSuffix(line, "\n"))
			close(l.grown)
			l.grown = make(chan struct{})
			l.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

func (l *logbook) since(mark int) ([]string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[mark:], l.grown
}

// Log is all that the daemons have logged.
func (p *process) Log() string {
	lines, _ := p.log.since(0)
	return strings.Join(lines, "\n")
}

// Mark is the present end of the log.
func (p *process) Mark() int {
	lines, _ := p.log.since(0)
	return len(lines)
}

// Lines returns the lines after a mark that match a regular expression.
func (p *process) Lines(mark int, pattern string) []string {
	re := regexp.MustCompile(pattern)
	all, _ := p.log.since(mark)
	var found []string
	for _, l := range all {
		if re.MatchString(l) {
			found = append(found, l)
		}
	}
	return found
}

// WaitLog waits until a line after a mark matches a regular expression and
// returns the first that does.
func (p *process) WaitLog(mark int, pattern string) (string, error) {
	re := regexp.MustCompile(pattern)
	expired := time.After(Patience)
	for seen := mark; ; {
		lines, grown := p.log.since(seen)
		for _, l := range lines {
			if re.MatchString(l) {
				return l, nil
			}
		}
		seen += len(lines)
		select {
		case <-grown:
		case <-expired:
			return "", fmt.Errorf("no line of mailseal's log matches %q after %v", pattern, Patience)
		}
	}
}
