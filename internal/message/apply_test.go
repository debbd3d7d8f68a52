package message

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestApply(t *testing.T) {
	const mail = "Received: 1\nX: a\nSubject: s\nx: b\nX : c\n\nbody\n"
	for _, tt := range []struct {
		name  string
		edits []Edit
		want  string
	}{
		{"nothing", nil, mail},
		{"add", []Edit{AddField{NewField("A", " 1")}, AddField{NewField("B", " 2")}},
			"B: 2\nA: 1\n" + mail},
		{"add one that is there", []Edit{AddField{NewField("X", " new")}, DropField{"X", 1}},
			"X: new\nReceived: 1\nSubject: s\nx: b\nX : c\n\nbody\n"},
		{"set", []Edit{SetField{NewField("X", " new")}},
			"Received: 1\nX: new\nSubject: s\n\nbody\n"},
		{"set what is not there", []Edit{SetField{NewField("Y", " 1")}, SetField{NewField("Z", " 2")}, SetField{NewField("y", " 3")}},
			"Received: 1\nX: a\nSubject: s\nx: b\nX : c\nZ: 2\ny: 3\n\nbody\n"},
		{"set twice", []Edit{SetField{NewField("X", " 1")}, SetField{NewField("X", " 2")}},
			"Received: 1\nX: 2\nSubject: s\n\nbody\n"},
		{"drop", []Edit{DropField{"x", 2}}, "Received: 1\nX: a\nSubject: s\nX : c\n\nbody\n"},
		{"drop upwards", []Edit{DropField{"X", 1}, DropField{"X", 2}}, "Received: 1\nSubject: s\nX : c\n\nbody\n"},
		{"drop downwards", []Edit{DropField{"X", 2}, DropField{"X", 1}}, "Received: 1\nSubject: s\nX : c\n\nbody\n"},
		{"drop one twice", []Edit{DropField{"X", 1}, DropField{"X", 1}}, "Received: 1\nSubject: s\nx: b\nX : c\n\nbody\n"},
		{"drop what is not there", []Edit{DropField{"X", 4}, DropField{"Y", 1}}, mail},
		{"drop, then set", []Edit{DropField{"X", 1}, SetField{NewField("X", " new")}},
			"Received: 1\nX: new\nSubject: s\n\nbody\n"},
		{"set, then drop", []Edit{SetField{NewField("X", " new")}, DropField{"X", 1}},
			"Received: 1\nSubject: s\n\nbody\n"},
		{"folds", []Edit{AddField{NewField("A", " 1\r\n\t2\n 3")}}, "A: 1\n\t2\n 3\n" + mail},
		{"body", []Edit{ReplaceBody{Bytes([]byte("new"))}}, "Received: 1\nX: a\nSubject: s\nx: b\nX : c\n\nnew"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := read(t, mail)
			out, err := m.Apply(tt.edits)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, written(t, out)); d != "" {
				t.Errorf("mail (-want +got):\n%s", d)
			}
			if got := written(t, m); got != mail {
				t.Errorf("the mail itself became %q", got)
			}
		})
	}
}

func TestApplyToACutMail(t *testing.T) {
	for _, tt := range []struct {
		mail  string
		edits []Edit
		want  string
	}{
		{"A: b", []Edit{AddField{NewField("X", " 1")}}, "X: 1\r\nA: b"},
		{"A: b", []Edit{SetField{NewField("X", " 1")}}, "A: b\r\nX: 1\r\n"},
		{"A: b\n", []Edit{ReplaceBody{Bytes([]byte("c"))}}, "A: b\n\nc"},
		{"A: b", []Edit{ReplaceBody{Bytes([]byte("c"))}}, "A: b\r\n\r\nc"},
		{"", []Edit{AddField{NewField("X", " 1")}, ReplaceBody{Bytes([]byte("c"))}}, "X: 1\r\n\r\nc"},
		{"A: b\r\n\nc", []Edit{SetField{NewField("A", " 1\n 2")}}, "A: 1\r\n 2\r\n\nc"},
	} {
		out, err := read(t, tt.mail).Apply(tt.edits)
		if err != nil {
			t.Fatal(err)
		}
		if got := written(t, out); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.mail, got, tt.want)
		}
	}
}

