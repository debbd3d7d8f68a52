package revocation

import (
	"context"
	"slices"
	"testing"

	"mailseal/internal/testpki/forge"
)

// A doubter is told what could not be verified.
type doubter struct {
	*net
	told []string
}

func (d *doubter) Doubt(url string, request, body []byte) {
	what := url
	if request != nil {
		what += " asked"
	}
	if len(body) == 0 {
		what += " empty"
	}
	d.told = append(d.told, what)
}

// Whoever keeps what was fetched learns that it was forged, and hears nothing of
// what is good.
func TestDoubt(t *testing.T) {
	// Another key under the name of the CA.
	forger := forge.Certificate{Subject: forge.Name("CA"), KeyOf: "forger", Extensions: forge.CA}.Sign(nil)
	for name, tt := range map[string]struct {
		by   func(w *world) *forge.Issued
		want []string
	}{
		"forged": {func(*world) *forge.Issued { return forger }, []string{responderURL + " asked", listURL}},
		"good":   {func(w *world) *forge.Issued { return w.issuer }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := asks(func(w *world) []byte { return forge.Response{Of: w.issuer, Serial: seven}.Sign(tt.by(w)) })
			d := &doubter{net: w.fetch.(*net)}
			d.crls[listURL] = forge.CRL{}.Sign(tt.by(w))
			q := w.question(t)
			q.Fetch = d
			Check(context.Background(), w.result(t), q)
			slices.Sort(d.told)
			want := slices.Sorted(slices.Values(tt.want))
			if got := slices.Compact(d.told); !slices.Equal(got, want) {
				t.Errorf("doubts about %q, want %q", got, want)
			}
		})
	}
}
