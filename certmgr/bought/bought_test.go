package bought

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailseal/certmgr/ca"
	"mailseal/internal/testpki"
)

// What a folder has is read whatever it is, and nothing is waited for.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string][]byte{"a.p12": []byte("a"), "a.pass": []byte("secret\r\nmore\n"), ".hidden": nil, "large.pem": make([]byte, maxFile+1)} {
		if err := os.WriteFile(path(name), content, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{os.Mkdir(path("folder.pem"), 0o700), syscall.Mkfifo(path("fifo.pem"), 0o600), os.Symlink("gone", path("link.pem")), os.Symlink("a.p12", path("to-a.p12"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := Read(dir)
	if err != nil || !f.Exists {
		t.Fatal(err)
	}
	var got []string
	for _, file := range f.Files {
		got = append(got, fmt.Sprintf("%s %q %q %v", filepath.Base(file.Path), file.Content, file.Pass, file.Err != ""))
	}
	const want = `a.p12 "a" "secret" false; fifo.pem "" "" true; large.pem "" "" true; link.pem "" "" true; to-a.p12 "a" "" false`
	if strings.Join(got, "; ") != want {
		t.Errorf("%s; want %s", strings.Join(got, "; "), want)
	}
	for i := range maxFiles {
		if err := os.WriteFile(path(fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "move what is old away") {
		t.Errorf("%v", err)
	}
}

// Of several chains the shortest is sent, and the newest certificate wins whatever
// it is called.
func TestChoose(t *testing.T) {
	hosts := []string{"mx.example.jp"}
	root := testpki.NewAt(t, time.Now().AddDate(0, 0, -60))
	older, newer := root.Host(hosts[0], ca.P256), testpki.New(t)
	below := newer.Below()
	id := below.Host(hosts[0], ca.P256)
	files := []File{{Path: "1.pem", Mode: 0o600, Content: testpki.PEM(t, older)}, {Path: "2.pem", Mode: 0o600, Content: testpki.PEM(t, id)}}
	f := Folder{Path: "/in", Exists: true, Mode: 0o700, Files: files}
	o, problems := f.Choose(append(root.Roots(), newer.Root()), hosts, time.Now())
	if len(problems) > 0 || o == nil || !o.Leaf.Equal(id.Certificate) || len(o.Chain) != 1 || !o.Root.Equal(newer.Root()) || strings.Join(o.Paths, " ") != "2.pem" {
		t.Errorf("%v %v", o, problems)
	}
	// Without its root the older one has to do, and it is said why.
	o, problems = f.Choose(root.Roots(), hosts, time.Now())
	if len(problems) != 1 || !strings.HasPrefix(problems[0], "2.pem ") || o == nil || !o.Leaf.Equal(older.Certificate) || len(o.Chain) != 0 {
		t.Errorf("%v %v", o, problems)
	}
	if end := o.Leaf.NotAfter; !Remind(o.Leaf).Equal(end.AddDate(0, 0, -30)) {
		t.Errorf("%v before its end", end.Sub(Remind(o.Leaf)))
	}
}

// TestIsFor: a certificate without extended key usage is for everything.
func TestIsFor(t *testing.T) {
	for _, c := range []struct {
		what string
		cert x509.Certificate
		want bool
	}{
		{"no use named", x509.Certificate{}, true},
		{"any", x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}, true},
		{"servers", x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}, true},
		{"mail", x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}, false},
		{"a use that nobody knows", x509.Certificate{UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 2, 3}}}, false},
	} {
		if got := IsFor(&c.cert, x509.ExtKeyUsageServerAuth); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
