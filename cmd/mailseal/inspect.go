package main

import (
	"context"
	"errors"
	"flag"

	"mailseal/internal/message"
	"mailseal/smime"
)

func inspectCommand() command {
	return command{
		name:  "inspect",
		args:  "[-identity FILE]... [-passphrase-file FILE] [-password-file FILE] [-json] < mail",
		short: "what a mail is made of: the MIME and CMS tree",
		long: `Prints the parts of the mail on standard input and what is in its signatures
and envelopes: types, algorithms, recipients, signers, sizes. It verifies
nothing, and looks into what the identities or the password open.`,
		setup: func(fs *flag.FlagSet) runner {
			var identities list
			fs.Var(&identities, "identity", "PKCS #12, or PEM with key and certificate: `FILE`; again for more")
			phrase := fs.String("passphrase-file", "", "the passphrase of every identity is the first line of `FILE`")
			password := fs.String("password-file", "", "the password of mail encrypted with one is the first line of `FILE`")
			asJSON := fs.Bool("json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				keys, err := readKeys(env, identities, *phrase, *password)
				if err != nil {
					return err
				}
				store, err := newSpool()
				if err != nil {
					return err
				}
				m, err := readMail(env.Stdin, store)
				if err != nil {
					return err
				}
				defer m.Body.Close()
				tree, err := smime.Inspect(m, smime.InspectOptions{Spool: store, Keys: keys, GCMInEnvelopedData: true})
				var limit *message.LimitError
				switch {
				case errors.As(err, &limit):
					return fail(exDataErr, err)
				case err != nil:
					return fail(exIOErr, err)
				case *asJSON:
					err = writeJSON(env.Stdout, tree)
				default:
					err = tree.WriteText(env.Stdout)
				}
				if err != nil {
					return fail(exIOErr, err)
				}
				return nil
			}
		},
	}
}
