package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailseal/internal/message"
)

var update = flag.Bool("update", false, "write the golden files anew")

func field(name, value string) message.Field { return message.NewField(name, value) }

// What goes over the wire for the edits of a verdict, byte for byte.
func TestEditsOnTheWire(t *testing.T) {
	received := []string{
		"Content-Type: text/plain", "X-Dup: one", "Subject: s", "x-dup: two",
		"Content-Transfer-Encoding: 8bit", "X-DUP: three", "CONTENT-TYPE: text/html",
	}
	tests := []struct {
		name string
		v    message.Verdict
	}{
		{"sign", message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.ReplaceBody{Body: message.Bytes([]byte("--b\r\n.\r\n\x00\r\n--b--\r\n"))},
			message.SetField{Field: field("Content-Type", " multipart/signed;\r\n boundary=\"b\"")},
			message.DropField{Name: "Content-Transfer-Encoding", Occurrence: 1},
			message.SetField{Field: field("MIME-Version", " 1.0")},
		}}},
		{"verify", message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.DropField{Name: "x-dup", Occurrence: 1},
			message.DropField{Name: "X-Dup", Occurrence: 3},
			message.DropField{Name: "X-Dup", Occurrence: 3},
			message.DropField{Name: "X-Dup", Occurrence: 4},
			message.AddField{Field: field("X-Below", " b")},
			message.AddField{Field: field("Authentication-Results", " mx;\n\tsmime=pass")},
		}}},
		{"recipients", message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.DropRcpt{Address: "b@example"},
			message.AddRcpt{Recipient: message.Recipient{Address: "c@example"}},
			message.AddRcpt{Recipient: message.Recipient{Address: "d@example", Args: []string{"NOTIFY=NEVER", "ORCPT=rfc822;x"}}},
		}}},
		{"quarantine", message.Verdict{Action: message.Quarantine,
			Reply: message.Reply{Text: "signed by\r\nnobody\x00 100%"},
			Edits: []message.Edit{
				message.ReplaceBody{Body: message.Bytes(nil)},
				message.AddField{Field: field("X-Held", "")},
			}}},
		{"quarantine-without-reason", message.Verdict{Action: message.Quarantine}},
		{"set-to-nothing", message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.SetField{Field: field("Subject", "")},
		}}},
		{"set-to-what-is-there", message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.SetField{Field: field("subject", " s")},
			message.SetField{Field: field("Content-Type", " text/plain")}, // the second goes all the same
		}}},
		{"reject-sends-no-edits", message.Verdict{Action: message.Reject, Edits: []message.Edit{
			message.DropField{Name: "Subject", Occurrence: 1},
			message.ReplaceBody{Body: message.Bytes([]byte("x"))},
		}}},
		{"nothing", message.Verdict{Action: message.Accept}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := serve(t, &recorder{verdict: tt.v}).dial().start()
			got := show(m.deliver("a@example", []string{"b@example"}, received, "body\r\n"))
			m.quit()
			golden := filepath.Join("testdata", "edits", tt.name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// A body goes out in adjacent packets of at most 65535 bytes, whole.
func TestLargeBody(t *testing.T) {
	for _, size := range []int{0, 1, 65534, 65535, 65536, outboxSize, 3*65535 + 7, 1 << 20} {
		body := bytes.Repeat([]byte("0123456789abcde\r\n"), size/17+1)[:size]
		v := message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.SetField{Field: field("Content-Type", " text/plain")},
			message.ReplaceBody{Body: message.Bytes(body)},
			message.AddField{Field: field("X-Top", " top")},
		}}
		m := serve(t, &recorder{verdict: v}).dial().start()
		packets := m.deliver("a@example", []string{"b@example"}, nil, "x")
		m.quit()
		var codes, got []byte
		for _, p := range packets {
			codes = append(codes, p[0])
			if p[0] == 'b' {
				got = append(got, p[1:]...)
				if len(p)-1 > 65535 {
					t.Errorf("size %d: chunk of %d bytes", size, len(p)-1)
				}
			}
		}
		want := "m" + strings.Repeat("b", max(1, (size+65534)/65535)) + "ia"
		if string(codes) != want || !bytes.Equal(got, body) {
			t.Errorf("size %d: packets %q with %d bytes of body; want %q", size, codes, len(got), want)
		}
	}
}

