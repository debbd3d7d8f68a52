package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"mailseal/internal/certfile"
	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/smime"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

func encryptCommand() command {
	return command{
		name: "encrypt",
		args: "-to FILE... [-cipher NAME] [-oaep] [-presume PROFILE] [-peers FILE] [-config FILE] " +
			"[-seen MAIL]... [-ca FILE|DIR]... [-password-file FILE] [-header-protection WHAT] [-again] [-v] [-json] < mail",
		short: "encrypt one mail",
		long: `Encrypts the mail on standard input, signed or not, to everybody whose
certificate is given and to whoever knows the password, and writes it to
standard output with the same line ends. Only they can open it: the sender too
needs to be named. A mail that is encrypted already is an error.

The cipher is what all recipients say that they read, in the newest of the mails
of -seen or in their certificates, and of whom nothing is known AES-256-CBC,
which every mail program reads. The others that -cipher takes:
` + cipherNames() + `.`,
		setup: func(fs *flag.FlagSet) runner {
			var e encryption
			fs.Var(&e.to, "to", "certificates, PEM, DER or .p7c: `FILE`; again for more. Those of CAs in it are passed over")
			fs.Var(&e.cipher, "cipher", "`NAME` of the cipher (default by the recipients)")
			fs.Var(&e.oaep, "oaep", "RSAES-OAEP with SHA-256 for RSA keys; -oaep=sha1, =sha384, =sha512 for others, =false for PKCS #1 v1.5")
			fs.Var(&e.presume, "presume", "of whom nothing is known: `PROFILE` compatible (the default) or rfc8551 (GCM, OAEP)")
			fs.StringVar(&e.peers, "peers", "", "what is recorded of recipients, see mailseal(8): `FILE`")
			fs.StringVar(&e.config, "config", "", "take smime.peers and smime.trust of this configuration `FILE`")
			fs.Var(&e.seen, "seen", "signed mails of the recipients: `MAIL`, or a folder of them; again for more")
			fs.Var(&e.cas, "ca", "whose signatures in -seen count: `FILE|DIR` of CA certificates; again for more")
			fs.StringVar(&e.password, "password-file", "", "also to whoever knows the password, the first line of `FILE`")
			var headers headersFlag
			fs.Var(&headers, "header-protection", headersUsage)
			again := fs.Bool("again", false, "encrypt also what is encrypted")
			fs.BoolVar(&e.verbose, "v", false, "say on standard error which cipher was chosen, and why")
			fs.BoolVar(&e.json, "json", false, "say it as JSON")
			return func(ctx context.Context, env Env) error {
				o := smime.EncryptOptions{Protect: headers.HeaderProtection, Again: *again}
				var err error
				if o.Cipher, o.To, err = e.choose(ctx, env); err != nil {
					return err
				}
				return protect(env, func(m *message.Message, s *spool.Store) ([]message.Edit, error) {
					o.Spool = s
					return smime.Encrypt(m, o)
				})
			}
		},
	}
}

// recipients reads who may open the mail.
func recipients(env Env, files []string, password string) ([]recipient.To, error) {
	var to []recipient.To
	var seen []*x509.Certificate
	for _, name := range files {
		certs, err := certfile.Read(name)
		if err != nil {
			return nil, fail(exNoInput, err)
		}
		for _, c := range encryptable(certs) {
			if slices.ContainsFunc(seen, c.Equal) {
				continue
			}
			if !mayEncrypt(c) {
				fmt.Fprintf(env.Stderr, "warning: %s: the key usage of %q does not allow to encrypt to it\n", name, c.Subject)
			}
			seen = append(seen, c)
			to = append(to, recipient.To{Certificate: c})
		}
	}
	if password != "" {
		phrase, err := readPassword(env, password)
		if err != nil {
			return nil, err
		}
		to = append(to, recipient.To{Password: phrase})
	}
	if len(to) == 0 {
		return nil, failf(exUsage, "nobody to encrypt to: give -to or -password-file; see mailseal encrypt -h")
	}
	return to, nil
}

// encryptable are the certificates of a file that it is encrypted to: not the CAs
// that came along, and of those of one person the ones that are for it.
func encryptable(certs []*x509.Certificate) []*x509.Certificate {
	for _, good := range []func(*x509.Certificate) bool{
		func(c *x509.Certificate) bool { return !c.IsCA && mayEncrypt(c) },
		func(c *x509.Certificate) bool { return !c.IsCA },
	} {
		if some := slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return !good(c) }); len(some) > 0 {
			return some
		}
	}
	return certs
}

// mayEncrypt: RFC 5280 section 4.2.1.3, RFC 8551 section 2.3.
func mayEncrypt(c *x509.Certificate) bool {
	usage := x509.KeyUsageKeyAgreement | x509.KeyUsageKeyEncipherment // ML-KEM has the latter (RFC 9935 section 5)
	if _, ok := c.PublicKey.(*rsa.PublicKey); ok {
		usage = x509.KeyUsageKeyEncipherment
	}
	return c.KeyUsage == 0 || c.KeyUsage&usage != 0
}

// readPassword reads the file of -password-file and warns when others can.
func readPassword(env Env, name string) ([]byte, error) {
	p, err := pki.ReadPassphrase(name)
	if err != nil {
		return nil, fail(exNoInput, err)
	}
	if len(p) == 0 {
		return nil, failf(exDataErr, "%s: its first line is empty; want the password there", name)
	}
	if err := pki.CheckKeyMode(name); err != nil {
		fmt.Fprintf(env.Stderr, "warning: %v\n", err)
	}
	return p, nil
}

// ciphers are those that are written, in the order of their strength.
var ciphers = []content.Cipher{
	content.AES128CBC, content.AES192CBC, content.AES256CBC, content.AES128GCM, content.AES256GCM, content.ChaCha20Poly1305,
}

func cipherName(c content.Cipher) string { return strings.ToLower(c.String()) }

func cipherNames() string {
	names := make([]string, len(ciphers))
	for i, c := range ciphers {
		names[i] = cipherName(c)
	}
	return strings.Join(names, ", ")
}

// A cipherFlag takes the name of a cipher.
type cipherFlag struct{ content.Cipher }

func (c *cipherFlag) String() string { return "" } // the flag's text tells the default

func (c *cipherFlag) Set(s string) error {
	i := slices.IndexFunc(ciphers, func(c content.Cipher) bool { return strings.EqualFold(c.String(), s) })
	if i < 0 {
		return fmt.Errorf("want %s", cipherNames())
	}
	c.Cipher = ciphers[i]
	return nil
}

// An oaepFlag is a switch that may have the name of a digest. It is nil unless
// it is given.
type oaepFlag struct{ *recipient.Transport }

func (o *oaepFlag) String() string   { return "" }
func (o *oaepFlag) IsBoolFlag() bool { return true }

func (o *oaepFlag) Set(s string) error {
	t := recipient.OAEP(crypto.SHA256)
	switch s {
	case "true":
	case "false":
		t = recipient.Transport{}
	case "sha1":
		t = recipient.OAEP(crypto.SHA1)
	default:
		var d digestFlag
		if err := d.Set(s); err != nil {
			return errors.New("want sha1, sha256, sha384 or sha512")
		}
		t = recipient.OAEP(d.Hash)
	}
	o.Transport = &t
	return nil
}

const headersUsage = "copies of header fields inside (RFC 9788): `WHAT` is off, signed or hide-subject (default off)"

// A headersFlag takes the word for a header protection.
type headersFlag struct{ smime.HeaderProtection }

func (h *headersFlag) String() string { return "" }

func (h *headersFlag) Set(s string) error { return h.UnmarshalText([]byte(s)) }
