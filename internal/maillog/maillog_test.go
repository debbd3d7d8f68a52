package maillog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// parse reads a line back as grep and awk would: words apart at blanks, keys
// before the first "=", quotes undone.
func parse(line string) (id, event string, pairs [][2]string, err error) {
	line, ok := strings.CutSuffix(line, "\n")
	if !ok || strings.ContainsAny(line, "\n\r") {
		return "", "", nil, errors.New("not one line")
	}
	id, rest, ok := strings.Cut(line, ": ")
	if !ok {
		return "", "", nil, errors.New("no queue id")
	}
	if loc := regexp.MustCompile(` [A-Za-z0-9_.-]+=`).FindStringIndex(rest); loc != nil {
		event, rest = rest[:loc[0]], rest[loc[0]:]
	} else {
		return id, rest, nil, nil
	}
	for rest != "" {
		key, after, ok := strings.Cut(strings.TrimPrefix(rest, " "), "=")
		if !ok {
			return "", "", nil, fmt.Errorf("no = in %q", rest)
		}
		value := after
		if strings.HasPrefix(after, `"`) {
			value, err = strconv.QuotedPrefix(after)
			if err != nil {
				return "", "", nil, fmt.Errorf("value %q: %w", after, err)
			}
			rest = after[len(value):]
			if value, err = strconv.Unquote(value); err != nil {
				return "", "", nil, err
			}
		} else {
			value, _, _ = strings.Cut(after, " ")
			rest = after[len(value):]
		}
		pairs = append(pairs, [2]string{key, value})
	}
	return id, event, pairs, nil
}

