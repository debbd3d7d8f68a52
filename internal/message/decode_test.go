package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func decoder(encoding, content string) io.Reader {
	p := Part{Encoding: encoding, End: int64(len(content))}
	return p.Decode(Bytes([]byte(content)))
}

func TestDecodeBase64(t *testing.T) {
	for _, tt := range []struct{ name, content, want, problem string }{
		{"empty", "", "", ""},
		{"one line", "aGVsbG8gd29ybGQ=", "hello world", ""},
		{"lines", "aGVs\r\nbG8g\r\nd29y\r\nbGQ=\r\n", "hello world", ""},
		{"LF", "aGVsbG8g\nd29ybGQ=\n", "hello world", ""},
		{"lines of any length", "a\nGVs\r\n\r\nbG8gd2\n9ybGQ\n=\n", "hello world", ""},
		{"blanks", " aGVs bG8g\t\r\n d29ybGQ= ", "hello world", ""},
		{"padding apart", "aGVsbG8gd29ybA=\r\n=\r\n", "hello worl", ""},
		{"no padding", "aGVsbG8gd29ybGQ", "hello world", ""},
		{"half the padding", "aGVsbG8gd29ybA=", "hello worl", ""},
		{"too much padding", "aGVs====", "hel", ""},
		{"behind the padding", "aGVsbA==aGVsbA==\r\n!", "hell", ""},
		{"a footer", "aGVs\r\nbG8h\r\n\r\n____\r\nsome list\r\n", "hello!", ""},
		{"a footer behind padding", "aGVsbA==\r\n-- \r\nsome list\r\n", "hell", ""},
		{"spare bits", "aGVsbG9=", "hello", ""},
		{"a dash in a line", "aGVsbG8g-d29ybGQ=", "hello ", "base64 at byte 8: the character '-' is not of it"},
		{"a footer within a group", "aGVsbG\r\n____\r\n", "hel", "base64 at byte 8: the character '_' is not of it"},
		{"none at all", "\r\n<html>", "", "base64 at byte 2: the character '<' is not of it"},
		{"half a byte", "aGVsb", "hel", "base64 at byte 5: it ends within a byte"},
		{"half a byte and padding", "aGVsb===", "hel", "base64 at byte 5: the character '=' is not of it"},
		{"padding only", "==", "", "base64 at byte 0: the character '=' is not of it"},
		{"NUL", "aGVs\x00bG8g", "hel", "base64 at byte 4: the character '\\x00' is not of it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := decoder("base64", tt.content)
			got, err := io.ReadAll(r)
			if string(got) != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if r.(*base64Reader).buf != nil {
				t.Error("the buffer is kept")
			}
			var de *DecodeError
			switch {
			case tt.problem == "" && err != nil:
				t.Errorf("error %v", err)
			case tt.problem != "" && (!errors.As(err, &de) || err.Error() != tt.problem):
				t.Errorf("error %v, want %s", err, tt.problem)
			}
		})
	}
}

func TestDecodeQuotedPrintable(t *testing.T) {
	long := strings.Repeat("x", bufferSize-1)
	blanks := strings.Repeat(" ", 2*bufferSize)
	for _, tt := range []struct{ name, content, want string }{
		{"empty", "", ""},
		{"plain", "hello\r\nworld\n", "hello\r\nworld\n"},
		{"escapes", "a=3Db=3db=00=C3=BC", "a=b=b\x00ü"},
		{"soft line ends", "hel=\r\nlo =\nwor= \t\r\nld=", "hello world"},
		{"blanks at the end of lines", "a \t\r\nb=20 \n c \t", "a\r\nb \n c"},
		{"a CR in the line", "a\rb\r\r\n", "a\rb\r\r\n"},
		{"no escape", "a=b =G0 =4 = x ==3D=\nx=4", "a=b =G0 =4 = x ==x=4"},
		{"8 bit", "für\n", "für\n"},
		{"a long line", long + "=3D=3D\nx", long + "==\nx"},
		{"a long line and a soft end", long + " =\nx", long + " x"},
		{"a long line and blanks", long + "  \nx", long + "\nx"},
		{"blanks only", blanks + "x\n", blanks + "x\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole": decoder("quoted-printable", tt.content),
				"bytes": iotest.OneByteReader(decoder("quoted-printable", tt.content)),
			} {
				got, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != tt.want {
					t.Errorf("%s: got %.80q, want %.80q", name, got, tt.want)
				}
			}
		})
	}
}

