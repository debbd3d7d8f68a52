//go:build linux

package guide_test

import (
	"fmt"
	"regexp"
	"strings"
)

// A block is what stands between two fences of a guide.
type block struct {
	line int    // of the opening fence
	info string // the words behind the opening fence
	text string // with its line ends
}

// fenced finds the blocks of a guide. Fences stand at the start of a line: what
// is indented could not be copied as it is.
func fenced(text string) ([]block, error) {
	var all []block
	var open *block
	n := 0
	for line := range strings.Lines(text) {
		n++
		fence, isFence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case isFence && open == nil:
			open = &block{line: n, info: strings.TrimSpace(fence)}
		case isFence && strings.TrimSpace(fence) != "":
			return nil, fmt.Errorf("line %d: a block begins within the one of line %d", n, open.line)
		case isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line
		case strings.HasPrefix(strings.TrimLeft(line, " \t"), "```"):
			return nil, fmt.Errorf("line %d: an indented fence", n)
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: block without an end", open.line)
	}
	return all, nil
}

// What a block is for, by its info string:
//
//	sh               commands, run as they stand, in the source folder
//	sh again         the same, until they succeed: what they show takes a moment
//	sh WORD          commands that cannot run here; standIns has what does instead
//	text output      what the block before it prints; "..." stands for anything
//	LANG /PATH       a file to write
//	LANG /PATH above TEXT   lines to insert into a file above the one that begins so
//	LANG             shown, not used
type kind int

const (
	shown kind = iota
	commands
	repeated
	replaced
	output
	file
	insertion
)

func (b block) kind() kind {
	w := strings.Fields(b.info)
	switch {
	case len(w) == 1 && w[0] == "sh":
		return commands
	case len(w) == 2 && w[0] == "sh" && w[1] == "again":
		return repeated
	case len(w) == 2 && w[0] == "sh":
		return replaced
	case len(w) == 2 && w[0] == "text" && w[1] == "output":
		return output
	case len(w) == 2 && strings.HasPrefix(w[1], "/"):
		return file
	case len(w) == 4 && strings.HasPrefix(w[1], "/") && w[2] == "above":
		return insertion
	case len(w) == 1:
		return shown
	}
	return -1
}

// promised compares what was printed with what a guide says: its lines in their
// order, each whole but for its "...". Other lines may stand between.
func promised(guide, printed string) error {
	lines := strings.Split(strings.ReplaceAll(printed, "\r\n", "\n"), "\n") // the mails have CRLF
	for want := range strings.Lines(guide) {
		want = strings.TrimRight(want, "\n")
		if want == "..." {
			continue
		}
		re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), `\.\.\.`, ".*") + "$")
		for {
			if len(lines) == 0 {
				return fmt.Errorf("no line like %q in\n%s", want, printed)
			}
			line := lines[0]
			lines = lines[1:]
			if re.MatchString(line) {
				break
			}
		}
	}
	return nil
}
