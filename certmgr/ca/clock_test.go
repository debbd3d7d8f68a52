package ca

import (
	"testing"
	"time"
)

// TestClockSetBack: a list that a wrong clock has dated to a time to come, which
// nobody takes until then, is made again.
func TestClockSetBack(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := newCA(t, func(o *InitOptions) { o.Now = func() time.Time { return now } })
	now = now.AddDate(1, 0, 0)
	newList(t, c)
	now = now.AddDate(-1, 0, 1)
	list, err := c.RenewCRL("")
	if err != nil || list == nil || list.ThisUpdate.After(now) || list.Number.Int64() != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	if again, err := c.RenewCRL(""); again != nil || err != nil {
		t.Errorf("made again and again: %+v, %v", again, err)
	}
}
