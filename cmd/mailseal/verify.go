package main

import (
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"mailseal/internal/certfile"
	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust"
	"mailseal/internal/trust/path"
	"mailseal/internal/trust/revocation"
	"mailseal/internal/verdict"
	"mailseal/smime"
)

// Statuses of verify.
const (
	verifyPass   = 0
	verifyOther  = 1
	verifyCannot = 2
)

func verifyCommand() command {
	return command{
		name: "verify",
		args: "[-ca FILE|DIR]... [-domain-ca DOMAIN=FILE|DIR]... [-pinned FILE|DIR]... [-signers FILE]\n" +
			"    [-crl FILE|DIR]... [-revocation off|soft|hard] [-policy OID]... [-explicit-policy] [-inhibit-mapping]\n" +
			"    [-inhibit-any-policy] [-at TIME] [-no-address-check] [-use-sender] [-ignore-local-case] [-weak policy|fail]\n" +
			"    [-authserv-id ID] [-json] < mail",
		short: "what is the signature of one mail worth",
		long: `Judges the mail on standard input as the milter would, but fetches nothing. The
first line of standard output is the value of an Authentication-Results field;
lines on each signer follow, with the chain of certificates, what is known of
their revocation, and every rule that does not hold. Exits with 0 for
smime=pass, with 1 for any other result, with 2 when it could not be done.`,
		instead: map[string]string{
			"explicit_policy": "it is -explicit-policy", "inhibit_map": "it is -inhibit-mapping", "inhibit_any": "it is -inhibit-any-policy",
			"attime": "it is -at, with a time as 2026-10-01T12:00:00Z", "CAfile": "it is -ca", "CApath": "it is -ca", "CRLfile": "it is -crl",
			"crl_check": "it is -revocation hard", "crl_check_all": "it is -revocation hard", "config": "name what the milter's configuration names, with -ca, -crl and so on",
		},
		usageExit: verifyCannot,
		setup: func(fs *flag.FlagSet) runner {
			var f verifyFlags
			f.add(fs)
			return func(ctx context.Context, env Env) error {
				v, err := f.prepare(ctx)
				if err != nil {
					return fail(verifyCannot, err)
				}
				if err := v.verify(env); err != nil {
					return fail(verifyCannot, err)
				}
				if err := v.write(env, f.json); err != nil {
					return fail(verifyCannot, err)
				}
				if v.result.Status != verdict.Pass {
					return fail(verifyOther, nil)
				}
				return nil
			}
		},
	}
}

// verifyFlags are those of the command.
type verifyFlags struct {
	cas, crls, pinned, domainCAs, policies list
	revocation                             revocation.Mode
	path                                   path.Options
	settings                               verdict.Settings
	at, weak, signers, authservID          string
	noAddressCheck, json                   bool
}

func (f *verifyFlags) add(fs *flag.FlagSet) {
	fs.Var(&f.cas, "ca", "trust anchors: `FILE|DIR` of certificates; again for more. Without any nobody is trusted")
	fs.Var(&f.domainCAs, "domain-ca", "CAs trusted for the signers of one domain: `DOMAIN=FILE|DIR`; with a leading dot for those below it")
	fs.Var(&f.pinned, "pinned", "certificates trusted as themselves: `FILE|DIR`")
	fs.Var(&f.crls, "crl", "revocation lists: `FILE|DIR`, PEM or DER; again for more. Those in the mail count, too")
	fs.TextVar(&f.revocation, "revocation", revocation.Soft, "`MODE`: off; soft: what nobody knows changes nothing; hard: it is temperror")
	fs.Var(&f.policies, "policy", "acceptable certificate policy, an `OID`; again for more (default any: "+x5280.AnyPolicy.String()+")")
	fs.BoolVar(&f.path.Explicit, "explicit-policy", false, "the path must be valid for one of the acceptable policies")
	fs.BoolVar(&f.path.InhibitMapping, "inhibit-mapping", false, "CAs may not map policies")
	fs.BoolVar(&f.path.InhibitAny, "inhibit-any-policy", false, "any policy in a certificate stands for none")
	fs.StringVar(&f.at, "at", "", "judge as if it were this `TIME`, as 2026-10-01T12:00:00Z (default now)")
	fs.BoolVar(&f.noAddressCheck, "no-address-check", false, "the signer need not be the address in From")
	fs.BoolVar(&f.settings.UseSender, "use-sender", false, "the signer may be the address in Sender")
	fs.BoolVar(&f.settings.IgnoreLocalCase, "ignore-local-case", false, "compare what stands before the @ without case")
	fs.StringVar(&f.weak, "weak", "policy", "what a good signature by a weak algorithm or key is: `RESULT`, policy or fail")
	fs.StringVar(&f.signers, "signers", "", "`FILE` of who holds certificates without address")
	fs.StringVar(&f.authservID, "authserv-id", "", "`ID` to write the result under (default the host's name)")
	fs.BoolVar(&f.json, "json", false, "print JSON instead")
}

