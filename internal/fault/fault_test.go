package fault

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

// Every row must be a reply that RFC 5321 and RFC 3463 allow, and its parts
// must agree with one another.
func TestTable(t *testing.T) {
	enhanced := regexp.MustCompile(`^[45]\.\d{1,3}\.\d{1,3}$`)
	word := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[string]Kind{}
	for _, k := range Kinds() {
		code, enh, text := k.Reply()
		if !word.MatchString(k.String()) {
			t.Errorf("kind %d: name %q is no word for logs", k, k)
		}
		if before, ok := seen[k.String()]; ok {
			t.Errorf("kinds %d and %d are both called %q", before, k, k)
		}
		seen[k.String()] = k
		if code < 400 || code > 599 {
			t.Errorf("%v: code %d; want 4xx or 5xx", k, code)
		}
		if !enhanced.MatchString(enh) || enh[0] != byte('0'+code/100) {
			t.Errorf("%v: enhanced code %q does not go with %d", k, enh, code)
		}
		if text == "" || len(text) > 100 || strings.ContainsAny(text, "\r\n\x00%") {
			t.Errorf("%v: text %q is not fit for a reply line", k, text)
		}
		if k.Temporary() != (code < 500) {
			t.Errorf("%v: Temporary() = %v with code %d", k, k.Temporary(), code)
		}
	}
}

func TestUnknownKindIsInternal(t *testing.T) {
	for _, k := range []Kind{-1, Kind(len(table)), 1 << 30} {
		code, enh, _ := k.Reply()
		if code != 451 || enh != "4.3.0" || !k.Temporary() {
			t.Errorf("Kind(%d): %d %s, temporary %v; want the row of Internal", int(k), code, enh, k.Temporary())
		}
		if want := fmt.Sprintf("fault(%d)", int(k)); k.String() != want {
			t.Errorf("Kind(%d).String() = %q; want %q", int(k), k, want)
		}
	}
}

func TestOf(t *testing.T) {
	tests := []struct {
		err  error
		want Kind
	}{
		{TooLarge, TooLarge},
		{fmt.Errorf("spool body: %w: %w", Storage, io.ErrShortWrite), Storage},
		{errors.Join(io.EOF, Rejected), Rejected},
		{io.EOF, Internal},
		{nil, Internal},
	}
	for _, tt := range tests {
		if got := Of(tt.err); got != tt.want {
			t.Errorf("Of(%v) = %v; want %v", tt.err, got, tt.want)
		}
	}
}