// Edits that an MTA would misunderstand are refused before anything is sent:
// all that the MTA sees is that the mail is deferred.
func TestEditsRefused(t *testing.T) {
	long := strings.Repeat("x", 999)
	tests := []struct {
		what string
		edit message.Edit
	}{
		{"NUL in a value", message.AddField{Field: field("X", " a\x00b")}},
		{"bare CR", message.SetField{Field: field("X", " a\rb")}},
		{"CR before CRLF", message.SetField{Field: field("X", " a\r\r\n b")}},
		{"line end without a fold", message.AddField{Field: field("X", " a\nBcc: b@example")}},
		{"CRLF without a fold", message.AddField{Field: field("X", " a\r\nBcc: b@example")}},
		{"line end at the end", message.AddField{Field: field("X", " a\r\n")}},
		{"first line too long", message.AddField{Field: field("X", " "+strings.Repeat("x", 996))}},
		{"folded line too long", message.AddField{Field: field("X", " a\r\n "+long)}},
		{"field too long", message.AddField{Field: field("X", strings.Repeat(" "+long[:900]+"\r\n", 70)+" x")}},
		{"no name", message.AddField{Field: field("", " a")}},
		{"blank in the name", message.SetField{Field: field("X Y", " a")}},
		{"8-bit name", message.SetField{Field: field("Ä", " a")}},
		{"line end in the name", message.DropField{Name: "X\n", Occurrence: 1}},
		{"occurrence 0", message.DropField{Name: "X", Occurrence: 0}},
		{"occurrence -1", message.DropField{Name: "X", Occurrence: -1}},
		{"no body", message.ReplaceBody{}},
		{"address with NUL", message.DropRcpt{Address: "a\x00@example"}},
		{"address with line end", message.AddRcpt{Recipient: message.Recipient{Address: "a@example\r\nx"}}},
		{"address in brackets", message.AddRcpt{Recipient: message.Recipient{Address: "<a@example>"}}},
		{"no address", message.DropRcpt{}},
		{"parameter with a blank", message.AddRcpt{Recipient: message.Recipient{Address: "a@example", Args: []string{"A B"}}}},
		{"empty parameter", message.AddRcpt{Recipient: message.Recipient{Address: "a@example", Args: []string{""}}}},
		{"nil", nil},
	}
	for _, tt := range tests {
		closed := 0
		v := message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.DropField{Name: "Subject", Occurrence: 1},
			message.ReplaceBody{Body: closer{message.Bytes([]byte("new")), &closed}},
			tt.edit,
		}}
		if tt.what == "no body" {
			v.Edits = slices.Delete(v.Edits, 1, 2)
			closed = 1
		}
		ts := serve(t, &recorder{verdict: v})
		m := ts.dial().start()
		for range 2 { // and the session goes on
			got := m.deliver("a@example", []string{"b@example"}, []string{"Subject: s"}, "x")
			if len(got) != 1 || got[0] != "y451 4.3.0 temporary failure, try again later\x00" {
				t.Errorf("%s: %q", tt.what, got)
			}
		}
		m.quit()
		if closed == 0 {
			t.Errorf("%s: the new body was not closed", tt.what)
		}
		ts.logged("deferred", "fault=internal")
	}
}

func TestTwoBodies(t *testing.T) {
	one := message.ReplaceBody{Body: message.Bytes([]byte("1"))}
	_, err := newPlan(message.Verdict{Action: message.Accept, Edits: []message.Edit{one, one}}, &message.Message{}, false)
	if err == nil {
		t.Error("two bodies in one verdict passed")
	}
}

type closer struct {
	message.Body
	n *int
}

func (c closer) Close() error { *c.n++; return c.Body.Close() }

// A body that cannot be read in the middle: part of the edits has gone out, so
// the answer must not be that the mail is taken.
func TestBodyThatBreaks(t *testing.T) {
	for _, size := range []int64{10, 1 << 20} {
		body := brokenBody{size: size, at: size / 2}
		v := message.Verdict{Action: message.Accept, Edits: []message.Edit{
			message.SetField{Field: field("Subject", " new")},
			message.ReplaceBody{Body: body},
		}}
		ts := serve(t, &recorder{verdict: v})
		m := ts.dial().start()
		got := m.deliver("a@example", []string{"b@example"}, []string{"Subject: s"}, "x")
		if last := got[len(got)-1]; last != "y452 4.3.1 insufficient system storage, try again later\x00" {
			t.Errorf("size %d: answer %q", size, last)
		}
		for _, p := range got {
			if p[0] == 'b' && strings.Trim(p[1:], "x") != "" {
				t.Errorf("size %d: bytes that were never read: %q", size, p[:20])
			}
		}
		m.quit()
		ts.logged("deferred", "fault=storage", "disk on fire")
	}
}

type brokenBody struct{ size, at int64 }

