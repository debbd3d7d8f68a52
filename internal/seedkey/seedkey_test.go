package seedkey

import (
	"errors"
	"testing"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name, der, seed, expanded string
		err                       error
	}{
		{"seed", "\x80\x01s", "s", "", nil},
		{"both", "0\x06\x04\x01s\x04\x01e", "s", "e", nil},
		{"expanded", "\x04\x01e", "", "", ErrSeedless},
		{"nothing", "", "", "", ErrMalformed},
		{"one of both", "0\x03\x04\x01s", "", "", ErrMalformed},
		{"three", "0\x09\x04\x01s\x04\x01e\x04\x01x", "", "", ErrMalformed},
		{"more behind", "\x80\x01s\x00", "", "", ErrMalformed},
		{"an integer", "\x02\x01\x01", "", "", ErrMalformed},
	} {
		seed, expanded, err := Read([]byte(tt.der))
		if string(seed) != tt.seed || string(expanded) != tt.expanded || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %q, %v", tt.name, seed, expanded, err)
		}
	}
}
