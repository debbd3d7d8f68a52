// Package certfile reads files of certificates in every form in which people
// exchange them: what package pki reads, PEM and DER, and besides certs-only
// objects, which mail programs and Windows save as .p7c or .p7b.
//
//	certs, err := certfile.Read("bob.p7c")
//
// Such an object comes from others, so it is read by package cms within its
// limits. Nothing in it is signed: it says no more than a file of certificates.
//
// RFC 5652 section 5.1, RFC 8551 sections 3.2.2 and 3.8, RFC 7468 sections 8 and 9.
package certfile

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"mailseal/internal/pki"
	"mailseal/smime/cms"
)

// maxSize bounds a file with a certs-only object.
const maxSize = 4 << 20

// Endings are those of the files in a folder that are read, in whatever case.
func Endings() []string { return []string{".pem", ".crt", ".cer", ".der", ".p7c", ".p7b"} }

// Read reads a file of certificates, or a folder: all files in it with one of the
// Endings, in order of their names.
func Read(path string) ([]*x509.Certificate, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return read(path)
	}
	files, err := pki.Files(path, Endings()...)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, file := range files {
		if fi, err := os.Stat(file); err != nil {
			return nil, err
		} else if fi.IsDir() {
			continue
		}
		cs, err := read(file)
		if err != nil {
			return nil, err
		}
		all = append(all, cs...)
	}
	return all, nil
}

// Decode reads what is in a file.
func Decode(data []byte) ([]*x509.Certificate, error) {
	if der, ok := certsOnly(data); ok && len(data) <= maxSize {
		return Parse(der)
	}
	return pki.ParseCertificates(data)
}

// read reads one file. What is not certs-only is left to package pki, with its
// bounds and its words.
func read(path string) ([]*x509.Certificate, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	der, ok := certsOnly(data)
	if !ok || len(data) > maxSize {
		return pki.ReadCertificates(path)
	}
	cs, err := Parse(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cs, nil
}

// certsOnly returns the CMS object in a file, if it is one: bare, or the only
// block of PEM.
func certsOnly(data []byte) ([]byte, bool) {
	if b, rest := pem.Decode(data); b != nil {
		return b.Bytes, (b.Type == "PKCS7" || b.Type == "CMS") && len(bytes.TrimSpace(rest)) == 0
	}
	oid, err := cms.Identify(bytes.NewReader(data))
	return data, err == nil && oid.Equal(cms.OIDSignedData)
}

// Parse reads a SignedData for its certificates, whoever signed it. There is at
// least one.
func Parse(object []byte) ([]*x509.Certificate, error) {
	sd, err := cms.ReadSignedData(bytes.NewReader(object), cms.ReadOptions{})
	switch {
	case err != nil:
		return nil, fmt.Errorf("certs-only object: %w", err)
	case len(sd.Unparsed) > 0:
		_, err := x509.ParseCertificate(sd.Unparsed[0])
		return nil, fmt.Errorf("certs-only object: a certificate in it cannot be read: %v", err)
	case len(sd.Certificates) == 0:
		return nil, errors.New("certs-only object: holds no certificate")
	}
	return sd.Certificates, nil
}