func TestDecodeIdentity(t *testing.T) {
	for _, encoding := range []string{"", "7bit", "8bit", "binary", "x-uuencode"} {
		got, err := io.ReadAll(decoder(encoding, "=3D a\r\n"))
		if err != nil || string(got) != "=3D a\r\n" {
			t.Errorf("%q: %q, %v", encoding, got, err)
		}
	}
}

func TestDecodePassesErrors(t *testing.T) {
	for _, encoding := range []string{"base64", "quoted-printable", "7bit"} {
		p := Part{Encoding: encoding, End: 9}
		b := testSpool(t).Create()
		if _, err := io.WriteString(b, "aGVsbG8g\n"); err != nil {
			t.Fatal(err)
		}
		r := p.Decode(b)
		b.Close()
		if _, err := io.ReadAll(r); err == nil {
			t.Errorf("%s: no error from a body that fails", encoding)
		}
	}
}

// Decoding is the same however little is asked for at a time, and wherever the
// reader's buffer ends.
func TestDecodeInPieces(t *testing.T) {
	text, clear := base64Text(3 * bufferSize)
	rapid.Check(t, func(rt *rapid.T) {
		shift := rapid.IntRange(0, 200).Draw(rt, "shift")
		content := strings.Repeat("\n", shift) + string(text)
		r := decoder("base64", content)
		var got []byte
		for {
			p := make([]byte, rapid.IntRange(1, 100_000).Draw(rt, "piece"))
			n, err := r.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		if !bytes.Equal(got, clear) {
			rt.Fatal("decoded differently")
		}
	})
	if err := iotest.TestReader(decoder("base64", string(text[:5000])), mustDecode(t, text[:5000])); err != nil {
		t.Error(err)
	}
}

func mustDecode(t *testing.T, text []byte) []byte {
	t.Helper()
	clear, err := io.ReadAll(decoder("base64", string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return clear
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("hello world"), uint8(76), []byte("\r\n"))
	f.Add([]byte{}, uint8(0), []byte(" "))
	f.Add(bytes.Repeat([]byte{0xff}, 1000), uint8(3), []byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte, width uint8, between []byte) {
		// Clean input with blanks anywhere is what encoding/base64 says.
		clean := base64.StdEncoding.EncodeToString(data)
		var content strings.Builder
		blank := strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\r\n", r) {
				return r
			}
			return -1
		}, string(between))
		for i, c := range clean {
			if width > 0 && i%int(width) == 0 {
				content.WriteString(blank)
			}
			content.WriteRune(c)
		}
		got, err := io.ReadAll(decoder("base64", content.String()))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%q: %x, %v; want %x", content.String(), got, err, data)
		}
		// Any input: no more than it can mean, the same in any pieces.
		whole, err := io.ReadAll(decoder("base64", string(data)))
		pieces, again := io.ReadAll(iotest.OneByteReader(decoder("base64", string(data))))
		if !bytes.Equal(whole, pieces) || (err == nil) != (again == nil) || len(whole) > len(data)*3/4 {
			t.Fatalf("%q: %x, %v; in pieces %x, %v", data, whole, err, pieces, again)
		}
		if std, err := base64.StdEncoding.DecodeString(string(data)); err == nil && !bytes.Equal(whole, std) {
			t.Fatalf("%q: %x, encoding/base64 says %x", data, whole, std)
		}
		checkQuoted(t, data)
	})
}

func checkQuoted(t *testing.T, data []byte) {
	whole, err := io.ReadAll(decoder("quoted-printable", string(data)))
	pieces, again := io.ReadAll(iotest.OneByteReader(decoder("quoted-printable", string(data))))
	if err != nil || again != nil || !bytes.Equal(whole, pieces) || len(whole) > len(data) {
		t.Fatalf("%q: %q, %v; in pieces %q, %v", data, whole, err, pieces, again)
	}
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	w.Binary = true
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(decoder("quoted-printable", b.String())); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%q: %q, %v; want %q", b.String(), got, err, data)
	}
}
