package web

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/crypto/ocsp"
)

func request(t testing.TB, cert, issuer *x509.Certificate, hash crypto.Hash) []byte {
	t.Helper()
	q, err := ocsp.CreateRequest(cert, issuer, &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestOCSP: what is answered about whom, by POST and GET as clients write it.
func TestOCSP(t *testing.T) {
	m := newMirror(t)
	issuer := m.ca.Certificate()
	good := request(t, m.good, issuer, crypto.SHA1)
	if r := m.ask("POST", "/ocsp", good); !bytes.Equal(content(t, r), ocsp.TryLaterErrorResponse) {
		t.Error("before there is anything")
	}
	if err := m.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	twice := append([]byte{}, good...)
	another := newMirror(t)
	for _, tt := range []struct {
		what     string
		question []byte
		status   int    // of the certificate
		refusal  []byte // nil: none
	}{
		{"good", good, ocsp.Good, nil},
		{"revoked", request(t, m.revoked, issuer, crypto.SHA1), ocsp.Revoked, nil},
		{"no answer", request(t, m.silent, issuer, crypto.SHA1), 0, ocsp.UnauthorizedErrorResponse},
		{"another CA's", request(t, another.good, another.ca.Certificate(), crypto.SHA1), 0, ocsp.UnauthorizedErrorResponse},
		{"by SHA-256", request(t, m.good, issuer, crypto.SHA256), 0, ocsp.UnauthorizedErrorResponse},
		{"nothing", nil, 0, ocsp.MalformedRequestErrorResponse},
		{"something behind it", append(twice, 0), 0, ocsp.MalformedRequestErrorResponse},
		{"two", doubled(t, good), 0, ocsp.MalformedRequestErrorResponse},
		{"large", bytes.Repeat([]byte{0x30}, maxOCSP+1), 0, ocsp.MalformedRequestErrorResponse},
	} {
		in := base64.StdEncoding.EncodeToString(tt.question)
		answers := map[string]*http.Response{"POST": m.ask("POST", "/pki/ocsp", tt.question, "Content-Type", "application/ocsp-request")}
		if len(tt.question) > 0 {
			answers["GET"] = m.ask("GET", "/ocsp/"+in, nil)
			answers["GET, escaped"] = m.ask("GET", "/pki/ocsp/"+url.QueryEscape(in), nil)
		}
		for how, r := range answers {
			got := content(t, r)
			if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/ocsp-response" {
				t.Errorf("%s by %s: %d, %v", tt.what, how, r.StatusCode, r.Header)
			}
			if tt.refusal != nil {
				if !bytes.Equal(got, tt.refusal) || r.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s by %s: %x, want %x; %v", tt.what, how, got, tt.refusal, r.Header)
				}
				continue
			}
			p, err := ocsp.ParseResponse(got, issuer)
			if err != nil || p.Status != tt.status {
				t.Errorf("%s by %s: %v, %v", tt.what, how, p, err)
			} else if r.Header.Get("Expires") != p.NextUpdate.Format(http.TimeFormat) || r.Header.Get("ETag") == "" {
				t.Errorf("%s by %s: %v", tt.what, how, r.Header)
			}
		}
	}
	m.clock = m.clock.AddDate(0, 0, 30)
	if r := m.ask("POST", "/ocsp", good); !bytes.Equal(content(t, r), ocsp.TryLaterErrorResponse) {
		t.Error("an answer that has ended is shown")
	}
}

// doubled is a question with its Request twice.
func doubled(t testing.TB, question []byte) []byte {
	t.Helper()
	if question[1] >= 0x80 || question[3] >= 0x80 || question[5] >= 0x80 {
		t.Fatal("want short lengths")
	}
	one := question[6:]
	inner := append([]byte{0x30, 0x81, byte(2 * len(one))}, append(append([]byte{}, one...), one...)...)
	middle := append([]byte{0x30, 0x81, byte(len(inner))}, inner...)
	return append([]byte{0x30, 0x81, byte(len(middle))}, middle...)
}

// FuzzOCSP: no question breaks anything, and an answer is about the certificate
// that was asked for.
func FuzzOCSP(f *testing.F) {
	m := newMirror(f)
	if err := m.take(f.Context()); err != nil {
		f.Fatal(err)
	}
	issuer := m.ca.Certificate()
	f.Add(request(f, m.good, issuer, crypto.SHA1))
	f.Add(request(f, m.revoked, issuer, crypto.SHA256))
	f.Add(doubled(f, request(f, m.good, issuer, crypto.SHA1)))
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, question []byte) {
		r := m.ask("POST", "/ocsp", question)
		got := content(t, r)
		if r.StatusCode != 200 || len(got) < 5 {
			t.Fatalf("%d, %x", r.StatusCode, got)
		}
		if len(got) == 5 {
			return // a status alone
		}
		p, err := ocsp.ParseResponse(got, issuer)
		q, qerr := ocsp.ParseRequest(question)
		if err != nil || qerr != nil || p.SerialNumber.Cmp(q.SerialNumber) != 0 {
			t.Fatalf("%v, %v: an answer to another question", err, qerr)
		}
	})
}

func TestSerialText(t *testing.T) {
	for n, want := range map[int64]string{0: "00", 1: "01", 255: "FF", 256: "0100"} {
		if got := serialText(big.NewInt(n)); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
