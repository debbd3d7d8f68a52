package mtarig

import (
	"errors"
	"fmt"
	"time"
)

// ErrTimeout is what the waiting functions wrap when their time is up.
var ErrTimeout = errors.New("timed out")

// poll calls done until it says so: what another process writes into files
// announces itself in no other way.
func poll(timeout time.Duration, done func() (bool, error)) error {
	deadline := time.Now().Add(timeout)
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w after %v", ErrTimeout, timeout)
		}
		time.Sleep(pollInterval)
	}
}
