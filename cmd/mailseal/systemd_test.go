package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailseal/internal/config"
)

// TestUnit holds the service's unit to what the daemon is built with.
func TestUnit(t *testing.T) {
	b, err := os.ReadFile("../../systemd/mailseal-milter.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && key[0] != '#' {
			unit[key] = value
		}
	}
	for key, least := range map[string]time.Duration{
		"TimeoutStopSec": drain + 10*time.Second,
		"WatchdogSec":    drain + 10*time.Second, // the last sign of life is given when it stops
	} {
		if d, err := time.ParseDuration(unit[key]); err != nil || d < least {
			t.Errorf("%s=%s, want %v at least", key, unit[key], least)
		}
	}
	most := 4*config.Default("linux").Milter.MaxConnections + 100
	if n, err := strconv.Atoi(unit["LimitNOFILE"]); err != nil || n < most {
		t.Errorf("LimitNOFILE=%s, want %d at least", unit["LimitNOFILE"], most)
	}
	// What passes by itself is tried again, what does not is not.
	never := " " + unit["RestartPreventExitStatus"] + " "
	for status, want := range map[int]bool{
		exUsage: true, exNoUser: true, exCantCreate: true, exNoPerm: true, exConfig: true,
		exUnavailable: false, exSoftware: false, exOSErr: false,
	} {
		if got := strings.Contains(never, " "+strconv.Itoa(status)+" "); got != want {
			t.Errorf("RestartPreventExitStatus=%s: %d is there: %t", unit["RestartPreventExitStatus"], status, got)
		}
	}
}
