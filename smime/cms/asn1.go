package cms

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// What is kept in memory is DER by then; cryptobyte reads it without reflection.

func input(b []byte) cryptobyte.String { return cryptobyte.String(b) }

// readTime reads a Time (RFC 5652 section 11.3), to the second and in UTC as DER has it.
func readTime(b []byte) (t time.Time, ok bool) {
	s := input(b)
	if s.PeekASN1Tag(der.UTCTime) {
		ok = s.ReadASN1UTCTime(&t)
	} else {
		ok = s.ReadASN1GeneralizedTime(&t)
	}
	return t.UTC(), ok && s.Empty()
}
