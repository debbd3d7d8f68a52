package index

import (
	"encoding/asn1"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const good = "# a comment\n" +
	"V\t271121203127Z\t\t01\tunknown\t/C=JP/CN=mail.example.jp\n" +
	"R\t271121203127Z\t261121203127Z,keyCompromise\t0A\tunknown\t/CN=x\n" +
	"E\t20560101000000Z\t\t06\tunknown\t/CN=a\\\tb\n"

func file(t testing.TB, content string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.txt")
	put(t, path, content)
	return Open(path)
}

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, f *File, content string) {
	t.Helper()
	b, err := os.ReadFile(f.path)
	if err != nil || string(b) != content {
		t.Errorf("the file holds\n%s(%v), want\n%s", b, err, content)
	}
}

func TestEach(t *testing.T) {
	var got []Entry
	if err := file(t, good).Each(func(e Entry) error { got = append(got, e); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{'V', "271121203127Z", "", "01", "unknown", "/C=JP/CN=mail.example.jp"},
		{'R', "271121203127Z", "261121203127Z,keyCompromise", "0A", "unknown", "/CN=x"},
		{'E', "20560101000000Z", "", "06", "unknown", "/CN=a\tb"},
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("entry %d: %q, want %q", i, got[i], want[i])
		}
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	const end = "\t271121203127Z\t"
	tests := []struct{ index, want string }{
		{"# one\nV" + end + "\t01\tunknown\n", "index.txt:2: 5 columns; want 6"},
		{"V" + end + "\t01\tunknown\t/CN=a\tmore\n", "index.txt:1: 7 columns"},
		{"X" + end + "\t01\tunknown\t/CN=a\n", `index.txt:1: status "X"`},
		{"\n", "index.txt:1: 1 columns"},
		{"V\ttomorrow\t\t01\tunknown\t/CN=a\n", `index.txt:1: end "tomorrow"`},
		{"V\t271321203127Z\t\t01\tunknown\t/CN=a\n", "no such instant"},
		{"V" + end + "\t1\tunknown\t/CN=a\n", `serial number "1"`},
		{"V" + end + "\t0G\tunknown\t/CN=a\n", `serial number "0G"`},
		{"V" + end + "261121203127Z\t01\tunknown\t/CN=a\n", "status V with a revocation"},
		{"R" + end + "\t01\tunknown\t/CN=a\n", "revocation"},
		{"R" + end + "261121203127Z,because\t01\tunknown\t/CN=a\n", `no reason "because"`},
		{good + "V" + end + "\t02\tunknown\t/CN=a", "index.txt:5: the last line has no end"},
	}
	for _, tt := range tests {
		f := file(t, tt.index)
		for name, err := range map[string]error{"Each": f.Each(func(Entry) error { return nil }), "Check": f.Check()} {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s of %q: %v, want %q", name, tt.index, err, tt.want)
			}
		}
		want(t, f, tt.index)
	}
}

func TestTime(t *testing.T) {
	tokyo := time.FixedZone("JST", 9*3600)
	tests := []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 11, 22, 5, 31, 27, 0, tokyo), "261121203127Z"},
		{time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), "491231235959Z"},
		{time.Date(2050, 1, 1, 8, 0, 0, 0, tokyo), "491231230000Z"},
		{time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC), "20500101000000Z"},
		{time.Date(1999, 2, 28, 0, 0, 0, 0, time.UTC), "990228000000Z"},
	}
	for _, tt := range tests {
		got := Time(tt.at)
		if got != tt.want {
			t.Errorf("%v: %s, want %s", tt.at, got, tt.want)
		}
		if back, err := parseTime(got); err != nil || !back.Equal(tt.at) {
			t.Errorf("%s is read as %v, %v", got, back, err)
		}
	}
}

