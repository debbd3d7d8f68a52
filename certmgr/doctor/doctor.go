// Package doctor says what is wrong with the TLS of this host's mail servers, what
// follows from it, and how to mend it:
//
//	facts := doctor.Gather(ctx, doctor.Options{...})  // reads, runs postconf and the like, connects
//	findings := doctor.Diagnose(facts)                // pure
//	words, err := doctor.Language("ja")
//	words.Print(os.Stdout, findings, colour)
//
// The questions of the first part are those that every postmaster begins with: is
// there a CA; has the server a certificate, and of this CA; does the key pair with
// it; does the server know the CA's certificate. What else can be wrong follows.
//
// A check is a function from facts to what is to be said, a row in a table of
// table.go, and its words in catalogue/en.json and catalogue/ja.json. A test holds
// that every row has a case, and both languages all words.
//
// Nothing here changes anything, and no private key is kept.
package doctor

import (
	"fmt"
	"maps"
	"slices"
)

// A Severity is how bad something is.
type Severity int

// The severities. A Note counts for nothing.
const (
	OK Severity = iota
	Note
	Warning
	Error
)

func (s Severity) String() string {
	switch s {
	case OK:
		return "ok"
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return fmt.Sprintf("severity(%d)", int(s))
}

// MarshalText gives JSON the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Args are what a finding's words have in them, by the names in the catalogue.
type Args map[string]string

// A Finding is one thing that is said.
type Finding struct {
	// ID names the check, as "certificate.expired": the catalogue has its words.
	ID       string
	Severity Severity
	// Subject is the server, as its [[target]] or its kind is called, or "CA".
	Subject string
	Args    Args
	// Commands mend it, where commands do: lines for a shell, to be run in order.
	Commands []string
	// Kept: certmgr mends it by itself. Bought: with what somebody has to have dropped
	// into the target's folder.
	Kept, Bought bool
}

// Diagnose judges facts. The CA comes first, then each server: for every one the
// four questions first.
func Diagnose(f *Facts) []Finding {
	var all []Finding
	for _, c := range hostChecks {
		for _, h := range c.look(f) {
			all = append(all, h.finding(c.id, c.severity, "CA"))
		}
	}
	for i := range f.Servers {
		s := &f.Servers[i]
		elsewhere := settingsElsewhere(f, s) != nil // then what it reads is nobody's but yours
		for _, c := range serverChecks {
			for _, h := range c.look(f, s) {
				finding := h.finding(c.id, c.severity, s.Name)
				finding.Args["server"] = s.Kind.String()
				if !elsewhere && c.mends.kept(s) {
					finding.Kept, finding.Bought, finding.Commands = true, c.mends.bought(s), []string{f.Once}
				}
				all = append(all, finding)
			}
		}
	}
	return all
}

// Worst is the greatest severity of findings.
func Worst(all []Finding) Severity {
	worst := OK
	for _, f := range all {
		worst = max(worst, f.Severity)
	}
	return worst
}

// A hit is what a check has found.
type hit struct {
	// severity is another than that of the table; 0 is the table's.
	severity Severity
	args     Args
	commands []string
}

func (h hit) finding(id string, s Severity, subject string) Finding {
	if h.severity != OK {
		s = h.severity
	}
	args := maps.Clone(h.args)
	if args == nil {
		args = Args{}
	}
	return Finding{ID: id, Severity: s, Subject: subject, Args: args, Commands: slices.Clone(h.commands)}
}

// said is a hit with arguments alone: name, value, name, value.
func said(pairs ...string) []hit { return []hit{{args: arguments(pairs...)}} }

func arguments(pairs ...string) Args {
	a := Args{}
	for i := 0; i+1 < len(pairs); i += 2 {
		a[pairs[i]] = pairs[i+1]
	}
	return a
}
