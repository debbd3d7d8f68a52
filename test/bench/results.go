package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailseal/test/report"
)

// results are what was measured, a value a round.
type results struct {
	runs map[cell][]sent
	peak map[milterKey]int64 // resident memory, in bytes
}

func newResults() results {
	return results{runs: map[cell][]sent{}, peak: map[milterKey]int64{}}
}

func (r results) add(c cell, s sent) { r.runs[c] = append(r.runs[c], s) }

// rate is the median of all rounds.
func (r results) rate(c cell) float64 {
	var rates []float64
	for _, s := range r.runs[c] {
		rates = append(rates, s.rate())
	}
	return report.Median(rates)
}

// cpu is what milter and MTA spent on a mail, over all rounds: the clock of a
// process is too coarse for one. It reports false when it is for all too.
func (r results) cpu(c cell) (milter, mta time.Duration, ok bool) {
	mails := 0
	for _, s := range r.runs[c] {
		milter, mta, mails = milter+s.milter, mta+s.mta, mails+s.mails
	}
	ok = mta >= 10*tick && (c.setup == noMilter || milter >= 10*tick)
	n := time.Duration(max(mails, 1))
	return milter / n, mta / n, ok
}

// ratios are how many times as fast a is as b, in each round by itself: they
// ran one after the other then.
func (r results) ratios(a, b cell) []float64 {
	var all []float64
	for i := range min(len(r.runs[a]), len(r.runs[b])) {
		all = append(all, r.runs[a][i].rate()/r.runs[b][i].rate())
	}
	return all
}

// A shape is one column of a table: mails of a size in so many sessions.
type shape struct {
	size     size
	sessions int
}

// shapes lists those that were measured.
func (r results) shapes() []shape {
	var all []shape
	for _, s := range sizes {
		for _, n := range sessions {
			for c := range r.runs {
				if c.size == s && c.sessions == n {
					all = append(all, shape{s, n})
					break
				}
			}
		}
	}
	return all
}

func (s shape) String() string {
	if s.sessions == 1 {
		return fmt.Sprintf("%v, 1 session", s.size)
	}
	return fmt.Sprintf("%v, %d sessions", s.size, s.sessions)
}

// render writes the tables. What was not measured is left out or empty.
func (r results) render(rounds int, conditions string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; medians of %d rounds; %s.\n", report.Machine(), rounds, conditions)
	r.renderGoals(&b)
	for _, mta := range mtas {
		for _, network := range networks {
			r.renderRates(&b, mta, network)
			r.renderCPU(&b, mta, network)
		}
	}
	return b.String()
}

// pairs are the set-ups that stand beside each other.
var pairs = []struct{ title, ours, other string }{
	{"signing by OpenDKIM, both RSA-2048", signsRSA, openDKIMRSA},
	{"signing P-256 by replacing the body without crypto", signsP256, replaces},
}

func (r results) renderGoals(b *strings.Builder) {
	b.WriteString("\n### Beside others\n\nHow many times as fast; in parentheses the least and the most of a round.\n\n| MTA, socket, mails |")
	for _, p := range pairs {
		b.WriteString(" " + p.title + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(pairs)) + "\n")
	for _, mta := range mtas {
		for _, network := range networks {
			for _, s := range r.shapes() {
				var row []string
				for _, p := range pairs {
					of := func(setup string) cell { return cell{mta, network, s.size, s.sessions, setup} }
					row = append(row, spread(r.ratios(of(p.ours), of(p.other))))
				}
				if strings.Join(row, "") != "" {
					fmt.Fprintf(b, "| %s, %s, %v | %s |\n", title(mta), network, s, strings.Join(row, " | "))
				}
			}
		}
	}
}

func spread(ratios []float64) string {
	if len(ratios) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", report.Median(ratios), slices.Min(ratios), slices.Max(ratios))
}

func (r results) renderRates(b *strings.Builder, mta, network string) {
	r.renderTable(b, fmt.Sprintf("%s, %s socket: mails a second, and of what passes without a milter", title(mta), network), mta, network,
		func(c cell) string {
			none := c
			none.setup = noMilter
			rate := r.rate(c)
			text := fmt.Sprintf("%.0f", rate)
			if rate < 10 {
				text = fmt.Sprintf("%.1f", rate)
			}
			if ratios := r.ratios(c, none); c != none && len(ratios) > 0 {
				text += fmt.Sprintf(" (%.2f)", report.Median(ratios))
			}
			return text
		}, nil)
}

func (r results) renderCPU(b *strings.Builder, mta, network string) {
	r.renderTable(b, fmt.Sprintf("%s, %s socket: CPU time for a mail in ms, the milter's + the MTA's, and the milter's peak of resident memory", title(mta), network), mta, network,
		func(c cell) string {
			milter, mta, ok := r.cpu(c)
			switch {
			case !ok:
				return "too few"
			case c.setup == noMilter:
				return fmt.Sprintf("%.2f", milliseconds(mta))
			}
			return fmt.Sprintf("%.2f + %.2f", milliseconds(milter), milliseconds(mta))
		},
		func(setup string) string {
			if peak := r.peak[milterKey{network, setup}]; peak > 0 {
				return fmt.Sprintf("%d MiB", (peak+1<<19)>>20)
			}
			return ""
		})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// renderTable writes a table whose rows are set-ups and whose columns are
// shapes, with a last column of peaks where peak is given. Without any value
// there is no table.
func (r results) renderTable(b *strings.Builder, heading, mta, network string, value func(cell) string, peak func(string) string) {
	var rows strings.Builder
	for _, s := range setups {
		row, any := "| "+s.name+" |", false
		for _, sh := range r.shapes() {
			c := cell{mta, network, sh.size, sh.sessions, s.name}
			text := ""
			if len(r.runs[c]) > 0 {
				text = value(c)
			}
			any = any || text != ""
			row += " " + text + " |"
		}
		if peak != nil {
			row += " " + peak(s.name) + " |"
		}
		if any {
			rows.WriteString(row + "\n")
		}
	}
	if rows.Len() == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n| |", heading)
	columns := len(r.shapes())
	for _, s := range r.shapes() {
		fmt.Fprintf(b, " %v |", s)
	}
	if peak != nil {
		b.WriteString(" peak |")
		columns++
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", columns) + "\n" + rows.String())
}

func title(mta string) string {
	if mta == "postfix" {
		return "Postfix"
	}
	return mta
}
