package ca

import (
	"strings"
	"testing"
	"time"
)

func TestReadIndex(t *testing.T) {
	const index = "# a comment\n" +
		"V\t271121203127Z\t\t01\tunknown\t/C=JP/CN=mail.example.jp\n" +
		"R\t271121203127Z\t261121203127Z,keyCompromise\t0A\tunknown\t/CN=x\n" +
		"E\t20560101000000Z\t\t06\tunknown\t/CN=a\\\tb\n"
	var got []entry
	if err := readIndex(strings.NewReader(index), "index.txt", func(e entry) error { got = append(got, e); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []entry{
		{"V", "271121203127Z", "", "01", "unknown", "/C=JP/CN=mail.example.jp"},
		{"R", "271121203127Z", "261121203127Z,keyCompromise", "0A", "unknown", "/CN=x"},
		{"E", "20560101000000Z", "", "06", "unknown", "/CN=a\tb"},
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

func TestReadIndexErrorsNameTheLine(t *testing.T) {
	tests := []struct{ index, want string }{
		{"# one\nV\t1\t\t01\tunknown\n", "index.txt:2: 5 columns; want 6"},
		{"V\t1\t\t01\tunknown\t/CN=a\tmore\n", "index.txt:1: 7 columns"},
		{"X\t1\t\t01\tunknown\t/CN=a\n", `index.txt:1: status "X"`},
		{"\n", "index.txt:1: 1 columns"},
	}
	for _, tt := range tests {
		err := readIndex(strings.NewReader(tt.index), "index.txt", func(entry) error { return nil })
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.index, err, tt.want)
		}
	}
}

func TestIndexTime(t *testing.T) {
	tokyo := time.FixedZone("JST", 9*3600)
	tests := []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 11, 22, 5, 31, 27, 0, tokyo), "261121203127Z"},
		{time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), "491231235959Z"},
		{time.Date(2050, 1, 1, 8, 0, 0, 0, tokyo), "491231230000Z"},
		{time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC), "20500101000000Z"},
	}
	for _, tt := range tests {
		if got := indexTime(tt.at); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.at, got, tt.want)
		}
	}
}

// What is read and written back is the same line.
func FuzzEntry(f *testing.F) {
	f.Add("V\t271121203127Z\t\t01\tunknown\t/C=JP/CN=mail.example.jp")
	f.Add("R\t1\t2,keyTime,3\tAB\tunknown\t/CN=a\\/b\\\tc")
	f.Add("E\t\t\t\t\t")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseEntry(line)
		if err != nil || strings.Contains(line, "\n") {
			return
		}
		if got := e.line(); got != line+"\n" {
			t.Errorf("%q became %q", line, got)
		}
	})
}

func TestKeyKindsAndProfilesHaveNames(t *testing.T) {
	for k := range keyKinds {
		if got, err := ParseKeyKind(KeyKind(k).String()); err != nil || got != KeyKind(k) {
			t.Errorf("%v is read as %v, %v", KeyKind(k), got, err)
		}
	}
	for p := range rules {
		if got, err := ParseProfile(p.String()); err != nil || got != p {
			t.Errorf("%v is read as %v, %v", p, got, err)
		}
	}
	if _, err := ParseKeyKind("dsa"); err == nil {
		t.Error("dsa is a kind of key")
	}
	if _, err := ParseProfile(""); err == nil {
		t.Error("an empty profile")
	}
}

func TestSerialHex(t *testing.T) {
	c := newCA(t)
	for range 20 {
		s := serialHex(issue(t, c, alice).Certificate.SerialNumber)
		if len(s) != 32 || strings.ToUpper(s) != s {
			t.Errorf("serial %q: want 32 capital hexadecimal digits", s)
		}
	}
}
