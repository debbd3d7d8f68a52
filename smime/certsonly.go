package smime

import (
	"bytes"
	"crypto/x509"
	"io"
	"mime"
	"strings"

	"mailseal/internal/message"
	"mailseal/smime/cms"
	"mailseal/smime/entity"
)

// WriteCertificates writes a mail that carries nothing but certificates (RFC
// 8551 section 3.8), with LF: for those who want to encrypt to their holder, and
// whose mail program takes them from it. from may be "".
func WriteCertificates(w io.Writer, from, subject string, certificates ...*x509.Certificate) error {
	object, err := cms.CertsOnly(certificates...)
	if err != nil {
		return err
	}
	var fields []message.Field
	if from != "" {
		fields = append(fields, message.NewField("From", " "+from))
	}
	fields = append(fields,
		message.NewField("Subject", " "+mime.BEncoding.Encode("utf-8", subject)),
		message.NewField("MIME-Version", " 1.0"))
	fields = append(fields, partFields("application/pkcs7-mime; smime-type=certs-only;\r\n name=smime.p7c", "smime.p7c")...)
	var b bytes.Buffer
	for _, f := range fields {
		b.WriteString(f.Raw() + "\r\n")
	}
	b.WriteString("\r\n")
	e := entity.NewBase64Writer(&b)
	if _, err := e.Write(object); err != nil {
		return err
	}
	if err := e.Close(); err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.ReplaceAll(b.String(), "\r\n", "\n"))
	return err
}
