package fetch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestAddresses(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32"), netip.MustParsePrefix("fd00::/64")}
	for at, want := range map[string]error{
		"93.184.215.14:80": nil, "8.8.8.8:443": nil, "[2606:2800:220:1::1]:80": nil, "[::ffff:8.8.8.8]:80": nil,
		"10.0.0.5:8080": nil, "[::ffff:10.0.0.5]:80": nil, "[fd00::1]:1": nil,
		"8.8.8.8:25": errPort, "8.8.8.8:8080": errPort, "[2606:2800:220:1::1]:6379": errPort,
		"0.0.0.0:80": errAddress, "0.1.2.3:80": errAddress, "10.0.0.4:80": errAddress, "100.64.0.1:80": errAddress, "100.127.255.255:80": errAddress,
		"127.0.0.1:80": errAddress, "127.9.9.9:80": errAddress, "169.254.169.254:80": errAddress, "172.16.0.1:80": errAddress, "172.31.255.255:80": errAddress,
		"192.0.0.1:80": errAddress, "192.0.2.1:80": errAddress, "192.88.99.1:80": errAddress, "192.168.1.1:80": errAddress, "198.19.0.1:80": errAddress,
		"198.51.100.1:80": errAddress, "203.0.113.1:80": errAddress, "224.0.0.1:80": errAddress, "240.0.0.1:80": errAddress, "255.255.255.255:80": errAddress,
		"[::]:80": errAddress, "[::1]:80": errAddress, "[::8.8.8.8]:80": errAddress, "[::ffff:127.0.0.1]:80": errAddress, "[::ffff:169.254.169.254]:80": errAddress,
		"[64:ff9b::8.8.8.8]:80": errAddress, "[64:ff9b::7f00:1]:80": errAddress, "[64:ff9b:1::1]:80": errAddress, "[100::1]:80": errAddress,
		"[2001::1]:80": errAddress, "[2001:2::1]:80": errAddress, "[2001:20::1]:80": errAddress, "[2001:db8::1]:80": errAddress, "[2002:7f00:1::1]:80": errAddress,
		"[3fff::1]:80": errAddress, "[5f00::1]:80": errAddress, "[fc00::1]:80": errAddress, "[fd00:0:0:1::1]:80": errAddress, "[fe80::1]:80": errAddress,
		"[fe80::1%1]:80": errAddress, "[fec0::1]:80": errAddress, "[ff02::1]:80": errAddress, "[fd00::1%1]:80": errAddress,
	} {
		if got := mayDial(netip.MustParseAddrPort(at), allow); got != want {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
	if err := control(nil)(t.Context(), "udp4", "8.8.8.8:80", nil); err != errAddress {
		t.Errorf("udp: %v", err)
	}
}

func TestURLs(t *testing.T) {
	for in, want := range map[string]string{
		"http://crl.example/a?b=c": "", "https://crl.example": "", "HTTP://CRL.example:80/": "", "http://8.8.8.8/x": "", "http://[2606:2800:220:1::1]/x": "",
		"http://[::ffff:8.8.8.8]/": "", "http://crl.example:8080/": "", // where it leads is seen when it is dialled
		"":                                      "only http and https are fetched",
		"ldap://crl.example/cn=CA":              "only http and https are fetched, not \"ldap\"",
		"file:///etc/passwd":                    "only http and https",
		"http:crl.example":                      "names no host",
		"http:///crl":                           "names no host",
		"http://:80/crl":                        "names no host",
		"http://a:b@crl.example/":               "has a user",
		"http://@crl.example/":                  "has a user",
		"http://crl.example/\r\nX: y":           "malformed",
		"http://crl example/":                   "malformed",
		"http://[::1/":                          "malformed",
		"http://127.0.0.1/":                     "not one of the Internet",
		"http://127.0.0.1:8080/":                "not one of the Internet",
		"http://[::ffff:127.0.0.1]/":            "not one of the Internet",
		"http://[fe80::1%25eth0]/":              "not one of the Internet",
		"http://169.254.169.254/latest":         "not one of the Internet",
		"http://8.8.8.8:25/":                    "neither 80 nor 443",
		"http://8.8.8.8:99999/":                 "malformed",
		"http://a/" + strings.Repeat("x", 3000): "too long",
	} {
		_, err := parseURL(in, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60q: %v, want %q", in, err, want)
		}
	}
}

// A nameServer answers each question for an A record by what answer says.
func nameServer(t *testing.T, answer func(n int64) []string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var asked atomic.Int64
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				for _, a := range answer(asked.Add(1)) {
					m.Answers = append(m.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class},
						Body:   &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()},
					})
				}
			}
			if out, err := m.Pack(); err == nil {
				pc.WriteTo(out, from)
			}
		}
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// elsewhere is a server on the same port of an address that is not allowed.
func elsewhere(t *testing.T, port string) *atomic.Int64 {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skip("127.0.0.2 is not available on this machine:", err)
	}
	hits := new(atomic.Int64)
	s := &httptest.Server{Listener: ln, Config: &http.Server{
		Handler:   http.NotFoundHandler(),
		ConnState: func(net.Conn, http.ConnState) { hits.Add(1) },
	}}
	s.Start()
	t.Cleanup(s.Close)
	return hits
}

// A name that led to a good address leads to another one the next time, or to
// several at once: the address that counts is the one that is dialled.
func TestRebinding(t *testing.T) {
	o := newOrigin(t)
	o.has(list(t, 1, 0, 24))
	u, _ := url.Parse(o.URL)
	hits := elsewhere(t, u.Port())
	for _, tt := range []struct {
		name    string
		answers [][]string
		want    []string
	}{
		{"moves", [][]string{{"127.0.0.1"}, {"127.0.0.2"}}, []string{"", errAddress.Error()}},
		{"never good", [][]string{{"127.0.0.2"}}, []string{errAddress.Error()}},
		{"one of two", [][]string{{"127.0.0.2", "127.0.0.1"}}, []string{""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{Settings: on(), Resolver: nameServer(t, func(n int64) []string {
				return tt.answers[min(int(n), len(tt.answers))-1]
			})})
			for i, want := range tt.want {
				_, err := b.CRL(t.Context(), fmt.Sprintf("http://crl.example:%s/%d", u.Port(), i))
				if want == "" && err != nil || want != "" && (err == nil || err.Error() != "crl.example: "+want) {
					t.Errorf("%d: %v, want %q", i, err, want)
				}
			}
		})
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections to an address that is not allowed", n)
	}
}

func TestNoSuchHost(t *testing.T) {
	b := newBench(t, Config{Settings: on(), Resolver: nameServer(t, func(int64) []string { return nil })})
	if got := b.no("http://crl.example/secret-path"); got != "crl.example: no such host" {
		t.Error(got)
	}
	if b.log.Count("cannot fetch") != 1 || b.log.Count("secret-path") != 0 {
		t.Error(b.log)
	}
}
