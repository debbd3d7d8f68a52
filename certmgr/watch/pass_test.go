package watch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailseal/certmgr/install"
	"mailseal/internal/testpki"
)

// BenchmarkPass is what an inspection of all of a hundred targets takes, as at a
// start, when their folders have ten thousand files: each that of a sendmail with
// 46 CAs that the postmaster keeps there, and their hash links. One target is
// inspected when it has changed. BenchmarkPass also says what Set takes of them.
func BenchmarkPass(b *testing.B) {
	targets := sendmails(b)
	interests, files := map[string][]string{}, 0
	for _, t := range targets {
		interests[t.Name] = t.Interest()
		names, err := list(t.Dir)
		if err != nil {
			b.Fatal(err)
		}
		files += len(names)
	}
	w := New(Options{})
	defer w.Close()
	start := time.Now()
	w.Set(interests)
	set, at := time.Since(start), cpu(b)
	for b.Loop() {
		for _, t := range targets {
			s, err := install.Inspect(t)
			if err != nil {
				b.Fatal(err)
			}
			if p := t.Plan(s, time.Now()); !p.Done() {
				b.Fatalf("%s: %v %v", t.Name, p.Findings, p.Steps)
			}
		}
	}
	b.ReportMetric(float64(files), "files")
	b.ReportMetric((cpu(b)-at).Seconds()*1e3/float64(b.N), "cpu-ms/op")
	b.ReportMetric(set.Seconds()*1e3, "set-ms")
}

// sendmails are a hundred targets whose files are as they should be.
func sendmails(b *testing.B) []install.Target {
	b.Helper()
	const kept = 46
	p := testpki.New(b)
	crl, err := testpki.Source{PKI: p}.CRL(b.Context()) // at once near its end
	if err != nil {
		b.Fatal(err)
	}
	var cas [][]byte
	for i := range kept {
		cas = append(cas, testpki.CertPEM(authority(b, i)))
	}
	dir := b.TempDir()
	journal := install.NewJournal(filepath.Join(dir, "state"))
	var targets []install.Target
	for i := range benchTargets {
		name := fmt.Sprintf("sendmail%d", i)
		layout, err := install.LayoutOf("sendmail", filepath.Join(dir, name), install.Choices{})
		if err != nil {
			b.Fatal(err)
		}
		if err := os.Mkdir(layout.Dir, 0o755); err != nil {
			b.Fatal(err)
		}
		for j, content := range cas {
			if err := os.WriteFile(filepath.Join(layout.Dir, fmt.Sprintf("kept%d.pem", j)), content, 0o644); err != nil {
				b.Fatal(err)
			}
		}
		t := install.Target{Name: name, Hosts: []string{name + ".example.jp"}, Layout: layout, Authority: p.CA().Chain(), CRL: crl}
		state, err := install.Inspect(t)
		if err != nil {
			b.Fatal(err)
		}
		contents, err := t.Obtain(b.Context(), t.Plan(state, time.Now()), state, testpki.Source{PKI: p})
		if err != nil {
			b.Fatal(err)
		}
		if block, _ := pem.Decode(contents[install.CRL]); block != nil {
			t.CRL = block.Bytes
			crl = t.CRL
		}
		if _, err := journal.Install(t, contents, state, time.Now()); err != nil {
			b.Fatal(err)
		}
		targets = append(targets, t)
	}
	return targets
}

// authority is somebody else's CA.
func authority(b *testing.B, number int) *x509.Certificate {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: fmt.Sprint("CA ", number)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	c, err := testpki.Certificate(template, template, key.Public(), key)
	if err != nil {
		b.Fatal(err)
	}
	return c
}
