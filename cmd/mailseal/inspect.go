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
		args:  "[-json] < mail",
		short: "what a mail is made of: the MIME and CMS tree",
		long: `Prints the parts of the mail on standard input and what is in its signatures
and envelopes: types, algorithms, recipients, signers, sizes. It verifies and
decrypts nothing.`,
		setup: func(fs *flag.FlagSet) runner {
			asJSON := fs.Bool("json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				store, err := newSpool()
				if err != nil {
					return err
				}
				m, err := readMail(env.Stdin, store)
				if err != nil {
					return err
				}
				defer m.Body.Close()
				tree, err := smime.Inspect(m, smime.InspectOptions{Spool: store})
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
