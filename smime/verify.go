package smime

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/smime/cms"
)

// VerifyOptions bound the work. The zero value is good for mail with CRLF.
type VerifyOptions struct {
	Limits message.Limits
	CMS    cms.Limits
	// Root is the mail's walk where the caller has it already.
	Root *message.Part
	// Spool is needed for mail with LF alone, which is verified as CRLF.
	Spool *spool.Store
	// Content, if set, gets the content of an opaque signature as it streams.
	// It is to be believed only after Verify returned, and what it said.
	Content io.Writer
	// ParseCertificate as in cms.ReadOptions.
	ParseCertificate func(der []byte) (*x509.Certificate, error)
	// Certificates are known to the caller and tried for signers whose own
	// certificate is not in the mail.
	Certificates []*x509.Certificate
	// Nested is how many of the signed parts further inside are verified.
	Nested int
}

// A Report is what is known of a mail's signature without trusting anybody.
type Report struct {
	Kind Kind
	// Part is the section of the signature (RFC 7281 section 3.2.1), "" when
	// there is none.
	Part    string
	Signers []Signer
	// Certificates are all that came along, parsed; Unparsed counts the others.
	Certificates []*x509.Certificate
	CRLs         [][]byte
	Unparsed     int
	// Err is nil or a *Problem: then no signer counts.
	Err error
	// Nested are S/MIME objects that cover only a part of the mail, in order;
	// they decide nothing. There are at most MaxNested.
	Nested []Nested
}

// A Signer is one signature over the mail and what became of it.
type Signer struct {
	// Result.Err is nil when the signature is good over the content.
	Result cms.SignerResult
}

// Verify finds out whether the mail as a whole is signed and each signature
// holds. Its error is one of I/O or a passed *message.LimitError; what is
// wrong with the mail or its signature is in the Report.
func Verify(m *message.Message, o VerifyOptions) (*Report, error) {
	body, done, err := canonical(m, o.Spool)
	if err != nil {
		return nil, err
	}
	defer done.Close()
	f, root, err := o.examine(m, body)
	if err != nil {
		return nil, err
	}
	r, err := report(body, root, f, o.Certificates)
	if err != nil {
		return nil, err
	}
	if err := o.nested(r, body, root); err != nil {
		return nil, err
	}
	return r, nil
}

// report says what is known of the signatures of an entity.
func report(b message.Body, p *message.Part, f finding, known []*x509.Certificate) (*Report, error) {
	r := &Report{Kind: f.kind}
	if f.part != nil {
		r.Part = section(f.part)
	}
	if f.problem != nil {
		r.Err = f.problem
	}
	if f.signed == nil {
		return r, nil
	}
	return r, r.signers(b, p, f, known)
}

// examine finds out what the mail is.
func (o VerifyOptions) examine(m *message.Message, body message.Body) (f finding, root *message.Part, err error) {
	if m.Newline != "\n" {
		root = o.Root
	}
	if root == nil {
		if f, root, err = examineAhead(m.Header, body, o); root != nil || err != nil {
			return f, root, err
		}
		if root, err = message.Walk(m.Header, body, o.Limits); err != nil {
			return f, nil, err
		}
	}
	// A writer of the caller's that fails is no fault of the mail.
	content := &sink{w: o.Content}
	f, err = examine(body, root, cms.ReadOptions{Content: content, Limits: o.CMS, ParseCertificate: o.ParseCertificate})
	return f, root, errors.Join(err, content.err)
}

// canonical returns the mail's body with CRLF, which is what signatures are
// over (RFC 8551 section 3.1.1), and what to close when it is no longer read:
// not the mail's own.
func canonical(m *message.Message, s *spool.Store) (message.Body, io.Closer, error) {
	if m.Newline != "\n" {
		return m.Body, nothing{}, nil
	}
	if s == nil {
		return nil, nil, errors.New("mail has lines that end in LF, and there is no spool to rewrite them in")
	}
	file := s.Create()
	if _, err := io.Copy(file, message.CRLF(message.NewReader(m.Body))); err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, file, nil
}

type nothing struct{}

func (nothing) Close() error { return nil }

// sink passes content on, if anybody wants it, and keeps the error.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.w == nil {
		return len(p), nil
	}
	n, err := s.w.Write(p)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("write signed content: %w", err)
	}
	return n, err
}

// section is a part's number for others: what IMAP calls the only part of a
// mail without parts (RFC 3501 section 6.4.5).
func section(p *message.Part) string {
	if p.Section == "" {
		return "1"
	}
	return p.Section
}

// signers hashes the content of a detached signature and judges each signer.
func (r *Report) signers(b message.Body, root *message.Part, f finding, known []*x509.Certificate) error {
	r.Certificates, r.CRLs, r.Unparsed = f.signed.Certificates, f.signed.CRLs, len(f.signed.Unparsed)
	if !f.kind.Signed() {
		return nil
	}
	if f.kind == SignedDetached && f.problem == nil && !f.hashed {
		if err := f.signed.DigestContent(newStream(f.content.Raw(b), nil)); err != nil {
			return err
		}
	}
	for _, res := range f.signed.Verify(known...) {
		r.Signers = append(r.Signers, Signer{res})
	}
	if f.kind == SignedDetached && r.Err == nil {
		if p := checkMicalg(root.Params["micalg"], r.Signers); p != nil {
			r.Err = p
		}
	}
	if why := ambiguous(f.kind, root.Header); why != "" && r.Err == nil {
		r.Err = &Problem{BadStructure, why, nil}
	}
	for i := range r.Signers {
		// Nobody who overlooks Report.Err may take a signer for good.
		if s := &r.Signers[i]; r.Err != nil && s.Result.Err == nil {
			s.Result.Err = r.Err
		}
	}
	return nil
}

// micalgs are the digests' names in multipart/signed (RFC 8551 section
// 3.5.3.2), and what older programs called them.
var micalgs = map[string]string{
	"md5": "MD5", "rsa-md5": "MD5",
	"sha1": "SHA-1", "sha-1": "SHA-1", "rsa-sha1": "SHA-1", "rsa-sha-1": "SHA-1",
	"sha224": "SHA-224", "sha-224": "SHA-224", "rsa-sha224": "SHA-224",
	"sha256": "SHA-256", "sha-256": "SHA-256", "rsa-sha256": "SHA-256",
	"sha384": "SHA-384", "sha-384": "SHA-384", "rsa-sha384": "SHA-384",
	"sha512": "SHA-512", "sha-512": "SHA-512", "rsa-sha512": "SHA-512",
	"sha3-256": "SHA3-256", "sha3-384": "SHA3-384", "sha3-512": "SHA3-512", // RFC 9688 section 2
	"shake256": "SHAKE256",
}

// checkMicalg: the digests that the mail announces and those that the
// signatures are made with must agree (RFC 1847 section 2.1). A list with a
// name that is not known here may mean anything, and an absent one says
// nothing (RFC 8551 section 3.5.3.2: recover gracefully).
func checkMicalg(micalg string, signers []Signer) *Problem {
	var named []string
	for name := range strings.SplitSeq(strings.ToLower(micalg), ",") {
		h, ok := micalgs[strings.TrimSpace(name)]
		if !ok {
			return nil
		}
		named = append(named, h)
	}
	for _, s := range signers {
		if s.Result.Digest == 0 {
			continue
		}
		h := cms.DigestName(s.Result.Digest)
		ok := false
		for _, n := range named {
			ok = ok || n == h
		}
		if !ok {
			return &Problem{Contradiction, fmt.Sprintf("micalg says %s, the signature is made with %s", strings.Join(named, ", "), h), nil}
		}
	}
	return nil
}