func TestLine(t *testing.T) {
	at := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		log  func(*slog.Logger)
		want string
	}{
		"bare": {func(l *slog.Logger) { l.Info("listening", "socket", "inet:8891@127.0.0.1") },
			"-: listening socket=inet:8891@127.0.0.1\n"},
		"queue id": {func(l *slog.Logger) { l.Info("verified", "smime", "pass", "verify", "OK", "id", "4bXJ2k") },
			"4bXJ2k: verified smime=pass verify=OK\n"},
		"queue id by With": {func(l *slog.Logger) { l.With("id", "A1", "from", "a@b").Info("signed", "n", 3) },
			"A1: signed from=a@b n=3\n"},
		"forged key": {func(l *slog.Logger) { l.Info("verified", "smime", "fail", "from", `x verify=OK "y"`) },
			`-: verified smime=fail from="x verify\x3dOK \"y\""` + "\n"},
		"forged line": {func(l *slog.Logger) { l.Info("verified", "from", "x\r\nB2: verified verify=OK") },
			`-: verified from="x\r\nB2: verified verify\x3dOK"` + "\n"},
		"forged queue id": {func(l *slog.Logger) { l.Info("signed", "id", "A1: verified verify=OK\n") },
			"A1__verified_verify_OK_: signed\n"},
		"forged event and key": {func(l *slog.Logger) { l.Info("a=b \"c\"\n", "k=v x", 1) },
			"-: a_b _c__ k_v_x=1\n"},
		"terminal": {func(l *slog.Logger) { l.Info("x", "v", "\x1b[2J\u202egpj\u00a0.exe\u2028\xff\u009b") },
			`-: x v="\x1b[2J\u202egpj\u00a0.exe\u2028\xff\u009b"` + "\n"},
		"Japanese": {func(l *slog.Logger) { l.Info("x", "v", "山田", "w", "山田 太郎") },
			`-: x v=山田 w="山田 太郎"` + "\n"},
		"empty": {func(l *slog.Logger) { l.Info("", "v", "") },
			`-: - v=""` + "\n"},
		"kinds": {func(l *slog.Logger) {
			l.Info("x", "t", at, "d", 1500*time.Millisecond, "e", errors.New("no way"), "l", []string{"a@b", "c@d"}, "b", true, "nil", nil)
		},
			`-: x t=2026-10-01T12:00:00Z d=1.5s e="no way" l=a@b,c@d b=true nil=<nil>` + "\n"},
		"groups": {func(l *slog.Logger) {
			l.WithGroup("tls").With("v", 1).Info("x", slog.Group("peer", "cn", "a"), slog.Group("", "id", 2))
		},
			"-: x tls.v=1 tls.peer.cn=a tls.id=2\n"},
		"levels": {func(l *slog.Logger) { l.Error("failed", "err", "x"); l.Warn("w"); l.Debug("not shown") },
			"-: failed level=error err=x\n-: w level=warn\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			tt.log(slog.New(New(&b, nil)))
			if d := cmp.Diff(tt.want, b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestParseBack: whatever the values hold, the line reads back as the same
// keys and values, and no key is found that was not written.
func TestParseBack(t *testing.T) {
	hostile := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{"verify=OK", `" verify=OK "`, `\`, `\"`, "a\nB: verified verify=OK", "", " ", "\x00", "\xff="}),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-hj-z][a-z0-9_.-]{0,9}`), 0, 5, rapid.ID).Draw(t, "keys")
		id := rapid.StringMatching(`[A-Za-z0-9]{1,20}`).Draw(t, "id")
		as := []slog.Attr{slog.String("id", id)}
		var want [][2]string
		for _, k := range keys {
			v := rapid.Custom(func(t *rapid.T) string {
				return strings.Join(rapid.SliceOfN(hostile, 1, 3).Draw(t, "parts"), "")
			}).Filter(func(s string) bool { return len(s) <= maxValue }).Draw(t, "value")
			as = append(as, slog.String(k, v))
			want = append(want, [2]string{k, v})
		}
		var b bytes.Buffer
		slog.New(New(&b, nil)).LogAttrs(context.Background(), slog.LevelInfo, "verified", as...)
		gotID, event, got, err := parse(b.String())
		if err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}
		if gotID != id || event != "verified" {
			t.Fatalf("%q: id %q, event %q", b.String(), gotID, event)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%q: %s", b.String(), d)
		}
		if n := strings.Count(b.String(), "="); n != len(keys) {
			t.Fatalf("%q: %d equals signs for %d keys", b.String(), n, len(keys))
		}
	})
}

// FuzzQuote: a value is one word without blanks outside quotes, and reads back.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "a b", `"`, "\\", "=", "\xff", "é\u0301", "\u202e", "\U000e0001", strings.Repeat("あ", 400)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := Quote(s)
		if strings.Contains(q, "=") || strings.ContainsAny(q, "\r\n\x00\x1b") {
			t.Errorf("%q became %q", s, q)
		}
		back := q
		if strings.HasPrefix(q, `"`) {
			var err error
			if back, err = strconv.Unquote(q); err != nil {
				t.Fatalf("%q became %q: %v", s, q, err)
			}
		} else if strings.Contains(q, " ") {
			t.Errorf("%q became %q", s, q)
		}
		if len(s) <= maxValue && back != s {
			t.Errorf("%q became %q", s, back)
		}
	})
}

func TestLong(t *testing.T) {
	long := strings.Repeat("山", 1000)
	q := Quote(long)
	if want := `"` + strings.Repeat("山", 341) + `[+1977]"`; q != want {
		t.Errorf("got %d bytes ending in %q", len(q), q[len(q)-12:])
	}
	if q := Quote(strings.Repeat("\xbf", 2000)); !strings.HasSuffix(q, `[+980]"`) {
		t.Errorf("bytes that are no characters end in %q", q[len(q)-12:])
	}

	var b bytes.Buffer
	l := slog.New(New(&b, nil))
	for range 20 {
		l = l.With("v", long)
	}
	l.Info("x", "stack", strings.Repeat("s", 4000), "short", 1)
	if b.Len() > maxLine+20 {
		t.Errorf("a line of %d bytes", b.Len())
	}
	if !strings.HasSuffix(b.String(), " short=1 left_out=15\n") {
		t.Errorf("ends in %q", b.String()[b.Len()-40:])
	}
	b.Reset()
	slog.New(New(&b, nil)).Info("x", "stack", strings.Repeat("s", 4000))
	if b.Len() != len("-: x stack=\n")+4000 {
		t.Errorf("a stack is cut to %d bytes", b.Len())
	}
}

