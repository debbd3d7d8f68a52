package control

import (
	"sync"
	"time"
)

// A rate is how often something may be done: a number at once, and how long
// each takes to come back.
type rate struct {
	burst int
	every time.Duration
}

// The rates of users other than root.
var (
	looking   = rate{200, 50 * time.Millisecond}
	searching = rate{20, time.Second} // of all there is
	trying    = rate{20, 3 * time.Second}
	// Each of these leaves files or lines in the folder, for ever.
	issuing   = rate{20, 5 * time.Minute}
	revoking  = rate{20, time.Minute}
	listing   = rate{5, 30 * time.Second} // new lists, which others fetch
	wholly    = rate{3, time.Second}      // editions of 10 MB and more, one at a time
	forbidden = rate{10, 30 * time.Second}
)

// rates counts who has done what.
type rates struct {
	now func() time.Time

	mu   sync.Mutex
	used map[rateKey]time.Time // when all of it will have come back
}

type rateKey struct {
	uid  int
	rate rate
}

// maxRates bounds the table; what has come back is forgotten first.
const maxRates = 1000

// take reports whether somebody may do it once more, and counts it.
func (r *rates) take(uid int, what rate) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, key := r.now(), rateKey{uid, what}
	if len(r.used) >= maxRates {
		for k, back := range r.used {
			if back.Before(now) {
				delete(r.used, k)
			}
		}
	}
	back := r.used[key]
	if back.Before(now) {
		back = now
	}
	if back = back.Add(what.every); back.Sub(now) > time.Duration(what.burst)*what.every {
		return false
	}
	r.used[key] = back
	return true
}
