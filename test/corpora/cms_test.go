package corpora

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"mailseal/smime/cms"
	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/recipient"
)

// cms reads an object in every way there is.
func (s *shelf) cms(t *testing.T, name string, oid asn1.ObjectIdentifier, data []byte) (outcome string) {
	t.Helper()
	cheaply(t, name, "Describe", func() { cms.Describe(bytes.NewReader(data)) })
	cheaply(t, name, "other readers", func() {
		cms.ReadEnveloped(bytes.NewReader(data), cms.ReadEnvelopedOptions{Spool: s.place})
		cms.ReadCompressed(bytes.NewReader(data), cms.ReadOptions{})
		cms.ReadDigested(bytes.NewReader(data), cms.ReadOptions{})
		cms.ReadSignedData(bytes.NewReader(data), cms.ReadOptions{})
	})
	var content bytes.Buffer
	o := cms.ReadOptions{Content: &content}
	switch {
	case oid.Equal(cms.OIDSignedData):
		return s.signed(name, data)
	case oid.Equal(cms.OIDEnvelopedData), oid.Equal(cms.OIDAuthEnvelopedData):
		return s.enveloped(t, name, data)
	case oid.Equal(cms.OIDCompressedData):
		_, err := cms.ReadCompressed(bytes.NewReader(data), o)
		return verdict("compressed-data", "decompressed", err)
	case oid.Equal(cms.OIDDigestedData):
		_, err := cms.ReadDigested(bytes.NewReader(data), o)
		return verdict("digested-data", "digest right", err)
	}
	d, err := cms.Describe(bytes.NewReader(data))
	if err != nil {
		return verdict("CMS", "", err)
	}
	return verdict(d.TypeName, "described only", nil)
}

func verdict(what, good string, err error) string {
	if err != nil {
		return what + ": " + err.Error()
	}
	return what + ": " + good
}

// signed verifies each signer, with the content inside or the file beside that
// the signature is over.
func (s *shelf) signed(name string, data []byte) string {
	verify := func(content []byte) (string, error) {
		sd, err := cms.ReadSignedData(bytes.NewReader(data), cms.ReadOptions{})
		if err != nil {
			return "", err
		}
		if len(sd.Signers) == 0 {
			return fmt.Sprintf("certificates only: %d, %d not parsed", len(sd.Certificates), len(sd.Unparsed)), nil
		}
		if !sd.HasContent {
			if err := sd.DigestContent(bytes.NewReader(content)); err != nil {
				return "", err
			}
		}
		var results []string
		for _, r := range sd.Verify(s.everybody(name)...) {
			results = append(results, verdict("signer", "verified, "+r.Algorithm, r.Err))
		}
		return strings.Join(results, ", "), nil
	}
	best, err := verify(nil)
	if err != nil {
		return verdict("signed-data", "", err)
	}
	for _, content := range s.beside(name) {
		if !strings.Contains(best, cms.ErrDigest.Error()) {
			break
		}
		best, _ = verify(content)
	}
	return "signed-data: " + best
}

// A place is where plaintext waits, in memory.
type place struct{ bytes.Buffer }

func (p *place) ReadAt(b []byte, off int64) (int, error) {
	return bytes.NewReader(p.Bytes()).ReadAt(b, off)
}
func (p *place) Close() error { return nil }

func (s *shelf) place() (cms.Spool, error) { return &place{}, nil }

// enveloped tries every key and password that the corpora have, each named as
// the recipients are: many a certificate is not there, its key is.
func (s *shelf) enveloped(t *testing.T, name string, data []byte) string {
	t.Helper()
	infos, err := recipients(data)
	if err != nil {
		return verdict("encrypted", "", err)
	}
	var why error
	try := func(file string, k recipient.Key) (outcome string, ok bool) {
		cheaply(t, name, "ReadEnveloped", func() {
			o := cms.ReadEnvelopedOptions{Keys: recipient.List{k}, Spool: s.place, Check: isText}
			e, err := cms.ReadEnveloped(bytes.NewReader(data), o)
			if ok = err == nil; ok {
				outcome = fmt.Sprintf("encrypted: opened, %v, %s, %d octets, with %s", e.Cipher, e.Recipients[e.Opened].Kind, e.Content.Size(), file)
			} else if why == nil || errors.Is(why, cms.ErrNoRecipient) {
				why = err
			}
		})
		return outcome, ok
	}
	for _, i := range infos {
		for _, id := range i.Recipients {
			for _, k := range s.keys {
				c := &x509.Certificate{RawIssuer: id.Issuer, SerialNumber: id.Serial, SubjectKeyId: id.SubjectKeyID}
				if c.SerialNumber == nil {
					c.SerialNumber = new(big.Int)
				}
				if public, ok := k.private.(interface{ Public() any }); ok {
					c.PublicKey = public.Public()
				}
				if outcome, ok := try(k.file, recipient.Key{Certificate: c, Private: k.private}); ok {
					return outcome
				}
			}
		}
	}
	for _, p := range passwords {
		if outcome, ok := try("a password", recipient.Key{Password: []byte(p)}); ok {
			return outcome
		}
	}
	var kinds []string
	for _, i := range infos {
		kinds = append(kinds, string(i.Kind))
	}
	slices.SortFunc(kinds, cmp.Compare[string])
	return fmt.Sprintf("encrypted for %s: %v", strings.Join(slices.Compact(kinds), " "), why)
}

// isText refuses what a wrong key makes of one ciphertext in 256. Everything that is encrypted in the corpora is text.
func isText(r *io.SectionReader) bool {
	text, err := io.ReadAll(r)
	return err == nil && utf8.Valid(text)
}

// recipients takes an EnvelopedData apart far enough.
func recipients(data []byte) (infos []*recipient.Info, err error) {
	full, err := ber.DER(data, ber.Limits{})
	if err != nil {
		return nil, err
	}
	in := cryptobyte.String(full)
	var info, wrapper, enveloped, set cryptobyte.String
	context0 := der.Tag(0).ContextSpecific().Constructed()
	ok := in.ReadASN1(&info, der.SEQUENCE) && info.SkipASN1(der.OBJECT_IDENTIFIER) && info.ReadASN1(&wrapper, context0) &&
		wrapper.ReadASN1(&enveloped, der.SEQUENCE) && enveloped.SkipASN1(der.INTEGER) && enveloped.SkipOptionalASN1(context0) &&
		enveloped.ReadASN1(&set, der.SET)
	for ok && !set.Empty() {
		var element cryptobyte.String
		var tag der.Tag
		if ok = set.ReadAnyASN1Element(&element, &tag); ok {
			i, err := recipient.Parse(element)
			if err != nil {
				return nil, err
			}
			infos = append(infos, i)
		}
	}
	if !ok {
		return nil, errors.New("not taken apart")
	}
	return infos, nil
}