func (b brokenBody) Size() int64  { return b.size }
func (b brokenBody) Close() error { return nil }
func (b brokenBody) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, bytes.Repeat([]byte("x"), len(p)))
	if off+int64(n) > b.at {
		return int(max(0, b.at-off)), errors.New("disk on fire")
	}
	return n, nil
}

// A body that ends before its Size says.
func TestBodyTooShort(t *testing.T) {
	o := outbox{w: io.Discard}
	err := o.body(shortBody{})
	if !errors.Is(err, errBody) || !errors.Is(err, io.ErrUnexpectedEOF) || len(o.buf) != 0 {
		t.Errorf("%v, %d bytes to go out", err, len(o.buf))
	}
}

type shortBody struct{}

func (shortBody) Size() int64                       { return 10 }
func (shortBody) Close() error                      { return nil }
func (shortBody) ReadAt([]byte, int64) (int, error) { return 3, io.EOF }

// What either MTA makes of the edits is what message.Apply says it makes. The
// models are of cleanup_milter.c and milter.c: Postfix renumbers fields when one
// goes, sendmail never does.
func TestMTAsUnderstandEditsAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"A", "a", "B", "b", "C"})
		text := rapid.StringMatching(`[0-7]|[a-z]{1,3}`) // values of fields are numbers too
		m := &message.Message{Newline: "\r\n"}
		for i := range rapid.IntRange(0, 8).Draw(t, "fields") {
			m.Header = append(m.Header, field(names.Draw(t, "name"), fmt.Sprintf(" %d", i)))
		}
		var edits []message.Edit
		for range rapid.IntRange(0, 6).Draw(t, "edits") {
			f := field(names.Draw(t, "name"), " "+text.Draw(t, "value"))
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				edits = append(edits, message.AddField{Field: f})
			case 1:
				edits = append(edits, message.SetField{Field: f})
			case 2:
				edits = append(edits, message.DropField{Name: f.Name(), Occurrence: rapid.IntRange(1, 4).Draw(t, "n")})
			}
		}
		p, err := newPlan(message.Verdict{Action: message.Accept, Edits: edits}, m, false)
		if err != nil {
			t.Fatal(err)
		}
		want, err := m.Apply(edits)
		if err != nil {
			t.Skip(err)
		}
		for name, mta := range map[string]func(message.Header, []byte) message.Header{"Postfix": postfix, "sendmail": sendmail} {
			got := mta(m.Header, append(slices.Clone(p.head), p.tail...))
			// sendmail keeps the old spelling of a name.
			if !strings.EqualFold(raw(got), raw(want.Header)) {
				t.Errorf("%s: %q becomes %q; want %q", name, raw(m.Header), raw(got), raw(want.Header))
			}
		}
	})
}

func eachField(packets []byte, f func(code byte, index int, name, value string)) {
	for len(packets) > 0 {
		n := 4 + binary.BigEndian.Uint32(packets)
		data := packets[5:n]
		name, rest, _ := cstring(data[4:])
		value, _, _ := cstring(rest)
		f(packets[4], int(binary.BigEndian.Uint32(data)), name, value)
		packets = packets[n:]
	}
}

func postfix(h message.Header, packets []byte) message.Header {
	h = slices.Clone(h)
	eachField(packets, func(code byte, index int, name, value string) {
		if code == 'i' {
			h = slices.Insert(h, index, field(name, value))
			return
		}
		for i, f := range h {
			if !f.Is(name) {
				continue
			}
			if index--; index > 0 {
				continue
			}
			if value == "" {
				h = slices.Delete(h, i, i+1)
			} else {
				h[i] = field(name, value)
			}
			return
		}
		if value != "" {
			h = append(h, field(name, value))
		}
	})
	return h
}

func sendmail(received message.Header, packets []byte) message.Header {
	type hdr struct {
		name, value string
		deleted     bool
	}
	var h []hdr
	for _, f := range received {
		h = append(h, hdr{name: f.Name(), value: f.Value()})
	}
	eachField(packets, func(code byte, index int, name, value string) {
		if code == 'i' {
			h = slices.Insert(h, index, hdr{name: name, value: value})
			return
		}
		first := -1
		for i := range h {
			if !strings.EqualFold(h[i].name, name) {
				continue
			}
			if first < 0 {
				first = i
			}
			if index--; index <= 0 { // deleted fields keep their number
				h[i].value, h[i].deleted = value, value == ""
				return
			}
		}
		if value != "" {
			if first < 0 {
				first = len(h)
			}
			h = slices.Insert(h, first, hdr{name: name, value: value})
		}
	})
	var out message.Header
	for _, f := range h {
		if !f.deleted {
			out = append(out, field(f.name, f.value))
		}
	}
	return out
}
