package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"mailseal/certmgr/bundle"
	"mailseal/certmgr/ca"
)

// A handOver is how a new certificate is written: the flags that issue and
// renew have in common.
type handOver struct {
	out                          string
	options                      bundle.Options
	append, mobile, json         bool
	p12Pass, imap, pop, smtp, by string
	login                        string
	place                        *bundle.Place
	to                           *installing // into a server's own files too; nil: not
}

const handOverArgs = "[-out BASE] [-one-file] [-append] [-replace] [-p12] [-p12-passphrase-file FILE] [-mobileconfig] " +
	"[-mail-imap HOST] [-mail-pop HOST] [-mail-smtp HOST] [-mail-login NAME] [-profile-signer FILE] [-json]"

func (h *handOver) define(fs *flag.FlagSet) {
	fs.StringVar(&h.out, "out", "", "write `BASE`.key, BASE.crt and BASE-chain.pem")
	fs.BoolVar(&h.options.Single, "one-file", false, "write BASE.pem with key, certificate and chain instead")
	fs.BoolVar(&h.append, "append", false, "for the key in BASE.key: put the certificate first in BASE.crt, BASE.cert or BASE.pem")
	fs.BoolVar(&h.options.Replace, "replace", false, "replace files that are there")
	fs.Var(p12Flag{&h.options.PKCS12}, "p12", "write BASE.p12 too, which every phone opens; -p12=modern with AES, for newer ones")
	fs.StringVar(&h.p12Pass, "p12-passphrase-file", "", "its passphrase is the first line of `FILE` (default: one is made, and printed once)")
	fs.BoolVar(&h.mobile, "mobileconfig", false, "write BASE.mobileconfig too, for Apple's devices")
	fs.StringVar(&h.imap, "mail-imap", "", "with a mail account that is read by IMAP on `HOST[:PORT]`")
	fs.StringVar(&h.pop, "mail-pop", "", "with a mail account that is read by POP3 on `HOST[:PORT]`")
	fs.StringVar(&h.smtp, "mail-smtp", "", "and sends by `HOST[:PORT]`")
	fs.StringVar(&h.login, "mail-login", "", "and logs in as `NAME` (default the address)")
	fs.StringVar(&h.by, "profile-signer", "", "the identity in `FILE` signs the profile (default the new one)")
	fs.BoolVar(&h.json, "json", false, "print JSON")
}

// A p12Flag is a switch that may have the name of an encoding.
type p12Flag struct{ to *bundle.Encoding }

func (p p12Flag) String() string   { return "" }
func (p p12Flag) IsBoolFlag() bool { return true }

func (p p12Flag) Set(s string) (err error) {
	switch s {
	case "false":
		*p.to = bundle.NoPKCS12
		return nil
	case "true":
		s = "legacy"
	}
	*p.to, err = bundle.ParseEncoding(s)
	return err
}

// prepare finds what would hinder the writing, before anything is issued.
// request says that the key is elsewhere.
func (h *handOver) prepare(env Env, request bool) (err error) {
	switch {
	case h.out == "" && h.to != nil && !h.options.Single && !h.options.Replace && h.options.PKCS12 == bundle.NoPKCS12 && !h.mobile:
		return nil
	case h.out == "":
		return failf(exUsage, "no -out; name what the files begin with")
	case request && (h.options.PKCS12 != bundle.NoPKCS12 || h.mobile):
		return failf(exUsage, "-p12 and -mobileconfig hold the key, which is not made here; leave them out")
	case h.append && (h.options.Single || h.options.Replace || h.options.PKCS12 != bundle.NoPKCS12 || h.mobile):
		return failf(exUsage, "-append writes the server's file alone; leave -one-file, -replace, -p12 and -mobileconfig out")
	case !h.mobile && h.imap+h.pop+h.smtp+h.login+h.by != "":
		return failf(exUsage, "a mail account goes into a profile; give -mobileconfig")
	}
	if h.append {
		h.place, err = bundle.FindPlace(h.out)
		if err != nil {
			return fail(exNoInput, err)
		}
		return nil
	}
	if h.mobile {
		if h.options.Mobile, err = h.profile(env); err != nil {
			return err
		}
	}
	if h.p12Pass != "" {
		phrase, err := readPassword(env, h.p12Pass)
		if err != nil {
			return err
		}
		h.options.Passphrase = string(phrase)
	}
	if err := bundle.Free(h.out, !request, h.options); errors.Is(err, bundle.ErrExists) {
		return caError(err)
	} else if err != nil {
		return fail(exCantCreate, err)
	}
	return nil
}

