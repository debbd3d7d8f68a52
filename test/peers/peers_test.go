package peers

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// authority is a CA that OpenSSL makes and signs with.
type authority struct {
	tool
	dir string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	need(t, "openssl")
	a := authority{tool: tool{name: "openssl"}, dir: t.TempDir()}
	a.must(t, nil, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", a.in("ca.key"), "-out", a.in("ca.pem"), "-days", "30", "-subj", "/CN=Peers CA")
	return a
}

func (a authority) in(name string) string { return filepath.Join(a.dir, name) }

// issue makes NAME.key and NAME.pem, signed by the issuer of that name.
func (a authority) issue(t *testing.T, name, issuer, extensions string, newkey ...string) {
	t.Helper()
	if err := os.WriteFile(a.in(name+".ext"), []byte(extensions), 0o600); err != nil {
		t.Fatal(err)
	}
	a.must(t, nil, append([]string{"req", "-nodes", "-keyout", a.in(name + ".key"), "-out", a.in(name + ".csr"), "-subj", "/CN=" + name, "-newkey"}, newkey...)...)
	a.must(t, nil, "x509", "-req", "-in", a.in(name+".csr"), "-CA", a.in(issuer+".pem"), "-CAkey", a.in(issuer+".key"),
		"-CAcreateserial", "-days", "30", "-extfile", a.in(name+".ext"), "-out", a.in(name+".pem"))
}

const (
	forMail = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n" +
		"extendedKeyUsage=emailProtection\nsubjectAltName=email:alice@example.test\n"
	forCA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
)

// identity makes alice, under a CA of her own or one below the anchor.
func (a authority) identity(t *testing.T, below bool, newkey ...string) Config {
	t.Helper()
	id := &Identity{Certificate: a.in("alice.pem"), Key: a.in("alice.key")}
	issuer := "ca"
	if below {
		issuer = "below"
		a.issue(t, issuer, "ca", forCA, "rsa:2048")
		id.Chain = a.in("below.pem")
	}
	a.issue(t, "alice", issuer, forMail, newkey...)
	return Config{Anchors: a.in("ca.pem"), Identity: id}
}

const mail = "From: alice@example.test\r\nTo: bob@example.net\r\nSubject: folded\r\n subject\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n\tcharset=us-ascii\r\n\r\nHello Bob,\r\n.\r\n-- \r\nAlice\r\n"

// Every peer verifies what every peer has signed, and nothing with another
// word in it or below another anchor.
func TestCrosswise(t *testing.T) {
	ec := func(curve string) []string { return []string{"ec", "-pkeyopt", "ec_paramgen_curve:" + curve} }
	for name, c := range map[string]struct {
		newkey []string
		below  bool
		made   int // signed mails: OpenSSL twice 3, the others 2
	}{
		"rsa":     {newkey: []string{"rsa:2048"}, made: 10},
		"chain":   {newkey: []string{"rsa:2048"}, below: true, made: 10},
		"p256":    {newkey: ec("P-256"), below: true, made: 8},
		"p384":    {newkey: ec("P-384"), made: 8},
		"p521":    {newkey: ec("P-521"), made: 8},
		"ed25519": {newkey: []string{"ed25519"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := newAuthority(t).identity(t, c.below, c.newkey...)
			peers := All(t, cfg)
			strangers := All(t, Config{Anchors: newAuthority(t).in("ca.pem")})
			signer := certificates(t, cfg.Identity.Certificate)[0]
			made := 0
			for _, p := range peers {
				for _, f := range []Format{Detached, Opaque, OpaqueBER} {
					signed, err := p.Sign([]byte(mail), f)
					if errors.Is(err, ErrCannot) {
						continue
					}
					if err != nil {
						t.Errorf("%s signs %v: %v", p.Name(), f, err)
						continue
					}
					made++
					for i := range peers {
						if peers[i].Reads(signer) == nil {
							judge(t, p.Name()+" "+f.String(), signed, peers[i], strangers[i])
						}
					}
				}
			}
			if made != c.made {
				t.Errorf("%d signed mails, want %d", made, c.made)
			}
		})
	}
}

func judge(t *testing.T, what string, signed []byte, knows, stranger Peer) {
	t.Helper()
	r, err := knows.Verify(signed)
	if err != nil {
		t.Errorf("%s: %s: %v", what, knows.Name(), err)
		return
	}
	_, body, _ := strings.Cut(mail, "\r\n\r\n")
	if !strings.HasPrefix(string(r.Content), "Content-Type: text/plain;") || !strings.HasSuffix(string(r.Content), "\r\n\r\n"+body) {
		t.Errorf("%s: %s: content %q", what, knows.Name(), r.Content)
	}
	if forged := bytes.Replace(signed, []byte("Hello"), []byte("HellO"), 1); !bytes.Equal(forged, signed) {
		if _, err := stranger.Verify(signed); err == nil {
			t.Errorf("%s: %s verifies it below another anchor", what, knows.Name())
		}
		if _, err := knows.Verify(forged); err == nil {
			t.Errorf("%s: %s verifies it with a changed letter", what, knows.Name())
		}
	}
}

func TestSplit(t *testing.T) {
	outer, inner, err := unwrap([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	cms := []byte(strings.Repeat("cms", 100))
	for _, f := range []Format{Detached, Opaque} {
		m := wrap(outer, inner, cms, f)
		s, err := split(m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.cms, cms) || s.opaque != (f == Opaque) || (f == Detached && !bytes.Equal(s.content, inner)) {
			t.Errorf("%v: content %q, cms %q, opaque %v", f, s.content, s.cms, s.opaque)
		}
		if lf := bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n")); f == Detached {
			if s, err := split(lf); err != nil || !bytes.Equal(s.content, inner) {
				t.Errorf("with LF: %q, %v", s.content, err)
			}
		}
		if _, err := split(m[:len(m)-20]); f == Detached && err == nil {
			t.Error("no closing delimiter is no error")
		}
	}
}
