package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mailseal/certmgr/ca"
)

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.mu.RLock()
	prefix := s.path
	s.mu.RUnlock()
	path := strings.TrimPrefix(r.URL.Path, prefix)
	if path == ca.OCSPPath || strings.HasPrefix(path, ca.OCSPPath+"/") {
		s.ocsp(w, r, strings.TrimPrefix(path, ca.OCSPPath))
		return
	}
	p, ok := pages[path]
	switch {
	case !ok:
		http.Error(w, "nothing is here", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		notAllowed(w, "GET, HEAD")
	default:
		s.page(w, r, p)
	}
}

func notAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	http.Error(w, "only "+allow, http.StatusMethodNotAllowed)
}

// A page is one of the files.
type page struct {
	kind string // Content-Type
	pem  string // the type of its block, "" for DER
	of   func(*Site) document
}

// A document is what a page shows.
type document struct {
	der      []byte
	from, to time.Time // to is zero where it does not end
}

// The media types are those of RFC 2585 section 4.
var pages = map[string]page{
	ca.CRLPath:          {"application/pkix-crl", "", (*Site).crl},
	ca.CRLPath + ".pem": {"application/x-pem-file", "X509 CRL", (*Site).crl},
	ca.CertPath:         {"application/pkix-cert", "", (*Site).certificate},
	"/ca.pem":           {"application/x-pem-file", "CERTIFICATE", (*Site).certificate},
}

func (s *Site) crl() document {
	if s.list == nil {
		return document{}
	}
	return document{s.list.DER, s.list.ThisUpdate, s.list.NextUpdate}
}

func (s *Site) certificate() document {
	if s.cert == nil {
		return document{}
	}
	return document{der: s.cert.Raw, from: s.cert.NotBefore}
}

// page answers with a file. A list that has ended is worse than none: none is
// asked for again.
func (s *Site) page(w http.ResponseWriter, r *http.Request, p page) {
	s.mu.RLock()
	d := p.of(s)
	s.mu.RUnlock()
	if d.der == nil || !d.to.IsZero() && !d.to.After(s.now()) {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "there is none now", http.StatusServiceUnavailable)
		return
	}
	body := d.der
	if p.pem != "" {
		body = pem.EncodeToMemory(&pem.Block{Type: p.pem, Bytes: d.der})
	}
	s.cacheable(w.Header(), body, d.to)
	w.Header().Set("Content-Type", p.kind)
	http.ServeContent(w, r, "", d.from, bytes.NewReader(body))
}

// maxAge is how long others may show a copy without asking: what was revoked
// since is not in it.
const maxAge = time.Hour

// cacheable says how long a document is good (RFC 5019 section 6.2).
func (s *Site) cacheable(h http.Header, body []byte, to time.Time) {
	age := maxAge
	if !to.IsZero() {
		age = min(age, to.Sub(s.now()))
		h.Set("Expires", to.UTC().Format(http.TimeFormat))
	}
	h.Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", int(age/time.Second)))
	hash := sha256.Sum256(body)
	h.Set("ETag", fmt.Sprintf("\"%x\"", hash[:16]))
}
