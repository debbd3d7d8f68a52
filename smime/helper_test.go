package smime_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
	"mailseal/smime"
)

// newSpool returns a spool. What is large goes to files without a name: there
// is nothing to clean up.
func newSpool(t testing.TB) *spool.Store {
	t.Helper()
	s, err := spool.New(spool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read makes a mail of text as an MTA hands it over: lines that end in LF in
// the text end in CRLF in the mail, those with CRLF stay.
func read(t testing.TB, s *spool.Store, mail string) *message.Message {
	t.Helper()
	return readRaw(t, s, strings.ReplaceAll(strings.ReplaceAll(mail, "\r\n", "\n"), "\n", "\r\n"))
}

// readRaw makes a mail of exactly these bytes.
func readRaw(t testing.TB, s *spool.Store, mail string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(mail), s, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Body.Close() })
	return m
}

// sign returns the mail as the MTA sends it on.
func sign(t testing.TB, m *message.Message, o smime.SignOptions) *message.Message {
	t.Helper()
	edits, err := smime.Sign(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return apply(t, m, edits)
}

func apply(t testing.TB, m *message.Message, edits []message.Edit) *message.Message {
	t.Helper()
	signed, err := m.Apply(edits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { message.Verdict{Edits: edits}.Close() })
	return signed
}

func verify(t testing.TB, m *message.Message) *smime.Report {
	t.Helper()
	r, err := smime.Verify(m, smime.VerifyOptions{Spool: newSpool(t)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// good reports whether the mail is signed as a whole and by everybody who
// says so.
func good(r *smime.Report) bool {
	if r.Err != nil || len(r.Signers) == 0 || !r.Kind.Signed() {
		return false
	}
	for _, s := range r.Signers {
		if s.Result.Err != nil {
			return false
		}
	}
	return true
}

func describe(r *smime.Report) string {
	var b strings.Builder
	b.WriteString(r.Kind.String())
	if r.Err != nil {
		b.WriteString(", " + r.Err.Error())
	}
	for _, s := range r.Signers {
		if s.Result.Err == nil {
			b.WriteString(", good signer")
		} else {
			b.WriteString(", signer: " + s.Result.Err.Error())
		}
	}
	return b.String()
}

func text(t testing.TB, b message.Body) string {
	t.Helper()
	p, err := io.ReadAll(message.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func whole(t testing.TB, m *message.Message) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func walk(t testing.TB, m *message.Message) *message.Part {
	t.Helper()
	root, err := message.Walk(m.Header, m.Body, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// entityOf is what a signed mail's signature is over.
func entityOf(t testing.TB, signed *message.Message) string {
	t.Helper()
	root := walk(t, signed)
	if root.MediaType == "multipart/signed" {
		return text(t, root.Parts[0].Raw(signed.Body))
	}
	var b strings.Builder
	if _, err := smime.Verify(signed, smime.VerifyOptions{Content: &b}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var fixed = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func options(t testing.TB, id pki.Identity, f smime.Format) smime.SignOptions {
	t.Helper()
	return smime.SignOptions{Identity: id, Format: f, Spool: newSpool(t), Now: func() time.Time { return fixed }}
}

// corpora is the folder of mails and keys that others made.
func corpora(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("MAILSEAL_CORPORA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpora")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no corpora: %v", err)
	}
	return dir
}
