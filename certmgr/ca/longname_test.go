package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLongNames: a name that is too long for a common name stands in the
// alternative names alone, and openssl takes the certificate.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("a", 60) + ".corp.example"
	c := newCA(t)
	for _, tt := range []struct {
		name    string
		r       Request
		cn      string
		names   []string
		warning bool
	}{
		{"alone", Request{Profile: Host, Hosts: []string{long}}, "", []string{long}, true},
		{"as common name", Request{Profile: Host, Subject: Subject{CommonName: long}}, "", []string{long}, true},
		{"beside a shorter one", Request{Profile: Host, Hosts: []string{long, "mx.corp.example"}}, "mx.corp.example", []string{long, "mx.corp.example"}, false},
		{"of 64 characters", Request{Profile: Host, Hosts: []string{long[9:]}}, long[9:], []string{long[9:]}, false},
		{"of a person", Request{Profile: User, Emails: []string{"a@" + long}}, "", []string{"a@" + long}, true},
	} {
		tt.r.Key = P256
		p, err := c.Preview(tt.r)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		i, err := c.Issue(tt.r)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := i.Certificate.Subject.CommonName; got != tt.cn || !slices.Equal(i.Names(), tt.names) || len(i.Certificate.Subject.Organization) != 1 {
			t.Errorf("%s: %s, %q", tt.name, i.Certificate.Subject, i.Names())
		}
		if got := slices.ContainsFunc(p.Warnings, func(w string) bool { return strings.HasPrefix(w, "no common name: ") }); got != tt.warning {
			t.Errorf("%s: warnings %q", tt.name, p.Warnings)
		}
		renewed, err := c.Renew(Renewal{Serial: i.Serial(), Key: P256})
		if err != nil || !bytes.Equal(renewed.Certificate.RawSubject, i.Certificate.RawSubject) {
			t.Errorf("%s: renewed: %v", tt.name, err)
		}
		if tt.r.Profile != Host {
			continue
		}
		file := filepath.Join(t.TempDir(), "host.crt")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := openssl(t, "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", tt.names[0], "-CAfile", c.path(certFile), file); !strings.Contains(out, ": OK") {
			t.Errorf("%s: %s", tt.name, out)
		}
	}
	if _, err := c.Issue(Request{Profile: User, Subject: Subject{CommonName: strings.Repeat("b", 65)}, Emails: []string{"b@corp.example"}, Key: P256}); !refused(err) {
		t.Errorf("a long common name that is none of the names: %v", err)
	}
	// A name has to be somewhere in the subject.
	bare := newCA(t, func(o *InitOptions) { o.Subject = Subject{CommonName: "CA"} })
	if _, err := bare.Issue(Request{Profile: Host, Hosts: []string{long}, Key: P256}); !refused(err) || !strings.Contains(err.Error(), "give an organization at least") {
		t.Errorf("an empty subject: %v", err)
	}
	if i, err := bare.Issue(Request{Profile: Host, Subject: Subject{Organization: "Corp"}, Hosts: []string{long}, Key: P256}); err != nil || i.Certificate.CheckSignatureFrom(bare.Certificate()) != nil || i.Certificate.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		t.Errorf("with an organization: %v", err)
	}
}
