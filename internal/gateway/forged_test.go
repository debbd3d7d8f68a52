package gateway

import (
	"context"
	"slices"
	"strings"
	"testing"

	"mailseal/internal/message"
)

func TestForgedResults(t *testing.T) {
	b := newBench(t)
	forged := "Authentication-Results: mx.example.jp; smime=pass body.smime-identifier=alice@example.jp\n" +
		"Authentication-Results: other.example; smime=pass\n" +
		"authentication-results: MX.example.jp; dkim=pass\n"
	for _, earlier := range []bool{false, true} {
		b.conf.EarlierMilters = earlier
		got, _ := b.handle(forged+plain, outside)
		var fields []string
		for _, l := range strings.Split(got, "\n") {
			if strings.HasPrefix(strings.ToLower(l), "authentication-results:") {
				fields = append(fields, l)
			}
		}
		want := []string{"Authentication-Results: mx.example.jp; smime=none", "Authentication-Results: other.example; smime=pass"}
		if earlier {
			want = append(want, "authentication-results: MX.example.jp; dkim=pass")
		}
		if !slices.Equal(fields, want) {
			t.Errorf("earlier milters %v: %q", earlier, fields)
		}
	}
}

// cleanings are what a Meter is told of Before.
type cleanings []int

func (*cleanings) Decided(Measure) {}

func (c *cleanings) Cleaned(results int) { *c = append(*c, results) }

// Before all other milters nothing in our name is theirs.
func TestBefore(t *testing.T) {
	b := newBench(t)
	var told cleanings
	b.conf.EarlierMilters, b.conf.Meter = true, &told
	g, err := New(b.conf)
	if err != nil {
		t.Fatal(err)
	}
	user := outside
	user.Login = "alice@example.jp"
	const (
		dkim    = "Authentication-Results: mx.example.jp; dkim=pass\n"
		smime   = "Authentication-Results: mx.example.jp; smime=pass\n"
		foreign = "Authentication-Results: other.example; dkim=pass\n"
		outer   = "Received: from x (x [192.0.2.9]) by mx1.example.jp; now\n"
	)
	for _, tt := range []struct {
		name   string
		header string
		client message.Client
		want   string
	}{
		{"from outside", dkim + foreign + smime + dkim, outside, foreign},
		{"by a user", dkim + foreign, user, foreign},
		{"ours, and one that came with the mail", dkim + outer + smime, inside, dkim + outer},
		{"fetched from elsewhere, by a program on this host", outer + dkim, inside, outer},
		{"nothing", foreign, outside, foreign},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := b.read(tt.header + plain)
			m.Envelope = message.Envelope{QueueID: "Q1", Sender: "sender@example.jp", Client: tt.client}
			b.log.Reset()
			told = nil
			v, err := g.Before().Handle(context.Background(), m)
			if err != nil || v.Action != message.Accept {
				t.Fatalf("%+v, %v", v, err)
			}
			after, err := m.Apply(v.Edits)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			after.WriteTo(&out)
			if got := strings.ReplaceAll(out.String(), "\r\n", "\n"); got != tt.want+plain {
				t.Errorf("%s", got)
			}
			if len(told) != 1 || told[0] != len(v.Edits) {
				t.Errorf("told %d of %d", told, len(v.Edits))
			}
			if len(v.Edits) > 0 {
				b.logged("cleaned", "from=sender@example.jp", "client=")
			} else if b.log.Len() > 0 {
				t.Errorf("logged %s", &b.log)
			}
		})
	}
}

// Users have no results to bring, whatever milters there are.
func TestEarlierMiltersOfUsers(t *testing.T) {
	b := newBench(t)
	b.conf.EarlierMilters = true
	user := outside
	user.Login = "alice@example.jp"
	if got, _ := b.handle("Authentication-Results: mx.example.jp; dkim=pass\n"+plain, user); strings.Contains(got, "dkim=pass") {
		t.Errorf("%s", got)
	}
}

// Mail of ours is not verified, but whoever brought it may have written a
// verdict into it.
func TestForgedResultsInMailOfOurs(t *testing.T) {
	b := newBench(t)
	user := outside
	user.Login = "alice@example.jp"
	other := outside
	other.Login = "bob@example.jp"
	const (
		forged  = "Authentication-Results: mx.example.jp; smime=pass body.smime-identifier=alice@example.jp\n"
		hidden  = "Subject: x\rAuthentication-Results: mx.example.jp; smime=pass\n"
		foreign = "Authentication-Results: other.example; smime=pass\n"
		outer   = "Received: from x (x [192.0.2.9]) by mx1.example.jp; now\n"
		inner   = "Received: from list (list [10.0.0.7]) by mx1.example.jp; now\n"
	)
	for _, tt := range []struct {
		name   string
		header string
		client message.Client
		kept   int
	}{
		{"by the author", forged + foreign, user, 0},
		{"by the author, behind a CR", hidden, user, 0},
		{"by the author, in a field that signing sets", "MIME-Version: 1.0\rAuthentication-Results: mx.example.jp; smime=pass\n", user, 0},
		{"by another user", forged, other, 0},
		{"from outside through a relay of ours", outer + forged + hidden + foreign, inside, 0},
		{"from outside through two", inner + outer + forged, inside, 0},
		{"ours, on a mail that a list sends again", inner + forged + outer, inside, 1},
		{"ours, and one that came with the mail", inner + forged + outer + forged, inside, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, v := b.handle(tt.header+plain, tt.client)
			if n := strings.Count(got, "mx.example.jp; smime=pass"); n != tt.kept || v.Action != message.Accept {
				t.Errorf("%v, %d kept:\n%s", v.Action, n, got)
			}
			if strings.Contains(tt.header, foreign) != strings.Contains(got, foreign) {
				t.Error("the result of another host is lost")
			}
			signed := strings.Contains(b.log.String(), "signed identity")
			whole := strings.Contains(got, "\nContent-Type: multipart/signed") && strings.Contains(got, "MIME-Version: 1.0\n")
			if signed != (tt.client.Login == user.Login) || signed != whole {
				t.Errorf("signed %v, whole %v:\n%s", signed, whole, got)
			}
		})
	}
}

// What milters before us wrote in our name does not make a mail re-injected.
func TestEarlierMilters(t *testing.T) {
	b := newBench(t)
	b.conf.EarlierMilters = true
	got, _ := b.handle("Authentication-Results: mx.example.jp; dkim=none\n"+plain, inside)
	b.logged("signed identity=")
	if !strings.HasPrefix(got, "Authentication-Results: mx.example.jp; dkim=none\n") {
		t.Errorf("%s", got)
	}
	b.handle("Authentication-Results: mx.example.jp; dkim=none; smime=none\n"+plain, inside)
	b.logged("passed", "inbound before")
}
