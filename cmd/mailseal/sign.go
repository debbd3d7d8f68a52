package main

import (
	"context"
	"crypto"
	"errors"
	"flag"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime"
)

func signCommand() command {
	return command{
		name:  "sign",
		args:  "-identity F... [-passphrase-file F] [-digest D] [-header-protection W] [-opaque -pss -keyid -again]",
		short: "sign one mail",
		long: `Signs the mail on standard input with the identity, whoever it is from, and
writes it to standard output with the same line ends. A mail that is encrypted is
signed as it is: sign | encrypt | sign makes a triple-wrapped one. A mail that is
signed already is an error.`,
		setup: func(fs *flag.FlagSet) runner {
			var identities list
			fs.Var(&identities, "identity", "PKCS #12, or PEM with key, certificate and chain: `FILE`; again for a signature of each")
			phrase := fs.String("passphrase-file", "", "the passphrase is the first line of `FILE`")
			opaque := fs.Bool("opaque", false, "pack the content into the signature; else it stays readable without S/MIME")
			var digest digestFlag
			fs.Var(&digest, "digest", "`NAME` of the digest: sha256, sha384 or sha512 (default by the key)")
			pss := fs.Bool("pss", false, "sign with RSASSA-PSS, where the key is RSA")
			keyID := fs.Bool("keyid", false, "name certificates by their key identifier, not by issuer and serial number")
			var headers headersFlag
			fs.Var(&headers, "header-protection", headersUsage)
			again := fs.Bool("again", false, "sign also what is signed")
			return func(_ context.Context, env Env) error {
				if len(identities) == 0 {
					return failf(exUsage, "no -identity; see mailseal sign -h")
				}
				o := smime.SignOptions{
					Digest: digest.Hash, PSS: *pss, KeyID: *keyID, Protect: headers.HeaderProtection, Encrypted: true, Again: *again,
				}
				if *opaque {
					o.Format = smime.Opaque
				}
				return sign(env, identities, *phrase, o)
			}
		},
	}
}

func sign(env Env, identities []string, phrase string, o smime.SignOptions) error {
	for i, name := range identities {
		id, err := readIdentity(env, name, phrase)
		switch {
		case err != nil:
			return err
		case id.Key == nil:
			return failf(exDataErr, "%s: its key only decrypts; give one that signs", name)
		case i == 0:
			o.Identity = id
		default:
			o.Also = append(o.Also, id)
		}
	}
	return protect(env, func(m *message.Message, s *spool.Store) ([]message.Edit, error) {
		o.Spool = s
		return smime.Sign(m, o)
	})
}

// protect writes the mail on standard input as f makes it.
func protect(env Env, f func(*message.Message, *spool.Store) ([]message.Edit, error)) error {
	store, err := newSpool()
	if err != nil {
		return err
	}
	m, err := readMail(env.Stdin, store)
	if err != nil {
		return err
	}
	defer m.Body.Close()
	edits, err := f(m, store)
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
