package peers

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// opensslCook is the command cms of OpenSSL.
type opensslCook struct {
	tool
	version string
	dir     string
	pantry  Pantry
}

// OpenSSLCook returns OpenSSL.
func OpenSSLCook(t testing.TB, p Pantry) Cook {
	t.Helper()
	o := &opensslCook{tool: tool{name: p.program(t, "openssl")}, dir: t.TempDir(), pantry: p}
	o.version = strings.Fields(string(o.must(t, nil, "version")))[1]
	return o
}

func (o *opensslCook) Name() string    { return "openssl" }
func (o *opensslCook) Version() string { return o.version }

func (o *opensslCook) Make(r Recipe, mail []byte) ([]byte, error) {
	inner, err := Entity(mail)
	if err != nil {
		return nil, err
	}
	in, err := write(o.dir, "content", inner)
	if err != nil {
		return nil, err
	}
	args := []string{"cms", "-binary", "-outform", "DER", "-in", in, "-out", in + ".cms"}
	switch r.Type {
	case Signed:
		var more []string
		if more, err = o.signing(r); err != nil {
			return nil, err
		}
		args = append(args, more...)
	case Encrypted:
		args = append(append(args, "-encrypt"), o.encrypting(r)...)
	case Compressed:
		args = append(args, "-compress")
	case Digested:
		args = append(args, "-digest_create", "-md", opensslDigest(r.Signers[0].Digest))
	case CertsOnly:
		args = []string{"crl2pkcs7", "-nocrl", "-outform", "DER", "-out", in + ".cms"}
		for _, s := range r.Signers {
			args = append(args, "-certfile", o.pantry.Identities[s.Who].Certificate)
		}
	}
	if r.BER {
		args = append(args, "-stream")
	}
	if _, _, err := o.run(nil, args...); err != nil {
		return nil, err
	}
	cms, err := os.ReadFile(in + ".cms")
	if err != nil {
		return nil, err
	}
	return Mail(r, mail, cms)
}

func opensslDigest(name string) string {
	return strings.Replace(strings.ToLower(name), "sha-", "sha", 1)
}

func (o *opensslCook) signing(r Recipe) ([]string, error) {
	digest, err := one(r, "the digest", func(s Signer) string { return s.Digest })
	if err != nil {
		return nil, err
	}
	keyID, err := one(r, "the identifier", func(s Signer) bool { return s.KeyID })
	if err != nil {
		return nil, err
	}
	args := []string{"-sign"}
	for option, wanted := range map[string]bool{"-nodetach": !r.Detached, "-noattr": r.Bare, "-nocerts": r.NoCertificates, "-keyid": keyID} {
		if wanted {
			args = append(args, option)
		}
	}
	if digest != "" {
		args = append(args, "-md", opensslDigest(digest))
	}
	for _, s := range r.Signers {
		id := o.pantry.Identities[s.Who]
		args = append(args, "-signer", id.Certificate, "-inkey", id.Key)
		if s.PSS {
			args = append(args, "-keyopt", "rsa_padding_mode:pss")
		}
	}
	return args, nil
}

func (o *opensslCook) encrypting(r Recipe) []string {
	cipher := strings.ToLower(r.Cipher)
	if cipher == "3des-cbc" {
		cipher = "des3"
	}
	args := []string{"-" + cipher}
	for _, to := range r.To {
		if to.Password != "" {
			args = append(args, "-pwri_password", to.Password)
			continue
		}
		if to.KeyID {
			args = append(args, "-keyid")
		}
		args = append(args, "-recip", o.pantry.Identities[to.Who].Certificate)
		for option, value := range map[string]string{"rsa_oaep_md": to.OAEP, "rsa_mgf1_md": to.MGF, "ecdh_kdf_md": to.KDF} {
			if value != "" {
				args = append(args, "-keyopt", option+":"+opensslDigest(value))
			}
		}
		if to.OAEP != "" {
			args = append(args, "-keyopt", "rsa_padding_mode:oaep")
		}
		if to.Cofactor {
			args = append(args, "-keyopt", "ecdh_cofactor_mode:1")
		}
	}
	return args
}

func (o *opensslCook) Open(r Recipe, mail []byte, with Recipient) ([]byte, error) {
	s, err := split(mail)
	if err != nil {
		return nil, err
	}
	in, err := write(o.dir, "cms", s.cms)
	if err != nil {
		return nil, err
	}
	args := []string{"cms", "-binary", "-inform", "DER", "-in", in, "-out", in + ".content"}
	switch r.Type {
	case Signed:
		args = append(args, "-verify", "-CAfile", o.pantry.Anchors, "-purpose", "smimesign")
		if !s.opaque {
			if err := os.WriteFile(in+".outside", s.content, 0o600); err != nil {
				return nil, err
			}
			args = append(args, "-content", in+".outside")
		}
		if r.NoCertificates {
			args = append(args, "-certfile", o.pantry.Identities[r.Signers[0].Who].Certificate)
		}
	case Encrypted:
		args = append(args, "-decrypt")
		if with.Password != "" {
			args = append(args, "-pwri_password", with.Password)
		} else {
			id := o.pantry.Identities[with.Who]
			args = append(args, "-recip", id.Certificate, "-inkey", id.Key)
		}
	case Compressed:
		args = append(args, "-uncompress")
	case Digested:
		args = append(args, "-digest_verify")
	case CertsOnly:
		out, _, err := o.run(nil, "pkcs7", "-inform", "DER", "-in", in, "-print_certs")
		if err != nil {
			return nil, err
		}
		return fromPEM(out), nil
	}
	if _, printed, err := o.run(nil, args...); err != nil {
		return nil, err
	} else if r.Type == Digested && !strings.Contains(printed, "Verification successful") {
		return nil, errors.New(printed)
	}
	if n := len(r.Signers); r.Type == Signed && n > 1 {
		if err := o.signers(in, n); err != nil {
			return nil, err
		}
	}
	return os.ReadFile(in + ".content")
}

// signers holds against the object that it has as many SignerInfos.
func (o *opensslCook) signers(file string, want int) error {
	out, _, err := o.run(nil, "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", file)
	if n := strings.Count(string(out), "signatureAlgorithm:"); err == nil && n < want {
		err = fmt.Errorf("openssl sees %d signatures, want %d", n, want)
	}
	return err
}
