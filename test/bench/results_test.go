package main

import (
	"strings"
	"testing"
	"time"
)

// A round in which the machine was busy slows what is compared alike: the
// ratio is that of a round, and the median leaves out the odd one.
func TestRender(t *testing.T) {
	r := newResults()
	of := func(setup string) cell { return cell{"postfix", "unix", small, 10, setup} }
	for _, slow := range []time.Duration{1, 4, 1} {
		r.add(of(noMilter), sent{mails: 1000, took: slow * time.Second, mta: 2 * time.Second})
		r.add(of(signsRSA), sent{mails: 600, took: slow * time.Second, milter: 600 * time.Millisecond, mta: 1200 * time.Millisecond})
	}
	r.add(of(openDKIMRSA), sent{mails: 300, took: time.Second, milter: time.Second, mta: time.Second})
	r.add(of(openDKIMRSA), sent{mails: 150, took: 4 * time.Second, milter: time.Second, mta: time.Second})
	r.add(of(openDKIMRSA), sent{mails: 400, took: time.Second, milter: time.Second, mta: time.Second})
	r.add(of(signsP256), sent{mails: 3, took: time.Second, milter: tick, mta: tick})
	r.peak[milterKey{"unix", signsRSA}] = 15 << 20

	got := r.render(3, "on paper")
	for _, want := range []string{
		"; medians of 3 rounds; on paper.\n",
		"| Postfix, unix, 10KB, 10 sessions | 2.00 (1.50 to 4.00) |  |\n",
		"### Postfix, unix socket: mails a second, and of what passes without a milter\n\n| | 10KB, 10 sessions |\n|---|---|\n| no milter | 1000 |\n| mailseal signs, RSA-2048 | 600 (0.60) |\n| mailseal signs, P-256 | 3.0 (0.00) |\n",
		"| no milter | 2.00 |  |\n| mailseal signs, RSA-2048 | 1.00 + 2.00 | 15 MiB |\n| mailseal signs, P-256 | too few |  |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for _, never := range []string{"sendmail", "tcp", "1MB", "1 session ", "do-nothing"} {
		if strings.Contains(got, never) {
			t.Errorf("%q in the tables, and nothing was measured of it", never)
		}
	}
}

func TestCells(t *testing.T) {
	all := cells(func(cell) bool { return true })
	if want := len(mtas) * len(networks) * len(sizes) * len(sessions) * len(setups); len(all) != want {
		t.Errorf("%d cells, want %d", len(all), want)
	}
	names := map[string]bool{}
	for i, c := range all {
		if names[c.String()] {
			t.Errorf("%v twice", c)
		}
		names[c.String()] = true
		if c.setup != setups[i%len(setups)].name {
			t.Errorf("%v is not next to the set-ups that it is compared with", c)
		}
	}
	for _, p := range pairs {
		for _, name := range []string{p.ours, p.other} {
			if !names[cell{"postfix", "unix", small, 10, name}.String()] {
				t.Errorf("there is no set-up %q", name)
			}
		}
	}
}

func TestEnough(t *testing.T) {
	for _, tt := range []struct {
		sessions int
		rate     float64
		want     int
	}{{1, 1000, 500}, {10, 1000, 500}, {10, 1, 10}, {1, 0.5, 1}, {10, 0, 20}, {1, 1e9, 5000}} {
		if got := enough(cell{sessions: tt.sessions}, tt.rate, 500*time.Millisecond); got != tt.want {
			t.Errorf("%d sessions at %v a second: %d mails, want %d", tt.sessions, tt.rate, got, tt.want)
		}
	}
}

func TestCPUTimes(t *testing.T) {
	own, children, err := cpuTimes("42 (a ) b) S 1 2 3 0 -1 4194560 97 0 0 0 150 50 7 3 20 0 1 0 5")
	if own != 2*time.Second || children != 100*time.Millisecond || err != nil {
		t.Errorf("%v, %v, %v", own, children, err)
	}
	for _, bad := range []string{"", "42 (x) S 1", "42 (x) S 1 2 3 0 -1 4194560 97 0 0 0 x 50 7 3 20"} {
		if _, _, err := cpuTimes(bad); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestCompose(t *testing.T) {
	for _, s := range sizes {
		if n := len(compose(sender, s)); n < int(s) || n > int(s)+100 {
			t.Errorf("a mail of %v has %d bytes", s, n)
		}
	}
}
