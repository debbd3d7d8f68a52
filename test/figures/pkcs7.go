package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"go.mozilla.org/pkcs7"
)

// runPKCS7 does one operation with go.mozilla.org/pkcs7, between files of the
// present folder. Decrypting what it encrypts with GCM is left to itself: nobody
// else reads its form of that.
func runPKCS7(args []string) error {
	cert, key, err := identity("id")
	if err != nil {
		return err
	}
	in, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	var made []byte
	switch op := args[0]; op {
	case "sign", "sign-opaque":
		made, err = signPKCS7(in, op == "sign", cert, key)
	case "encrypt-cbc", "encrypt-gcm":
		pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
		if strings.HasSuffix(op, "gcm") {
			pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256GCM
		}
		made, err = pkcs7.Encrypt(in, []*x509.Certificate{cert})
	case "verify":
		var object []byte
		if object, err = os.ReadFile(args[2]); err == nil {
			return verifyPKCS7(object, in)
		}
	case "verify-opaque":
		return verifyPKCS7(in, nil)
	case "decrypt":
		p, err := pkcs7.Parse(in)
		if err == nil {
			_, err = p.Decrypt(cert, key)
		}
		return err
	default:
		err = fmt.Errorf("unknown operation %q", op)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(args[2], made, 0o600)
}

func signPKCS7(content []byte, detached bool, cert *x509.Certificate, key crypto.PrivateKey) ([]byte, error) {
	s, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, err
	}
	s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := s.AddSigner(cert, key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	if detached {
		s.Detach()
	}
	return s.Finish()
}

func verifyPKCS7(object, content []byte) error {
	p, err := pkcs7.Parse(object)
	if err != nil {
		return err
	}
	if content != nil {
		p.Content = content
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile("ca")
	if err != nil {
		return err
	}
	roots.AppendCertsFromPEM(ca)
	return p.VerifyWithChain(roots)
}

// identity reads a key and its certificate.
func identity(name string) (cert *x509.Certificate, key crypto.PrivateKey, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	first, rest := pem.Decode(text)
	second, _ := pem.Decode(bytes.TrimSpace(rest))
	if first == nil || second == nil {
		return nil, nil, fmt.Errorf("%s has no key and certificate", name)
	}
	if key, err = x509.ParsePKCS8PrivateKey(first.Bytes); err != nil {
		return nil, nil, err
	}
	cert, err = x509.ParseCertificate(second.Bytes)
	return cert, key, err
}
