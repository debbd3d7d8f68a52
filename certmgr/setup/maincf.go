package setup

import (
	"slices"
	"strings"
)

// A setting is one parameter and its value.
type setting struct{ name, value string }

func (s setting) line() string { return s.name + " = " + s.value + "\n" }

// editMainCF sets parameters as postconf -e does (postconf(1)): a parameter that
// is there is changed in its place, with the lines that continue it, and where it
// is there again that goes; others come at the end. Comments stay.
func editMainCF(text string, set []setting) string {
	var out strings.Builder
	written := map[string]bool{}
	ours := false // the lines that continue the present one go with it
	for _, line := range lines(text) {
		rest := strings.TrimLeft(line, " \t\r\n")
		switch {
		case rest == "" || rest[0] == '#': // also between lines of one parameter
			out.WriteString(line)
		case len(rest) < len(line):
			if !ours {
				out.WriteString(line)
			}
		default:
			name, _, _ := strings.Cut(rest, "=")
			name = strings.TrimSpace(name)
			i := slices.IndexFunc(set, func(s setting) bool { return s.name == name })
			if ours = i >= 0; !ours {
				out.WriteString(line)
			} else {
				out.WriteString(set[i].line())
				written[name] = true
			}
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") && !ours {
		out.WriteString("\n")
	}
	for _, s := range set {
		if !written[s.name] {
			out.WriteString(s.line())
		}
	}
	return out.String()
}

// mainCFValue is what a main.cf itself says of a parameter, the last time, as
// Postfix has it. References to others are not resolved.
func mainCFValue(text, name string) string {
	value, ours := "", false
	for _, line := range lines(text) {
		rest := strings.TrimSpace(line)
		switch {
		case rest == "" || rest[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if ours {
				value += " " + rest
			}
		default:
			left, right, _ := strings.Cut(rest, "=")
			if ours = strings.TrimSpace(left) == name; ours {
				value = strings.TrimSpace(right)
			}
		}
	}
	return strings.TrimSpace(value)
}
