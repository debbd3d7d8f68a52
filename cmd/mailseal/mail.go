package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"mailseal/internal/message"
	"mailseal/internal/pki"
	"mailseal/internal/spool"
)

// readMail reads the mail on standard input, with LF or CRLF. The caller closes
// its body.
func readMail(r io.Reader, store *spool.Store) (*message.Message, error) {
	m, err := message.Read(r, store, message.Limits{})
	var limit *message.LimitError
	switch {
	case errors.As(err, &limit):
		return nil, fail(exDataErr, fmt.Errorf("read the mail: %w", err))
	case err != nil:
		return nil, fail(exIOErr, err)
	}
	if len(m.Header) == 0 {
		m.Body.Close()
		return nil, failf(exDataErr, "no mail on standard input: it has no header")
	}
	return m, nil
}

// writeMail writes an edited mail with the line ends of the one it came from.
// What S/MIME makes has CRLF; a file with LF is verified as if it had CRLF by
// everybody (RFC 8551 section 3.1.1), so a mail that came with LF leaves so.
func writeMail(w io.Writer, m *message.Message, edits []message.Edit) error {
	out, err := m.Apply(edits)
	if err != nil {
		return fail(exSoftware, err)
	}
	if !replaced(edits) || m.Newline != "\n" {
		_, err = out.WriteTo(w)
	} else {
		l := newLFWriter(w)
		_, err = out.WriteTo(l)
		err = errors.Join(err, l.flush())
	}
	if err != nil {
		return fail(exIOErr, fmt.Errorf("write the mail: %w", err))
	}
	return nil
}

func replaced(edits []message.Edit) bool {
	for _, e := range edits {
		if _, ok := e.(message.ReplaceBody); ok {
			return true
		}
	}
	return false
}

// An lfWriter turns CRLF into LF, wherever writes are cut. A CR alone stays.
type lfWriter struct {
	w  *bufio.Writer
	cr bool // the last byte was a CR that is not written yet
}

func newLFWriter(w io.Writer) *lfWriter { return &lfWriter{w: bufio.NewWriterSize(w, 32<<10)} }

func (l *lfWriter) Write(p []byte) (int, error) {
	for _, c := range p {
		if l.cr && c != '\n' {
			l.w.WriteByte('\r')
		}
		if l.cr = c == '\r'; !l.cr {
			l.w.WriteByte(c)
		}
	}
	_, err := l.w.Write(nil) // bufio.Writer remembers its first error
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *lfWriter) flush() error {
	if l.cr {
		l.cr = false
		l.w.WriteByte('\r')
	}
	return l.w.Flush()
}

// newSpool holds the mail of a short-lived command, in the system's own
// folder for temporary files.
func newSpool() (*spool.Store, error) {
	s, err := spool.New(spool.Config{})
	if err != nil {
		return nil, fail(exCantCreate, err)
	}
	return s, nil
}

// readIdentity reads the file of -identity and warns when others can.
func readIdentity(env Env, name, passphraseFile string) (pki.Identity, error) {
	var phrase []byte
	if passphraseFile != "" {
		p, err := pki.ReadPassphrase(passphraseFile)
		if err != nil {
			return pki.Identity{}, fail(exNoInput, err)
		}
		phrase = p
	}
	id, err := pki.ReadIdentity(name, phrase)
	switch {
	case errors.Is(err, pki.ErrNoPassphrase):
		return id, fail(exDataErr, fmt.Errorf("%w; give the file that holds it with -passphrase-file", err))
	case errors.Is(err, pki.ErrPassphrase):
		return id, fail(exDataErr, err)
	case err != nil:
		return id, fail(exNoInput, err)
	}
	for _, f := range []string{name, passphraseFile} {
		if f == "" {
			continue
		}
		if err := pki.CheckKeyMode(f); err != nil {
			fmt.Fprintf(env.Stderr, "warning: %v\n", err)
		}
	}
	return id, nil
}
