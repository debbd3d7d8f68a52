package ber

import (
	"bytes"
	"io"
	"testing"
)

// What Reader takes for one well-formed element DER takes too, and the other way round; DER is stable, well-formed, and means
// the same.
func FuzzBER(f *testing.F) {
	for _, seed := range []string{
		"30 80 02 01 05 00 00", "24 80 24 80 04 01 61 00 00 04 02 62 63 00 00", "23 80 03 02 00 ff 03 03 04 aa f0 00 00",
		"31 80 31 06 02 01 09 02 01 01 31 06 02 01 00 02 01 07 00 00", "bf 8a 6e 80 05 00 00 00", "30 82 00 04 04 81 01 ff",
		"01 01 01", "30 04 30 04 30 04 30 04", "3a 09 04 03 4a 6f 6e 04 02 65 73",
	} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		tree, walkErr := dump(bytes.NewReader(in), Limits{})
		r := NewReader(bytes.NewReader(in), Limits{})
		h, err := r.Next()
		if err != nil {
			if walkErr == nil && err != io.EOF {
				t.Fatalf("Next %v, walk succeeds: %s", err, tree)
			}
			return
		}
		raw, rawErr := r.Raw(int64(len(in)))
		if walkErr == nil && rawErr != nil {
			t.Fatalf("walk succeeds, Raw: %v", rawErr)
		}
		if rawErr == nil {
			if !bytes.Equal(raw, in[:r.Offset()]) {
				t.Fatalf("Raw: got %x, input %x", raw, in)
			}
			s := NewReader(bytes.NewReader(in), Limits{})
			s.Next()
			if err := s.Skip(); err != nil || s.Offset() != int64(len(raw)) {
				t.Fatalf("Raw takes %d octets, Skip %d, %v", len(raw), s.Offset(), err)
			}
		}
		der, err := DER(in, Limits{})
		if err != nil {
			return
		}
		if walkErr != nil {
			t.Fatalf("DER succeeds, walk: %v", walkErr)
		}
		if rawErr != nil || len(raw) != len(in) {
			t.Fatalf("DER succeeds, Raw reads %d of %d octets, %v", len(raw), len(in), rawErr)
		}
		again, err := DER(der, Limits{})
		if err != nil || !bytes.Equal(again, der) {
			t.Fatalf("DER %x of %x becomes %x, %v", der, in, again, err)
		}
		if len(der) > len(in)+1 { // an empty BIT STRING in no pieces gains its count
			if h.Tag != BitString && !bytes.Contains(in, []byte{0x23}) {
				t.Fatalf("DER %x is longer than %x", der, in)
			}
		}
		if h.Tag == OctetString || h.Tag == Context(0) {
			sameContent(t, in, der)
		}
	})
}

// sameContent compares what streams out of a string before and after conversion.
func sameContent(t *testing.T, a, b []byte) {
	var got [2][]byte
	for i, in := range [][]byte{a, b} {
		r := NewReader(bytes.NewReader(in), Limits{})
		r.Next()
		var err error
		if got[i], err = io.ReadAll(r.Content()); err != nil {
			return
		}
	}
	if !bytes.Equal(got[0], got[1]) {
		t.Fatalf("%x holds %x, as DER %x", a, got[0], got[1])
	}
}
