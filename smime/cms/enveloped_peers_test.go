package cms

import (
	"bytes"
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailseal/smime/cms/content"
	"mailseal/smime/cms/recipient"
)

// toOpen tells how a peer opens what is encrypted to somebody.
type toOpen struct {
	name string
	to   []recipient.To
	with []string // one of them at a time: the name of an identity, or a password
}

func opens() []toOpen {
	oaep := func(h, mgf crypto.Hash) recipient.To {
		return recipient.To{Certificate: rsa2048().cert, Transport: recipient.Transport{Hash: h, MGFHash: mgf}}
	}
	return []toOpen{
		{"RSA", []recipient.To{rsa2048().recipient()}, []string{"rsa"}},
		{"RSA by key", []recipient.To{{Certificate: rsa2048().cert, ByKeyID: true}}, []string{"rsa"}},
		{"OAEP SHA-1", []recipient.To{oaep(crypto.SHA1, crypto.SHA1)}, []string{"rsa"}},
		{"OAEP SHA-256", []recipient.To{oaep(crypto.SHA256, crypto.SHA256)}, []string{"rsa"}},
		{"OAEP SHA-512, MGF SHA-1", []recipient.To{oaep(crypto.SHA512, crypto.SHA1)}, []string{"rsa"}},
		{"P-256", []recipient.To{p256().recipient()}, []string{"p256"}},
		{"P-256 by key", []recipient.To{{Certificate: p256().cert, ByKeyID: true}}, []string{"p256"}},
		{"P-384", []recipient.To{p384().recipient()}, []string{"p384"}},
		{"P-521", []recipient.To{p521().recipient()}, []string{"p521"}},
		{"password", []recipient.To{{Password: []byte("x"), Rounds: 1000}}, []string{"-pwri_password x"}},
		{"RSA, P-256, password", []recipient.To{rsa2048().recipient(), p256().recipient(), {Password: []byte("x"), Rounds: 1000}}, []string{"rsa", "p256", "-pwri_password x"}},
	}
}

func TestOpenSSLDecryptsOurs(t *testing.T) {
	needTool(t, "openssl")
	plaintext := bytes.Repeat([]byte("content "), 20_000)
	dir := peerFolder(t, plaintext)
	for i, test := range opens() {
		for _, c := range []content.Cipher{content.AES128CBC, content.AES192CBC, content.AES256CBC, content.AES128GCM, content.AES256GCM} {
			if i > 0 && c != content.AES256CBC && c != content.AES128GCM {
				continue // a cipher's name and key length matter once
			}
			for _, known := range []bool{true, false} {
				if i > 0 && known != (c == content.AES256CBC) {
					continue // nor does the encoding to a recipient
				}
				write(t, dir, "object", encrypted(t, plaintext, known, Encryption{To: test.to, Cipher: c}))
				for _, with := range test.with {
					if !strings.HasPrefix(with, "-") {
						with = "-recip " + with + ".pem -inkey " + with + ".key"
					}
					got, err := run(dir, strings.Fields("openssl cms -decrypt -binary -inform DER -in object "+with)...)
					if err != nil || !bytes.Equal(got, plaintext) {
						t.Errorf("%s, %v, DER %v, %s: %d octets, %v", test.name, c, known, with, len(got), err)
					}
				}
			}
		}
	}
}

func TestWeDecryptOpenSSL(t *testing.T) {
	needTool(t, "openssl")
	plaintext := bytes.Repeat([]byte("content "), 20_000)
	dir := peerFolder(t, plaintext)
	const rsa = "-recip rsa.pem "
	for options, keys := range map[string]recipient.List{
		"-aes128 " + rsa:        {rsa2048().opener()},
		"-aes192 " + rsa:        {rsa2048().opener()},
		"-aes256 " + rsa:        {rsa2048().opener()},
		"-des3 " + rsa:          {rsa2048().opener()},
		"-aes-128-gcm " + rsa:   {rsa2048().opener()},
		"-aes-192-gcm " + rsa:   {rsa2048().opener()},
		"-aes-256-gcm " + rsa:   {rsa2048().opener()},
		"-aes256 -keyid " + rsa: {rsa2048().opener()},
		"-aes256 " + rsa + "-keyopt rsa_padding_mode:oaep":                                                       {rsa2048().opener()},
		"-aes256 " + rsa + "-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha512 -keyopt rsa_mgf1_md:sha256": {rsa2048().opener()},
		"-aes256 -recip p256.pem":                                 {p256().opener()},
		"-aes128 -keyid -recip p256.pem":                          {p256().opener()},
		"-aes-256-gcm -recip p384.pem -keyopt ecdh_kdf_md:sha384": {p384().opener()},
		"-aes256 -recip p521.pem -keyopt ecdh_kdf_md:sha512":      {p521().opener()},
		"-aes256 -pwri_password x":                                {{Password: []byte("x")}},
		"-aes256 -recip rsa.pem -recip p256.pem -pwri_password x": {rsa2048().opener(), p256().opener(), {Password: []byte("x")}},
	} {
		for _, stream := range []string{"", " -stream"} {
			if _, err := run(dir, strings.Fields("openssl cms -encrypt -binary -outform DER -in content -out object "+options+stream)...); err != nil {
				t.Errorf("%s%s: %v", options, stream, err)
				continue
			}
			object := must(os.ReadFile(filepath.Join(dir, "object")))
			for i := range keys {
				e, got, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: keys[i : i+1]})
				if err != nil || !bytes.Equal(got, plaintext) {
					t.Errorf("%s%s, key %d: %d octets, %v", options, stream, i, len(got), err)
					continue
				}
				if e.Type.Equal(OIDAuthEnvelopedData) != strings.Contains(options, "gcm") {
					t.Errorf("%s%s: read as %v", options, stream, e.Type)
				}
			}
			object[len(object)-100] ^= 1 // ciphertext, or the tag
			if stream != "" {
				continue // there it may be syntax
			}
			if _, _, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: keys[:1], Check: beginsLikeMail}); strings.Contains(options, "gcm") && err != ErrDecrypt {
				t.Errorf("%s, changed: %v", options, err)
			}
		}
	}
}

