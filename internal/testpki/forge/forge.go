// Package forge makes certificates that no CA of ours would: with whatever names,
// extensions and encodings a test wants, well-formed or not.
//
//	root := forge.Certificate{Subject: forge.Name("Root"), Extensions: forge.CA}.Sign(nil)
//	leaf := forge.Certificate{Subject: forge.Name("Alice"), Extensions: [][]byte{forge.AltNames(forge.Mail("alice@a.example"))}}.Sign(root)
//
// Keys are Ed25519 and follow from the names, so that nothing is random. Only tests
// import this package.
package forge

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Certificate is what there will be one of. The zero value of a field is what is
// usual: version 3, serial number 1, 2020 to 2040, a key by the subject's name.
type Certificate struct {
	Subject    []byte // a Name
	Issuer     []byte // if it is not that of who signs
	Version    int
	Serial     []byte // contents of the INTEGER
	From, To   time.Time
	Key        crypto.Signer
	KeyOf      string // the seed of an Ed25519 key
	SPKI       []byte // if it is not that of the key
	Algorithm  []byte // of the signature, if it is not Ed25519's
	Extensions [][]byte
	NoKeyIDs   bool
}

// Issued is a certificate with its key.
type Issued struct {
	DER     []byte
	Subject []byte
	Key     crypto.Signer
}

// Key is an Ed25519 key that follows from a seed.
func Key(seed string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(sum[:])
}

var ed25519Algorithm = sequence([]byte{0x06, 0x03, 0x2b, 0x65, 0x70})

// Sign makes it, self-signed if by is nil. Without an Algorithm the issuer's key is Ed25519.
func (c Certificate) Sign(by *Issued) *Issued {
	key := c.Key
	if key == nil {
		seed := c.KeyOf
		if seed == "" {
			seed = string(c.Subject)
		}
		key = Key(seed)
	}
	made := &Issued{Subject: c.Subject, Key: key}
	if by == nil {
		by = made
	}
	tbs := c.tbs(made, by)
	made.DER = signed(tbs, c.Algorithm, by.Key)
	return made
}

// signed puts a signature under what is to be signed. Without an algorithm the key is
// Ed25519.
func signed(tbs, algorithm []byte, key crypto.Signer, after ...[]byte) []byte {
	digest, hash := tbs, crypto.Hash(0)
	if algorithm == nil {
		algorithm = ed25519Algorithm
	} else {
		hash = crypto.SHA256
		if slices.Contains([]string{string(RSAWithSHA1), string(ECDSAWithSHA1)}, string(algorithm)) {
			hash = crypto.SHA1
		}
		h := hash.New()
		h.Write(tbs)
		digest = h.Sum(nil)
	}
	signature, err := key.Sign(rand.Reader, digest, hash)
	if err != nil {
		panic(err) // a test that asks for what there is not
	}
	return sequence(append([][]byte{tbs, algorithm, tlv(asn1.BIT_STRING, append([]byte{0}, signature...))}, after...)...)
}

// Algorithms for keys other than Ed25519.
var (
	RSAWithSHA1     = sequence(dotted("1.2.840.113549.1.1.5"), []byte{5, 0})
	RSAWithSHA256   = sequence(dotted("1.2.840.113549.1.1.11"), []byte{5, 0})
	ECDSAWithSHA1   = sequence(dotted("1.2.840.10045.4.1"))
	ECDSAWithSHA256 = sequence(dotted("1.2.840.10045.4.3.2"))
)

func (c Certificate) tbs(made, by *Issued) []byte {
	issuer, serial, algorithm, spki := c.Issuer, c.Serial, c.Algorithm, c.SPKI
	if issuer == nil {
		issuer = by.Subject
	}
	if serial == nil {
		serial = []byte{1}
	}
	if algorithm == nil {
		algorithm = ed25519Algorithm
	}
	if spki == nil {
		spki = publicKey(made.Key)
	}
	from, to := c.From, c.To
	if from.IsZero() {
		from = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if to.IsZero() {
		to = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	parts := [][]byte{
		tlv(asn1.INTEGER, serial), algorithm, issuer, sequence(utc(from), utc(to)), c.Subject, spki,
	}
	if c.Version != 1 {
		version := []byte{2}
		if c.Version != 0 {
			version = []byte{byte(c.Version - 1)}
		}
		parts = slices.Insert(parts, 0, tlv(context(0, true), tlv(asn1.INTEGER, version)))
	}
	list := slices.Clone(c.Extensions)
	if !c.NoKeyIDs {
		list = append(list,
			Extension("2.5.29.14", false, tlv(asn1.OCTET_STRING, keyID(publicKey(made.Key)))),
			Extension("2.5.29.35", false, sequence(tlv(context(0, false), keyID(publicKey(by.Key))))))
	}
	if len(list) > 0 {
		parts = append(parts, tlv(context(3, true), sequence(list...)))
	}
	return sequence(parts...)
}

func publicKey(k crypto.Signer) []byte {
	spki, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		panic(err) // a test that asks for what there is not
	}
	return spki
}

func keyID(spki []byte) []byte {
	sum := sha1.Sum(spki)
	return sum[:]
}

func utc(t time.Time) []byte {
	if t.Year() >= 2050 {
		return tlv(asn1.GeneralizedTime, []byte(t.UTC().Format("20060102150405Z")))
	}
	return tlv(asn1.UTCTime, []byte(t.UTC().Format("060102150405Z")))
}

// PEM is certificates as a file.
func PEM(certs ...*Issued) (file []byte) {
	for _, c := range certs {
		file = append(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER})...)
	}
	return file
}

func context(n int, constructed bool) asn1.Tag {
	t := asn1.Tag(n).ContextSpecific()
	if constructed {
		t = t.Constructed()
	}
	return t
}

func tlv(tag asn1.Tag, parts ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, p := range parts {
			b.AddBytes(p)
		}
	})
	return b.BytesOrPanic()
}

func sequence(parts ...[]byte) []byte { return tlv(asn1.SEQUENCE, parts...) }

func dotted(id string) []byte {
	o, err := x509.ParseOID(id)
	if err != nil {
		panic(err) // a test that asks for what there is not
	}
	contents, err := o.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return tlv(asn1.OBJECT_IDENTIFIER, contents)
}
