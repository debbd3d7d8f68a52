package smime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"mailseal/internal/message"
	"mailseal/smime/cms"
)

// Classify says what the mail is as a whole. root is its walk. The CMS in it
// decides, not the label: a text labelled application/pkcs7-mime is Malformed,
// and signed-data is signed-data whatever its smime-type says. The error is
// one of I/O.
func Classify(m *message.Message, root *message.Part) (Kind, error) {
	f, err := examine(m.Body, root, cms.ReadOptions{})
	return f.kind, err
}

// A finding is what an entity is as S/MIME, and the signed-data in it.
type finding struct {
	kind    Kind
	part    *message.Part   // that the CMS is in
	content *message.Part   // that a detached signature is over
	signed  *cms.SignedData // when kind is SignedDetached, SignedOpaque or CertsOnly
	problem *Problem        // why it is Malformed, or cannot be verified
	hashed  bool            // the content of a detached signature went through its digests
}

// examine looks at one entity, by parsing the CMS that its label promises.
// o.Content gets the content of an opaque signature.
func examine(b message.Body, p *message.Part, o cms.ReadOptions) (finding, error) {
	w := &watched{Body: b}
	var f finding
	switch {
	case p.MediaType == "multipart/signed":
		f = examineSigned(w, p, o)
	case p.MediaType == "multipart/encrypted":
		f = finding{kind: Plain}
		if isOpenPGP(w, p) {
			f.kind = OpenPGP
		}
	case labelled(p) || named(p):
		f = examineOpaque(w, p, o)
	}
	return f, w.err
}

// watched keeps the error of a Body, so that trouble with the disk is not
// taken for trouble with the mail.
type watched struct {
	message.Body
	err error
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.Body.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) && w.err == nil {
		w.err = err
	}
	return n, err
}

// labelled: application/pkcs7-mime, pkcs7-signature and what they were called
// before they were registered (RFC 8551 section 3.2, RFC 2311).
func labelled(p *message.Part) bool {
	switch p.MediaType {
	case "application/pkcs7-mime", "application/x-pkcs7-mime",
		"application/pkcs7-signature", "application/x-pkcs7-signature":
		return true
	}
	return false
}

// named: octet-stream that its name says to be S/MIME (RFC 8551 section 3.10).
func named(p *message.Part) bool {
	if p.MediaType != "application/octet-stream" {
		return false
	}
	for _, name := range []string{p.DispositionParams["filename"], p.Params["name"]} {
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			switch strings.ToLower(name[i:]) {
			case ".p7m", ".p7s", ".p7c", ".p7z":
				return true
			}
		}
	}
	return false
}

func malformed(reason string) finding {
	return finding{kind: Malformed, problem: &Problem{BadStructure, reason, nil}}
}

// examineSigned looks at a multipart/signed (RFC 1847 section 2.1, RFC 8551
// section 3.5.3).
func examineSigned(b message.Body, p *message.Part, o cms.ReadOptions) finding {
	protocol := strings.ToLower(p.Params["protocol"])
	ours := strings.Contains(protocol, "pkcs7")
	for _, c := range p.Parts {
		ours = ours || labelled(c)
	}
	switch {
	case !ours && isOpenPGP(b, p):
		return finding{kind: OpenPGP}
	case len(p.Parts) != 2 && !ours:
		return finding{kind: Plain}
	case repeated(p):
		return malformed("more than one Content-Type")
	case len(p.Parts) == 0 && p.Malformed != "":
		return malformed(p.Malformed)
	case len(p.Parts) != 2:
		return malformed(fmt.Sprintf("multipart/signed of %d parts, 2 are needed", len(p.Parts)))
	}
	content, signature := p.Parts[0], p.Parts[1]
	if !labelled(signature) && !named(signature) {
		if ours {
			return malformed("second part of multipart/signed is no CMS signature")
		}
		return finding{kind: Plain}
	}
	sd, err := cms.ReadSignedData(signature.Decode(b), cms.ReadOptions{Limits: o.Limits, ParseCertificate: o.ParseCertificate})
	if err != nil {
		return finding{kind: Malformed, part: signature, problem: explain("signature part", err)}
	}
	f := finding{kind: SignedDetached, part: signature, content: content, signed: sd, problem: judge(sd)}
	if sd.HasContent {
		// One content would be shown and another verified.
		f.problem = &Problem{Contradiction, "signature of multipart/signed carries its own content", nil}
	}
	if f.problem == nil {
		f.problem = doubtful(b, p)
	}
	return f
}

// doubtful says why readers may show more of a multipart/signed than its
// content, nil when they do not. What is around that is not signed.
func doubtful(b message.Body, p *message.Part) *Problem {
	problem := func(reason string) *Problem { return &Problem{BadStructure, reason, nil} }
	signature := p.Parts[1]
	if why := unclear(p); why != "" {
		return problem(why)
	}
	for _, why := range []string{unclear(signature), stray(signature)} {
		if why != "" {
			return problem("signature part: " + why)
		}
	}
	if extraParts(b, p) {
		return problem("there are lines that some readers take for delimiters of more parts")
	}
	return nil
}

// repeated reports whether there are several types to choose from: readers
// differ in which they take.
func repeated(p *message.Part) bool { return len(p.Header.All("Content-Type")) > 1 }

