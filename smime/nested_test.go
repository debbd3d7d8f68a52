package smime_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/cms"
)

// nestedMail has a good signature over its first part, one over a forwarded mail,
// an opaque one, and one over what was changed.
func nestedMail(m made) string {
	signed := multipartSigned(p7sParams, strings.ReplaceAll(entityText, "\r\n", "\n"), p7sType, m.detached, end)
	_, part, _ := strings.Cut(signed, "MIME-Version: 1.0\n")
	return "From: eve@evil.example\nContent-Type: multipart/mixed; boundary=m\n\n--m\n" + part + "--m\nContent-Type: message/rfc822\n\n" + signed +
		"--m\nContent-Type: " + p7mType + "\nContent-Transfer-Encoding: base64\n\n" + b64(m.opaque) +
		"--m\n" + strings.Replace(part, "Bob", "Rob", 1) + "--m--\n"
}

func TestNestedSignaturesAreToldAndDecideNothing(t *testing.T) {
	m := makeParts(t, testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256))
	for n := range 6 {
		r, err := smime.Verify(read(t, newSpool(t), nestedMail(m)), smime.VerifyOptions{Spool: newSpool(t), Nested: n})
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind != smime.Plain || len(r.Signers) != 0 || r.Part != "" {
			t.Errorf("%s", describe(r))
		}
		var got []string
		for i, part := range r.Nested {
			got = append(got, fmt.Sprintf("%s %v", part.Section, part.Kind))
			if (part.Report != nil) != (i < n) {
				t.Errorf("of %d: part %s is verified: %v", n, part.Section, part.Report != nil)
			}
			if from, ok := part.Header.Get("From"); ok != (part.Section == "2") || ok && from.Text() != "alice@corp.example" {
				t.Errorf("part %s is the mail from %v", part.Section, from)
			}
		}
		if want := "[1 signed-detached 2 signed-detached 3 signed-opaque 4 signed-detached]"; fmt.Sprint(got) != want {
			t.Fatalf("%v, want %s", got, want)
		}
		if n < 4 {
			continue
		}
		for i, want := range []struct {
			part string
			err  error
		}{{"1.2", nil}, {"2.2", nil}, {"3", nil}, {"4.2", cms.ErrDigest}} {
			part := r.Nested[i].Report
			if part.Part != want.part || len(part.Signers) != 1 || !errors.Is(part.Signers[0].Result.Err, want.err) {
				t.Errorf("%s: %s, want %v at %s", r.Nested[i].Section, describe(part), want.err, want.part)
			}
		}
	}
}

func TestNestedSignaturesAreBounded(t *testing.T) {
	m := makeParts(t, testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256))
	var many strings.Builder
	many.WriteString("Content-Type: multipart/mixed; boundary=m\n\n")
	for range 100 {
		many.WriteString("--m\nContent-Type: " + p7mType + "\nContent-Transfer-Encoding: base64\n\n" + b64(m.opaque))
	}
	if r := verify(t, read(t, newSpool(t), many.String())); len(r.Nested) != smime.MaxNested {
		t.Errorf("%d nested signatures told", len(r.Nested))
	}
}
