package control

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/edition"
	"mailseal/internal/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	webUID   = 33
	otherUID = 65534
)

// A rig is a server with a CA, and a clock of its own.
type rig struct {
	t       testing.TB
	ca      *ca.CA
	server  *Server
	changes int
	now     time.Time
	log     bytes.Buffer
}

func newRig(t testing.TB) *rig {
	t.Helper()
	c, err := ca.Init(filepath.Join(t.TempDir(), "CA"), ca.InitOptions{
		Subject: ca.Subject{Country: "JP", Organization: "Test", CommonName: "Test CA"}, Key: ca.P256, Unencrypted: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, ca: c, now: time.Now()}
	r.server = New(Config{
		State:   State{CA: c, Press: edition.NewPress(nil), Web: webUID, Hosts: []string{"mx.example.test", "mail.example.test"}},
		Changed: func() { r.changes++ }, Log: slog.New(slog.NewTextHandler(&r.log, nil)), Now: func() time.Time { return r.now },
	})
	r.server.own = -2 // whoever runs the test
	return r
}

// ask is a request of a user, as if it had come by the socket.
func (r *rig) ask(uid int, name string, question any) (status int, answer map[string]any) {
	r.t.Helper()
	body, ok := question.(string)
	if !ok {
		b, err := json.Marshal(question)
		if err != nil {
			r.t.Fatal(err)
		}
		body = string(b)
	}
	q := httptest.NewRequest("POST", "/v1/"+name, strings.NewReader(body))
	w := httptest.NewRecorder()
	r.server.ServeHTTP(w, q.WithContext(withPeer(q.Context(), &peer{uid: uid})))
	// A list is none of these.
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer
}

// refusals are what the audit file has of them.
func (r *rig) refusals() (all []string) {
	r.t.Helper()
	if _, err := r.ca.Audit(func(e audit.Event) error {
		if e.What == "refuse" {
			all = append(all, e.By+" "+e.Details["what"])
		}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return all
}

func publicKey(t testing.TB) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestWho: who may what. What is refused is on record.
func TestWho(t *testing.T) {
	r := newRig(t)
	host, err := r.ca.Issue(ca.Request{Profile: ca.Host, Hosts: []string{"mx.example.test"}, Key: ca.P256})
	if err != nil {
		t.Fatal(err)
	}
	key := publicKey(t)
	type m = map[string]any
	for _, tt := range []struct {
		what, name       string
		question         any
		root, web, other int
	}{
		{"hello", "hello", m{}, 200, 200, 403},
		{"summary", "summary", m{}, 200, 200, 403},
		{"list", "list", m{"profile": "host"}, 200, 200, 403},
		{"show", "show", m{"serial": host.Serial()}, 200, 200, 403},
		{"show nothing", "show", m{"serial": "01"}, 404, 404, 403},
		{"edition", "edition", m{}, 200, 200, 403},
		{"no crl yet", "crl", m{}, 404, 404, 403},
		{"renew crl", "renew-crl", m{}, 200, 200, 403},
		{"crl due", "crl-due", m{}, 200, 200, 403},
		{"new crl", "new-crl", m{}, 200, 200, 403},
		{"new crl for long", "new-crl", m{"days": 90}, 200, 403, 403},
		{"preview", "preview", m{"profile": "host", "hosts": []string{"mail.example.test"}, "public_key": key}, 200, 200, 403},
		{"host", "issue", m{"profile": "host", "hosts": []string{"mail.example.test"}, "public_key": key}, 200, 200, 403},
		{"host and its key", "issue", m{"profile": "host", "hosts": []string{"mail.example.test"}, "key": "p256"}, 200, 403, 403},
		{"other host", "issue", m{"profile": "host", "hosts": []string{"mx.example.test", "www.example.test"}, "public_key": key}, 200, 403, 403},
		{"no host", "issue", m{"profile": "host", "subject": m{"CommonName": "mx.example.test"}, "public_key": key}, 200, 403, 403},
		{"wildcard", "issue", m{"profile": "host", "hosts": []string{"*.example.test"}, "public_key": key}, 200, 403, 403},
		{"user", "issue", m{"profile": "user", "emails": []string{"a@example.test"}, "public_key": key}, 200, 403, 403},
		{"gateway", "issue", m{"profile": "gateway", "hosts": []string{"mx.example.test"}, "public_key": key}, 200, 403, 403},
		{"client", "issue", m{"profile": "client", "subject": m{"CommonName": "mx.example.test"}, "public_key": key}, 200, 403, 403},
		{"sub-ca", "issue", m{"profile": "sub-ca", "subject": m{"CommonName": "Sub"}, "public_key": key}, 200, 403, 403},
		{"renew", "renew", m{"serial": host.Serial(), "same_key": true}, 200, 403, 403},
		{"revoke nothing", "revoke", m{"serial": "01"}, 404, 404, 403},
		{"unknown field", "list", m{"fields": 1}, 422, 422, 403},
		{"two questions", "list", "{} {}", 422, 422, 403},
		{"no question", "list", "", 422, 422, 403},
		{"bad profile", "list", m{"profile": "x"}, 422, 422, 403},
		{"long serial", "revoke", m{"serial": strings.Repeat("0", maxSerial+1)}, 422, 422, 403},
		{"bad reason", "revoke", m{"serial": host.Serial(), "reason": "x"}, 422, 422, 403},
		{"large", "list", m{"text": strings.Repeat("x", maxRequest)}, 400, 400, 403},
		{"no operation", "init", m{}, 404, 404, 404},
	} {
		for uid, want := range map[int]int{0: tt.root, webUID: tt.web, otherUID: tt.other} {
			r.now = r.now.Add(time.Hour)
			before := len(r.refusals())
			if tt.what == "no crl yet" {
				os.Remove(filepath.Join(r.ca.Dir(), "crl.pem"))
			}
			got, answer := r.ask(uid, tt.name, tt.question)
			if got != want {
				t.Errorf("%s, user %d: %d, want %d: %v", tt.what, uid, got, want, answer)
			}
			if got == 403 && len(r.refusals()) != before+1 {
				t.Errorf("%s, user %d: the refusal is not on record", tt.what, uid)
			}
			if uid != 0 && answer["key"] != nil && tt.name != "summary" {
				t.Errorf("%s, user %d has got a private key", tt.what, uid)
			}
		}
	}
	// Without a web user there is none.
	r.server.Use(State{CA: r.ca, Press: edition.NewPress(nil), Web: -1})
	if got, _ := r.ask(webUID, "list", m{}); got != 403 {
		t.Errorf("nobody's web: %d", got)
	}
	if got, _ := r.ask(-1, "list", m{}); got != 403 {
		t.Errorf("user -1: %d", got)
	}
}

// TestWebRevokes: it may, and the daemon hears of it.
func TestWebRevokes(t *testing.T) {
	r := newRig(t)
	host, err := r.ca.Issue(ca.Request{Profile: ca.Host, Hosts: []string{"mx.example.test"}, Key: ca.P256})
	if err != nil {
		t.Fatal(err)
	}
	got, answer := r.ask(webUID, "revoke", map[string]any{"serial": host.Serial(), "reason": "superseded"})
	if got != 200 || answer["status"] != "revoked" || r.changes != 1 {
		t.Errorf("%d, %v, %d changes", got, answer, r.changes)
	}
}

// TestWebSubject: of what the web asks for nothing but configured names comes
// into a certificate, whatever the request for one says.
func TestWebSubject(t *testing.T) {
	r := newRig(t)
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"evil.test"}}, k)
	if err != nil {
		t.Fatal(err)
	}
	got, answer := r.ask(webUID, "issue", map[string]any{"profile": "host", "hosts": []string{"mx.example.test"}, "csr": csr,
		"subject": map[string]any{"CommonName": "evil.test", "Organization": "Evil"}, "emails": []string{"a@evil.test"}})
	if got != 200 {
		t.Fatalf("%d: %v", got, answer)
	}
	list, err := r.ca.List(ca.Query{Details: true})
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if d := cmp.Diff([]string{"mx.example.test"}, list[0].Names); d != "" || list[0].Subject != "/C=JP/O=Test/CN=mx.example.test" || list[0].By != "uid 33" {
		t.Errorf("%+v", list[0])
	}
}

