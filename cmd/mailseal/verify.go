package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"mailseal/internal/certfile"
	"mailseal/internal/mailaddr"
	"mailseal/internal/pki"
	"mailseal/internal/pki/x5280"
	"mailseal/internal/trust"
	"mailseal/internal/verdict"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// Statuses of verify.
const (
	verifyPass   = 0
	verifyOther  = 1
	verifyCannot = 2
)

func verifyCommand() command {
	return command{
		name:  "verify",
		args:  "[-ca FILE|DIR]... [-at TIME] [-no-address-check] [-authserv-id ID] [-json] < mail",
		short: "what is the signature of one mail worth",
		long: `Judges the mail on standard input as the milter would. The first line of
standard output is the value of an Authentication-Results field; a line on each
signer follows. Exits with 0 for smime=pass, with 1 for any other result, with
2 when it could not be done.`,
		usageExit: verifyCannot,
		setup: func(fs *flag.FlagSet) runner {
			var cas list
			fs.Var(&cas, "ca", "trust anchors: `FILE|DIR` of certificates, PEM or DER; again for more. Without any nobody is trusted")
			at := fs.String("at", "", "judge as if it were this `TIME`, as 2026-10-01T12:00:00Z (default now)")
			anybody := fs.Bool("no-address-check", false, "the signer need not be the address in From")
			id := fs.String("authserv-id", "", "`ID` to write the result under (default the host's name)")
			asJSON := fs.Bool("json", false, "print JSON instead")
			return func(_ context.Context, env Env) error {
				v := verification{authservID: *id, q: verdict.Question{NoAddressCheck: *anybody, At: time.Now()}}
				if err := v.prepare(cas, *at); err != nil {
					return fail(verifyCannot, err)
				}
				if err := v.verify(env); err != nil {
					return fail(verifyCannot, err)
				}
				if err := v.write(env, *asJSON); err != nil {
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

// A verification is one run of the command.
type verification struct {
	authservID string
	q          verdict.Question
	report     *smime.Report
	result     verdict.Result
}

// prepare reads what the flags name.
func (v *verification) prepare(cas []string, at string) (err error) {
	var anchors []*x509.Certificate
	for _, name := range cas {
		cs, err := certfile.Read(name)
		if err != nil {
			return err
		}
		anchors = append(anchors, cs...)
	}
	v.q.Anchors = trust.New(trust.Sources{Mail: anchors}, trust.Options{})
	if at != "" {
		if v.q.At, err = time.Parse(time.RFC3339, at); err != nil {
			return fmt.Errorf("-at %q: want a time of RFC 3339, as 2026-10-01T12:00:00Z", at)
		}
	}
	if v.authservID == "" {
		if v.authservID, err = os.Hostname(); err != nil {
			return fmt.Errorf("%w; give -authserv-id", err)
		}
	}
	if v.authservID, err = mailaddr.Domain(v.authservID); err != nil {
		return fmt.Errorf("%w; give the name of a host with -authserv-id", err)
	}
	return nil
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

// A signerReport is one signer as -json tells it.
type signerReport struct {
	Subject   string     `json:"subject,omitempty"`
	Issuer    string     `json:"issuer,omitempty"`
	Serial    string     `json:"serial,omitempty"`
	Addresses []string   `json:"addresses,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
	Algorithm string     `json:"algorithm,omitempty"`
	Digest    string     `json:"digest,omitempty"`
	Signed    *time.Time `json:"signing_time,omitempty"` // as the signer says
	Good      bool       `json:"good"`                   // the signature, not the signer
	Problem   string     `json:"problem,omitempty"`
}

func (v *verification) signers() []signerReport {
	rs := []signerReport{}
	for _, s := range v.report.Signers {
		r := signerReport{Algorithm: s.Result.Algorithm, Good: s.Result.Err == nil}
		if s.Result.Digest != 0 {
			r.Digest = cms.DigestName(s.Result.Digest)
		}
		if t := s.Result.SigningTime; !t.IsZero() {
			r.Signed = &t
		}
		if s.Result.Err != nil {
			r.Problem = s.Result.Err.Error()
		}
		if c := s.Result.Certificate; c != nil {
			r.Subject, r.Issuer, r.Serial = c.Subject.String(), c.Issuer.String(), fmt.Sprintf("%X", c.SerialNumber)
			r.Addresses, r.NotBefore, r.NotAfter = pki.Addresses(c), &c.NotBefore, &c.NotAfter
		}
		rs = append(rs, r)
	}
	return rs
}

func (v *verification) write(env Env, asJSON bool) error {
	if asJSON {
		problem := ""
		if v.report.Err != nil {
			problem = v.report.Err.Error()
		}
		return writeJSON(env.Stdout, struct {
			Field   string `json:"authentication_results"`
			Verify  string `json:"verify"`
			Kind    string `json:"kind"`
			Problem string `json:"problem,omitempty"`
			verdict.Result
			Signers []signerReport `json:"signers"`
		}{v.result.Field(v.authservID), v.result.Status.Verify(), v.report.Kind.String(), problem, v.result, v.signers()})
	}
	var b strings.Builder
	fmt.Fprintln(&b, v.result.Field(v.authservID))
	if v.report.Err != nil {
		fmt.Fprintf(&b, "%v: %q\n", v.report.Kind, v.report.Err)
	}
	for i, s := range v.signers() {
		fmt.Fprintf(&b, "signer %d: %q issuer %q addresses %q", i+1, s.Subject, s.Issuer, s.Addresses)
		if s.NotAfter != nil {
			fmt.Fprintf(&b, " valid %s to %s", s.NotBefore.Format(time.DateOnly), s.NotAfter.Format(time.DateOnly))
		}
		if s.Signed != nil {
			fmt.Fprintf(&b, " signed %s", s.Signed.UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(&b, " %s %s: ", s.Digest, s.Algorithm)
		if s.Good {
			fmt.Fprintln(&b, "signature is good")
		} else {
			fmt.Fprintf(&b, "%q\n", s.Problem)
		}
	}
	if _, err := env.Stdout.Write([]byte(b.String())); err != nil {
		return errors.Join(errors.New("write the result"), err)
	}
	return nil
}
