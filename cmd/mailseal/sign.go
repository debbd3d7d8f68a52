package main

import (
	"context"
	"crypto"
	"errors"
	"flag"

	"mailseal/internal/message"
	"mailseal/smime"
)

func signCommand() command {
	return command{
		name:  "sign",
		args:  "-identity FILE [-passphrase-file F] [-opaque] [-digest D] [-pss] [-header-protection W] [-again]",
		short: "sign one mail",
		long: `Signs the mail on standard input with the identity, whoever it is from, and
writes it to standard output with the same line ends. A mail that is encrypted is
signed as it is: sign | encrypt | sign makes a triple-wrapped one. A mail that is
signed already is an error.`,
		setup: func(fs *flag.FlagSet) runner {
			identity := fs.String("identity", "", "PKCS #12, or PEM with key, certificate and chain: `FILE`")
			phrase := fs.String("passphrase-file", "", "the passphrase is the first line of `FILE`")
			opaque := fs.Bool("opaque", false, "pack the content into the signature; else it stays readable without S/MIME")
			var digest digestFlag
			fs.Var(&digest, "digest", "`NAME` of the digest: sha256, sha384 or sha512 (default by the key)")
			pss := fs.Bool("pss", false, "sign with RSASSA-PSS, where the key is RSA")
			var headers headersFlag
			fs.Var(&headers, "header-protection", headersUsage)
			again := fs.Bool("again", false, "sign also what is signed")
			return func(_ context.Context, env Env) error {
				if *identity == "" {
					return failf(exUsage, "no -identity; see mailseal sign -h")
				}
				o := smime.SignOptions{
					Digest: digest.Hash, PSS: *pss, Protect: headers.HeaderProtection, Encrypted: true, Again: *again,
				}
				if *opaque {
					o.Format = smime.Opaque
				}
				return sign(env, *identity, *phrase, o)
			}
		},
	}
}

func sign(env Env, identity, phrase string, o smime.SignOptions) error {
	id, err := readIdentity(env, identity, phrase)
	if err != nil {
		return err
	}
	if id.Key == nil {
		return failf(exDataErr, "%s: its key only decrypts; give one that signs", identity)
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
	o.Identity, o.Spool = id, store
	edits, err := smime.Sign(m, o)
	if err != nil {
		return fail(protectStatus(err), err)
	}
	defer message.Verdict{Edits: edits}.Close()
	return writeMail(env.Stdout, m, edits)
}

// protectStatus tells mails that cannot be signed or encrypted from faults on the
// way.
func protectStatus(err error) int {
	var unsignable *smime.UnsignableError
	var unencryptable *smime.UnencryptableError
	var limit *message.LimitError
	if errors.Is(err, smime.ErrProtected) || errors.As(err, &unsignable) || errors.As(err, &unencryptable) || errors.As(err, &limit) {
		return exDataErr
	}
	return exIOErr
}

// A digestFlag takes the name of a digest.
type digestFlag struct{ crypto.Hash }

func (d *digestFlag) String() string { return "" } // the flag's text tells the default

func (d *digestFlag) Set(s string) error {
	switch s {
	case "sha256":
		d.Hash = crypto.SHA256
	case "sha384":
		d.Hash = crypto.SHA384
	case "sha512":
		d.Hash = crypto.SHA512
	default:
		return errors.New("want sha256, sha384 or sha512")
	}
	return nil
}
