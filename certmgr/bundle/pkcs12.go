package bundle

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// An Encoding is how PKCS #12 is encrypted.
type Encoding int

const (
	NoPKCS12 Encoding = iota
	// LegacyDES is Triple DES and SHA-1, which every phone and mail program opens.
	// What protects the key is the passphrase: the one that is made has 125 bits.
	LegacyDES
	// Modern2023 is AES-256 and SHA-256 (PBES2), which iOS 17, macOS 13, Android 12,
	// Windows 10 before 1709 and gpgsm 2.2 refuse.
	Modern2023
)

var encodings = []string{"none", "legacy", "modern"}

func (e Encoding) String() string {
	if e < 0 || int(e) >= len(encodings) {
		return fmt.Sprintf("Encoding(%d)", int(e))
	}
	return encodings[e]
}

// ParseEncoding reads an encoding's name: legacy or modern.
func ParseEncoding(s string) (Encoding, error) {
	if i := slices.Index(encodings, s); i > 0 {
		return Encoding(i), nil
	}
	return 0, errors.New("want legacy or modern")
}

// rounds of PBKDF2 are what OWASP advises for HMAC-SHA256 where somebody has thought
// the passphrase up. One that is made needs no more than the 2048 of the format.
const rounds = 600000

// pkcs12 is the key with its certificate, the chain and the root.
func (b Bundle) pkcs12(e Encoding, passphrase string, thoughtUp bool) ([]byte, error) {
	encoder := pkcs12.LegacyDES
	switch {
	case e == Modern2023 && thoughtUp:
		encoder = pkcs12.Modern2023.WithIterations(rounds)
	case e == Modern2023:
		encoder = pkcs12.Modern2023
	}
	p12, err := encoder.Encode(b.Key, b.Certificate, b.above(), passphrase)
	if err != nil {
		return nil, fmt.Errorf("make PKCS #12: %w", err)
	}
	return p12, nil
}

// newPassphrase makes 25 letters and digits, in groups that can be typed.
func newPassphrase() string {
	text := strings.ToLower(rand.Text()) // base32: 5 bits each
	var groups []string
	for i := 0; i+5 <= 25; i += 5 {
		groups = append(groups, text[i:i+5])
	}
	return strings.Join(groups, "-")
}
