//go:build race

package smime_test

const raceEnabled = true