// TestRates: nobody but root asks without end, and no refusals fill the disk.
func TestRates(t *testing.T) {
	r := newRig(t)
	count := func(uid int, name string, n int) map[int]int {
		codes := map[int]int{}
		for range n {
			code, _ := r.ask(uid, name, map[string]any{"serial": "01"})
			codes[code]++
		}
		return codes
	}
	if d := cmp.Diff(map[int]int{404: revoking.burst, 429: 30}, count(webUID, "revoke", revoking.burst+30)); d != "" {
		t.Error(d)
	}
	r.now = r.now.Add(2 * revoking.every)
	if d := cmp.Diff(map[int]int{404: 2, 429: 3}, count(webUID, "revoke", 5)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[int]int{403: forbidden.burst, 429: 40}, count(otherUID, "revoke", forbidden.burst+40)); d != "" {
		t.Error(d)
	}
	refused := 0
	for _, s := range r.refusals() {
		if s == "uid 65534 revoke" {
			refused++
		}
	}
	if refused != forbidden.burst {
		t.Errorf("%d refusals on record, want %d", refused, forbidden.burst)
	}
	if d := cmp.Diff(map[int]int{404: 60}, count(0, "revoke", 60)); d != "" {
		t.Error(d)
	}
}

// TestLargeEditions: who asks for all there is again and again is told that it
// is too much; who waits for what is new is not.
func TestLargeEditions(t *testing.T) {
	r := newRig(t)
	if _, err := r.server.state.Load().Press.Renew(t.Context(), r.ca, r.ca.Certificate().Raw); err != nil {
		t.Fatal(err)
	}
	ask := func(uid int, n int) map[int]int {
		codes := map[int]int{}
		for range n {
			code, _ := r.ask(uid, "edition", edition.Mark{})
			codes[code]++
		}
		return codes
	}
	if d := cmp.Diff(map[int]int{200: wholly.burst, 429: 7}, ask(webUID, wholly.burst+7)); d != "" {
		t.Error(d)
	}
	r.now = r.now.Add(2 * wholly.every)
	if d := cmp.Diff(map[int]int{200: 2, 429: 3}, ask(webUID, 5)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[int]int{200: 50}, ask(0, 50)); d != "" {
		t.Error(d)
	}
	r.now = r.now.Add(time.Minute)
	r.server.whole <- struct{}{} // one is being told
	if d := cmp.Diff(map[int]int{429: 2}, ask(webUID, 2)); d != "" {
		t.Error(d)
	}
	<-r.server.whole
	if d := cmp.Diff(map[int]int{200: 1}, ask(webUID, 1)); d != "" {
		t.Error(d)
	}
	if len(r.server.whole) != 0 {
		t.Error("the last one counts as being told")
	}
	// An edition that has come is no reason to refuse the next news.
	e := r.server.state.Load().Press.Since(t.Context(), edition.Mark{})
	q := edition.Mark{Press: e.Press, Number: e.Number - 1}
	for range 20 {
		if code, _ := r.ask(webUID, "edition", q); code != 200 {
			t.Fatalf("news: %d", code)
		}
	}
}

