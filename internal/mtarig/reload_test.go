package mtarig_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

// The command that a postmaster has for it brings another certificate.
func TestReloadCommand(t *testing.T) {
	for _, kind := range []rig.Kind{rig.Chrooted, rig.Sendmail} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			files := selfSigned(t)
			mta := kind.Start(t, mtarig.Config{TLS: files})
			before, err := leafOf(mta.Addr())
			if err != nil {
				t.Fatal(err)
			}
			other := selfSigned(t)
			if err := errors.Join(os.Rename(other.Certificate, files.Certificate), os.Rename(other.Key, files.Key)); err != nil {
				t.Fatal(err)
			}
			command := mta.(interface{ ReloadCommand() string }).ReloadCommand()
			sh := exec.Command("/bin/sh", "-c", command)
			sh.Env = []string{"PATH=/sbin:/bin:/usr/sbin:/usr/bin", "HOME=/"}
			if out, err := sh.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for end := time.Now().Add(wait); ; {
				now, err := leafOf(mta.Addr())
				if err == nil && !now.Equal(before) {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("the old certificate is still served, %v", err)
				}
			}
		})
	}
}

func leafOf(addr string) (*x509.Certificate, error) {
	c, err := mtarig.Dial(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Hello("client.example.test"); err != nil {
		return nil, err
	}
	var leaf *x509.Certificate
	err = c.StartTLS(&tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		leaf = s.PeerCertificates[0]
		return nil
	}})
	return leaf, err
}
