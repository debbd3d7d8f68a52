package probe

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// A hello is what a client says first (RFC 8446 section 4.1.2, RFC 5246 section
// 7.4.1.2). Ours is made by hand, for it asks for what crypto/tls does not speak:
// SSL 3.0, and Diffie-Hellman over a field, by which one learns the size of the
// server's parameters. It is never followed by a second message.
type hello struct {
	version uint16
	suites  []uint16
	name    string // server name indication
}

const ssl30 = 0x0300

// suites13 are those of TLS 1.3, and suites what servers may have of those before,
// old ones too: OpenSSL names them by key exchange and cipher.
var (
	suites13  = []uint16{0x1301, 0x1302, 0x1303}
	suitesDHE = []uint16{
		0x009f, 0x009e, 0xccaa, 0xc09f, 0xc09e, 0x006b, 0x0067, 0x0039, 0x0033, 0x0088, 0x0045, 0x0016, // RSA
		0x00a3, 0x00a2, 0x006a, 0x0040, 0x0038, 0x0032, 0x0013, // DSS
	}
	suitesOther = []uint16{
		0xc02c, 0xc02b, 0xc030, 0xc02f, 0xcca9, 0xcca8, 0xc024, 0xc023, 0xc028, 0xc027, 0xc00a, 0xc009, 0xc014, 0xc013, // ECDHE
		0xc008, 0xc012, 0xc007, 0xc011, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, 0x0084, 0x0041, 0x000a, 0x0005, 0x0004, // RSA
	}
)

// fallback says that a client means it (RFC 5746 section 3.3); without it some
// servers of today take it for one that cannot renegotiate safely.
const fallback = 0x00ff

// VersionName is a version of TLS as MTAs log it: TLSv1.3, TLSv1, SSLv3.
func VersionName(v uint16) string {
	switch v {
	case ssl30:
		return "SSLv3"
	case tls.VersionTLS10:
		return "TLSv1"
	}
	return strings.Replace(tls.VersionName(v), "TLS ", "TLSv", 1)
}

// record is the hello as the first record of a connection.
func (h hello) record() ([]byte, error) {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddUint8(22) // handshake
	b.AddUint16(min(h.version, tls.VersionTLS10))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(1) // ClientHello
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(min(h.version, tls.VersionTLS12))
			b.AddBytes(random)
			b.AddUint8(0) // no session
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { uint16s(b, append([]uint16{fallback}, h.suites...)) })
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint8(0) }) // no compression
			if h.version > ssl30 {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { h.extensions(b, key.PublicKey().Bytes()) })
			}
		})
	})
	return b.Bytes()
}

func uint16s(b *cryptobyte.Builder, list []uint16) {
	for _, v := range list {
		b.AddUint16(v)
	}
}

func (h hello) extensions(b *cryptobyte.Builder, share []byte) {
	extension := func(id uint16, content func(b *cryptobyte.Builder)) {
		b.AddUint16(id)
		b.AddUint16LengthPrefixed(content)
	}
	list := func(values ...uint16) func(b *cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { uint16s(b, values) })
		}
	}
	if h.name != "" {
		extension(0, func(b *cryptobyte.Builder) { // RFC 6066 section 3
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(h.name)) })
			})
		})
	}
	extension(10, list(29, 23, 24, 25)) // X25519, P-256, P-384, P-521; RFC 7919's groups would hide the server's own
	extension(11, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 0}) })
	if h.version >= tls.VersionTLS12 {
		// Signatures: ECDSA, Ed25519, RSA-PSS, RSA, and with SHA-1 at last.
		extension(13, list(0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0809, 0x0401, 0x0501, 0x0601, 0x0402, 0x0203, 0x0201, 0x0202))
	}
	if h.version >= tls.VersionTLS13 {
		extension(43, func(b *cryptobyte.Builder) {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(h.version) })
		})
		extension(51, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint16(29)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(share) })
			})
		})
	}
}

// An answer is what a server says to a hello.
type answer struct {
	// version is 0 where it refuses.
	version uint16
	// dhBits is the length of its prime where it has sent one.
	dhBits int
}

// maxFlight bounds what a server may send before it waits for us: a few
// certificates.
const maxFlight = 128 << 10

var errNoTLS = errors.New("what it answers is not TLS")

// readAnswer reads a server's first message, and for those of TLS 1.2 with
// Diffie-Hellman all up to its parameters.
func readAnswer(from io.Reader, wantDH bool) (answer, error) {
	r := &records{r: io.LimitReader(from, maxFlight)}
	kind, message, err := r.message()
	if errors.Is(err, errAlert) {
		return answer{}, nil
	} else if err != nil {
		return answer{}, err
	}
	if kind != 2 {
		return answer{}, errNoTLS
	}
	var a answer
	if a.version, err = serverHello(message); err != nil || !wantDH {
		return a, err
	}
	for {
		kind, message, err := r.message()
		switch {
		case errors.Is(err, errAlert):
			return a, nil
		case err != nil:
			return a, err
		case kind == 14: // ServerHelloDone: no parameters
			return a, nil
		case kind == 12: // ServerKeyExchange, RFC 5246 section 7.4.3
			s := cryptobyte.String(message)
			var p cryptobyte.String
			if !s.ReadUint16LengthPrefixed(&p) {
				return a, errNoTLS
			}
			a.dhBits = new(big.Int).SetBytes(p).BitLen()
			return a, nil
		}
	}
}

// serverHello finds the version that a ServerHello has chosen.
func serverHello(message []byte) (uint16, error) {
	s := cryptobyte.String(message)
	var version, suite, id uint16
	var session, extensions, content cryptobyte.String
	if !s.ReadUint16(&version) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16(&suite) || !s.Skip(1) {
		return 0, errNoTLS
	}
	if s.Empty() {
		return version, nil
	}
	if !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() {
		return 0, errNoTLS
	}
	for !extensions.Empty() {
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&content) {
			return 0, errNoTLS
		}
		if id == 43 && !content.ReadUint16(&version) { // supported_versions
			return 0, errNoTLS
		}
	}
	return version, nil
}

var errAlert = errors.New("alert")

// records joins the handshake messages of a server's records.
type records struct {
	r    io.Reader
	left []byte
}

// message reads one.
func (r *records) message() (kind byte, content []byte, err error) {
	for {
		if len(r.left) >= 4 {
			n := 4 + (int(r.left[1])<<16 | int(r.left[2])<<8 | int(r.left[3]))
			if n > maxFlight {
				return 0, nil, errNoTLS
			}
			if len(r.left) >= n {
				kind, content = r.left[0], r.left[4:n]
				r.left = r.left[n:]
				return kind, content, nil
			}
		}
		var head [5]byte
		if _, err := io.ReadFull(r.r, head[:]); err != nil {
			return 0, nil, err
		}
		body := make([]byte, int(head[3])<<8|int(head[4]))
		if head[1] != 3 || len(body) == 0 || len(body) > 16384+2048 {
			return 0, nil, errNoTLS
		}
		if _, err := io.ReadFull(r.r, body); err != nil {
			return 0, nil, err
		}
		switch head[0] {
		case 21:
			return 0, nil, fmt.Errorf("%w %d", errAlert, body[len(body)-1])
		case 22:
			r.left = append(r.left, body...)
		default:
			return 0, nil, errNoTLS
		}
	}
}
