package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mailseal/certmgr/ca"
)

func caListCommand() command {
	return command{
		name: "ca list",
		args: "[-config FILE | -dir DIR] [-status STATUS] [-text TEXT] [-serial HEX] [-within DAYS] [-profile PROFILE] " +
			"[-sort ORDER] [-reverse] [-json]",
		short: "what the CA has issued",
		long:  `Lists the certificates of a CA, those that openssl ca has issued too.`,
		setup: func(fs *flag.FlagSet) runner {
			var f caFlags
			f.define(fs)
			q := ca.Query{Details: true}
			status := fs.String("status", "", "only those that are `STATUS`: valid, expired or revoked")
			fs.StringVar(&q.Text, "text", "", "only those with `TEXT` in subject, names or memo")
			fs.StringVar(&q.Serial, "serial", "", "only those whose serial begins with `HEX`")
			within := fs.Int("within", 0, "only valid ones that end in so many `DAYS`")
			fs.Var(profileFlag{&q.Profile}, "profile", "only those of a `PROFILE`: host, user, gateway, client or sub-ca")
			order := fs.String("sort", "", "`ORDER`: end, subject or serial (default as they were issued)")
			fs.BoolVar(&q.Reverse, "reverse", false, "the other way round")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				c, err := f.look()
				if err != nil {
					return err
				}
				if q.Status, err = ca.ParseStatus(*status); err != nil {
					return fail(exUsage, err)
				}
				if q.Sort, err = ca.ParseOrder(*order); err != nil {
					return fail(exUsage, err)
				}
				q.Within = time.Duration(*within) * 24 * time.Hour
				rs, err := c.List(q)
				if err != nil {
					return caError(err)
				}
				if *asJSON {
					err = writeJSON(env.Stdout, append([]ca.Record{}, rs...))
				} else {
					err = writeRecords(env.Stdout, rs)
				}
				if err != nil {
					return fail(exIOErr, err)
				}
				return nil
			}
		},
	}
}

func writeRecords(w io.Writer, rs []ca.Record) error {
	t := table{{"SERIAL", "STATUS", "UNTIL", "DAYS", "PROFILE", "SUBJECT", "NAMES", "MEMO"}}
	for _, r := range rs {
		t = append(t, []string{r.Serial, string(r.Status), r.NotAfter.UTC().Format(time.DateOnly), strconv.Itoa(r.DaysLeft),
			orDash(r.Profile), plain(r.Subject), orDash(plain(someNames(r.Names))), plain(r.Memo)})
	}
	return t.write(w)
}

// someNames leaves a line readable; ca show has all of them.
func someNames(names []string) string {
	const some = 4
	if len(names) <= some {
		return strings.Join(names, ",")
	}
	return fmt.Sprintf("%s,+%d", strings.Join(names[:some], ","), len(names)-some)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func caShowCommand() command {
	return command{
		name:  "ca show",
		args:  "[-config FILE | -dir DIR] [-serial HEX] [-json]",
		short: "the CA, or one certificate of it",
		long: `Shows the CA: its subject, memo, from when until when it is good, how many days
and years are left, and its fingerprints. With -serial shows a certificate.`,
		setup: func(fs *flag.FlagSet) runner {
			var f caFlags
			f.define(fs)
			serial := fs.String("serial", "", "a certificate: `HEX`")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				c, err := f.look()
				if err != nil {
					return err
				}
				if *serial == "" {
					s, err := c.Summary()
					if err != nil {
						return caError(err)
					}
					if *asJSON {
						return writeJSON(env.Stdout, s)
					}
					return writeCA(env.Stdout, s)
				}
				s, err := c.Show(*serial)
				if err != nil {
					return caError(err)
				}
				if *asJSON {
					return writeJSON(env.Stdout, s.Record)
				}
				return writeShown(env.Stdout, s)
			}
		},
	}
}

// writeCA tells about a CA.
func writeCA(w io.Writer, s ca.Summary) error {
	t := newLines(w)
	t.line("subject", plain(s.Subject))
	t.line("memo", plain(s.Memo))
	t.line("issuer", plain(s.Issuer))
	t.line("serial", s.Serial)
	t.line("key", s.Key)
	t.line("from", s.NotBefore.UTC().Format(time.RFC3339))
	t.line("to", fmt.Sprintf("%s, %d days, %.1f years left", s.NotAfter.UTC().Format(time.RFC3339), s.DaysLeft, s.YearsLeft))
	t.line("days", fmt.Sprint(s.Days))
	t.line("sha256", s.SHA256)
	t.line("sha1", s.SHA1)
	t.line("permits", plain(permits(s)))
	t.line("url", plain(s.URL))
	t.line("issued", fmt.Sprintf("%d valid, %d expired, %d revoked", s.Valid, s.Expired, s.Revoked))
	if !s.CRLEnds.IsZero() {
		t.line("crl ends", s.CRLEnds.UTC().Format(time.RFC3339))
	}
	t.line("folder", plain(s.Dir))
	for _, n := range s.Notes {
		t.line("note", plain(n))
	}
	return t.flush()
}

// permits are the name constraints, as openssl prints them.
func permits(s ca.Summary) string {
	var all []string
	for _, d := range s.PermitDNS {
		all = append(all, "DNS:"+d)
	}
	for _, e := range s.PermitEmail {
		all = append(all, "email:"+e)
	}
	return strings.Join(all, ", ")
}

func writeShown(w io.Writer, s ca.Shown) error {
	t := newLines(w)
	t.line("serial", s.Serial)
	t.line("status", string(s.Status))
	if !s.Revoked.IsZero() {
		t.line("revoked", strings.TrimSpace(s.Revoked.UTC().Format(time.RFC3339)+" "+s.Reason))
	}
	t.line("subject", plain(s.Subject))
	t.line("names", plain(strings.Join(s.Names, ", ")))
	t.line("profile", s.Profile)
	t.line("memo", plain(s.Memo))
	t.line("by", plain(s.By))
	t.line("renews", s.Renews)
	t.line("to", fmt.Sprintf("%s, %d days left", s.NotAfter.UTC().Format(time.RFC3339), s.DaysLeft))
	if s.Certificate != nil {
		t.line("from", s.Certificate.NotBefore.UTC().Format(time.RFC3339))
		t.line("sha256", fingerprint(s.Certificate))
	}
	return t.flush()
}

// lines are keys and values under each other; what is empty is left out.
type lines struct{ w *tabwriter.Writer }

func newLines(w io.Writer) lines { return lines{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)} }

func (l lines) line(key, value string) {
	if value != "" {
		fmt.Fprintf(l.w, "%s\t%s\n", key, value)
	}
}

func (l lines) flush() error {
	if err := l.w.Flush(); err != nil {
		return fail(exIOErr, err)
	}
	return nil
}
