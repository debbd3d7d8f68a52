package message

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"
	"syscall"
	"testing"
	"time"
)

// loop runs f as b.Loop does and reports bytes per second of processor time,
// which says the same on a busy machine.
func loop(b *testing.B, size int, f func()) {
	b.Helper()
	b.ReportAllocs()
	start := processorTime(b)
	for b.Loop() {
		f()
	}
	if took := processorTime(b) - start; took > 0 {
		b.ReportMetric(float64(size)*float64(b.N)/1e6/took.Seconds(), "MB/cpu-s")
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// base64Text returns about n bytes of base64 in lines of 76 and what it means.
func base64Text(n int) (text, clear []byte) {
	clear = make([]byte, n/78*57)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(clear)
	line := make([]byte, 76)
	for rest := clear; len(rest) > 0; rest = rest[57:] {
		base64.StdEncoding.Encode(line, rest[:57])
		text = append(append(text, line...), "\r\n"...)
	}
	return text, clear
}

// plainText returns n bytes as people write.
func plainText(n int) []byte {
	const lines = "Dear Sirs,\r\n\r\nwe have received your order of last Monday and will ship it this week.\r\n" +
		"It is well-known that the roads are bad, so please be patient with us.\r\n"
	return []byte(strings.Repeat(lines, n/len(lines)+1)[:n])
}

// dashedText returns n bytes with more hyphens than most have.
func dashedText(n int) []byte {
	const lines = "The well-known fox -- quick and brown -- jumps over the lazy dog, again and again.\r\n" +
		"\r\n> quoted text of somebody else\r\n- one\r\n- two\r\n\r\n-- \r\nsignature\r\n"
	return []byte(strings.Repeat(lines, n/len(lines)+1)[:n])
}

func multipart(parts ...[]byte) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		b.WriteString("--=_outer\r\nContent-Type: application/octet-stream; name=\"a.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
		b.Write(p)
		b.WriteString("\r\n")
	}
	b.WriteString("--=_outer--\r\n")
	return b.Bytes()
}

var multipartHeader = Header{NewField("Content-Type", ` multipart/mixed; boundary="=_outer"`)}

func BenchmarkRead(b *testing.B) {
	header := strings.Repeat("Received: from a.example by b.example with ESMTPS id 12345;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n", 10)
	for _, size := range []int{10 << 10, 1 << 20, 25 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			mail := append([]byte(header+"\r\n"), plainText(size)...)
			s := testSpool(b)
			loop(b, len(mail), func() {
				m, err := Read(bytes.NewReader(mail), s, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				m.Body.Close()
			})
		})
	}
}

func BenchmarkWalk(b *testing.B) {
	text, _ := base64Text(25 << 20)
	narrow := []byte(strings.Repeat("--=_outer\r\n\r\nx\r\n", 100_000))
	for _, bb := range []struct {
		name   string
		body   []byte
		limits Limits
	}{
		{"text", multipart(plainText(25 << 20)), Limits{}},
		{"dashes", multipart(dashedText(25 << 20)), Limits{}},
		{"base64", multipart(text), Limits{}},
		{"nested", []byte("--=_outer\n" + nestedMail(1000)), Limits{}},
		{"10000parts", narrow[:len(narrow)/10], Limits{Parts: 1 << 20}},
		{"100000parts", narrow, Limits{Parts: 1 << 20}},
		{"almost", bytes.Repeat([]byte("--=_oute\r\n"), 100_000), Limits{}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			loop(b, len(bb.body), func() {
				if _, err := Walk(multipartHeader, Bytes(bb.body), bb.limits); err != nil && bb.name != "nested" {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	text, clear := base64Text(1 << 20)
	quoted := bytes.ReplaceAll(plainText(1<<20), []byte("e"), []byte("=65"))
	buf := make([]byte, 32<<10)
	drain := func(b *testing.B, r io.Reader) {
		for {
			if _, err := r.Read(buf); err == io.EOF {
				return
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	base, quote := Part{Encoding: "base64", End: int64(len(text))}, Part{Encoding: "quoted-printable", End: int64(len(quoted))}
	b.Run("base64", func(b *testing.B) {
		loop(b, len(text), func() { drain(b, base.Decode(Bytes(text))) })
	})
	b.Run("encoding-base64-Decode", func(b *testing.B) {
		dst := make([]byte, len(clear))
		loop(b, len(text), func() {
			if _, err := base64.StdEncoding.Decode(dst, text); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("encoding-base64-NewDecoder", func(b *testing.B) {
		loop(b, len(text), func() { drain(b, base64.NewDecoder(base64.StdEncoding, bytes.NewReader(text))) })
	})
	b.Run("quoted-printable", func(b *testing.B) {
		loop(b, len(quoted), func() { drain(b, quote.Decode(Bytes(quoted))) })
	})
	b.Run("mime-quotedprintable", func(b *testing.B) {
		loop(b, len(quoted), func() { drain(b, quotedprintable.NewReader(bytes.NewReader(quoted))) })
	})
}

func BenchmarkCRLF(b *testing.B) {
	for _, nl := range []string{"\n", "\r\n"} {
		b.Run(fmt.Sprintf("%q", nl), func(b *testing.B) {
			text := bytes.ReplaceAll(plainText(1<<20), []byte("\r\n"), []byte(nl))
			buf := make([]byte, 32<<10)
			loop(b, len(text), func() {
				r := CRLF(bytes.NewReader(text))
				for {
					if _, err := r.Read(buf); err != nil {
						break
					}
				}
			})
		})
	}
}