// examineOpaque looks at a part that is labelled or named as CMS.
func examineOpaque(b message.Body, p *message.Part, o cms.ReadOptions) finding {
	oid, err := cms.Identify(p.Decode(b))
	if err != nil {
		return unreadable(p, err)
	}
	var kind Kind
	switch {
	case oid.Equal(cms.OIDSignedData):
		return examineSignedData(b, p, o)
	case oid.Equal(cms.OIDEnvelopedData):
		kind = Enveloped
	case oid.Equal(cms.OIDAuthEnvelopedData):
		kind = AuthEnveloped
	case oid.Equal(cms.OIDCompressedData):
		kind = Compressed
	default:
		return finding{kind: Malformed, part: p, problem: &Problem{Unsupported, "CMS content type " + oid.String() + " is no S/MIME", nil}}
	}
	if _, err := cms.Describe(p.Decode(b)); err != nil {
		return unreadable(p, err)
	}
	return finding{kind: kind, part: p}
}

func examineSignedData(b message.Body, p *message.Part, o cms.ReadOptions) finding {
	sd, err := cms.ReadSignedData(p.Decode(b), o)
	if err != nil {
		return unreadable(p, err)
	}
	f := finding{kind: SignedOpaque, part: p, signed: sd, problem: judge(sd)}
	switch {
	case len(sd.Signers) == 0 && !sd.HasContent:
		f.kind, f.problem = CertsOnly, nil
	case !sd.HasContent:
		return finding{kind: Malformed, part: p, signed: sd,
			problem: &Problem{BadStructure, "signature is without the content it is over", nil}}
	case unclear(p) != "":
		f.problem = &Problem{BadStructure, unclear(p), nil}
	}
	return f
}

// unreadable: an octet-stream may be called smime.p7m and be anything; the
// media types may not.
func unreadable(p *message.Part, err error) finding {
	if !labelled(p) {
		return finding{kind: Plain}
	}
	return finding{kind: Malformed, part: p, problem: explain(p.MediaType, err)}
}

// judge says what is wrong with signed-data whatever its signers are.
func judge(sd *cms.SignedData) *Problem {
	switch {
	case len(sd.Signers) == 0:
		return &Problem{NoSigner, "nobody signed it", nil}
	case !sd.ContentType.Equal(cms.OIDData):
		// RFC 8551 section 2.4.2: a signed time-stamp or receipt is no mail.
		return &Problem{Unsupported, "what is signed is no mail but of type " + sd.ContentType.String(), nil}
	}
	return nil
}

// explain makes a Problem of an error of package cms or of a decoder.
func explain(what string, err error) *Problem {
	class := BadStructure
	switch {
	case errors.Is(err, cms.ErrLimit):
		class = TooLarge
	case errors.Is(err, cms.ErrUnsupported):
		class = Unsupported
	}
	return &Problem{class, what + " cannot be read", err}
}

// isOpenPGP recognises PGP/MIME (RFC 3156 sections 4 and 5) by its structure:
// two parts of the right types, the second one armored.
func isOpenPGP(b message.Body, p *message.Part) bool {
	if p.Malformed != "" || len(p.Parts) != 2 {
		return false
	}
	var armor string
	switch strings.ToLower(p.Params["protocol"]) {
	case "application/pgp-signature":
		if p.MediaType != "multipart/signed" || p.Parts[1].MediaType != "application/pgp-signature" {
			return false
		}
		armor = "-----BEGIN PGP SIGNATURE-----"
	case "application/pgp-encrypted":
		if p.MediaType != "multipart/encrypted" || p.Parts[0].MediaType != "application/pgp-encrypted" {
			return false
		}
		armor = "-----BEGIN PGP MESSAGE-----"
	default:
		return false
	}
	head := make([]byte, 4<<10)
	n, _ := io.ReadFull(p.Parts[1].Decode(b), head)
	head = bytes.TrimLeft(head[:n], " \t\r\n")
	return bytes.HasPrefix(head, []byte(armor)) || armor == "-----BEGIN PGP SIGNATURE-----" &&
		bytes.HasPrefix(head, []byte("-----BEGIN PGP MESSAGE-----")) // PGP 2's signatures
}

// glance says what an entity seems to be as S/MIME, by the content type of its
// CMS alone.
func glance(b message.Body, p *message.Part) (Kind, error) {
	part, kind := p, SignedOpaque
	if p.MediaType == "multipart/signed" && len(p.Parts) == 2 {
		part, kind = p.Parts[1], SignedDetached
	}
	if !labelled(part) && !named(part) {
		return Plain, nil
	}
	w := &watched{Body: b}
	oid, err := cms.Identify(part.Decode(w))
	switch {
	case w.err != nil:
		return Plain, w.err
	case err != nil && !labelled(part):
		return Plain, nil
	case err != nil:
		return Malformed, nil
	case oid.Equal(cms.OIDSignedData):
		return kind, nil
	case kind == SignedDetached:
		return Malformed, nil
	case oid.Equal(cms.OIDEnvelopedData):
		return Enveloped, nil
	case oid.Equal(cms.OIDAuthEnvelopedData):
		return AuthEnveloped, nil
	case oid.Equal(cms.OIDCompressedData):
		return Compressed, nil
	}
	return Malformed, nil
}
