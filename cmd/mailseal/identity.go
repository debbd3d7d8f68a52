package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"mailseal/internal/durable"
	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
	"mailseal/internal/trust"
	"mailseal/smime"
	"mailseal/smime/capability"
	"mailseal/smime/cms"
)

// identityFlags say which folder of identities, and which of them.
type identityFlags struct {
	config, dir, name string
	json              bool
}

func (f *identityFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.config, "config", defaultConfig(), "configuration `FILE`, whose smime.identities is looked at")
	fs.StringVar(&f.dir, "dir", "", "look at the identities in this folder: `DIR`")
}

func (f *identityFlags) one(fs *flag.FlagSet) {
	f.define(fs)
	fs.StringVar(&f.name, "name", "", "`NAME` of the identity, as list shows it")
}

// read reads the identities, by name. Those that cannot be read are in the
// error, beside the others.
func (f *identityFlags) read() ([]pki.Identity, error) {
	if f.dir == "" {
		c, err := loadConfig(f.config)
		if err != nil {
			return nil, err
		}
		f.dir = c.SMIME.Identities
	}
	ids, err := pki.ReadIdentities(f.dir)
	if err != nil {
		status := exDataErr
		if len(ids) == 0 && errors.As(err, new(*fs.PathError)) {
			status = exNoInput
		}
		return ids, fail(status, err)
	}
	return ids, nil
}

// find reads the one identity of -name.
func (f *identityFlags) find() (pki.Identity, error) {
	if f.name == "" {
		return pki.Identity{}, failf(exUsage, "no -name; mailseal identity list shows them")
	}
	ids, err := f.read()
	var names []string
	for _, id := range ids {
		if id.Name == f.name {
			return id, nil
		}
		names = append(names, id.Name)
	}
	if err != nil {
		return pki.Identity{}, err
	}
	return pki.Identity{}, failf(exNoInput, "no identity %q in %s; there are: %s", f.name, f.dir, strings.Join(names, ", "))
}

func identityListCommand() command {
	return command{
		name:  "identity list",
		args:  "[-config FILE] [-dir DIR] [-json]",
		short: "the gateway's own identities",
		long: `Lists the identities of the gateway: name, addresses, key, until when they are
valid and how many days that is. Files that cannot be read are told on standard
error, with exit status 65.`,
		setup: func(fs *flag.FlagSet) runner {
			var f identityFlags
			f.define(fs)
			fs.BoolVar(&f.json, "json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				ids, err := f.read()
				rs := []identityDetails{}
				for _, id := range ids {
					rs = append(rs, newIdentityDetails(id, time.Now()))
				}
				var werr error
				if f.json {
					werr = writeJSON(env.Stdout, rs)
				} else {
					werr = writeIdentities(env.Stdout, rs)
				}
				if werr != nil {
					return fail(exIOErr, werr)
				}
				return err
			}
		},
	}
}

func identityShowCommand() command {
	return command{
		name:  "identity show",
		args:  "-name NAME [-config FILE] [-dir DIR] [-json]",
		short: "all about one identity, but for its key",
		long:  `Shows the certificate of an identity, what it is good for and what is above it.`,
		setup: func(fs *flag.FlagSet) runner {
			var f identityFlags
			f.one(fs)
			fs.BoolVar(&f.json, "json", false, "print JSON")
			return func(_ context.Context, env Env) error {
				id, err := f.find()
				if err != nil {
					return err
				}
				d := newIdentityDetails(id, time.Now())
				if f.json {
					err = writeJSON(env.Stdout, d)
				} else {
					err = d.write(env.Stdout)
				}
				if err != nil {
					return fail(exIOErr, err)
				}
				return nil
			}
		},
	}
}

func identityExportCommand() command {
	return command{
		name:  "identity export",
		args:  "-name NAME [-config FILE] [-dir DIR] [-format pem|der|p7c|mail] [-out FILE]",
		short: "the certificate of an identity for partners, never its key",
		long: `Writes what partners need to encrypt to the gateway, and to verify what it has
signed: the certificate of an identity and those above it, but for the root.
Formats: pem; der, the certificate alone; p7c, which mail programs and Windows
import; mail, a whole mail with the same, for sendmail.`,
		setup: func(fs *flag.FlagSet) runner {
			var f identityFlags
			f.one(fs)
			format := fs.String("format", "pem", "`FORMAT`: pem, der, p7c or mail")
			out := fs.String("out", "", "write a new `FILE` (default standard output)")
			return func(_ context.Context, env Env) error {
				write, ok := certificateFormats[*format]
				if !ok {
					return failf(exUsage, "-format %q: want pem, der, p7c or mail", *format)
				}
				id, err := f.find()
				if err != nil {
					return err
				}
				var b bytes.Buffer
				if err := write(&b, id); err != nil {
					return fail(exSoftware, err)
				}
				return writeNew(env, *out, b.Bytes(), 0o644)
			}
		},
	}
}

