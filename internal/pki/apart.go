package pki

import (
	"cmp"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"software.sslmate.com/src/go-pkcs12"
)

// The library reads one key and at most two safes. Files that people have
// hold a key to sign and another to decrypt, and a safe for every certificate
// (RFC 9216 appendix A: five). So such a file is taken apart, and what is
// encrypted goes to the library again in a small file of its own, each time
// with a companion of the kind that it insists on.

// takeApart reads all certificates and all keys.
func takeApart(safes []safe, passphrase string) (bundle, error) {
	var b bundle
	for _, s := range safes {
		if err := b.takeCertificates(s, passphrase); err != nil {
			return bundle{}, err
		}
	}
	if len(b.certs) == 0 {
		return b, nil
	}
	companion := wrapCertificate(b.certs[0])
	for _, s := range safes {
		if s.bags == nil {
			// Most are without a key, so an error says nothing.
			if key, _, err := decode(passphrase, s.raw, wrapData(companion)); err == nil {
				b.addKey(key, nil)
			}
			continue
		}
		for _, bag := range s.bags {
			var sb safeBag
			if err := unmarshal(bag, &sb); err != nil {
				return bundle{}, errBER
			}
			if sb.ID.Equal(oidKeyBag) || sb.ID.Equal(oidShroudedBag) {
				key, _, err := decode(passphrase, wrapData(bag, companion))
				if err != nil {
					if own, ownErr := unbag(sb, passphrase); ownErr == nil {
						key, err = own, nil
					}
				}
				b.addKey(key, err)
			}
		}
	}
	return b, nil
}

// unbag reads a key of a kind that the library does not know, as ML-DSA. Its
// parameters were looked at when the safes were opened.
func unbag(sb safeBag, passphrase string) (any, error) {
	if sb.ID.Equal(oidKeyBag) {
		return parsePKCS8(sb.Value.Bytes)
	}
	return decryptPKCS8(sb.Value.Bytes, []byte(passphrase), new(budget))
}

// takeCertificates reads those of one safe.
func (b *bundle) takeCertificates(s safe, passphrase string) error {
	if s.bags == nil {
		// Without a key in the safe, the library wants one beside it.
		_, certs, err := decode(passphrase, s.raw, wrapData(companionKey()))
		if err != nil {
			_, certs, _ = decode(passphrase, s.raw)
		}
		if len(certs) == 0 {
			b.unfit = cmp.Or(b.unfit, err)
		}
		b.certs = append(b.certs, certs...)
		return nil
	}
	for _, bag := range s.bags {
		var sb safeBag
		if err := unmarshal(bag, &sb); err != nil {
			return errBER
		}
		var cb certBag
		if !sb.ID.Equal(oidCertBag) || unmarshal(sb.Value.Bytes, &cb) != nil || !cb.ID.Equal(oidX509) {
			continue
		}
		c, err := x509.ParseCertificate(cb.Data)
		if err != nil {
			return err
		}
		b.certs = append(b.certs, c)
	}
	return nil
}

// decode gives the safes to the library as a file of their own.
func decode(passphrase string, infos ...[]byte) (any, []*x509.Certificate, error) {
	authSafe := sequence(infos...)
	file := sequence(
		marshal(3),
		contentInfoOf(oidData, marshal(authSafe)),
		macOf(authSafe, passphrase),
	)
	key, first, others, err := pkcs12.DecodeChain(file, passphrase)
	if err != nil {
		return nil, nil, err
	}
	return key, append([]*x509.Certificate{first}, others...), nil
}

// macOf makes the MAC that the library insists on (RFC 9579), as cheaply as
// can be: it protects nothing but its way from here to there.
func macOf(content []byte, passphrase string) []byte {
	key, err := pbkdf2.Key(sha256.New, passphrase, nil, 1, sha256.Size)
	if err != nil {
		return nil // unreachable: the parameters are constants
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(content)
	hmacSHA256 := pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue}
	kdf := marshal(pbkdf2Params{
		Salt: asn1.RawValue{Tag: asn1.TagOctetString}, Rounds: 1, Length: sha256.Size, PRF: hmacSHA256,
	})
	params := sequence(sequence(marshal(oidPBKDF2), kdf), marshal(hmacSHA256))
	return sequence(
		sequence(sequence(marshal(oidPBMAC1), params), marshal(mac.Sum(nil))),
		marshal([]byte{}),
	)
}

func companionKey() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		return nil // unreachable: the key is a constant
	}
	return sequence(marshal(oidKeyBag), explicit(der))
}

func wrapCertificate(c *x509.Certificate) []byte {
	return sequence(marshal(oidCertBag), explicit(sequence(marshal(oidX509), explicit(marshal(c.Raw)))))
}

// wrapData makes a safe that is not encrypted.
func wrapData(bags ...[]byte) []byte {
	return contentInfoOf(oidData, marshal(sequence(bags...)))
}

func contentInfoOf(kind asn1.ObjectIdentifier, content []byte) []byte {
	return sequence(marshal(kind), explicit(content))
}

func explicit(der []byte) []byte { return tlv(0xa0, der) }

func sequence(parts ...[]byte) []byte { return tlv(0x30, slices.Concat(parts...)) }

// marshal is asn1.Marshal for values that cannot fail; if one did, the
// library would refuse what is built from it.
func marshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		return nil
	}
	return der
}
