package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// writeIdentities is the list for people.
func writeIdentities(w io.Writer, rs []identityDetails) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tADDRESSES\tKEY\tUNTIL\tDAYS\tREMARK")
	for _, r := range rs {
		as := "-"
		if len(r.Addresses) > 0 {
			as = strings.Join(r.Addresses, " ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", plain(r.Name), plain(as), r.Key, r.NotAfter.UTC().Format(time.DateOnly), r.DaysLeft, r.Problem)
	}
	return t.Flush()
}

// write is one identity for people.
func (d identityDetails) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(key, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", key, fmt.Sprintf(format, args...)) }
	line("name", "%s", plain(d.Name))
	for _, a := range d.Addresses {
		line("address", "%s", plain(a))
	}
	line("subject", "%s", plain(d.Subject))
	line("issuer", "%s", plain(d.Issuer))
	for _, c := range d.Chain {
		line("above", "%s", plain(c))
	}
	line("serial", "%s", d.Serial)
	line("key", "%s", d.Key)
	line("from", "%s", d.NotBefore.UTC().Format(time.RFC3339))
	line("to", "%s, %d days left", d.NotAfter.UTC().Format(time.RFC3339), d.DaysLeft)
	line("signs", "%t", d.Signs)
	line("encrypted to", "%t", d.EncryptedTo)
	if d.Problem != "" {
		line("remark", "%s", d.Problem)
	}
	line("sha256", "%s", d.SHA256)
	if len(d.Capabilities) > 0 {
		line("reads", "%s", strings.Join(d.Capabilities, ", "))
	}
	for _, f := range d.Files {
		line("file", "%s", plain(f))
	}
	return t.Flush()
}

// plain quotes what would move a terminal's cursor, or break a line or column.
func plain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\ufffd' }) {
		return fmt.Sprintf("%+q", s)
	}
	return s
}
