package ca

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rsa"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mailseal/certmgr/ca/index"
)

// weakKey is a public key of 1024 bits, which crypto/rsa no longer makes.
func weakKey(t *testing.T) crypto.PublicKey {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), 1023)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
}

// What a writer that was killed left is completed or forgotten by the next.
func TestRepair(t *testing.T) {
	tests := []struct {
		name string
		// leave makes of a folder with a whole certificate what a crash leaves.
		leave func(t *testing.T, c *CA, cert, lines string)
		kept  bool // the certificate is in the folder afterwards
	}{
		{"before the signature", func(t *testing.T, c *CA, cert, lines string) {
			os.Remove(cert)
			writeFile(t, c.path(indexFile), "")
		}, false},
		{"in the certificate's file", func(t *testing.T, c *CA, cert, lines string) {
			os.Remove(cert)
			writeFile(t, c.path(indexFile), "")
			writeFile(t, filepath.Join(c.path(newCerts), "."+filepath.Base(cert)+".123.tmp"), "half")
		}, false},
		{"before the index", func(t *testing.T, c *CA, cert, lines string) {
			writeFile(t, c.path(indexFile), "")
		}, true},
		{"in the index", func(t *testing.T, c *CA, cert, lines string) {
			writeFile(t, c.path(indexFile), lines[:len(lines)/2])
		}, true},
		{"before the newline", func(t *testing.T, c *CA, cert, lines string) {
			writeFile(t, c.path(indexFile), strings.TrimSuffix(lines, "\n"))
		}, true},
		{"before the intent went", func(t *testing.T, c *CA, cert, lines string) {}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCA(t)
			first := issue(t, c, alice).Certificate
			lines, err := os.ReadFile(c.path(indexFile))
			if err != nil {
				t.Fatal(err)
			}
			tt.leave(t, c, c.newCert(first.SerialNumber, "pem"), string(lines))
			if err := c.begin(intent{Draft: first}); err != nil {
				t.Fatal(err)
			}
			second := issue(t, c, alice).Certificate
			want := []string{index.Serial(second.SerialNumber)}
			if tt.kept {
				want = []string{index.Serial(first.SerialNumber), want[0]}
			}
			wantCertificates(t, c, want)
		})
	}
}

func TestRepairLeavesAloneWhatItDoesNotKnow(t *testing.T) {
	c := newCA(t)
	first := issue(t, c, alice).Certificate
	if err := c.begin(intent{Draft: first}); err != nil {
		t.Fatal(err)
	}
	writeFile(t, c.path(indexFile), "V\tsomebody's work")
	if _, err := c.Issue(alice); err == nil || !strings.Contains(err.Error(), "index.txt: the last line has no end") {
		t.Errorf("Issue: %v", err)
	}
	wantFile(t, c, indexFile, "V\tsomebody's work")
	writeFile(t, c.path(intentFile), "rubbish")
	if _, err := c.Issue(alice); err == nil || !strings.Contains(err.Error(), "not an intent") {
		t.Errorf("Issue: %v", err)
	}
}

// A number that is taken is not used again, not even when index.txt is gone.
func TestSerialIsNeverUsedTwice(t *testing.T) {
	c := newCA(t)
	c.rand = repeated{0x5A}
	first := issue(t, c, alice).Certificate
	writeFile(t, c.path(indexFile), "")
	if _, err := c.Issue(Request{Profile: Host, Subject: Subject{CommonName: "mx.example"}, Key: P256}); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("Issue: %v", err)
	}
	b, err := os.ReadFile(c.newCert(first.SerialNumber, "pem"))
	if err != nil || !bytes.Equal(b, EncodeCertificates(first)) {
		t.Errorf("the first certificate was replaced, %v", err)
	}
	wantFile(t, c, indexFile, "")
	if _, err := os.Stat(c.path(intentFile)); err == nil {
		t.Error("the intent was left")
	}
}

// repeated is a source of one byte.
type repeated struct{ b byte }

func (r repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.b
	}
	return len(p), nil
}

func TestUniqueSubject(t *testing.T) {
	for _, attr := range []string{"unique_subject = yes\n", "unique_subject=1\n", "# nothing\n"} {
		c := newCA(t)
		writeFile(t, c.path(attrFile), attr)
		issue(t, c, alice)
		if _, err := c.Issue(alice); err == nil || !strings.Contains(err.Error(), "unique_subject") {
			t.Errorf("%q: %v", attr, err)
		}
		writeFile(t, c.path(attrFile), "unique_subject = no\n")
		issue(t, c, alice)
	}
	// Who has ended is in nobody's way, and openssl is told so.
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := newCA(t, func(o *InitOptions) {
		o.Settings.UniqueSubject, o.Now = true, func() time.Time { return now }
	})
	first := issue(t, c, alice).Serial()
	now = now.AddDate(3, 0, 0)
	issue(t, c, alice)
	if e, _, err := c.index.Find(first); err != nil || e.Status != index.Expired {
		t.Errorf("%+v, %v", e, err)
	}
}

