package main

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"mailseal/certmgr/bundle"
	"mailseal/certmgr/ca"
	"mailseal/internal/audit"
	"mailseal/internal/durable"
	"mailseal/internal/pki"
)

// statusProblems is ca audit's status where folder and audit file differ.
const statusProblems = 1

func caExportCommand() command {
	return command{
		name:  "ca export",
		args:  "[-config FILE | -dir DIR] [-serial HEX] [-out FILE] [-replace]",
		short: "the CA's certificate, for those who shall trust it",
		long: `Writes the certificate of the CA (of the root where it is below one), or one that
it has issued: to standard output in PEM, or to a file, in PEM if it ends in .pem
and otherwise in DER, which Windows and phones import from a file .cer or .crt.`,
		setup: func(fs *flag.FlagSet) runner {
			var f caFlags
			f.define(fs)
			serial := fs.String("serial", "", "a certificate that the CA has issued: `HEX`")
			out := fs.String("out", "", "write `FILE`")
			replace := fs.Bool("replace", false, "replace a file that is there")
			return func(_ context.Context, env Env) error {
				c, err := f.look()
				if err != nil {
					return err
				}
				cert := rootOf(c)
				if *serial != "" {
					s, err := c.Show(*serial)
					if err != nil {
						return caError(err)
					}
					if cert = s.Certificate; cert == nil {
						return failf(exNoInput, "the certificate %s is not in newcerts", s.Serial)
					}
				}
				switch {
				case *out == "":
					return writeNew(env, "", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0)
				case *replace:
					if info, err := os.Stat(*out); err == nil && !info.Mode().IsRegular() {
						return failf(exCantCreate, "%s: not a file, and not replaced; without -out it goes to standard output", *out)
					}
					if err := durable.WriteFile(*out, bundle.Certificate(*out, cert), 0o644); err != nil {
						return fail(exCantCreate, err)
					}
					return nil
				}
				return writeNew(env, *out, bundle.Certificate(*out, cert), 0o644)
			}
		},
	}
}

func caImportCommand() command {
	return command{
		name:  "ca import",
		args:  "[-config FILE | -dir DIR] [-key FILE] [-cert FILE] [-passphrase-file FILE] [-yes]",
		short: "take over a folder of openssl ca",
		long: `Takes over a folder in which openssl ca has worked: checks all of it first, then
makes what is missing, a CRL too if one is due, and closes the folder and its
keys. The openssl command goes on working on it.`,
		setup: func(fs *flag.FlagSet) runner {
			var f caFlags
			f.withKey(fs)
			o := ca.ImportOptions{By: by()}
			fs.StringVar(&o.Key, "key", "", "the CA's key, if it is not where openssl has it: `FILE`")
			fs.StringVar(&o.Certificate, "cert", "", "the CA's certificate, if it is not where openssl has it: `FILE`")
			yes := fs.Bool("yes", false, "do not ask")
			return func(_ context.Context, env Env) error {
				err := f.check()
				if err != nil {
					return err
				}
				if o.Passphrase, err = caPassphrase(env, f.passphrase); err != nil {
					return err
				}
				if !*yes {
					if err := agree(env, "Take over "+f.dir+"? Its files are moved and closed to others."); err != nil {
						return err
					}
				}
				return f.takeOver(env, o)
			}
		},
	}
}

func (f *caFlags) takeOver(env Env, o ca.ImportOptions) error {
	c, done, err := ca.Import(f.dir, o)
	if errors.Is(err, pki.ErrNoPassphrase) { // nothing was changed yet
		if o.Passphrase, err = askForKey(env, f.dir, err); err != nil {
			return err
		}
		c, done, err = ca.Import(f.dir, o)
	}
	if err != nil {
		return caError(err)
	}
	for _, w := range done.Warnings {
		fmt.Fprintf(env.Stderr, "warning: %s\n", w)
	}
	for _, s := range done.Changed {
		fmt.Fprintf(env.Stdout, "changed  %s\n", plain(s))
	}
	if l, err := c.RenewCRL(by()); err != nil {
		fmt.Fprintf(env.Stderr, "warning: no new CRL (%s)\n", oneLine(err))
	} else if l != nil {
		if err := writeCRL(env, l); err != nil {
			return err
		}
	}
	s, err := c.Summary()
	if err != nil {
		return caError(err)
	}
	return writeCA(env.Stdout, s)
}

func caAuditCommand() command {
	return command{
		name:  "ca audit",
		args:  "[-config FILE | -dir DIR] [-events] [-json]",
		short: "is the audit file whole; what does it say",
		long: `Checks the audit file of a CA: that no line was changed or taken out, and that it
and the folder say the same. The head is its last line: kept elsewhere it proves
later what there was. Exits with 0 when all is well, with 1 when the file and the
folder differ, as after openssl ca has worked there, with 65 when the file was changed.`,
		setup: func(fs *flag.FlagSet) runner {
			var f caFlags
			f.define(fs)
			events := fs.Bool("events", false, "print every event")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				c, err := f.lookInFolder()
				if err != nil {
					return err
				}
				told := auditReport{Events: []audit.Event{}}
				var each func(audit.Event) error
				if *events {
					each = func(e audit.Event) error {
						told.Events = append(told.Events, e)
						return nil
					}
				}
				a, err := c.Audit(each)
				if err != nil {
					return caError(err)
				}
				told.N, told.Head, told.Issued, told.Revoked, told.Refused = a.Head.N, a.Head.Hash, a.Issued, a.Revoked, a.Refused
				told.Problems = append([]string{}, a.Problems...)
				return told.write(env, *asJSON)
			}
		},
	}
}

// An auditReport is what ca audit tells.
type auditReport struct {
	N        int           `json:"n"`
	Head     string        `json:"head"`
	Issued   int           `json:"issued"`
	Revoked  int           `json:"revoked"`
	Refused  int           `json:"refused"`
	Problems []string      `json:"problems"`
	Events   []audit.Event `json:"events,omitempty"`
}

func (r auditReport) write(env Env, asJSON bool) (err error) {
	if asJSON {
		err = writeJSON(env.Stdout, r)
	} else {
		var b strings.Builder
		for _, e := range r.Events {
			fmt.Fprintf(&b, "%d %s %s %s", e.N, e.At.UTC().Format(time.RFC3339), plain(e.What), plain(e.By))
			for _, k := range slices.Sorted(maps.Keys(e.Details)) {
				fmt.Fprintf(&b, " %s=%q", plain(k), e.Details[k])
			}
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "lines    %d: %d issued, %d revoked, %d refused\nhead     %d %s\n", r.N, r.Issued, r.Revoked, r.Refused, r.N, r.Head)
		for _, p := range r.Problems {
			fmt.Fprintf(&b, "problem  %s\n", plain(p))
		}
		_, err = env.Stdout.Write([]byte(b.String()))
	}
	switch {
	case err != nil:
		return fail(exIOErr, errors.Join(errors.New("write the result"), err))
	case len(r.Problems) > 0:
		return fail(statusProblems, nil)
	}
	return nil
}
