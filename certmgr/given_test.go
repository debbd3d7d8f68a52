package certmgr

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/install"
	"mailseal/internal/pki"
)

// issued is a pair that somebody has asked the CA for.
func (b *bench) issued(r ca.Request) pki.Identity {
	b.t.Helper()
	r.Profile = ca.Host
	i, err := b.ca.CA.Issue(r)
	b.do(err)
	return i.Identity()
}

// A pair that is given is served, or the old one is, and comes back when it is
// lost.
func TestGiven(t *testing.T) {
	for _, tt := range []struct {
		script     script
		rolledBack bool
	}{{reads, false}, {picky, true}, {fails, true}} {
		bubble(t, string(tt.script), func(t *testing.T) {
			b := newBench(t)
			want := b.right()
			b.plays(tt.script)
			id := b.issued(ca.Request{Hosts: []string{"mx.example.jp", "more.example.jp"}, Key: ca.P256})
			r, err := b.keeper().Install(t.Context(), "sendmail", id)
			if (err != nil) != tt.rolledBack || r.RolledBack != tt.rolledBack || !r.Installed {
				t.Fatalf("%+v, %v", r, err)
			}
			if !tt.rolledBack {
				want = id.Certificate
			}
			if !b.read().Equal(want) || !b.serving().Equal(want) {
				t.Errorf("%v on the disk, %v served, want %v", b.read().SerialNumber, b.serving().SerialNumber, want.SerialNumber)
			}
			if tt.script == fails {
				b.plays(reads)
			}
			b.do(os.Remove(b.path("host.key")))
			if got := b.right(); !got.Equal(want) {
				t.Errorf("%v came back, want %v", got.SerialNumber, want.SerialNumber)
			}
			if b.ca.issued != 1 {
				t.Errorf("%d were issued besides", b.ca.issued-1)
			}
		})
	}
}

// What a target is not for stays out of it.
func TestGivenRefused(t *testing.T) {
	stranger := newBench(t)
	for _, tt := range []struct {
		name, want string
		id         func(*bench) pki.Identity
	}{
		{"another CA's", "not for this target", func(*bench) pki.Identity {
			return stranger.issued(ca.Request{Hosts: []string{"mx.example.jp"}, Key: ca.P256})
		}},
		{"another host's", "not for this target", func(b *bench) pki.Identity {
			return b.issued(ca.Request{Hosts: []string{"www.example.jp"}, Key: ca.P256})
		}},
		{"another kind of key", "not for this target", func(b *bench) pki.Identity {
			return b.issued(ca.Request{Hosts: []string{"mx.example.jp"}, Key: ca.P384})
		}},
		{"revoked", "not for this target", func(b *bench) pki.Identity {
			id := b.issued(ca.Request{Hosts: []string{"mx.example.jp"}, Key: ca.P256})
			_, err := b.ca.CA.Revoke(ca.Revocation{Serial: id.Certificate.SerialNumber.Text(16)})
			b.do(err)
			_, err = b.ca.CA.IssueCRL(ca.CRLOptions{})
			b.do(err)
			return id
		}},
		{"the CA is gone", "the CA is not to be had", func(b *bench) pki.Identity {
			id := b.issued(ca.Request{Hosts: []string{"mx.example.jp"}, Key: ca.P256})
			b.ca.go_(true)
			return id
		}},
		{"a target of its own issuer", `issuer = "self"`, func(b *bench) pki.Identity {
			b.target.Issuer = install.BySelf
			return b.issued(ca.Request{Hosts: []string{"mx.example.jp"}, Key: ca.P256})
		}},
		{"no such target", "no target", func(b *bench) pki.Identity {
			b.target.Name = "postfix"
			return b.issued(ca.Request{Hosts: []string{"mx.example.jp"}, Key: ca.P256})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			leaf := b.right()
			id := tt.id(b)
			_, err := b.keeper().Install(t.Context(), "sendmail", id)
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrUnfit) != (tt.want == "not for this target") {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if !b.read().Equal(leaf) || b.told() != 1 {
				t.Errorf("something was changed; told %d times", b.told())
			}
			if kept, err := os.ReadFile(filepath.Join(b.config.State, "targets", "sendmail.pem")); err == nil && strings.Contains(string(kept), string(ca.EncodeCertificates(id.Certificate))) {
				t.Error("it is kept")
			}
		})
	}
}
