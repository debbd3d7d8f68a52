package cms

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"mailseal/smime/cms/ber"
)

// Whatever arrives: no panic, memory within bounds, every error of a known kind, and an answer that depends on nothing but the
// octets: not on how they arrive, nor on whether a signature looks good at first.
func FuzzSignedData(f *testing.F) {
	content := []byte("content")
	for _, id := range everyone {
		f.Add(detached(f, content, id().signer()))
	}
	f.Add(opaque(f, content, p256().signer(), ed().signer()))
	f.Add(streamed(content, opaque(f, content, p256().signer()), 3))
	noAttributes := forge("content")
	noAttributes.attributes, noAttributes.unsigned = nil, [][]byte{attr(oidCapabilities, addCapabilities)}
	f.Add(noAttributes.build())
	noAttributes.certs = nil
	f.Add(berEncode(noAttributes.build()))
	for _, prefix := range [][]byte{shell.content, shell.certificates, shell.crls, shell.signers} {
		f.Add(prefix)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		first, firstErr := answer(bytes.NewReader(in))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20+uint64(200*len(in)) {
			t.Fatalf("%d octets make %d allocated", len(in), n)
		}
		again, againErr := answer(iotest.OneByteReader(bytes.NewReader(in)))
		if first != again || (firstErr == nil) != (againErr == nil) {
			t.Fatalf("at once:\n%s\nin single octets:\n%s\n%v, %v", first, again, firstErr, againErr)
		}
		if firstErr != nil && !errors.Is(firstErr, ErrMalformed) && !errors.Is(firstErr, ErrLimit) && !errors.Is(firstErr, ErrUnsupported) {
			t.Fatalf("error of no known kind: %v", firstErr)
		}
		_, err := Describe(bytes.NewReader(in))
		if oid, _ := Identify(bytes.NewReader(in)); oid.Equal(OIDSignedData) && (err == nil) != (firstErr == nil) {
			t.Fatalf("read: %v, described: %v", firstErr, err)
		}
		// What reads as DER of the same object means the same.
		if der, err := ber.DER(in, ber.Limits{}); firstErr == nil && err == nil {
			if third, err := answer(bytes.NewReader(der)); err != nil {
				t.Fatalf("in DER:\n%s\n%v\nbefore:\n%s", third, err, first)
			}
		}
	})
}

// answer writes down all that is said of an object.
func answer(r io.Reader) (string, error) {
	var out bytes.Buffer
	s, err := ReadSignedData(r, ReadOptions{Content: &out})
	if err != nil {
		return "", err
	}
	if !s.HasContent {
		if err := s.DigestContent(bytes.NewReader([]byte("content"))); err != nil {
			return "", err
		}
	}
	text := fmt.Sprintf("%v %v %q %d %d %d %d\n", s.DigestAlgorithms, s.ContentType, out.Bytes(), s.ContentSize, len(s.Certificates), len(s.Unparsed), len(s.CRLs))
	for _, r := range s.Verify() {
		text += fmt.Sprintln(r.Algorithm, r.Err, r.SigningTime, r.Certificate != nil)
	}
	return text + fmt.Sprintf("%+v", s.Describe()), nil
}
