package peers

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// nssCook is cmsutil with databases that hold what NSS takes of the pantry:
// one with everything, and one for each identity alone, as cmsutil chooses
// by itself which key it decrypts with.
type nssCook struct {
	tool
	certutil, pk12util tool
	version            string
	dir                string
	pantry             Pantry
	all                string            // the folder of a database
	alone              map[string]string // databases, by identity
	missing            map[string]error  // identities that NSS refuses
}

// NSSCook returns cmsutil.
func NSSCook(t testing.TB, p Pantry) Cook {
	t.Helper()
	n := &nssCook{
		tool:     tool{name: p.program(t, "cmsutil")},
		certutil: tool{name: p.program(t, "certutil")},
		pk12util: tool{name: p.program(t, "pk12util")},
		version:  nssVersion(t, p),
		dir:      t.TempDir(), pantry: p,
		alone: map[string]string{}, missing: map[string]error{},
	}
	n.all = n.database(t)
	empty := t.TempDir()
	if err := os.CopyFS(empty, os.DirFS(n.all)); err != nil {
		t.Fatal(err)
	}
	for name, id := range p.Identities {
		file, err := pkcs12(cmp.Or(p.OpenSSL, "openssl"), t.TempDir(), name, &id)
		if err == nil {
			err = n.load(n.all, file)
		}
		if err != nil {
			n.missing[name] = err
			continue
		}
		n.alone[name] = t.TempDir()
		if err := os.CopyFS(n.alone[name], os.DirFS(empty)); err != nil {
			t.Fatal(err)
		}
		if err := n.load(n.alone[name], file); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// database makes one that trusts the anchors.
func (n *nssCook) database(t testing.TB) string {
	t.Helper()
	db := t.TempDir()
	n.certutil.must(t, nil, "-N", "-d", "sql:"+db, "--empty-password")
	for i, c := range certificates(t, n.pantry.Anchors) {
		file, err := write(n.dir, "ca.der", c.Raw)
		if err != nil {
			t.Fatal(err)
		}
		n.certutil.must(t, nil, "-A", "-d", "sql:"+db, "-n", fmt.Sprintf("anchor %d", i), "-t", "C,C,C", "-i", file)
	}
	return db
}

func (n *nssCook) load(db, file string) error {
	_, _, err := n.pk12util.run(nil, "-i", file, "-d", "sql:"+db, "-W", passphrase, "-K", "")
	return err
}

var nssRelease = regexp.MustCompile(`Version: NSS ([0-9.]+)`)

// nssVersion is what the library says of itself: no program of NSS tells.
func nssVersion(t testing.TB, p Pantry) string {
	t.Helper()
	libraries, _ := filepath.Glob(filepath.Join("/", p.Root, "usr/lib/*/libnss3.so"))
	for _, l := range libraries {
		b, err := os.ReadFile(l)
		if err != nil {
			t.Fatal(err)
		}
		if v := nssRelease.FindSubmatch(b); v != nil {
			return string(v[1])
		}
	}
	t.Fatal("no libnss3.so that tells its version")
	return ""
}

func (n *nssCook) Name() string    { return "nss" }
func (n *nssCook) Version() string { return n.version }

func (n *nssCook) Make(r Recipe, mail []byte) ([]byte, error) {
	inner, err := Entity(mail)
	if err != nil {
		return nil, err
	}
	var args []string
	switch r.Type {
	case Signed:
		args, err = n.signing(r)
	case Encrypted:
		args, err = n.encrypting(r)
	case CertsOnly:
		args = []string{"-O", "-r", n.addresses(r)}
	default:
		err = fmt.Errorf("cmsutil %w make such an object: it has no option for it", ErrCannot)
	}
	if err != nil {
		return nil, err
	}
	in, err := write(n.dir, "content", inner)
	if err != nil {
		return nil, err
	}
	if _, _, err := n.run(nil, append([]string{args[0], "-d", "sql:" + n.all, "-i", in, "-o", in + ".cms"}, args[1:]...)...); err != nil {
		return nil, err
	}
	cms, err := os.ReadFile(in + ".cms")
	if err != nil {
		return nil, err
	}
	return Mail(r, mail, cms)
}

func (n *nssCook) addresses(r Recipe) string {
	var all []string
	for _, to := range r.To {
		all = append(all, Address(to.Who))
	}
	for _, s := range r.Signers {
		all = append(all, Address(s.Who))
	}
	return strings.Join(all, ",")
}

func (n *nssCook) signing(r Recipe) ([]string, error) {
	if len(r.Signers) > 1 {
		return nil, fmt.Errorf("cmsutil %w sign for several: it has no option for it", ErrCannot)
	}
	s := r.Signers[0]
	switch {
	case n.missing[s.Who] != nil:
		return nil, n.missing[s.Who]
	case s.PSS:
		return nil, fmt.Errorf("cmsutil %w ask for PSS: it has no option for it", ErrCannot)
	case s.KeyID, r.Bare, r.NoCertificates:
		return nil, fmt.Errorf("cmsutil %w leave that out: it has no option for it", ErrCannot)
	}
	args := []string{"-S", "-N", s.Who, "-Y", "NONE", "-G", "-P", "-H", strings.ReplaceAll(s.Digest, "SHA-", "SHA")}
	if r.Detached {
		args = append(args, "-T")
	}
	return args, nil
}

func (n *nssCook) encrypting(r Recipe) ([]string, error) {
	for _, to := range r.To {
		switch {
		case to.Password != "":
			return nil, fmt.Errorf("cmsutil %w encrypt for a password: it has no option for it", ErrCannot)
		case to.OAEP != "", to.KeyID, to.KDF != "", to.Cofactor:
			return nil, fmt.Errorf("cmsutil %w choose how a key is transported: it has no option for it", ErrCannot)
		}
	}
	return []string{"-E", "-r", n.addresses(r)}, nil
}

func (n *nssCook) Open(r Recipe, mail []byte, with Recipient) ([]byte, error) {
	s, err := split(mail)
	if err != nil {
		return nil, err
	}
	in, err := write(n.dir, "cms", s.cms)
	if err != nil {
		return nil, err
	}
	db := n.all
	if r.Type == Encrypted {
		db = n.alone[with.Who]
	}
	args := []string{"-D", "-d", "sql:" + db, "-i", in}
	switch {
	case with.Password != "":
		return nil, fmt.Errorf("cmsutil %w decrypt with a password: it has no option for it", ErrCannot)
	case with.Who != "" && n.missing[with.Who] != nil:
		return nil, n.missing[with.Who]
	case r.Type == Signed && !s.opaque:
		if err := os.WriteFile(in+".content", s.content, 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-c", in+".content")
	}
	out, printed, err := n.run(nil, args...)
	if err != nil {
		return nil, err
	}
	if r.Type == CertsOnly {
		return nil, nil // it says no more than that it could be read
	}
	if r.Type != Signed {
		if len(out) == 0 {
			return nil, fmt.Errorf("cmsutil finds nothing inside: %s", printed)
		}
		return out, nil
	}
	told, printed, err := n.run(nil, append(args, "-h", "0", "-n")...)
	if err != nil {
		return nil, err
	}
	signers := status.FindAllSubmatch(told, -1)
	for _, s := range signers {
		if string(s[1]) != "GoodSignature" {
			return nil, fmt.Errorf("cmsutil: %s: %s", bytes.TrimSpace(told), printed)
		}
	}
	if len(signers) != len(r.Signers) {
		return nil, fmt.Errorf("cmsutil sees %d signers: %s%s", len(signers), told, printed)
	}
	if !s.opaque {
		return s.content, nil
	}
	return out, nil
}
