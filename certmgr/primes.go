package certmgr

import (
	"context"
	"math"
	"os"
	"time"

	"mailseal/certmgr/dh"
	"mailseal/internal/durable"
)

// progressEvery is how often is told how far the search for a prime has come.
const progressEvery = time.Minute

// ownPrime are a target's own Diffie-Hellman parameters, once they are found.
func (k *Keeper) ownPrime(t Target) dh.Parameters {
	b, err := os.ReadFile(k.path("targets", t.Name+".dh"))
	if err != nil {
		return dh.Parameters{}
	}
	p, err := dh.Parse(b)
	if err != nil || p.P.BitLen() != t.OwnPrime {
		return dh.Parameters{}
	}
	return p
}

// findPrimes finds the parameters that targets want for themselves, one after the
// other: it takes minutes to hours, and a group that is known serves meanwhile.
func (k *Keeper) findPrimes(ctx context.Context) {
	for _, t := range k.c.Targets {
		if t.OwnPrime == 0 || k.ownPrime(t).P != nil {
			continue
		}
		p, err := dh.Generate(ctx, t.OwnPrime, k.progress(t))
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = durable.WriteFile(k.path("targets", t.Name+".dh"), p.PEM(), 0o600)
		}
		if err != nil {
			k.log.Error("cannot make dh parameters", "target", t.Name, "error", err)
			continue
		}
		k.log.Info("dh parameters", "target", t.Name, "bits", t.OwnPrime)
		select {
		case k.primes <- t.Name:
		case <-ctx.Done():
			return
		}
	}
}

// progress logs how likely it was to have found them by now.
func (k *Keeper) progress(t Target) func(dh.Progress) {
	last := time.Now()
	return func(p dh.Progress) {
		if time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		percent := int(100 * (1 - math.Exp(-float64(p.Tested)/float64(p.Expected))))
		k.log.Info("searching dh parameters", "target", t.Name, "bits", t.OwnPrime, "tested", p.Tested, "percent", percent)
	}
}
