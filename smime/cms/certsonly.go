package cms

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"

	"go.mozilla.org/pkcs7"
)

// CertsOnly returns a SignedData that signs nothing and only carries certificates (RFC 5652 section 5.1, RFC 8551 section 3.8): a
// .p7c file. They are ours to give away; what others send is read by ReadSignedData.
func CertsOnly(certificates ...*x509.Certificate) ([]byte, error) {
	if len(certificates) == 0 {
		return nil, errors.New("no certificate to put into a certs-only object")
	}
	raw := make([][]byte, len(certificates))
	for i, c := range certificates {
		raw[i] = c.Raw
	}
	slices.SortFunc(raw, bytes.Compare) // DER sorts a SET OF
	return pkcs7.DegenerateCertificate(bytes.Join(slices.CompactFunc(raw, bytes.Equal), nil))
}
