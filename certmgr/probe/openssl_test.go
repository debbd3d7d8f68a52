package probe

import (
	"bufio"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/dh"
	"mailseal/internal/testpki"
)

// openssl runs s_server, which knows what crypto/tls does not, on a port of its own.
func openssl(t *testing.T, args ...string) URL {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	cmd := exec.Command(path, append([]string{"s_server", "-accept", "127.0.0.1:0"}, args...)...)
	stdin, err := cmd.StdinPipe() // at its end the server ends
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	if _, err := io.WriteString(stdin, "220 "+host+"\r\n"); err != nil { // for the first client
		t.Fatal(err)
	}
	out := bufio.NewScanner(stdout)
	for out.Scan() {
		if rest, ok := strings.CutPrefix(out.Text(), "ACCEPT 127.0.0.1:"); ok {
			go func() { // it must not wait for somebody to read
				for out.Scan() {
				}
			}()
			return URL{Scheme: "smtps", Host: "127.0.0.1", Port: rest}
		}
	}
	t.Fatalf("openssl s_server %q does not start", args)
	return URL{}
}

// TestOpenSSL: versions and sizes of Diffie-Hellman's prime that OpenSSL says it has.
func TestOpenSSL(t *testing.T) {
	p := testpki.New(t)
	id := p.Host(host, ca.RSA2048)
	files := []string{"-cert", testpki.Write(t, "host.cert", testpki.CertPEM(id.Certificate)), "-key", testpki.Write(t, "host.key", testpki.KeyPEM(t, id.Key))}
	param := func(g dh.Group) string { return testpki.Write(t, "dh.param", g.Parameters().PEM()) }
	for _, c := range []struct {
		args     string
		versions []uint16
		bits     int
	}{
		{"-cipher ALL:@SECLEVEL=0 -min_protocol TLSv1 -dhparam " + param(dh.FFDHE2048), []uint16{0x0301, 0x0302, 0x0303, 0x0304}, 2048},
		{"-cipher ALL:@SECLEVEL=0 -tls1", []uint16{0x0301}, 2048}, // its own
		{"-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384 -dhparam " + param(dh.FFDHE8192), []uint16{0x0303}, 8192},
		{"-tls1_2 -cipher AES128-SHA256", []uint16{0x0303}, 0},
		{"-tls1_2 -cipher ECDHE", []uint16{0x0303}, 0},
		{"-tls1_3", []uint16{0x0304}, 0},
		{"-tls1_3 -groups P-384", []uint16{0x0304}, 0}, // it asks for another hello
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			u := openssl(t, append(strings.Fields(c.args), files...)...)
			r := Check(t.Context(), u, Want{Host: host, CAs: p.Roots(), Timeout: time.Minute})
			if strings.Contains(c.args, "-cipher DHE") {
				wantFailure(t, r, "FAIL", Handshake, "TLS handshake: remote error", "nothing but Diffie-Hellman without elliptic curves")
			} else if want := VersionName(slices.Max(c.versions)); !r.OK() || r.Version != want || r.Banner != host {
				t.Errorf("%s, greets as %q: %v; want %s", r.Version, r.Banner, r.Err, want)
			}
			if got, err := Versions(t.Context(), u); err != nil || !slices.Equal(got, c.versions) {
				t.Errorf("it takes %x, %v; want %x", got, err, c.versions)
			}
			if got, err := DHBits(t.Context(), u); err != nil || got != c.bits {
				t.Errorf("Diffie-Hellman with %d bits, %v; want %d", got, err, c.bits)
			}
		})
	}
}
