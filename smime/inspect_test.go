package smime_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
	"mailseal/smime/capability"
	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

func inspect(t testing.TB, m *message.Message) *smime.Layer {
	t.Helper()
	l, err := smime.Inspect(m, smime.InspectOptions{Spool: newSpool(t)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// changing is what differs from run to run.
var changing = regexp.MustCompile(`serial [0-9A-F]+|\d{3,} bytes`)

const inspected = `mail: application/pkcs7-mime, base64 "smime.p7m", #: signed-opaque
  CMS signed-data of data, SHA-256, # inside
  signer "CN=Test CA,O=mailseal tests,C=JP" #, ECDSA-SHA256 with SHA-256, says 2026-11-21T12:00:00Z
    reads OURS
  certificate "CN=alice@corp.example,O=mailseal tests,C=JP" of "CN=Test CA,O=mailseal tests,C=JP" #, 2026-11-21 to 2028-11-20
  1/ signed content: multipart/signed, #: signed-detached
    1/1: text/plain, 12 bytes
    1/2: application/pkcs7-signature, base64 "smime.p7s", #
      CMS signed-data of data, SHA-256, content not inside
      signer "CN=Test CA,O=mailseal tests,C=JP" #, ECDSA-SHA256 with SHA-256, says 2026-11-21T12:00:00Z
        reads OURS
      certificate "CN=alice@corp.example,O=mailseal tests,C=JP" of "CN=Test CA,O=mailseal tests,C=JP" #, 2026-11-21 to 2028-11-20
`

func TestInspect(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	m := makeParts(t, p.User("alice@corp.example", ca.P256))
	detached := multipartSigned(p7sParams, strings.ReplaceAll(entityText, "\r", ""), p7sType, m.detached, end)
	_, entity, _ := strings.Cut(detached, "MIME-Version: 1.0\n")
	twice := opaqueMail(p7mType, opaqueOver(t, strings.ReplaceAll(entity, "\n", "\r\n"), m.signer))
	l := inspect(t, read(t, newSpool(t), twice))

	var b strings.Builder
	if err := l.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(inspected, "OURS", strings.Join(capability.Ours().Words(), ", "))
	if diff := cmp.Diff(want, changing.ReplaceAllString(b.String(), "#")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	out, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var back smime.Layer
	if err := json.Unmarshal(out, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*l, back); diff != "" {
		t.Errorf("JSON loses something:\n%s", diff)
	}
}

func TestInspectKnowsRecipients(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	cert := writeFile(t, "bob.pem", testpki.CertPEM(p.User("bob@partner.example", ca.RSA2048).Certificate))
	out, err := openssl(t, []byte(entityText), "cms", "-encrypt", "-aes256", cert)
	if err != nil {
		t.Fatal(err)
	}
	l := inspect(t, readRaw(t, newSpool(t), string(out)))
	if l.Kind != smime.Enveloped || l.CMS == nil || len(l.CMS.Recipients) != 1 || l.CMS.Recipients[0].Kind != "ktri" {
		t.Errorf("%+v", l)
	}
}

func TestInspectTextCannotBeForged(t *testing.T) {
	mail := "Content-Type: application/octet-stream; name=\"a.bin\x1b[2J\"\n" +
		"Content-Disposition: attachment; filename=\"x, 5 bytes: signed-opaque\"\n\nx\n"
	var b strings.Builder
	if err := inspect(t, read(t, newSpool(t), mail)).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "mail: application/octet-stream, attachment \"x, 5 bytes: signed-opaque\", 3 bytes\n  ! Content-Type with a control character\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Signatures inside each other are opened to a depth and no further.
func TestInspectIsBounded(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	m := makeParts(t, p.User("alice@corp.example", ca.P256))
	content := entityText
	for range 10 {
		mail := opaqueMail(p7mType, opaqueOver(t, content, m.signer))
		content = strings.ReplaceAll(mail, "\n", "\r\n")
	}
	depth := 0
	for l := inspect(t, readRaw(t, newSpool(t), content)); l != nil; depth++ {
		if len(l.Layers) == 0 {
			break
		}
		l = l.Layers[0]
	}
	if depth != 8 {
		t.Errorf("opened %d signatures", depth)
	}
}

// Whoever has the key sees what is inside, and others that there is something.
func TestInspectLooksInside(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	h, id := bob(p), p.User("alice@corp.example", ca.P256)
	m := sign(t, compress(t, read(t, newSpool(t), plain)), options(t, id, smime.Opaque))
	m = encryptWith(t, m, smime.EncryptOptions{To: []recipient.To{h.to}, Cipher: content.AES256GCM, Spool: newSpool(t)})
	tree := func(keys ...recipient.Key) string {
		l, err := smime.Inspect(m, smime.InspectOptions{Spool: newSpool(t), Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := l.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	order := []string{"mail: ", ": auth-enveloped\n", "AES256-GCM", "1/ decrypted content", ": signed-opaque\n", "1/1/ signed content", ": compressed\n", "1/1/1/ decompressed content: text/plain, 12 bytes"}
	got := tree(h.key)
	for at := 0; len(order) > 0; order = order[1:] {
		i := strings.Index(got[at:], order[0])
		if i < 0 {
			t.Fatalf("no %q in\n%s", order[0], got)
		}
		at += i
	}
	if got := tree(); strings.Contains(got, "content:") || strings.Contains(got, "!") {
		t.Errorf("without a key:\n%s", got)
	}
	wrong := recipient.Key{Certificate: h.key.Certificate, Private: impostor(t, h.key.Private)}
	if got := tree(wrong); !strings.Contains(got, "! cannot be decrypted\n") || strings.Contains(got, "1/") {
		t.Errorf("with a wrong key:\n%s", got)
	}
}