// The file is read again where somebody else has changed it, and only there.
func TestChangesOfOthersAreSeen(t *testing.T) {
	f := file(t, good)
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	add := Entry{Valid, "271121203127Z", "", "0B", "unknown", "/CN=new"}
	if err := f.Append(add); err != nil {
		t.Fatal(err)
	}
	if held, err := f.Holders("/CN=new"); err != nil || len(held) != 1 {
		t.Errorf("holders %v, %v", held, err)
	}
	add.Serial = "0C"
	if err := f.Append(add); err != nil {
		t.Fatal(err)
	}
	if held, err := f.Holders("/CN=new"); err != nil || strings.Join(held, " ") != "0B 0C" {
		t.Errorf("holders %v, %v", held, err)
	}
	want(t, f, good+"V\t271121203127Z\t\t0B\tunknown\t/CN=new\nV\t271121203127Z\t\t0C\tunknown\t/CN=new\n")
	// openssl ca renames a new file.
	put(t, f.path+".new", good+"broken\n")
	if err := os.Rename(f.path+".new", f.path); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err == nil || !strings.Contains(err.Error(), "index.txt:5") {
		t.Errorf("Check: %v", err)
	}
	put(t, f.path, good)
	if held, err := f.Holders("/CN=new"); err != nil || len(held) != 0 {
		t.Errorf("holders %v, %v", held, err)
	}
}

func TestFindAndReplace(t *testing.T) {
	// The serial in a subject or a comment is not the line's.
	text := "#\t0A\t\n" + strings.Replace(good, "mail.example.jp", "a\\\t0A\\\tb", 1)
	f := file(t, text)
	e, ok, err := f.Find("0A")
	if err != nil || !ok || e.Subject != "/CN=x" {
		t.Fatalf("%+v, %v, %v", e, ok, err)
	}
	if _, ok, err := f.Find("FF"); ok || err != nil {
		t.Errorf("FF is found, %v", err)
	}
	e.Revocation = "261121203127Z"
	if err := f.Replace(e); err != nil {
		t.Fatal(err)
	}
	want(t, f, strings.Replace(text, ",keyCompromise", "", 1))
	e.Serial = "FF"
	if err := f.Replace(e); err == nil || !strings.Contains(err.Error(), "no line for FF") {
		t.Errorf("Replace: %v", err)
	}
}

