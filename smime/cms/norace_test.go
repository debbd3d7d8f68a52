//go:build !race

package cms

const slowness = 1
