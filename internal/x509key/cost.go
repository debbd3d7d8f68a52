package x509key

import (
	"crypto"
	//lint:ignore SA1019 others send such keys
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/rsa"
	"time"

	"filippo.io/mldsa"
)

// Cost is about how long it takes to check one signature with the key, on one core
// of an ordinary machine. It bounds what somebody may have us do who sends keys; as
// a time it is good for nothing else.
func Cost(k crypto.PublicKey) time.Duration {
	switch k := k.(type) {
	case *rsa.PublicKey:
		bits := time.Duration(k.N.BitLen())
		cost := 40 * time.Microsecond
		if bits > 2048 { // crypto/rsa has no assembly for these
			cost = bits * bits * 50 / 1000
		}
		if k.E > 1<<16+1 {
			cost *= 3
		}
		return cost
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return 110 * time.Microsecond
		case 384:
			return 1000 * time.Microsecond
		}
		return 2500 * time.Microsecond
	case *dsa.PublicKey:
		return 8 * time.Millisecond // in math/big
	case *mldsa.PublicKey:
		return 250 * time.Microsecond
	}
	return 80 * time.Microsecond
}