// profile is what goes into the profile besides the certificate.
func (h *handOver) profile(env Env) (*bundle.Profile, error) {
	p := &bundle.Profile{}
	if h.by != "" {
		id, err := readIdentity(env, h.by, "")
		if err != nil {
			return nil, err
		}
		if id.Key == nil {
			return nil, failf(exDataErr, "%s: its key only decrypts; give one that signs", h.by)
		}
		p.Signer = id
	}
	if h.imap+h.pop+h.smtp+h.login == "" {
		return p, nil
	}
	if (h.imap == "") == (h.pop == "") || h.smtp == "" {
		return nil, failf(exUsage, "a mail account needs -mail-smtp and one of -mail-imap and -mail-pop")
	}
	a := &bundle.Account{POP: h.pop != "", Login: h.login}
	var err, serr error
	a.Incoming, a.IncomingPort, err = hostPort(h.imap + h.pop)
	a.Outgoing, a.OutgoingPort, serr = hostPort(h.smtp)
	if err = errors.Join(err, serr); err != nil {
		return nil, fail(exUsage, err)
	}
	p.Account = a
	return p, nil
}

// hostPort takes HOST or HOST:PORT.
func hostPort(s string) (string, int, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if strings.ContainsAny(s, ":/ ") {
			return "", 0, fmt.Errorf("%q is no host; want HOST or HOST:PORT", s)
		}
		return s, 0, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("%q is no host; want HOST or HOST:PORT", s)
	}
	return host, int(n), nil
}

// readRequest reads the file of -csr. With -append it has to be for the key of
// the place.
func (h *handOver) readRequest(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fail(exNoInput, err)
	}
	if h.place == nil {
		return data, nil
	}
	der := data
	if b, _ := pem.Decode(data); b != nil {
		der = b.Bytes
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fail(exDataErr, fmt.Errorf("%s: %w", name, err))
	}
	return data, h.fits(csr.PublicKey)
}

// fits says before it is issued whether a certificate would go with -append.
func (h *handOver) fits(key crypto.PublicKey) error {
	if h.place == nil {
		return nil
	}
	if err := h.place.Fits(key); err != nil {
		return fail(exDataErr, err)
	}
	return nil
}

// write writes what was issued, and tells where.
func (h *handOver) write(env Env, c authority, i *ca.Issued) error {
	var w bundle.Written
	var err error
	if h.out == "" {
		w.Files = []string{}
	} else if h.place != nil {
		err = h.place.Put(i.Certificate, i.Chain...)
		w.Files = []string{h.place.File}
	} else {
		w, err = bundle.Write(h.out, bundle.Bundle{Certificate: i.Certificate, Key: i.Key, Chain: i.Chain, Root: rootOf(c)}, h.options)
	}
	if err != nil {
		return fail(exCantCreate, fmt.Errorf("%s is issued and could not be written: %w; revoke it, or get it with mailseal ca export -serial if its key is elsewhere", i.Serial(), err))
	}
	if h.p12Pass != "" {
		w.Passphrase = "" // its owner has it
	}
	for _, f := range w.Stale {
		warning := f + " is still the old one; remove it, or have it made again: the flags are -one-file, -p12 and -mobileconfig"
		i.Warnings = append(i.Warnings, warning)
		fmt.Fprintf(env.Stderr, "warning: %s\n", warning)
	}
	subject, names, to := i.Subject(), i.Names(), i.Certificate.NotAfter.UTC()
	if h.json {
		err = writeJSON(env.Stdout, struct {
			Serial     string     `json:"serial"`
			Subject    string     `json:"subject"`
			Names      []string   `json:"names"`
			NotAfter   string     `json:"not_after"`
			Files      []string   `json:"files"`
			Passphrase string     `json:"passphrase,omitempty"`
			Installed  *placement `json:"installed,omitempty"`
			Warnings   []string   `json:"warnings,omitempty"`
		}{i.Serial(), subject, append([]string{}, names...), to.Format("2006-01-02T15:04:05Z"), w.Files, w.Passphrase, h.to.told(), i.Warnings})
	} else {
		var b bytes.Buffer
		fmt.Fprintf(&b, "serial      %s\nsubject     %s\n", i.Serial(), plain(subject))
		if len(names) > 0 {
			fmt.Fprintf(&b, "names       %s\n", plain(strings.Join(names, ", ")))
		}
		fmt.Fprintf(&b, "to          %s, %d days\n", to.Format(time.DateOnly), i.Days())
		for _, f := range w.Files {
			fmt.Fprintf(&b, "wrote       %s\n", f)
		}
		if w.Passphrase != "" {
			fmt.Fprintf(&b, "passphrase  %s\n", w.Passphrase)
		}
		for _, line := range h.to.told().lines() {
			b.WriteString(line + "\n")
		}
		_, err = env.Stdout.Write(b.Bytes())
	}
	if err != nil {
		return fail(exIOErr, err)
	}
	return nil
}