func TestOpenSSLReadsCertsOnly(t *testing.T) {
	needTool(t, "openssl")
	dir := t.TempDir()
	write(t, dir, "object", must(CertsOnly(rsa2048().cert, root().cert)))
	out, err := run(dir, strings.Fields("openssl pkcs7 -inform DER -in object -print_certs -noout")...)
	if err != nil || strings.Count(string(out), "subject=") != 2 {
		t.Errorf("%s, %v", out, err)
	}
}

func TestWeReadOpenSSLDigested(t *testing.T) {
	needTool(t, "openssl")
	dir := peerFolder(t, mail)
	for _, stream := range []string{"", " -stream"} {
		if _, err := run(dir, strings.Fields("openssl cms -digest_create -md sha512 -binary -outform DER -in content -out object"+stream)...); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		d, err := ReadDigested(bytes.NewReader(must(os.ReadFile(filepath.Join(dir, "object")))), ReadOptions{Content: &out})
		if err != nil || d.Digest != crypto.SHA512 || !bytes.Equal(out.Bytes(), mail) {
			t.Errorf("%q: %+v, %q, %v", stream, d, out.Bytes(), err)
		}
	}
}

func TestGpgsmDecryptsOurs(t *testing.T) {
	dir := gpgsmFolder(t)
	for c, known := range map[content.Cipher]bool{content.AES128CBC: true, content.AES256CBC: false} {
		write(t, dir, "object", encrypted(t, mail, known, Encryption{To: []recipient.To{rsa2048().recipient()}, Cipher: c}))
		got, err := run(dir, strings.Fields("gpgsm --batch --pinentry-mode loopback --passphrase-fd 0 --decrypt object")...)
		if err != nil || !bytes.Equal(got, mail) {
			t.Errorf("%v, DER %v: %q, %v", c, known, got, err)
		}
	}
}

func TestWeDecryptGpgsm(t *testing.T) {
	dir := gpgsmFolder(t)
	for _, cipher := range []string{"AES", "AES256", "3DES"} {
		command := fmt.Sprintf("gpgsm --batch --yes --cipher-algo %s --recipient rsa2048@example.jp -o object --encrypt content", cipher)
		if _, err := run(dir, strings.Fields(command)...); err != nil {
			t.Errorf("%s: %v", cipher, err)
			continue
		}
		object := must(os.ReadFile(filepath.Join(dir, "object")))
		e, got, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: recipient.List{rsa2048().opener()}})
		if err != nil || !bytes.Equal(got, mail) {
			t.Errorf("%s: %q, %+v, %v", cipher, got, e, err)
		}
	}
}

func TestNSSDecryptsOurs(t *testing.T) {
	dir := nssFolder(t)
	for _, c := range []content.Cipher{content.AES128CBC, content.AES256CBC} {
		for _, known := range []bool{true, false} {
			write(t, dir, "object", encrypted(t, mail, known, Encryption{To: []recipient.To{rsa2048().recipient()}, Cipher: c}))
			got, err := run(dir, strings.Fields("cmsutil -D -d sql:db -i object")...)
			if err != nil || !bytes.Equal(got, mail) {
				t.Errorf("%v, DER %v: %q, %v", c, known, got, err)
			}
		}
	}
}

func TestWeDecryptNSS(t *testing.T) {
	dir := nssFolder(t)
	if _, err := run(dir, append(strings.Fields("cmsutil -E -d sql:db -i content -o object -r"), "rsa2048@example.jp")...); err != nil {
		t.Fatal(err)
	}
	object := must(os.ReadFile(filepath.Join(dir, "object")))
	_, got, err := decrypted(t, bytes.NewReader(object), ReadEnvelopedOptions{Keys: recipient.List{rsa2048().opener()}})
	if err != nil || !bytes.Equal(got, mail) {
		t.Errorf("%q, %v", got, err)
	}
}
