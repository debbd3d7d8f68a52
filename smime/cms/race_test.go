//go:build race

package cms

// slowness of the race detector
const slowness = 10
