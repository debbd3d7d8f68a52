package capability_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailseal/smime/capability"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestUpdate(t *testing.T) {
	before, after := parsed(aes128), parsed(gcm256)
	known := capability.Known{SigningTime: now.Add(-time.Hour), Capabilities: before}
	at := func(d time.Duration) time.Time { return now.Add(d) }
	for _, test := range []struct {
		name  string
		known capability.Known
		seen  capability.Seen
		err   error
	}{
		{"the first", capability.Known{}, capability.Seen{Verified: true, SigningTime: at(-1000 * time.Hour), Capabilities: after}, nil},
		{"a newer one", known, capability.Seen{Verified: true, SigningTime: at(-time.Minute), Capabilities: after}, nil},
		{"a newer one, with nothing in it", known, capability.Seen{Verified: true, SigningTime: at(-time.Minute), Capabilities: capability.List{}}, nil},
		{"a clock that is ahead", known, capability.Seen{Verified: true, SigningTime: at(14 * time.Hour), Capabilities: after}, nil},
		{"the same again", known, capability.Seen{Verified: true, SigningTime: known.SigningTime, Capabilities: after}, capability.ErrNotNewer},
		{"an older one", known, capability.Seen{Verified: true, SigningTime: at(-2 * time.Hour), Capabilities: after}, capability.ErrNotNewer},
		{"one without a time", capability.Known{}, capability.Seen{Verified: true, Capabilities: after}, capability.ErrNotNewer},
		{"far in the future", known, capability.Seen{Verified: true, SigningTime: at(25 * time.Hour), Capabilities: after}, capability.ErrFuture},
		{"not verified", capability.Known{}, capability.Seen{SigningTime: at(-time.Minute), Capabilities: after}, capability.ErrUnverified},
		{"silent", known, capability.Seen{Verified: true, SigningTime: at(-time.Minute)}, capability.ErrSilent},
	} {
		got, err := capability.Update(test.known, test.seen, now)
		want := test.known
		if test.err == nil {
			want = capability.Known{SigningTime: test.seen.SigningTime, Capabilities: test.seen.Capabilities}
		}
		if !errors.Is(err, test.err) || !cmp.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v, %v", test.name, got, err, want, test.err)
		}
	}
}

// Whatever arrives in whatever order: the newest good one that is not of the future is remembered.
func TestUpdateOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var known, want capability.Known
		for _, minutes := range rapid.SliceOfN(rapid.IntRange(-3000, 3000), 1, 20).Draw(t, "minutes") {
			seen := capability.Seen{Verified: rapid.Bool().Draw(t, "verified"), SigningTime: now.Add(time.Duration(minutes) * time.Minute), Capabilities: parsed(aes256)}
			known, _ = capability.Update(known, seen, now)
			if seen.Verified && minutes <= 24*60 && seen.SigningTime.After(want.SigningTime) {
				want = capability.Known{SigningTime: seen.SigningTime, Capabilities: seen.Capabilities}
			}
		}
		if !cmp.Equal(known, want) {
			t.Fatalf("got %v, want %v", known, want)
		}
	})
}
