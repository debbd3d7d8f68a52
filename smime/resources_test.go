package smime_test

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/spool"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

// allocated is how much memory f takes in all, given back or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A mail of 25 MB takes no more memory than one of 1 MB.
func TestMemoryDoesNotGrowWithTheMail(t *testing.T) {
	const most = 2 << 20
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	p := testpki.NewAt(t, fixed)
	id := p.User("alice@corp.example", ca.P256)
	s := newSpool(t)
	m := bigMail(t, s, 25<<20)
	eightBit := bigText(t, s, 25<<20)
	for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
		for name, m := range map[string]*message.Message{"attachment": m, "8-bit text": eightBit} {
			t.Run(fmt.Sprintf("%v %s", format, name), func(t *testing.T) {
				o := options(t, id, format)
				var signed *message.Message
				if n := allocated(func() { signed = sign(t, m, o) }); n > most {
					t.Errorf("Sign took %d bytes", n)
				}
				var r *smime.Report
				if n := allocated(func() { r = verify(t, signed) }); n > most {
					t.Errorf("Verify took %d bytes", n)
				}
				if !good(r) {
					t.Error(describe(r))
				}
			})
		}
	}
}

// bigText is text that has to be encoded.
func bigText(t testing.TB, s *spool.Store, size int) *message.Message {
	t.Helper()
	const line = "Ein Satz mit \u00fcblichen Umlauten und einem Blank am Ende \r\n"
	m, err := message.Read(io.MultiReader(strings.NewReader("Subject: big\r\n\r\n"), strings.NewReader(strings.Repeat(line, size/len(line)))), s, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Body.Close() })
	return m
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("cannot count open files: %v", err)
	}
	return len(files)
}

// Every spool file is closed, by the verdict or, where there is none, before
// Sign and Verify return.
func TestNoFileStaysOpen(t *testing.T) {
	s, err := spool.New(spool.Config{Dir: t.TempDir(), Memory: 1})
	if err != nil {
		t.Fatal(err)
	}
	id := testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256)
	lf := strings.Repeat("A line that ends in LF, 8-bit: \u00fc\n", 10000)
	refused := "Content-Type: multipart/signed; boundary=s; protocol=\"x/y\"\n\n--s\n\n" + lf + "\n--s\n\nx\n--s--\n"
	before := openFiles(t)
	for _, mail := range []string{"Subject: x\n\n" + lf, refused} {
		m, err := message.Read(strings.NewReader(mail), s, message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []smime.Format{smime.Detached, smime.Opaque} {
			edits, err := smime.Sign(m, smime.SignOptions{Identity: id, Spool: s, Format: format})
			if (err != nil) != (mail == refused) {
				t.Fatal(err)
			}
			message.Verdict{Edits: edits}.Close()
		}
		if _, err := smime.Verify(m, smime.VerifyOptions{Spool: s}); err != nil {
			t.Fatal(err)
		}
		if _, err := smime.Inspect(m, smime.InspectOptions{Spool: s}); err != nil {
			t.Fatal(err)
		}
		m.Body.Close()
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files open, %d before", after, before)
	}
}

// One mail may be signed and verified from many goroutines.
func TestConcurrentUse(t *testing.T) {
	id := testpki.NewAt(t, fixed).User("alice@corp.example", ca.P256)
	m := bigMail(t, newSpool(t), 400<<10)
	o := options(t, id, smime.Detached)
	signed := sign(t, m, o)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			edits, err := smime.Sign(m, o)
			if err != nil {
				t.Error(err)
				return
			}
			message.Verdict{Edits: edits}.Close()
			if r, err := smime.Verify(signed, smime.VerifyOptions{}); err != nil || !good(r) {
				t.Error(err, describe(r))
			}
		})
	}
	wg.Wait()
}
