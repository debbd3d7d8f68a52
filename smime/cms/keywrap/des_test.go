package keywrap

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// The example of RFC 3217 section 4.1.
const (
	desPlain   = "2923bf85e06dd6ae529149f1f1bae9eab3a7da3d860d3e98"
	desKEK     = "255e0d1c07b646dfb3134cc843ba8aa71f025b7c0838251f"
	desWrapped = "690107618ef092b3b48ca1796b234ae9fa33ebb4159604037db5d6a84eb3aac2768c632775a467d4"
)

func TestDESStandard(t *testing.T) {
	key := make([]byte, DESKey)
	if err := UnwrapDES(unhex(desKEK), unhex(desWrapped), key); err != nil || !bytes.Equal(key, unhex(desPlain)) {
		t.Errorf("unwrapped %x, %v", key, err)
	}
}

// TestDESUnchanged: whatever octet is another, the key stays as it was, and there is no error.
func TestDESUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kek, wrapped := unhex(desKEK), unhex(desWrapped)
		// The lowest bit of each octet of a DES key is parity and changes nothing.
		flip := byte(rapid.IntRange(1, 127).Draw(t, "by")) << 1
		target := rapid.SampledFrom([][]byte{kek, wrapped}).Draw(t, "of")
		target[rapid.IntRange(0, len(target)-1).Draw(t, "at")] ^= flip
		random := bytes.Repeat([]byte{0x55}, DESKey)
		key := bytes.Clone(random)
		if err := UnwrapDES(kek, wrapped, key); err != nil || !bytes.Equal(key, random) {
			t.Fatalf("got %x, %v of a forged key", key, err)
		}
	})
}

func TestDESSizes(t *testing.T) {
	for _, test := range []struct{ kek, key, wrapped int }{
		{0, 24, 40}, {16, 24, 40}, {23, 24, 40}, {32, 24, 40}, {24, 0, 40}, {24, 16, 40}, {24, 16, 32}, {24, 32, 48}, {24, 24, 0}, {24, 24, 32}, {24, 24, 39}, {24, 24, 48},
	} {
		key := make([]byte, test.key)
		if err := UnwrapDES(make([]byte, test.kek), make([]byte, test.wrapped), key); !errors.Is(err, ErrSize) {
			t.Errorf("%v: got %v", test, err)
		}
	}
}