func TestApplyToTheEnvelope(t *testing.T) {
	m := &Message{Envelope: Envelope{Recipients: []Recipient{{Address: "a@x"}, {Address: "b@x"}, {Address: "a@x"}}}}
	out, err := m.Apply([]Edit{
		DropRcpt{"a@x"}, DropRcpt{"nobody@x"},
		AddRcpt{Recipient{Address: "c@x", Args: []string{"NOTIFY=NEVER"}}}, AddRcpt{Recipient{Address: "b@x"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Recipient{{Address: "b@x"}, {Address: "c@x", Args: []string{"NOTIFY=NEVER"}}}
	if d := cmp.Diff(want, out.Envelope.Recipients); d != "" {
		t.Errorf("recipients (-want +got):\n%s", d)
	}
	if len(m.Envelope.Recipients) != 3 || m.Envelope.Recipients[0].Address != "a@x" {
		t.Errorf("the mail itself became %v", m.Envelope.Recipients)
	}
}

func TestApplyReturnHeaders(t *testing.T) {
	m := &Message{Envelope: Envelope{Sender: "a@x", SenderArgs: []string{"ret=FULL", "BODY=8BITMIME", "RETRY=1"}}}
	out, err := m.Apply([]Edit{ReturnHeaders{}, ReturnHeaders{}})
	if err != nil {
		t.Fatal(err)
	}
	want := Envelope{Sender: "a@x", SenderArgs: []string{"BODY=8BITMIME", "RETRY=1", "RET=HDRS"}}
	if d := cmp.Diff(want.SenderArgs, out.Envelope.SenderArgs); d != "" || out.Envelope.Sender != want.Sender {
		t.Errorf("sender %q, parameters (-want +got):\n%s", out.Envelope.Sender, d)
	}
	if m.Envelope.SenderArgs[0] != "ret=FULL" {
		t.Errorf("the mail itself has %q", m.Envelope.SenderArgs)
	}
}

func TestApplyRefuses(t *testing.T) {
	b := Bytes(nil)
	for name, edits := range map[string][]Edit{
		"a field without a name":     {AddField{NewField("", " x")}},
		"a zero field":               {SetField{}},
		"a name with a blank":        {AddField{NewField("A b", " x")}},
		"a name with a line end":     {AddField{NewField("A\nB", " x")}},
		"a second field in a value":  {AddField{NewField("A", " x\nB: y")}},
		"a body in a value":          {SetField{NewField("A", " x\r\n\r\nbody")}},
		"a line end behind a value":  {AddField{NewField("A", " x\r\n")}},
		"a bare CR":                  {AddField{NewField("A", " x\r B: y")}},
		"a NUL":                      {AddField{NewField("A", " \x00")}},
		"a drop of nothing":          {DropField{"", 1}},
		"a drop of a number below 1": {DropField{"A", 0}},
		"two bodies":                 {ReplaceBody{b}, ReplaceBody{b}},
		"a body that is none":        {ReplaceBody{}},
		"no edit":                    {nil},
	} {
		if _, err := read(t, "A: b\n\nc").Apply(edits); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What edits do can be said without places: of every name, the received
// fields less the dropped, or the one that was set, below what was added.
func TestApplyByName(t *testing.T) {
	names := []string{"A", "B", "C"}
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom(names)
		m := &Message{Newline: "\n"}
		for i := range rapid.IntRange(0, 8).Draw(rt, "fields") {
			m.Header = append(m.Header, NewField(name.Draw(rt, "name"), strings.Repeat("i", i)))
		}
		before := slices.Clone(m.Header)
		var edits []Edit
		added, set := map[string][]string{}, map[string]bool{}
		want := map[string][]string{}
		for _, f := range m.Header {
			want[f.Name()] = append(want[f.Name()], f.Value())
		}
		for range rapid.IntRange(0, 8).Draw(rt, "edits") {
			n, v := name.Draw(rt, "name"), rapid.StringMatching("[a-z]{1,3}").Draw(rt, "value")
			switch rapid.IntRange(0, 2).Draw(rt, "edit") {
			case 0:
				edits = append(edits, AddField{NewField(n, v)})
				added[n] = append([]string{v}, added[n]...)
			case 1:
				edits = append(edits, SetField{NewField(strings.ToLower(n), v)})
				want[n], set[n] = []string{v}, true
			case 2:
				o := rapid.IntRange(1, 4).Draw(rt, "occurrence")
				if set[n] || slices.Contains(edits, Edit(DropField{n, o})) {
					continue // told by a table above
				}
				edits = append(edits, DropField{n, o})
				all := m.Header.All(n)
				if o <= len(all) {
					i := slices.Index(want[n], all[o-1].Value())
					want[n] = slices.Delete(want[n], i, i+1)
				}
			}
		}
		out, err := m.Apply(edits)
		if err != nil {
			rt.Fatal(err)
		}
		for _, n := range names {
			var got []string
			for _, f := range out.Header.All(n) {
				got = append(got, f.Value())
			}
			if all := slices.Concat(added[n], want[n]); !slices.Equal(got, all) {
				rt.Fatalf("%s after %v: %q, want %q", n, edits, got, all)
			}
		}
		if !slices.Equal(m.Header, before) {
			rt.Fatal("the mail itself changed")
		}
	})
}