// TestTargets: one write an event, with severity or time where wanted.
func TestTargets(t *testing.T) {
	var b bytes.Buffer
	h := New(Stamped(&b), slog.LevelDebug)
	at := time.Date(2026, 10, 1, 12, 0, 0, 5e6, time.FixedZone("", 9*3600))
	if err := h.Handle(context.Background(), slog.NewRecord(at, slog.LevelInfo, "signed", 0)); err != nil {
		t.Fatal(err)
	}
	if want := "2026-10-01T12:00:00.005+09:00 -: signed\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}

	s := new(fakeSyslog)
	l := slog.New(New(&syslogTarget{s}, slog.LevelDebug))
	l.Debug("a")
	l.Info("b")
	l.Warn("c")
	l.Error("d")
	l.Log(context.Background(), slog.LevelError+4, "e")
	want := []string{"debug -: a level=debug\n", "info -: b\n", "warning -: c level=warn\n", "err -: d level=error\n", "err -: e level=error+4\n"}
	if d := cmp.Diff(want, s.got); d != "" {
		t.Error(d)
	}
}

type fakeSyslog struct{ got []string }

func (f *fakeSyslog) Write(p []byte) (int, error) { return 0, errors.New("not by severity") }
func (f *fakeSyslog) Close() error                { return nil }
func (f *fakeSyslog) add(sev, s string) error     { f.got = append(f.got, sev+" "+s); return nil }
func (f *fakeSyslog) Debug(s string) error        { return f.add("debug", s) }
func (f *fakeSyslog) Info(s string) error         { return f.add("info", s) }
func (f *fakeSyslog) Warning(s string) error      { return f.add("warning", s) }
func (f *fakeSyslog) Err(s string) error          { return f.add("err", s) }

// TestConcurrent: lines of goroutines do not mix, and loggers that share
// attributes do not overwrite each other's.
func TestConcurrent(t *testing.T) {
	var b bytes.Buffer
	base := slog.New(New(&b, nil)).With("a", 1).With("b", 2).With("c", 3)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			l := base.With("n", i)
			for range 50 {
				l.Info("x", "m", i)
			}
		})
	}
	wg.Wait()
	for line := range strings.Lines(b.String()) {
		_, _, p, err := parse(line)
		if err != nil || len(p) != 5 || p[3][1] != p[4][1] {
			t.Fatalf("%q: %v", line, err)
		}
	}
}

// TestSlog holds the handler to slog's own rules, as far as they suit a log
// without time and level keys.
func TestSlog(t *testing.T) {
	var b bytes.Buffer
	err := slogtest.TestHandler(New(&b, nil), func() []map[string]any {
		var all []map[string]any
		for line := range strings.Lines(b.String()) {
			_, event, pairs, err := parse(line)
			if err != nil {
				t.Fatal(err)
			}
			m := map[string]any{slog.MessageKey: event, slog.LevelKey: "INFO", slog.TimeKey: "not logged"}
			for _, p := range pairs {
				at := m
				path := strings.Split(p[0], ".")
				for _, g := range path[:len(path)-1] {
					if at[g] == nil {
						at[g] = map[string]any{}
					}
					at = at[g].(map[string]any)
				}
				at[path[len(path)-1]] = p[1]
			}
			all = append(all, m)
		}
		return all
	})
	for _, line := range strings.Split(fmt.Sprint(err), "\n") {
		if err != nil && !strings.Contains(line, `unexpected key "time"`) && !strings.Contains(line, "zero Record.Time") {
			t.Error(line)
		}
	}
}
