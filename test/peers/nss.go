package peers

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const nickname = "peer"

// nss is cmsutil with a certificate database of its own.
type nss struct {
	tool
	dir    string
	db     string
	digest string // that it signs with; "" without an identity
}

// NSS returns cmsutil.
func NSS(t testing.TB, c Config) Peer {
	t.Helper()
	need(t, "cmsutil", "certutil", "pk12util")
	n := &nss{tool: tool{name: "cmsutil"}, dir: t.TempDir(), db: "sql:" + t.TempDir()}
	certutil := tool{name: "certutil"}
	certutil.must(t, nil, "-N", "-d", n.db, "--empty-password")
	add := func(name, trust string, certs []*x509.Certificate) {
		for i, c := range certs {
			file, err := write(n.dir, "ca.der", c.Raw)
			if err != nil {
				t.Fatal(err)
			}
			certutil.must(t, nil, "-A", "-d", n.db, "-n", fmt.Sprintf("%s %d", name, i), "-t", trust, "-i", file)
		}
	}
	add("anchor", "C,C,C", certificates(t, c.Anchors))
	if id := c.Identity; id != nil {
		add("intermediate", ",,", certificates(t, id.Chain))
		signer := certificates(t, id.Certificate)[0]
		if n.Reads(signer) == nil {
			tool{name: "pk12util"}.must(t, nil, "-i", bundle(t, n.dir, id), "-d", n.db, "-W", passphrase, "-K", "")
			n.digest = strings.ToUpper(digest(signer))
		}
	}
	return n
}

func (n *nss) Name() string { return "nss cmsutil" }

func (n *nss) Reads(c *x509.Certificate) error {
	if a := c.PublicKeyAlgorithm; a != x509.RSA && a != x509.ECDSA {
		return fmt.Errorf("cmsutil %w verify %v", ErrCannot, a)
	}
	return nil
}

// status is what cmsutil says of each signer. Its exit code says only that it
// could read the object: a forged one is 0 too.
var status = regexp.MustCompile(`signer[0-9]+\.status=([A-Za-z]+)`)

func (n *nss) Verify(mail []byte) (Result, error) {
	s, err := split(mail)
	if err != nil {
		return Result{}, err
	}
	cms, err := write(n.dir, "cms", s.cms)
	if err != nil {
		return Result{}, err
	}
	args := []string{"-D", "-d", n.db, "-i", cms}
	if !s.opaque {
		if err := os.WriteFile(cms+".content", s.content, 0o600); err != nil {
			return Result{}, err
		}
		args = append(args, "-c", cms+".content")
	}
	out, printed, err := n.run(nil, append(args, "-h", "0", "-n")...)
	if err != nil {
		return Result{}, err
	}
	signers := status.FindAllSubmatch(out, -1)
	for _, s := range signers {
		if string(s[1]) != "GoodSignature" {
			return Result{}, fmt.Errorf("cmsutil: %s: %s", bytes.TrimSpace(out), printed)
		}
	}
	if len(signers) == 0 {
		return Result{}, fmt.Errorf("cmsutil sees no signer: %s%s", out, printed)
	}
	r := Result{Content: s.content, Output: string(out) + printed}
	if s.opaque {
		r.Content, _, err = n.run(nil, args...)
	}
	return r, err
}

func (n *nss) Sign(mail []byte, f Format) ([]byte, error) {
	if n.digest == "" {
		return nil, fmt.Errorf("cmsutil without an RSA or ECDSA identity %w sign", ErrCannot)
	}
	outer, inner, err := unwrap(mail)
	if err != nil {
		return nil, err
	}
	args := []string{"-S", "-d", n.db, "-N", nickname, "-Y", "NONE", "-G", "-P", "-H", n.digest}
	switch f {
	case Detached:
		args = append(args, "-T")
	case Opaque:
	default:
		return nil, fmt.Errorf("cmsutil %w sign %v", ErrCannot, f)
	}
	cms, _, err := n.run(inner, args...)
	if err != nil {
		return nil, err
	}
	return wrap(outer, inner, cms, f), nil
}
