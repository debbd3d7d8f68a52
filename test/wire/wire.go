// Package wire takes a mail apart as it went over the wire, with strings alone:
// so a test sees what is there and not what a library makes of it.
package wire

import "strings"

// Split parts a mail into its header's fields, each with its folds, and its
// body. A mail without an empty line has no body.
func Split(mail []byte) (fields []string, body string) {
	header, body, _ := strings.Cut(string(mail), "\r\n\r\n")
	return Fields(header), body
}

// Fields takes a header apart.
func Fields(header string) []string {
	var fields []string
	for l := range strings.SplitSeq(strings.TrimSuffix(header, "\r\n"), "\r\n") {
		switch n := len(fields); {
		case l == "":
		case n > 0 && (l[0] == ' ' || l[0] == '\t'):
			fields[n-1] += "\r\n" + l
		default:
			fields = append(fields, l)
		}
	}
	return fields
}

// Name is a field's name in lower case.
func Name(field string) string {
	name, _, _ := strings.Cut(field, ":")
	return strings.ToLower(strings.TrimRight(name, " \t"))
}

// IsContent reports whether a field belongs to the body: MIME-Version and
// Content-*.
func IsContent(field string) bool {
	n := Name(field)
	return n == "mime-version" || strings.HasPrefix(n, "content-")
}

// Text makes a body, or a header, of lines.
func Text(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }
