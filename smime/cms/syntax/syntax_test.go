package syntax

import (
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// Serial numbers as they were issued: negative, with leading zeros, long.
func TestSerial(t *testing.T) {
	for in, want := range map[string]*big.Int{
		"\x02\x01\x05": big.NewInt(5), "\x02\x01\xff": big.NewInt(-1), "\x02\x02\x00\x05": big.NewInt(5), "\x02\x02\xff\xff": big.NewInt(-1),
		"\x02\x02\x80\x00": big.NewInt(-32768), "\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff": new(big.Int).SetUint64(1<<64 - 1),
	} {
		s := cryptobyte.String(in)
		if got, ok := ReadSerial(&s); !ok || got.Cmp(want) != 0 {
			t.Errorf("%x: got %v, want %v", in, got, want)
		}
	}
	s := cryptobyte.String{2, 0}
	if _, ok := ReadSerial(&s); ok {
		t.Error("an INTEGER without octets is taken")
	}
}
