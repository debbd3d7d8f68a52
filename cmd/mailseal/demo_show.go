package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"mailseal/internal/message"
	"mailseal/internal/spool"
)

const (
	shownBody  = 14  // lines of a mail's body
	lineWidth  = 110 // bytes
	wrapIndent = "      "
)

// show is the demo's voice: numbered sections, and under them what is shown
// and what was checked.
type show struct {
	w      io.Writer
	number int
	checks int
}

func (s *show) section(title string) {
	s.number++
	fmt.Fprintf(s.w, "\n%d. %s\n\n", s.number, title)
}

func (s *show) say(format string, args ...any) {
	fmt.Fprintln(s.w, strings.TrimRight("   "+fmt.Sprintf(format, args...), " "))
}

// lines shows lines under a heading.
func (s *show) lines(heading string, lines []string) {
	s.say("%s:", heading)
	for _, l := range lines {
		for _, part := range wrap(l) {
			s.say("  | %s", part)
		}
	}
	s.say("")
}

// A letter is a mail, read to be shown and checked.
type letter struct {
	header message.Header
	body   string
	size   int
}

func readLetter(mail []byte) (*letter, error) {
	store, err := spool.New(spool.Config{})
	if err != nil {
		return nil, err
	}
	m, err := message.Read(bytes.NewReader(mail), store, message.Limits{})
	if err != nil {
		return nil, err
	}
	defer m.Body.Close()
	body, err := io.ReadAll(message.NewReader(m.Body))
	return &letter{m.Header, strings.ReplaceAll(string(body), "\r\n", "\n"), len(mail)}, err
}

// field is the unfolded value of the first field of that name.
func (l *letter) field(name string) string {
	f, ok := l.header.Get(name)
	if !ok {
		return ""
	}
	return f.Text()
}

// letter shows a mail's header, of Received only the first line, and the first
// lines of its body.
func (s *show) letter(heading string, l *letter) {
	var lines []string
	for _, f := range l.header {
		folds := strings.Split(strings.ReplaceAll(f.Raw(), "\r\n", "\n"), "\n")
		if f.Is("Received") {
			folds = []string{folds[0] + " ..."}
		}
		lines = append(lines, folds...)
	}
	lines = append(lines, "")
	body := strings.Split(strings.TrimSuffix(l.body, "\n"), "\n")
	lines = append(lines, body[:min(len(body), shownBody)]...)
	if more := len(body) - shownBody; more > 0 {
		lines = append(lines, fmt.Sprintf("[and %d more lines]", more))
	}
	s.lines(fmt.Sprintf("%s (%d bytes)", heading, l.size), lines)
}

// A proof is something that the demo is to prove.
type proof struct {
	what string
	ok   bool
}

// verify counts and shows what is as it should be; the first that is not is
// the error.
func (s *show) verify(checks []proof) error {
	for _, c := range checks {
		if !c.ok {
			return fmt.Errorf("this is not so: %s", c.what)
		}
		s.checks++
		s.say("[ok] %s", c.what)
	}
	return nil
}

// wrap parts a line at blanks into lines that a terminal shows whole.
func wrap(line string) []string {
	var lines []string
	for len(line) > lineWidth {
		at := strings.LastIndexByte(line[:lineWidth], ' ')
		if at <= len(wrapIndent) {
			break
		}
		lines = append(lines, line[:at])
		line = wrapIndent + line[at+1:]
	}
	return append(lines, line)
}

func lastLines(s string, n int) []string {
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	return lines[max(0, len(lines)-n):]
}
