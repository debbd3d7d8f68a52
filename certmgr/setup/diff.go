package setup

import (
	"fmt"
	"slices"
	"strings"
)

// around is how many lines stand around a change in a diff.
const around = 3

// largest bounds the work of a comparison, in cells of its table: beyond it the
// changed part is shown as one.
const largest = 4 << 20

// unified compares two texts as diff -u does. It is "" where they are equal.
func unified(oldName, newName, before, after string) string {
	if before == after {
		return ""
	}
	a, b := lines(before), lines(after)
	steps := compare(a, b)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
	for from := 0; from < len(steps); {
		first := from
		for first < len(steps) && steps[first].sign == ' ' {
			first++
		}
		if first == len(steps) {
			break
		}
		begin, end := max(from, first-around), hunkEnd(steps, first)
		writeHunk(&out, steps, begin, end)
		from = end
	}
	return out.String()
}

// hunkEnd is where the hunk ends in which steps[at] is the first change: changes
// with few lines between them are in one.
func hunkEnd(steps []step, at int) int {
	last := at
	for i := at; i < len(steps) && i-last <= 2*around; i++ {
		if steps[i].sign != ' ' {
			last = i
		}
	}
	return min(len(steps), last+around+1)
}

func writeHunk(out *strings.Builder, steps []step, begin, end int) {
	oldLine, newLine := 1, 1
	for _, s := range steps[:begin] {
		oldLine, newLine = oldLine+s.old(), newLine+s.new()
	}
	oldCount, newCount := 0, 0
	for _, s := range steps[begin:end] {
		oldCount, newCount = oldCount+s.old(), newCount+s.new()
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(oldLine, oldCount), span(newLine, newCount))
	for _, s := range steps[begin:end] {
		out.WriteByte(s.sign)
		out.WriteString(s.line)
		if !strings.HasSuffix(s.line, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// span is a range of lines as diff writes it: an empty one stands behind the
// line before.
func span(line, count int) string {
	switch count {
	case 0:
		return fmt.Sprintf("%d,0", line-1)
	case 1:
		return fmt.Sprint(line)
	}
	return fmt.Sprintf("%d,%d", line, count)
}

// A step is a line that is in both texts, or in one of them.
type step struct {
	sign byte // ' ', '-' or '+'
	line string
}

func (s step) old() int {
	if s.sign == '+' {
		return 0
	}
	return 1
}

func (s step) new() int {
	if s.sign == '-' {
		return 0
	}
	return 1
}

// lines are those of a text, each with its end.
func lines(text string) []string { return slices.Collect(strings.Lines(text)) }

// compare finds the longest common sequence of lines.
func compare(a, b []string) []step {
	var head, tail []step
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, step{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, step{' ', a[len(a)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	steps := append(head, middle(a, b)...)
	for i := len(tail) - 1; i >= 0; i-- {
		steps = append(steps, tail[i])
	}
	return steps
}

func middle(a, b []string) []step {
	var steps []step
	if len(a)*len(b) <= largest {
		length := common(a, b)
		for len(a) > 0 && len(b) > 0 {
			i, j := len(length)-1-len(a), len(length[0])-1-len(b)
			switch {
			case a[0] == b[0]:
				steps = append(steps, step{' ', a[0]})
				a, b = a[1:], b[1:]
			case length[i+1][j] >= length[i][j+1]:
				steps = append(steps, step{'-', a[0]})
				a = a[1:]
			default:
				steps = append(steps, step{'+', b[0]})
				b = b[1:]
			}
		}
	}
	for _, l := range a {
		steps = append(steps, step{'-', l})
	}
	for _, l := range b {
		steps = append(steps, step{'+', l})
	}
	return steps
}

// common tells the length of the longest common sequence of a[i:] and b[j:].
func common(a, b []string) [][]int32 {
	length := make([][]int32, len(a)+1)
	for i := range length {
		length[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	return length
}