// writeNew writes standard output, or a file that was not there.
func writeNew(env Env, name string, content []byte, mode fs.FileMode) error {
	if name == "" {
		if _, err := env.Stdout.Write(content); err != nil {
			return fail(exIOErr, err)
		}
		return nil
	}
	err := durable.Create(name, content, mode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return failf(exCantCreate, "%s is there already; remove it, or name another file", name)
	case err != nil:
		return fail(exCantCreate, err)
	}
	return nil
}

// certificateFormats are how an identity is given to others.
var certificateFormats = map[string]func(io.Writer, pki.Identity) error{
	"pem": func(w io.Writer, id pki.Identity) error {
		for _, c := range withChain(id) {
			if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
				return err
			}
		}
		return nil
	},
	"der": func(w io.Writer, id pki.Identity) error {
		_, err := w.Write(id.Certificate.Raw)
		return err
	},
	"p7c": func(w io.Writer, id pki.Identity) error {
		object, err := cms.CertsOnly(withChain(id)...)
		if err == nil {
			_, err = w.Write(object)
		}
		return err
	},
	"mail": func(w io.Writer, id pki.Identity) error {
		from, subject := "", "Certificate of "+id.Name
		if as := addresses(id.Certificate); len(as) > 0 {
			from, subject = as[0].String(), "Certificate of "+as[0].String()
		}
		return smime.WriteCertificates(w, from, subject, withChain(id)...)
	},
}

func withChain(id pki.Identity) []*x509.Certificate {
	return append([]*x509.Certificate{id.Certificate}, id.Chain...)
}

// identityDetails are what list and show tell.
type identityDetails struct {
	Name         string    `json:"name"`
	Addresses    []string  `json:"addresses"`
	Subject      string    `json:"subject"`
	Issuer       string    `json:"issuer"`
	Serial       string    `json:"serial"`
	Key          string    `json:"key"`
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	DaysLeft     int       `json:"days_left"`
	Signs        bool      `json:"signs"`
	EncryptedTo  bool      `json:"encrypted_to"` // others may encrypt to the certificate
	Problem      string    `json:"problem,omitempty"`
	SHA256       string    `json:"sha256"`
	Chain        []string  `json:"chain"`
	Capabilities []string  `json:"capabilities,omitempty"`
	Files        []string  `json:"files"`
}

func newIdentityDetails(id pki.Identity, now time.Time) identityDetails {
	c := id.Certificate
	d := identityDetails{
		Name: id.Name, Addresses: []string{}, Subject: c.Subject.String(), Issuer: c.Issuer.String(),
		Serial: fmt.Sprintf("%X", c.SerialNumber), Key: pki.KeyName(c), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		DaysLeft: daysLeft(c, now), EncryptedTo: mayEncrypt(c), SHA256: fingerprint(c), Chain: []string{}, Files: id.Files,
	}
	for _, a := range pki.Addresses(c) {
		if parsed, err := mailaddr.ParseIA5(a); err == nil {
			a = parsed.String()
		}
		if !slices.Contains(d.Addresses, a) {
			d.Addresses = append(d.Addresses, a)
		}
	}
	why := trust.Unfit(c)
	d.Signs = id.Key != nil && why == ""
	switch {
	case now.After(c.NotAfter):
		d.Problem = "expired"
	case now.Before(c.NotBefore):
		d.Problem = "not valid yet"
	case id.Key == nil:
		d.Problem = "its key only decrypts"
	case why != "":
		d.Problem = string(why)
	}
	for _, above := range id.Chain {
		d.Chain = append(d.Chain, above.Subject.String())
	}
	if list, err := capability.FromCertificate(c); err == nil {
		d.Capabilities = list.Words()
	}
	return d
}

// daysLeft are whole days; 0 is less than one, and of an expired one it is
// negative.
func daysLeft(c *x509.Certificate, now time.Time) int {
	left := c.NotAfter.Sub(now)
	if left < 0 {
		left -= 24*time.Hour - 1
	}
	return int(left / (24 * time.Hour))
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}
