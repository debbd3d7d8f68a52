package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"mailseal/internal/message"
	"mailseal/smime"
	"mailseal/smime/cms/recipient"
)

// Statuses of decrypt.
const (
	decryptNot    = 1
	decryptCannot = 2
)

func decryptCommand() command {
	return command{
		name:  "decrypt",
		args:  "-identity FILE... [-passphrase-file F] [-password-file F] [-restore-headers] [-misplaced-gcm]",
		short: "decrypt one mail",
		long: `Opens the mail on standard input, if it is encrypted as a whole, layer by layer,
and writes what was inside to standard output with the same line ends. A
signature inside stays, for verify to judge. Exits with 0 when something was
decrypted; with 1 when not, and then it writes nothing; with 2 when it could not
be done.`,
		usageExit: decryptCannot,
		setup: func(fs *flag.FlagSet) runner {
			var d decryption
			fs.Var(&d.identities, "identity", "PKCS #12, or PEM with key and certificate: `FILE`; again for more")
			fs.StringVar(&d.passphrase, "passphrase-file", "", "the passphrase of every identity is the first line of `FILE`")
			fs.StringVar(&d.password, "password-file", "", "the password of mail encrypted with one is the first line of `FILE`")
			fs.BoolVar(&d.headers, "restore-headers", false, "put header fields that were protected inside (RFC 9788) in their place")
			fs.BoolVar(&d.gcm, "misplaced-gcm", false, "take AES-GCM also where RFC 5083 forbids it, as some programs write it")
			return func(_ context.Context, env Env) error { return d.run(env) }
		},
	}
}

// A decryption is one run of the command.
type decryption struct {
	identities           list
	passphrase, password string
	headers, gcm         bool
}

func (d *decryption) run(env Env) error {
	keys, err := readKeys(env, d.identities, d.passphrase, d.password)
	if err != nil {
		return fail(decryptCannot, err)
	}
	if len(keys) == 0 {
		return failf(decryptCannot, "no -identity; see mailseal decrypt -h")
	}
	store, err := newSpool()
	if err != nil {
		return fail(decryptCannot, err)
	}
	m, err := readMail(env.Stdin, store)
	if err != nil {
		return fail(decryptCannot, err)
	}
	defer m.Body.Close()
	edits, opened, err := smime.Decrypt(m, smime.DecryptOptions{
		Keys: keys, Spool: store, Headers: d.headers, GCMInEnvelopedData: d.gcm,
	})
	if err != nil {
		return fail(decryptStatus(err), err)
	}
	defer message.Verdict{Edits: edits}.Close()
	if opened.Rest != nil {
		fmt.Fprintf(env.Stderr, "warning: a layer inside is left as it is: %v\n", opened.Rest)
	}
	if p := opened.Protected; p != nil && p.From != "" {
		fmt.Fprintf(env.Stderr, "warning: inside the mail is from %q, which is not restored\n", p.From)
	}
	if err := writeMail(env.Stdout, m, edits); err != nil {
		return fail(decryptCannot, err)
	}
	return nil
}

// decryptStatus tells mails that are not decrypted from faults on the way.
func decryptStatus(err error) int {
	var problem *smime.Problem
	var limit *message.LimitError
	if errors.Is(err, smime.ErrNotEncrypted) || errors.Is(err, smime.ErrNoRecipient) || errors.Is(err, smime.ErrDecrypt) ||
		errors.As(err, &problem) || errors.As(err, &limit) {
		return decryptNot
	}
	return decryptCannot
}

// readKeys reads all keys of the identities, and the password.
func readKeys(env Env, identities []string, passphrase, password string) (recipient.List, error) {
	var keys recipient.List
	for _, name := range identities {
		id, err := readIdentity(env, name, passphrase)
		if err != nil {
			return nil, err
		}
		for _, p := range id.Pairs {
			keys = append(keys, recipient.Key{Certificate: p.Certificate, Private: p.Key})
		}
	}
	if password != "" {
		p, err := readPassword(env, password)
		if err != nil {
			return nil, err
		}
		keys = append(keys, recipient.Key{Password: p})
	}
	return keys, nil
}
