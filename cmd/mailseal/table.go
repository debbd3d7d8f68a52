package main

import (
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// A table is rows of cells. Unlike text/tabwriter it knows that a Chinese
// character takes two columns of a terminal (UAX #11).
type table [][]string

const betweenColumns = 2

// write puts the cells of a column under each other. No line ends in blanks.
func (t table) write(w io.Writer) error {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(cell))
		}
	}
	var b strings.Builder
	for _, row := range t {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-columns(cell)+betweenColumns)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columns is how many of a terminal a text takes. What UAX #11 calls ambiguous
// takes one, as most terminals have it.
func columns(s string) (n int) {
	for _, r := range s {
		switch k := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case k == width.EastAsianWide || k == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}
