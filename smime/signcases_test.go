package smime_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailseal/certmgr/ca"
	"mailseal/internal/message"
	"mailseal/internal/testpki"
	"mailseal/smime"
)

var update = flag.Bool("update", false, "rewrite what the cases in testdata want; read the difference")

// TestCases signs each testdata/sign/NN-name.eml and compares what is signed,
// or why nothing is, with NN-name.want. Lines end in LF in both files.
func TestCases(t *testing.T) {
	p := testpki.NewAt(t, fixed)
	id := p.User("alice@corp.example", ca.P256)
	files, err := filepath.Glob("testdata/sign/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		t.Run(name, func(t *testing.T) {
			mail, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newSpool(t)
			m := read(t, s, string(mail))
			edits, err := smime.Sign(m, options(t, id, smime.Detached))
			wantFile := strings.TrimSuffix(file, ".eml") + ".want"
			if err != nil {
				compare(t, wantFile, err.Error()+"\n")
				var u *smime.UnsignableError
				if !errors.As(err, &u) {
					t.Errorf("error is a %T", err)
				}
				return
			}
			signed := apply(t, m, edits)
			entity := entityOf(t, signed)
			compare(t, wantFile, strings.ReplaceAll(entity, "\r\n", "\n"))
			checkSigned(t, m, signed)

			opaque := sign(t, m, options(t, id, smime.Opaque))
			if got := entityOf(t, opaque); got != entity {
				t.Errorf("opaque signature is over something else:\n%s", cmp.Diff(entity, got))
			}
			checkSigned(t, m, opaque)
			for _, signed := range []*message.Message{signed, opaque} {
				checkWithPKCS7(t, signed, p.Root())
				checkWithOpenSSL(t, signed, p.Root())
			}

			lf := readRaw(t, s, strings.ReplaceAll(string(mail), "\r\n", "\n"))
			if lf.Newline != "\n" {
				t.Fatalf("mail with LF has %q", lf.Newline)
			}
			if got := entityOf(t, sign(t, lf, options(t, id, smime.Detached))); got != entity {
				t.Errorf("with LF something else is signed:\n%s", cmp.Diff(entity, got))
			}
		})
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// checkSigned holds a signed mail against everything that must be true of
// each of them.
func checkSigned(t testing.TB, m, signed *message.Message) {
	t.Helper()
	if r := verify(t, signed); !good(r) {
		t.Errorf("does not verify: %s", describe(r))
	}
	checkTransport(t, signed)
	checkFields(t, m, signed)
	entity := entityOf(t, signed)
	if strings.HasPrefix(entity, "\r\n") {
		t.Error("the signed entity has no header")
	}
	inner := readRaw(t, newSpool(t), entity)
	if diff := cmp.Diff(leaves(t, m), leaves(t, inner)); diff != "" {
		t.Errorf("content is another after signing (-before +after):\n%s", diff)
	}
}

// checkTransport: 7-bit, CRLF, no line over 990 bytes with its end.
func checkTransport(t testing.TB, signed *message.Message) {
	t.Helper()
	body := []byte(text(t, signed.Body))
	for i, line := range bytes.SplitAfter(body, []byte("\n")) {
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		switch {
		case !ok && len(line) > 0:
			t.Errorf("line %d does not end in CRLF: %q", i, line)
		case len(text) > 988:
			t.Errorf("line %d has %d bytes", i, len(text))
		case bytes.ContainsFunc(text, func(r rune) bool { return r == '\r' || r == 0 || r > 0x7e && r != 0x7f }):
			t.Errorf("line %d is not 7-bit text: %q", i, text)
		}
	}
}

// checkFields: nothing of the old body's description is left outside, and all
// else is as it was.
func checkFields(t testing.TB, m, signed *message.Message) {
	t.Helper()
	count := map[string]int{}
	var rest []string
	for _, f := range signed.Header {
		name := strings.ToLower(f.Name())
		if strings.HasPrefix(name, "content-") || name == "mime-version" {
			count[name]++
		} else {
			rest = append(rest, f.Raw())
		}
	}
	for name, n := range count {
		switch name {
		case "content-type", "mime-version", "content-transfer-encoding", "content-disposition":
			if n != 1 {
				t.Errorf("%d fields %s", n, name)
			}
		default:
			t.Errorf("field %s is left", name)
		}
	}
	var before []string
	for _, f := range m.Header {
		if name := strings.ToLower(f.Name()); !strings.HasPrefix(name, "content-") && name != "mime-version" {
			before = append(before, f.Raw())
		}
	}
	if diff := cmp.Diff(before, rest); diff != "" {
		t.Errorf("other fields changed (-before +after):\n%s", diff)
	}
}

// A leaf is what a reader gets of a part without parts.
type leaf struct{ Type, Content string }

// leaves decodes all parts of a mail.
func leaves(t testing.TB, m *message.Message) []leaf {
	t.Helper()
	body := text(t, m.Body)
	if m.Newline == "\n" {
		all, err := io.ReadAll(message.CRLF(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		body = string(all)
	}
	b := message.Bytes([]byte(body))
	header := unrepeated(m.Header)
	root, err := message.Walk(header, b, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var all []leaf
	var add func(p *message.Part)
	add = func(p *message.Part) {
		if len(p.Parts) == 0 || p.MediaType == "message/global" {
			content := decoded(t, p, b)
			if strings.HasPrefix(p.MediaType, "multipart/") {
				content = "" // preamble and epilogue are nobody's
			}
			all = append(all, leaf{p.MediaType, content})
			return
		}
		for _, c := range p.Parts {
			add(c)
		}
	}
	add(root)
	return all
}

func decoded(t testing.TB, p *message.Part, b message.Body) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := out.ReadFrom(p.Decode(b)); err != nil {
		return out.String() + err.Error()
	}
	return out.String()
}

// unrepeated leaves the first of fields that are the same.
func unrepeated(h message.Header) message.Header {
	var once message.Header
	seen := map[string]bool{}
	for _, f := range h {
		if !seen[f.Raw()] {
			once = append(once, f)
		}
		seen[f.Raw()] = true
	}
	return once
}