const writerEnv = "MAILSEAL_TEST_WRITER"

// TestWriter is the other process of the tests below: it prints the number of
// every certificate that it has issued.
func TestWriter(t *testing.T) {
	dir := os.Getenv(writerEnv)
	if dir == "" {
		t.Skip("only runs as a part of other tests")
	}
	write(t, dir, 10, os.Stdout)
}

func write(t *testing.T, dir string, n int, w io.Writer) {
	c, err := Open(dir, OpenOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	for i := range n {
		r := alice
		r.Emails = []string{"user" + strconv.Itoa(i) + "@corp.example"}
		issued, err := c.Issue(r)
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(w, "issued %s\n", index.Serial(issued.Certificate.SerialNumber))
	}
}

func writer(dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestWriter$")
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	return cmd
}

// A writer is killed somewhere in its work, again and again. What it said it
// had issued is in the folder, and the folder is whole after the next issue.
func TestKilledWriter(t *testing.T) {
	c := newCA(t)
	said := map[string]bool{}
	for round := range 10 {
		cmd := writer(c.Dir())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It is on with the next one, anywhere, when we have read this line.
		lines := bufio.NewScanner(out)
		for n := 0; n <= round/2 && lines.Scan(); n++ {
			said[strings.TrimPrefix(lines.Text(), "issued ")] = true
		}
		cmd.Process.Kill()
		for lines.Scan() {
			if serial, ok := strings.CutPrefix(lines.Text(), "issued "); ok {
				said[serial] = true
			}
		}
		cmd.Wait()
	}
	issue(t, c, alice)
	var serials []string
	if err := c.index.Each(func(e index.Entry) error {
		delete(said, e.Serial)
		serials = append(serials, e.Serial)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(said) > 0 {
		t.Errorf("lost: %v", said)
	}
	wantCertificates(t, c, serials)
}

// Several processes issue, revoke and make lists in one folder, and nothing of
// it is lost.
func TestTwoWriters(t *testing.T) {
	c := newCA(t)
	revoke(t, c, issue(t, c, alice).Serial(), Superseded)
	newList(t, c)
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() { write(t, c.Dir(), 10, io.Discard) })
		writers.Go(func() {
			if out, err := writer(c.Dir()).CombinedOutput(); err != nil {
				t.Errorf("the other process: %v\n%s", err, out)
			}
		})
	}
	writers.Go(func() {
		for range 5 {
			r := alice
			i, err := c.Issue(r)
			if err == nil {
				_, err = c.Revoke(Revocation{Serial: i.Serial(), Reason: KeyCompromise})
			}
			if err == nil {
				_, err = c.IssueCRL(CRLOptions{})
			}
			if err == nil {
				_, err = c.List(Query{})
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	writers.Wait()
	list, err := c.List(Query{})
	if err != nil || len(list) != 1+40+5 {
		t.Fatalf("%d certificates, %v; want 46", len(list), err)
	}
	if got, err := c.CRL(); err != nil || got.Number.Int64() != 6 || got.Revoked != 6 {
		t.Errorf("%+v, %v", got, err)
	}
	wantWhole(t, c, "after all")
}

// wantCertificates checks index and newcerts, in the order of the index, and
// that nothing else is left.
func wantCertificates(t *testing.T, c *CA, serials []string) {
	t.Helper()
	var got []string
	if err := c.index.Each(func(e index.Entry) error { got = append(got, e.Serial); return nil }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(serials) {
		t.Errorf("index has %v, want %v", got, serials)
	}
	names, err := readNames(c.path(newCerts))
	if err != nil || len(slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, ".json") })) != len(serials) {
		t.Errorf("newcerts has %v, %v; want %v", names, err, serials)
	}
	for _, s := range serials {
		if _, err := os.Stat(filepath.Join(c.path(newCerts), s+".pem")); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(c.path(intentFile)); err == nil {
		t.Error("the intent is still there")
	}
	top, err := os.ReadDir(c.Dir())
	if err != nil {
		t.Error(err)
	}
	for _, e := range top {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s is left", e.Name())
		}
	}
}
