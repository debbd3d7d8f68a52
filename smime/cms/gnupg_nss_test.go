package cms

import (
	"crypto/sha1"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// p12 writes NAME.p12 as old programs read it, password x.
func p12(t *testing.T, dir, name string) {
	t.Helper()
	id := everyone[name]()
	write(t, dir, name+".p12", must(pkcs12.LegacyDES.Encode(id.key, id.cert, []*x509.Certificate{root().cert}, "x")))
}

// gpgsmFolder is a GnuPG home that trusts our root and holds the RSA key.
func gpgsmFolder(t *testing.T) string {
	t.Helper()
	needTool(t, "gpgsm")
	needTool(t, "gpgconf")
	dir := peerFolder(t, mail)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "trustlist.txt", fmt.Appendf(nil, "%X S relax\n", sha1.Sum(root().cert.Raw)))
	write(t, dir, "gpg-agent.conf", []byte("allow-loopback-pinentry\n"))
	write(t, dir, "gpgsm.conf", []byte("disable-crl-checks\nno-random-seed-file\n"))
	t.Cleanup(func() { run(dir, "gpgconf", "--kill", "all") }) // the agent of this home only
	if _, err := run(dir, strings.Fields("gpgsm --batch --import root.pem rsa.pem p256.pem p384.pem p521.pem")...); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 5 { // gpgsm 2.2 derives a wrong key from about one salt in a hundred
		p12(t, dir, "rsa")
		if _, err = run(dir, strings.Fields("gpgsm --batch --pinentry-mode loopback --passphrase-fd 0 --import rsa.p12")...); err == nil {
			return dir
		}
	}
	t.Fatal(err)
	return dir
}

func TestGpgsmReadsOurs(t *testing.T) {
	dir := gpgsmFolder(t)
	ours(t, func(name string, outside, inside []byte) {
		if strings.Contains(name, "PSS") || strings.Contains(name, "p521") || strings.Contains(name, "key identifier") || name == "p384 SHA-256" {
			return // gpgsm 2.2 cannot: a digest has to be as long as the curve, P-521 fails with any, key identifiers are a BER error
		}
		write(t, dir, "outside.p7s", outside)
		if _, err := run(dir, "gpgsm", "--batch", "--verify", "outside.p7s", "content"); err != nil {
			t.Errorf("%s, detached: %v", name, err)
		}
		write(t, dir, "inside.p7m", inside)
		if _, err := run(dir, "gpgsm", "--batch", "--verify", "inside.p7m"); err != nil {
			t.Errorf("%s, opaque: %v", name, err)
		}
	})
	write(t, dir, "other", []byte("other"))
	if _, err := run(dir, "gpgsm", "--batch", "--verify", "outside.p7s", "other"); err == nil {
		t.Error("other content passes")
	}
}

func TestWeReadGpgsm(t *testing.T) {
	dir := gpgsmFolder(t)
	for _, option := range []string{"--detach-sign", "--sign", "--detach-sign --include-certs 0", "--sign --digest-algo SHA512"} {
		command := "gpgsm --batch --yes --pinentry-mode loopback --passphrase-fd 0 --local-user rsa2048@example.jp -o sig " + option + " content"
		if _, err := run(dir, strings.Fields(command)...); err != nil {
			t.Errorf("%s: %v", option, err)
			continue
		}
		content := mail
		if !strings.Contains(option, "detach") {
			content = nil
		}
		_, results := read(t, must(os.ReadFile(filepath.Join(dir, "sig"))), content, rsa2048().cert)
		if len(results) != 1 {
			t.Fatalf("%s: %d signers", option, len(results))
		}
		wantErr(t, option, results[0].Err, nil)
	}
}

// nssFolder holds an NSS database db that trusts our root and holds the keys.
func nssFolder(t *testing.T) string {
	t.Helper()
	needTool(t, "cmsutil")
	needTool(t, "certutil")
	needTool(t, "pk12util")
	dir := peerFolder(t, mail)
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	commands := []string{
		"certutil -N -d sql:db --empty-password",
		"certutil -A -d sql:db -n root -t CT,C,C -a -i root.pem",
	}
	for _, name := range []string{"rsa", "p256", "p384", "p521"} {
		p12(t, dir, name)
		commands = append(commands, "pk12util -d sql:db -W x -i "+name+".p12")
	}
	for _, command := range commands {
		if _, err := run(dir, strings.Fields(command)...); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestNSSReadsOurs(t *testing.T) {
	dir := nssFolder(t)
	good := func(name string, args ...string) {
		out, err := run(dir, append([]string{"cmsutil", "-D", "-d", "sql:db", "-h", "0", "-n"}, args...)...)
		signers := 1 + strings.Count(name, " and ")
		if err != nil || strings.Count(string(out), "status=GoodSignature") != signers {
			t.Errorf("%s: %s, %v", name, out, err)
		}
	}
	ours(t, func(name string, outside, inside []byte) {
		if strings.Contains(name, "PSS") {
			return // NSS 3.87 cannot in CMS
		}
		write(t, dir, "outside", outside)
		good(name+", detached", "-i", "outside", "-c", "content")
		write(t, dir, "inside", inside)
		good(name+", opaque", "-i", "inside")
	})
	write(t, dir, "other", []byte("other"))
	if out, err := run(dir, "cmsutil", "-D", "-d", "sql:db", "-h", "0", "-n", "-i", "outside", "-c", "other"); err == nil && strings.Contains(string(out), "GoodSignature") {
		t.Errorf("other content passes: %s", out)
	}
}

func TestWeReadNSS(t *testing.T) {
	dir := nssFolder(t)
	nick := map[string]string{"rsa": "rsa2048", "p256": "p256", "p384": "p384", "p521": "p521"}
	for name, options := range map[string]string{"rsa": "-G -P -Y NONE", "p256": "-T", "p384": "-T -G -H SHA384", "p521": "-P -H SHA512"} {
		command := strings.Fields("cmsutil -S -d sql:db -i content -o sig " + options + " -N")
		if _, err := run(dir, append(command, nick[name]+" - Example")...); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var content []byte
		if strings.Contains(options, "-T") {
			content = mail
		}
		_, results := read(t, must(os.ReadFile(filepath.Join(dir, "sig"))), content)
		if len(results) != 1 {
			t.Fatalf("%s: %d signers", name, len(results))
		}
		wantErr(t, name, results[0].Err, nil)
	}
}
