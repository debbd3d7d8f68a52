package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"mailseal/internal/tlslog"
	"mailseal/internal/tlslog/tally"
)

// logTime is how times stand in tables: as the log's own host has them.
const logTime = "2006-01-02 15:04:05"

// writeLogReport prints peers, what this host has wrong, and the causes.
func writeLogReport(w io.Writer, r *tally.Report, rows int) error {
	var b strings.Builder
	if r.Lines == 0 {
		b.WriteString("the log is empty\n")
	} else if r.From.IsZero() {
		fmt.Fprintf(&b, "%s, none of the time that was asked for\n", counted(r.Lines, "line", "lines"))
	} else {
		fmt.Fprintf(&b, "%s to %s: %s, of which %d say something of TLS or S/MIME\n", r.From.Format(logTime), r.To.Format(logTime), counted(r.Lines, "line", "lines"), r.Events)
	}
	if len(r.Peers) > 0 {
		b.WriteByte('\n')
		writePeers(&b, r.Peers, rows)
	}
	if len(r.Faults) > 0 {
		b.WriteString("\nThis host:\n\n")
		writeFaults(&b, r.Faults)
	}
	for _, c := range r.Causes {
		fmt.Fprintf(&b, "\n%s (%s%s): %s\n%s", c.ID, counted(c.Count, "time", "times"), ofPeers(c.Peers), c.What, indented(c.Do))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func ofPeers(n int) string {
	if n == 0 {
		return ""
	}
	return ", " + counted(n, "peer", "peers")
}

// verdictColumns are in the order in which they are shown, those that are.
var verdictColumns = []tlslog.Verdict{
	tlslog.OK, tlslog.Trusted, tlslog.Fail, tlslog.DANEFail, tlslog.Software, tlslog.Temp, tlslog.Protocol, tlslog.Config, tlslog.Failure,
	tlslog.None, tlslog.Clear, tlslog.No, tlslog.Not,
}

// maxColumn bounds what a stranger's name takes of a line.
const maxColumn = 48

func writePeers(w io.Writer, peers []*tally.Peer, rows int) {
	hidden := 0
	if rows > 0 && len(peers) > rows {
		hidden = len(peers) - rows
	}
	shown := peers[:len(peers)-hidden]
	var columns []tlslog.Verdict
	waiting := false
	for _, v := range verdictColumns {
		for _, p := range shown {
			if p.Counts[v] > 0 {
				columns = append(columns, v)
				break
			}
		}
	}
	for _, p := range shown {
		waiting = waiting || p.Waiting > 0
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	head := []string{"DIR", "PEER", "ADDRESS"}
	for _, v := range columns {
		head = append(head, v.String())
	}
	if waiting {
		head = append(head, "WAITING")
	}
	fmt.Fprintln(t, strings.Join(append(head, "TLS", "LAST", "SAID", "CAUSE"), "\t"))
	for _, p := range shown {
		row := []string{p.Side.String(), orDash(column(p.Name)), orDash(column(p.Address))}
		if p.Others > 0 {
			row[1] = "(others)"
		}
		for _, v := range columns {
			row = append(row, fmt.Sprint(p.Counts[v]))
		}
		if waiting {
			row = append(row, fmt.Sprint(p.Waiting))
		}
		row = append(row, orDash(column(strings.Join(p.Versions, ","))), p.Last.Format(logTime), column(p.Said), orDash(why(p)))
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
	if hidden > 0 {
		fmt.Fprintf(w, "and %s; -n 0 shows all\n", counted(hidden, "peer more", "peers more"))
	}
}

// why is the cause in a word, with what the log says of it.
func why(p *tally.Peer) string {
	if p.Cause == "" {
		return ""
	}
	text := p.Cause
	if p.Verdict.Good() {
		text = "was " + text
	}
	if p.Reason != "" {
		text += ": " + column(p.Reason)
	}
	if p.Issuer != "" && !strings.Contains(p.Reason, p.Issuer) {
		text += " (issuer " + column(p.Issuer) + ")"
	}
	return text
}

// column is a stranger's text as it stands in a table.
func column(s string) string {
	s = tlslog.Printable(s)
	if r := []rune(s); len(r) > maxColumn {
		return string(r[:maxColumn-3]) + "..."
	}
	return s
}

func writeFaults(w io.Writer, faults []*tally.Fault) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "LAST\tTIMES\tPROGRAM\tFILE\tCAUSE\tSAID")
	for _, f := range faults {
		said := tlslog.Printable(f.Said)
		if f.Reason != "" && !strings.Contains(f.Said, f.Reason) {
			said += ": " + tlslog.Printable(f.Reason)
		}
		cause := f.Cause
		if f.Mended {
			cause += ", mended since"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", f.Last.Format(logTime), f.Count, column(f.Program), orDash(tlslog.Printable(f.File)), cause, said)
	}
	t.Flush()
}

// indented folds a text to lines that a terminal shows whole.
func indented(text string) string {
	const width, indent = 96, "    "
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+len(word) > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
	return b.String()
}

// eventLine is an Event in one line, for -f.
func eventLine(e *tlslog.Event) string {
	var b strings.Builder
	b.WriteString(e.Time.Format(logTime))
	if e.Side == tlslog.Own {
		fmt.Fprintf(&b, " HOST %s", tlslog.Printable(e.Program))
		if e.File != "" {
			b.WriteString(" " + tlslog.Printable(e.File))
		}
	} else {
		fmt.Fprintf(&b, " %s %s %s", e.Verdict, e.Side, orDash(tlslog.Printable(e.Name)))
		if e.Address != "" {
			fmt.Fprintf(&b, " [%s]", tlslog.Printable(e.Address))
		}
	}
	for _, s := range []string{e.Version, e.Said} {
		if s != "" {
			b.WriteString(" " + tlslog.Printable(s))
		}
	}
	if e.Deferred {
		b.WriteString(", mail waits")
	}
	switch {
	case e.Cause != nil && e.Verdict != tlslog.No:
		b.WriteString(": " + e.Cause.What)
		if e.Reason != "" {
			b.WriteString(" (" + tlslog.Printable(e.Reason) + ")")
		}
	case e.Verdict.Bad():
		b.WriteString(": the log does not say why")
		if e.Reason != "" {
			b.WriteString(" beyond " + tlslog.Printable(e.Reason))
		}
	}
	return b.String()
}

// parseMoment reads a time: how long before now, or a date with or without time.
func parseMoment(s string, now time.Time) (time.Time, error) {
	switch s {
	case "":
		return time.Time{}, nil
	case "today", "yesterday":
		at := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
		if s == "yesterday" {
			at = at.AddDate(0, 0, -1)
		}
		return at, nil
	}
	var days int
	if n, err := fmt.Sscanf(s, "%dd", &days); err == nil && n == 1 && s == fmt.Sprintf("%dd", days) && days >= 0 && days < 100_000 {
		return now.AddDate(0, 0, -days), nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04", time.DateTime, "2006-01-02T15:04:05"} {
		if at, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("want how long ago, as 90m or 7d, or a date, as 2026-11-22 or \"2026-11-22 08:00\"")
}
