package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/edition"
)

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.mu.RLock()
	prefix, files := s.path, s.files
	s.mu.RUnlock()
	path := strings.TrimPrefix(r.URL.Path, prefix)
	if path == ca.OCSPPath || strings.HasPrefix(path, ca.OCSPPath+"/") {
		s.ocsp(w, r, strings.TrimPrefix(path, ca.OCSPPath))
		return
	}
	d, ok := files[path]
	switch {
	case !ok:
		http.Error(w, "nothing is here", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		notAllowed(w, "GET, HEAD")
	default:
		s.page(w, r, d)
	}
}

func notAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	http.Error(w, "only "+allow, http.StatusMethodNotAllowed)
}

// A document is a file as it is shown. It is made once, not for everybody who
// asks: lists have megabytes.
type document struct {
	kind     string // Content-Type
	body     []byte // nil where there is none now
	tag      string
	from, to time.Time // to is zero where it does not end
}

// documents are all files, by their paths. The media types are those of RFC
// 2585 section 4.
func documents(list *edition.List, cert *x509.Certificate) map[string]document {
	const armored = "application/x-pem-file"
	crl, crlPEM := document{kind: "application/pkix-crl"}, document{kind: armored}
	if list != nil {
		crl.from, crl.to = list.ThisUpdate, list.NextUpdate
		crlPEM.from, crlPEM.to = list.ThisUpdate, list.NextUpdate
		crl.show(list.DER)
		crlPEM.show(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.DER}))
	}
	own, ownPEM := document{kind: "application/pkix-cert"}, document{kind: armored}
	if cert != nil {
		own.from, ownPEM.from = cert.NotBefore, cert.NotBefore
		own.show(cert.Raw)
		ownPEM.show(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return map[string]document{ca.CRLPath: crl, ca.CRLPath + ".pem": crlPEM, ca.CertPath: own, "/ca.pem": ownPEM}
}

func (d *document) show(body []byte) { d.body, d.tag = body, tag(body) }

func tag(body []byte) string {
	hash := sha256.Sum256(body)
	return fmt.Sprintf("\"%x\"", hash[:16])
}

// page answers with a file. A list that has ended is worse than none: none is
// asked for again.
func (s *Site) page(w http.ResponseWriter, r *http.Request, d document) {
	if d.body == nil || !d.to.IsZero() && !d.to.After(s.now()) {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "there is none now", http.StatusServiceUnavailable)
		return
	}
	s.cacheable(w.Header(), d.tag, d.to)
	w.Header().Set("Content-Type", d.kind)
	http.ServeContent(w, r, "", d.from, bytes.NewReader(d.body))
}

// maxAge is how long others may show a copy without asking: what was revoked
// since is not in it.
const maxAge = time.Hour

// cacheable says how long a document is good (RFC 5019 section 6.2).
func (s *Site) cacheable(h http.Header, tag string, to time.Time) {
	age := maxAge
	if !to.IsZero() {
		age = min(age, to.Sub(s.now()))
		h.Set("Expires", to.UTC().Format(http.TimeFormat))
	}
	h.Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", int(age/time.Second)))
	h.Set("ETag", tag)
}