func TestMarkExpired(t *testing.T) {
	f := file(t, good)
	if err := f.MarkExpired(time.Date(2027, 11, 21, 20, 31, 27, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	want(t, f, good)
	if err := f.MarkExpired(time.Date(2027, 11, 21, 20, 31, 28, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	want(t, f, strings.Replace(good, "\nV", "\nE", 1))
}

func TestDropTakesItsOwnLineAlone(t *testing.T) {
	f := file(t, good)
	e := Entry{Valid, "271121203127Z", "", "0B", "unknown", "/CN=new"}
	if err := f.Append(e); err != nil {
		t.Fatal(err)
	}
	other := e
	other.Serial = "0C"
	for _, drop := range []Entry{other, e, e} {
		if err := f.Drop(drop); err != nil {
			t.Fatal(err)
		}
	}
	want(t, f, good)
}

func TestRevocation(t *testing.T) {
	at := time.Date(2026, 11, 21, 20, 31, 27, 0, time.UTC)
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		column string
		want   Revocation
	}{
		{"261121203127Z", Revocation{At: at}},
		{"261121203127Z,keyCompromise", Revocation{At: at, Reason: KeyCompromise}},
		{"261121203127Z,CACompromise", Revocation{At: at, Reason: CACompromise}},
		{"261121203127Z,removeFromCRL", Revocation{At: at, Reason: RemoveFromCRL}},
		{"261121203127Z,keyTime,20260101000000Z", Revocation{At: at, Reason: KeyCompromise, Since: since}},
		{"261121203127Z,CAkeyTime,20260101000000Z", Revocation{At: at, Reason: CACompromise, Since: since}},
		{"261121203127Z,holdInstruction,1.2.840.10040.2.3", Revocation{At: at, Reason: CertificateHold, Hold: asn1.ObjectIdentifier{1, 2, 840, 10040, 2, 3}}},
	}
	for _, tt := range tests {
		got, err := ParseRevocation(tt.column)
		if err != nil || !got.At.Equal(tt.want.At) || got.Reason != tt.want.Reason || !got.Since.Equal(tt.want.Since) || !got.Hold.Equal(tt.want.Hold) {
			t.Errorf("%s is read as %+v, %v", tt.column, got, err)
		}
		if got.String() != tt.column {
			t.Errorf("%s is written as %s", tt.column, got)
		}
	}
	for _, bad := range []string{"", ",", "261121203127Z,why", "261121203127Z,keyTime", "261121203127Z,keyTime,260101000000Z", "261121203127Z,holdInstruction,x", "261121203127Z,holdInstruction,1.40"} {
		if r, err := ParseRevocation(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, r)
		}
	}
	for r, name := range reasons {
		got, err := ParseReason(strings.ToUpper(name))
		if (err == nil) != (r != RemoveFromCRL) || (err == nil && got != r) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestParseSerial(t *testing.T) {
	for in, want := range map[string]string{"1": "01", "0a": "0A", "0xff": "FF", "AB:cd": "ABCD", "00": "00"} {
		n, err := ParseSerial(in)
		if err != nil || Serial(n) != want {
			t.Errorf("%q: %v, %v, want %s", in, n, err, want)
		}
	}
	for _, in := range []string{"", "0x", "-1", "g", " 1", strings.Repeat("1", 65)} {
		if n, err := ParseSerial(in); err == nil {
			t.Errorf("%q is read as %v", in, n)
		}
	}
}

func TestReadable(t *testing.T) {
	for in, want := range map[string]string{
		"/CN=plain": "/CN=plain", `/CN=\xE6\x97\xA5`: "/CN=日", `/CN=\x09`: `/CN=\x09`, `/CN=\xFF`: `/CN=\xFF`, `/CN=\x4`: `/CN=\x4`, `/CN=a\/b`: `/CN=a\/b`,
	} {
		if got := Readable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// What is read and written back is the same line, and says the same.
func FuzzEntry(f *testing.F) {
	f.Add("V\t271121203127Z\t\t01\tunknown\t/C=JP/CN=mail.example.jp")
	f.Add("R\t271121203127Z\t261121203127Z,keyTime,20260101000000Z\tAB\tunknown\t/CN=a\\/b\\\tc")
	f.Add("R\t271121203127Z\t261121203127Z,holdInstruction,holdInstructionReject\tAB\tunknown\t")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := Parse(line)
		if err != nil || strings.Contains(line, "\n") {
			return
		}
		if got := e.Line(); got != line+"\n" {
			t.Errorf("%q became %q", line, got)
		}
		if Time(e.NotAfter()) != e.Expiry && len(e.Expiry) == 13 {
			t.Errorf("end %s became %s", e.Expiry, Time(e.NotAfter()))
		}
		if e.Status != Revoked {
			return
		}
		r, err := ParseRevocation(e.Revocation)
		if err != nil {
			t.Fatalf("%q was taken, and not read again: %v", line, err)
		}
		if again, err := ParseRevocation(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%q: %v, %v", e.Revocation, again, err)
		}
	})
}

// Who has just opened a large file knows it by the note, until it is changed.
func TestNoteOfALargeFile(t *testing.T) {
	f := file(t, largeIndex(2000))
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	e := Entry{Valid, "271121203127Z", "", "0B", "unknown", "/CN=new"}
	if err := f.Append(e); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(f.path)
	if err != nil || noted(f.path) != stamp(info) {
		t.Fatalf("the note says %q of %q, %v", noted(f.path), stamp(info), err)
	}
	put(t, f.path, largeIndex(1999)+"broken\n")
	if err := Open(f.path).Check(); err == nil || !strings.Contains(err.Error(), "index.txt:2000") {
		t.Errorf("Check: %v", err)
	}
	// One that is small has no note.
	small := file(t, good)
	if err := small.Check(); err != nil || noted(small.path) != "" {
		t.Errorf("%v, a note %q", err, noted(small.path))
	}
}