// TestRecords: an hour of whatever the web may not have leaves little on
// record.
func TestRecords(t *testing.T) {
	for what, question := range map[string]any{
		"another profile": map[string]any{"profile": "user"},
		"too many days":   map[string]any{"profile": "host", "hosts": []string{"mx.example.test"}, "public_key": publicKey(t), "days": 1000},
	} {
		r := newRig(t)
		asked := 0
		for range int(time.Hour / trying.every) {
			r.now = r.now.Add(trying.every)
			if code, _ := r.ask(webUID, "preview", question); code == 403 || code == 422 {
				asked++
			}
		}
		most := int(time.Hour/forbidden.every) + forbidden.burst
		if got := len(r.refusals()); asked == 0 || got == 0 || got > most {
			t.Errorf("%s: %d refusals on record of %d, want up to %d", what, got, asked, most)
		}
	}
}

// TestConnections: one user leaves room for others, and always for root.
func TestConnections(t *testing.T) {
	l := &peers{trusted: func(uid int) bool { return uid == 0 }, open: map[int]int{}}
	enter := func(uid, n int) (got int) {
		for range n {
			if l.enter(uid) {
				got++
			}
		}
		return got
	}
	for _, tt := range []struct{ uid, n, want int }{
		{webUID, 100, maxOfOthers}, {1000, 100, maxOfOthers}, {1001, 100, maxOfOthers}, {1002, 100, 0}, {0, 100, maxOfOthers}, {0, 1, 0},
	} {
		if got := enter(tt.uid, tt.n); got != tt.want {
			t.Errorf("user %d: %d connections, want %d", tt.uid, got, tt.want)
		}
	}
	l.leave(webUID)
	if enter(0, 5) != 1 || len(l.open) != 4 {
		t.Error("no room was made")
	}
}

// FuzzWeb: whatever the web asks, no name but configured ones would be
// certified, and nothing gives it a private key.
func FuzzWeb(f *testing.F) {
	r := newRig(f)
	key, err := json.Marshal(publicKey(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("preview", `{"profile":"host","hosts":["mx.example.test"],"public_key":`+string(key)+`}`)
	f.Add("preview", `{"profile":"host","hosts":["MX.example.test","*.example.test"],"csr":"MII=","public_key":`+string(key)+`}`)
	f.Add("list", `{"status":"valid","within":9,"sort":"end"}`)
	f.Add("show", `{"serial":"0x1F"}`)
	f.Add("edition", `{"press":"x","number":3}`)
	f.Add("renew", `{"serial":"01","same_key":true}`)
	f.Fuzz(func(t *testing.T, name, body string) {
		if name == "issue" || name == "new-crl" || name == "renew-crl" || strings.ContainsAny(name, " \t\r\n%?#") {
			return // they write; preview is issue without it
		}
		r.now = r.now.Add(time.Hour)
		q := httptest.NewRequest("POST", "/v1/x", strings.NewReader(body))
		q.URL.Path = "/v1/" + name
		ctx, cancel := context.WithCancel(withPeer(q.Context(), &peer{uid: webUID}))
		cancel() // no waiting for editions
		w := httptest.NewRecorder()
		r.server.ServeHTTP(w, q.WithContext(ctx))
		var p struct {
			Names []string `json:"names"`
			Key   []byte   `json:"key"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil && name == "preview" {
			t.Fatalf("%s: %s", err, w.Body)
		}
		if name != "preview" || w.Code != 200 {
			return
		}
		if len(p.Names) == 0 || p.Key != nil {
			t.Fatalf("%s", w.Body)
		}
		for _, n := range p.Names {
			if n != "mx.example.test" && n != "mail.example.test" {
				t.Fatalf("%s would be certified", n)
			}
		}
	})
}
