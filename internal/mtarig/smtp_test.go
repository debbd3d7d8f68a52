package mtarig_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"mailseal/internal/mtarig"
	"mailseal/test/rig"
)

func TestSinkKeepsEveryByte(t *testing.T) {
	sink := rig.NewSink(t, mtarig.SinkConfig{})
	long := strings.Repeat("x", 70000)
	mails := []string{
		"Subject: a\r\n\r\n",
		".\r\n",
		"..a\r\n.\r\n\r\n.b",
		"bare\nline feed\n.\n.. \xff\x00\r\n",
		long + "\r\n." + long,
	}
	c := rig.Dial(t, sink.Addr())
	for _, mail := range mails {
		m := mtarig.Mail{From: "", To: []string{"b@example.net", "c@example.net"}, Data: []byte(mail), Args: []string{"BODY=8BITMIME"}}
		if err := c.Send(m); err != nil {
			t.Fatal(err)
		}
		got, err := sink.Next(wait)
		if err != nil {
			t.Fatal(err)
		}
		want := mail
		if !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		if string(got.Data) != want {
			t.Errorf("%.60q, want %.60q", got.Data, want)
		}
		if got.From != "" || !slices.Equal(got.To, m.To) || !slices.Equal(got.Args, m.Args) {
			t.Errorf("envelope %q %q %q", got.From, got.To, got.Args)
		}
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}

func TestSinkOffers(t *testing.T) {
	for _, no8bit := range []bool{false, true} {
		for _, noUTF8 := range []bool{false, true} {
			c := rig.Dial(t, rig.NewSink(t, mtarig.SinkConfig{No8BitMIME: no8bit, NoSMTPUTF8: noUTF8}).Addr())
			if _, ok := c.Extensions["8BITMIME"]; ok == no8bit {
				t.Errorf("8BITMIME offered: %v", ok)
			}
			if _, ok := c.Extensions["SMTPUTF8"]; ok == (noUTF8 || no8bit) {
				t.Errorf("SMTPUTF8 offered: %v", ok)
			}
		}
	}
}

func TestSinkRefuses(t *testing.T) {
	sink := rig.NewSink(t, mtarig.SinkConfig{
		Rcpt: func(addr string) error {
			if strings.HasPrefix(addr, "no") {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody"}
			}
			return nil
		},
		Data: func(m mtarig.Mail) error {
			if bytes.Contains(m.Data, []byte("later")) {
				return errors.New("later")
			}
			return nil
		},
	})
	c := rig.Dial(t, sink.Addr())
	m := mtarig.Mail{From: "a@example.test", To: []string{"no@example.net"}, Data: []byte("x: y\r\n\r\n")}
	if err := c.Send(m); mtarig.Code(err) != 550 {
		t.Errorf("refused recipient: %v", err)
	}
	m.To, m.Data = []string{"yes@example.net"}, []byte("later: y\r\n\r\n")
	if err := c.Send(m); mtarig.Code(err) != 451 {
		t.Errorf("refused mail: %v", err)
	}
	if n := len(sink.Mails()); n != 0 {
		t.Errorf("%d mails kept, want none", n)
	}
	if _, err := sink.Next(time.Millisecond); !errors.Is(err, mtarig.ErrTimeout) {
		t.Errorf("Next on an empty sink: %v", err)
	}
	m.Data = []byte("now: y\r\n\r\n")
	if err := c.Send(m); err != nil {
		t.Error(err)
	}
	if _, err := sink.Next(wait); err != nil {
		t.Error(err)
	}
}

// A hop that does not offer 8BITMIME gets no 8-bit body from Postfix.
func TestHopWithout8BitMIME(t *testing.T) {
	for _, kind := range rig.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			sink := rig.NewSink(t, mtarig.SinkConfig{No8BitMIME: true})
			mta := kind.Start(t, mtarig.Config{Relay: sink.Addr()})
			m := mtarig.Mail{
				From: "a@example.test", To: []string{"b@example.net"}, Args: []string{"BODY=8BITMIME"},
				Data: []byte("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\u00fc\u00df\r\n"),
			}
			if err := mtarig.Send(mta.Addr(), m); err != nil {
				t.Fatal(err)
			}
			got, err := sink.Next(wait)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.IndexFunc(got.Data, func(r rune) bool { return r > '~' }) >= 0 || len(got.Args) > 0 {
				t.Errorf("8-bit mail, MAIL arguments %q:\n%s", got.Args, got.Data)
			}
		})
	}
}

func TestSTARTTLS(t *testing.T) {
	files := selfSigned(t)
	for _, kind := range rig.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			sink := rig.NewSink(t, mtarig.SinkConfig{})
			mta := kind.Start(t, mtarig.Config{Relay: sink.Addr(), TLS: files})
			m := throughTLS(t, mta.Addr(), sink)
			if !bytes.Contains(m.Data, []byte("TLSv1.3")) {
				t.Errorf("no word of TLS in\n%s", m.Data)
			}
		})
	}
}

// throughTLS sends a mail over TLS and has what arrives of it.
func throughTLS(t *testing.T, addr string, sink *mtarig.Sink) mtarig.Mail {
	t.Helper()
	c := rig.Dial(t, addr)
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello("client.example.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(plain); err != nil {
		t.Fatal(err)
	}
	m, err := sink.Next(wait)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func selfSigned(t *testing.T) mtarig.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mta.example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return mtarig.TLS{Certificate: write("cert.pem", "CERTIFICATE", cert), Key: write("key.pem", "PRIVATE KEY", der)}
}
