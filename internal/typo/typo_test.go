package typo

import (
	"testing"

	"pgregory.net/rapid"
)

func TestNearest(t *testing.T) {
	commands := []string{"check", "milter", "sign", "verify", "version"}
	for in, want := range map[string]string{
		"chekc": "check", "sgin": "sign", "verfy": "verify", "versoin": "version", "milterd": "milter",
		"frobnicate": "", "": "", "x": "", "ver": "", "veri": "verify", "check-config": "check", "sign": "sign",
	} {
		if got := Nearest(in, commands); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestDistance: it is a measure, as far as swapped neighbours let it be one.
func TestDistance(t *testing.T) {
	word := rapid.StringMatching(`[abc]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) || d < max(len(a)-len(b), len(b)-len(a)) {
			t.Errorf("distance(%q, %q) = %d", a, b, d)
		}
	})
}
