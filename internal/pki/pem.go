package pki

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

var pemBegin = []byte("-----BEGIN ")

func isPEM(data []byte) bool { return bytes.Contains(data, pemBegin) }

// blocks splits PEM. encoding/pem passes over a block that it cannot read;
// here that is an error, or a chain would be short without a word.
func blocks(data []byte) ([]*pem.Block, error) {
	var bs []*pem.Block
	for begun := count(data); ; {
		b, rest := pem.Decode(data)
		if b == nil {
			if begun > 0 {
				return nil, fmt.Errorf("PEM block %d is damaged", len(bs)+1)
			}
			return bs, nil
		}
		left := count(rest)
		if begun != left+1 {
			return nil, fmt.Errorf("PEM block %d is damaged", len(bs)+1)
		}
		if len(bs) == maxBlocks {
			return nil, fmt.Errorf("more than %d PEM blocks", maxBlocks)
		}
		bs = append(bs, b)
		data, begun = rest, left
	}
}

// count counts the lines that begin a block.
func count(data []byte) int {
	n := bytes.Count(data, append([]byte("\n"), pemBegin...))
	if bytes.HasPrefix(data, pemBegin) {
		n++
	}
	return n
}

// parsePEM reads keys and certificates; other blocks, as parameters, are left
// out.
func parsePEM(data, passphrase []byte) (bundle, error) {
	bs, err := blocks(data)
	if err != nil {
		return bundle{}, err
	}
	var b bundle
	var work budget
	for i, block := range bs {
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return bundle{}, fmt.Errorf("certificate in PEM block %d: %w", i+1, err)
			}
			b.certs = append(b.certs, c)
		case "PKCS12":
			in, err := parsePKCS12(block.Bytes, passphrase)
			if err != nil {
				return bundle{}, err
			}
			b.certs, b.keys = append(b.certs, in.certs...), append(b.keys, in.keys...)
			b.unfit = cmp.Or(b.unfit, in.unfit)
		default:
			if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
				continue
			}
			key, err := pemKey(block, passphrase, &work)
			if err != nil {
				err = fmt.Errorf("key in PEM block %d: %w", i+1, err)
			}
			b.addKey(key, err)
		}
	}
	return b, nil
}

func pemKey(block *pem.Block, passphrase []byte, work *budget) (any, error) {
	if strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		// RFC 1421 as OpenSSL wrote it: one round of MD5 over the passphrase.
		return nil, errors.New("encrypted in OpenSSL's old way (Proc-Type: 4,ENCRYPTED); convert it: openssl pkey -in OLD -aes256 -out NEW")
	}
	switch block.Type {
	case "PRIVATE KEY":
		return parsePKCS8(block.Bytes)
	case "RSA PRIVATE KEY":
		if len(block.Bytes) > maxKey {
			return nil, errKey
		}
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return decryptPKCS8(block.Bytes, passphrase, work)
	}
	return nil, fmt.Errorf("kind %q is not known; convert it: openssl pkey -in OLD -out NEW", block.Type)
}

// decryptPKCS8 opens an EncryptedPrivateKeyInfo (RFC 5958 section 3).
func decryptPKCS8(der, passphrase []byte, work *budget) (any, error) {
	if err := work.pkcs8(der); err != nil {
		return nil, err
	}
	if len(passphrase) == 0 {
		return nil, ErrNoPassphrase
	}
	plain, err := openPBES2(der, passphrase)
	if err != nil {
		return nil, err
	}
	var inside privateKeyInfo
	if unmarshal(plain, &inside) != nil { // about one wrong passphrase in 256 leaves good padding
		return nil, ErrPassphrase
	}
	return parsePKCS8(plain)
}
