package web

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"mailseal/certmgr/edition"
)

// maxOCSP bounds a question: one certificate, with extensions.
const maxOCSP = 4 << 10

// ocsp answers a question about a certificate (RFC 6960 appendix A). rest is
// what stands in the path behind /ocsp.
func (s *Site) ocsp(w http.ResponseWriter, r *http.Request, rest string) {
	var question []byte
	var err error
	switch {
	case r.Method == http.MethodPost && strings.Trim(rest, "/") == "":
		question, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxOCSP))
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && len(rest) > 1:
		question, err = base64.StdEncoding.DecodeString(rest[1:])
	default:
		notAllowed(w, "POST, or GET with a question in the path")
		return
	}
	if err != nil || len(question) > maxOCSP {
		s.without(w, ocsp.MalformedRequestErrorResponse)
		return
	}
	s.mu.RLock()
	cert := s.cert
	s.mu.RUnlock()
	if cert == nil {
		s.without(w, ocsp.TryLaterErrorResponse)
		return
	}
	serial, err := asked(question, cert)
	if errors.Is(err, errNotOurs) {
		s.without(w, ocsp.UnauthorizedErrorResponse)
		return
	}
	if err != nil {
		s.without(w, ocsp.MalformedRequestErrorResponse)
		return
	}
	s.mu.RLock()
	answer, ok := s.answers[serialText(serial)]
	s.mu.RUnlock()
	switch {
	case !ok: // RFC 5019 section 2.2.3
		s.without(w, ocsp.UnauthorizedErrorResponse)
	case !answer.NextUpdate.After(s.now()):
		s.without(w, ocsp.TryLaterErrorResponse)
	default:
		s.with(w, r, answer)
	}
}

const ocspType = "application/ocsp-response"

// without answers with a status alone, which nobody signs.
func (s *Site) without(w http.ResponseWriter, status []byte) {
	w.Header().Set("Content-Type", ocspType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(status)
}

func (s *Site) with(w http.ResponseWriter, r *http.Request, a edition.Answer) {
	s.cacheable(w.Header(), tag(a.DER), a.NextUpdate)
	w.Header().Set("Content-Type", ocspType)
	if r.Method == http.MethodPost {
		_, _ = w.Write(a.DER)
		return
	}
	http.ServeContent(w, r, "", a.ThisUpdate, bytes.NewReader(a.DER))
}

var errNotOurs = errors.New("it is about another CA's certificate")

// asked reads whose certificate a question is about. A nonce is not answered
// (RFC 5019 section 2.2.1): answers are there before the question.
func asked(question []byte, issuer *x509.Certificate) (*big.Int, error) {
	if err := single(question); err != nil {
		return nil, err
	}
	q, err := ocsp.ParseRequest(question)
	if err != nil {
		return nil, err
	}
	// The answers name the issuer by SHA-1 (RFC 5019 section 2.1.1), and nobody
	// would find one in them who asked otherwise.
	if q.HashAlgorithm != crypto.SHA1 {
		return nil, errNotOurs
	}
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Bits      asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &key); err != nil {
		return nil, err
	}
	if !bytes.Equal(q.IssuerNameHash, sum(issuer.RawSubject)) || !bytes.Equal(q.IssuerKeyHash, sum(key.Bits.RightAlign())) {
		return nil, errNotOurs
	}
	return q.SerialNumber, nil
}

func sum(b []byte) []byte {
	h := crypto.SHA1.New()
	h.Write(b)
	return h.Sum(nil)
}

// single checks that a question is about one certificate (RFC 5019 section
// 2.1.1), and that nothing stands behind it.
func single(question []byte) error {
	in := cryptobyte.String(question)
	var request, tbs, list, first cryptobyte.String
	version := cbasn1.Tag(0).Constructed().ContextSpecific()
	requestor := cbasn1.Tag(1).Constructed().ContextSpecific()
	if !in.ReadASN1(&request, cbasn1.SEQUENCE) || !in.Empty() || !request.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(version) || !tbs.SkipOptionalASN1(requestor) || !tbs.ReadASN1(&list, cbasn1.SEQUENCE) ||
		!list.ReadASN1(&first, cbasn1.SEQUENCE) {
		return errors.New("it is no OCSPRequest")
	}
	if !list.Empty() {
		return errors.New("it is about more than one certificate")
	}
	return nil
}

// serialText is a serial number as a CA's folder has it.
func serialText(n *big.Int) string {
	text := fmt.Sprintf("%X", n)
	if len(text)%2 != 0 {
		text = "0" + text
	}
	return text
}
