package peers

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/textproto"
	"strings"
)

// signed is a signed mail taken apart.
type signed struct {
	content []byte // of multipart/signed: the bytes that are signed
	cms     []byte // DER or BER
	opaque  bool
}

// split takes a signed mail apart, as RFC 8551 section 3.5 builds it.
func split(mail []byte) (signed, error) {
	header, body, err := cut(crlf(mail))
	if err != nil {
		return signed{}, err
	}
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return signed{}, fmt.Errorf("content type: %w", err)
	}
	if kind != "multipart/signed" {
		cms, err := decode(header, body)
		return signed{cms: cms, opaque: true}, err
	}
	parts, err := children(body, params["boundary"])
	if err != nil {
		return signed{}, err
	}
	if len(parts) != 2 {
		return signed{}, fmt.Errorf("multipart/signed with %d parts, want 2", len(parts))
	}
	header, body, err = cut(parts[1])
	if err != nil {
		return signed{}, err
	}
	cms, err := decode(header, body)
	return signed{content: parts[0], cms: cms}, err
}

// cut separates an entity's header and body.
func cut(entity []byte) (textproto.MIMEHeader, []byte, error) {
	raw, body, ok := bytes.Cut(entity, []byte("\r\n\r\n"))
	if !ok {
		return nil, nil, errors.New("no empty line after the header")
	}
	header := textproto.MIMEHeader{}
	for _, f := range fields(raw) {
		name, value, _ := strings.Cut(f, ":")
		header.Add(textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "")))
	}
	return header, body, nil
}

// fields separates a raw header at the line ends that are no folds.
func fields(raw []byte) []string {
	var all []string
	for l := range strings.SplitSeq(string(raw), "\r\n") {
		if len(all) > 0 && (strings.HasPrefix(l, " ") || strings.HasPrefix(l, "\t")) {
			all[len(all)-1] += "\r\n" + l
			continue
		}
		all = append(all, l)
	}
	return all
}

// children returns the parts between the delimiters. The line end before a
// delimiter belongs to the delimiter (RFC 2046 section 5.1.1).
func children(body []byte, boundary string) ([][]byte, error) {
	if boundary == "" {
		return nil, errors.New("no boundary")
	}
	rest := append([]byte("\r\n"), body...)
	sections := bytes.Split(rest, []byte("\r\n--"+boundary))
	var parts [][]byte
	for _, s := range sections[1:] {
		if bytes.HasPrefix(s, []byte("--")) {
			return parts, nil
		}
		_, part, ok := bytes.Cut(s, []byte("\r\n"))
		if !ok {
			return nil, errors.New("delimiter without a line end")
		}
		parts = append(parts, part)
	}
	return nil, errors.New("no closing delimiter")
}

func decode(header textproto.MIMEHeader, body []byte) ([]byte, error) {
	if e := header.Get("Content-Transfer-Encoding"); !strings.EqualFold(e, "base64") {
		return nil, fmt.Errorf("CMS object with transfer encoding %q, want base64", e)
	}
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
}

// unwrap separates a plain mail into the fields that stay outside and the
// entity that is to be signed: Content-* fields and body.
func unwrap(mail []byte) (outer string, inner []byte, err error) {
	raw, body, ok := bytes.Cut(mail, []byte("\r\n\r\n"))
	if !ok {
		return "", nil, errors.New("no empty line after the header")
	}
	var content string
	for _, f := range fields(raw) {
		switch name, _, _ := strings.Cut(strings.ToLower(f), ":"); {
		case strings.HasPrefix(name, "content-"):
			content += f + "\r\n"
		case name != "mime-version":
			outer += f + "\r\n"
		}
	}
	if content == "" {
		content = "Content-Type: text/plain; charset=us-ascii\r\n"
	}
	return outer, append([]byte(content+"\r\n"), body...), nil
}

// wrap builds the mail from a CMS object.
func wrap(outer string, inner, cms []byte, f Format) []byte {
	if f == Detached {
		return wrapDetached(outer, inner, cms, "sha-256")
	}
	return wrapOpaque(outer, cms, "signed-data")
}

// wrapOpaque makes a mail of application/pkcs7-mime.
func wrapOpaque(outer string, cms []byte, smimeType string) []byte {
	return []byte(outer + "MIME-Version: 1.0\r\n" +
		"Content-Type: application/pkcs7-mime; smime-type=" + smimeType + "; name=smime.p7m\r\n" +
		"Content-Disposition: attachment; filename=smime.p7m\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + lines(cms))
}

// wrapDetached makes a mail of multipart/signed.
func wrapDetached(outer string, inner, cms []byte, micalg string) []byte {
	boundary := "=_peers_boundary_4f1c"
	for bytes.Contains(inner, []byte(boundary)) {
		boundary += "x" // one is signed already
	}
	var b bytes.Buffer
	b.WriteString(outer + "MIME-Version: 1.0\r\n" +
		"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=\"" + micalg + "\";\r\n" +
		"\tboundary=\"" + boundary + "\"\r\n\r\nThis is a signed message.\r\n--" + boundary + "\r\n")
	b.Write(inner)
	b.WriteString("\r\n--" + boundary + "\r\n" +
		"Content-Type: application/pkcs7-signature; name=smime.p7s\r\n" +
		"Content-Disposition: attachment; filename=smime.p7s\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n")
	b.WriteString(lines(cms))
	b.WriteString("--" + boundary + "--\r\n")
	return b.Bytes()
}

// lines is base64 in lines of 76.
func lines(b []byte) string {
	s := base64.StdEncoding.EncodeToString(b)
	var out strings.Builder
	for len(s) > 76 {
		out.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return out.String() + s + "\r\n"
}

// crlf makes every line end CRLF.
func crlf(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}