// A verification is one run of the command.
type verification struct {
	authservID string
	q          verdict.Question
	report     *smime.Report
	result     verdict.Result
}

// prepare reads what the flags name.
func (f *verifyFlags) prepare(ctx context.Context) (*verification, error) {
	v := &verification{authservID: f.authservID, q: verdict.Question{
		Settings: f.settings, NoAddressCheck: f.noAddressCheck, Context: ctx, At: time.Now(),
	}}
	var err error
	if v.q.Anchors, err = f.anchors(); err != nil {
		return nil, err
	}
	switch f.weak {
	case "policy", "fail":
		v.q.WeakFails = f.weak == "fail"
	default:
		return nil, fmt.Errorf("-weak %q: want policy or fail", f.weak)
	}
	if f.signers != "" {
		if v.q.Mapping, err = verdict.LoadMapping(f.signers); err != nil {
			return nil, err
		}
	}
	if f.at != "" {
		if v.q.At, err = time.Parse(time.RFC3339, f.at); err != nil {
			return nil, fmt.Errorf("-at %q: want a time of RFC 3339, as 2026-10-01T12:00:00Z", f.at)
		}
	}
	if v.authservID == "" {
		if v.authservID, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("%w; give -authserv-id", err)
		}
	}
	if v.authservID, err = mailaddr.Domain(v.authservID); err != nil {
		return nil, fmt.Errorf("%w; give the name of a host with -authserv-id", err)
	}
	return v, nil
}

// anchors are who is trusted by the flags.
func (f *verifyFlags) anchors() (*trust.Anchors, error) {
	s := trust.Sources{Domains: map[string][]*x509.Certificate{}}
	var err error
	if s.Mail, err = readAll(f.cas, certfile.Read); err != nil {
		return nil, err
	}
	if s.Pinned, err = readAll(f.pinned, certfile.Read); err != nil {
		return nil, err
	}
	for _, text := range f.domainCAs {
		domain, file, err := domainCA(text)
		if err != nil {
			return nil, err
		}
		cas, err := certfile.Read(file)
		if err != nil {
			return nil, err
		}
		s.Domains[domain] = append(s.Domains[domain], cas...)
	}
	crls, err := readAll(f.crls, readCRLs)
	if err != nil {
		return nil, err
	}
	s.Lists = revocation.NewLists(crls...)
	o := trust.Options{Path: f.path, Revocation: f.revocation}
	for _, p := range f.policies {
		id, err := policyOID(p)
		if err != nil {
			return nil, err
		}
		o.Path.Acceptable = append(o.Path.Acceptable, id)
	}
	return trust.New(s, o), nil
}

func readAll[T any](names []string, read func(string) ([]T, error)) (all []T, err error) {
	for _, name := range names {
		these, err := read(name)
		if err != nil {
			return nil, err
		}
		all = append(all, these...)
	}
	return all, nil
}

// maxCRLs is bytes of a file of revocation lists.
const maxCRLs = 128 << 20

// readCRLs reads a file of revocation lists, or a folder: all its .crl, .pem and
// .der files.
func readCRLs(name string) ([]*x5280.CRL, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if fi.IsDir() {
		files, err := pki.Files(name, ".crl", ".pem", ".der")
		if err != nil {
			return nil, err
		}
		return readAll(files, readCRLs)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCRLs+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxCRLs {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxCRLs)
	}
	crls, err := x5280.ParseCRLs(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return crls, nil
}

// domainCA reads DOMAIN=FILE.
func domainCA(text string) (domain, file string, err error) {
	name, file, ok := strings.Cut(text, "=")
	below, dot := strings.CutPrefix(name, ".")
	domain, err = mailaddr.Domain(below)
	if !ok || err != nil || file == "" {
		return "", "", fmt.Errorf("-domain-ca %q: want a domain and the file of its CA, as partner.example=ca.pem", text)
	}
	if dot {
		domain = "." + domain
	}
	return domain, file, nil
}

// policyOID reads an identifier; OpenSSL calls that of all anyPolicy.
func policyOID(s string) (x5280.OID, error) {
	if strings.EqualFold(s, "anyPolicy") || strings.EqualFold(s, "any") {
		return x5280.AnyPolicy, nil
	}
	id, err := x5280.NewOID(s)
	if err != nil {
		return "", fmt.Errorf("-policy %q: want an object identifier, as 2.16.840.1.101.3.2.1.48.1", s)
	}
	return id, nil
}

func (v *verification) verify(env Env) error {
	store, err := newSpool()
	if err != nil {
		return err
	}
	m, err := readMail(env.Stdin, store)
	if err != nil {
		return err
	}
	defer m.Body.Close()
	v.report, v.result, err = verdict.Of(m, smime.VerifyOptions{Spool: store, ParseCertificate: x5280.ParseX509}, v.q)
	return err
}
