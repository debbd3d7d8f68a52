package fetch

import (
	"context"
	"sync"
	"time"
)

// perMail is how many things one mail may have us fetch.
const perMail = 16

// A budget is what may be spent for one mail.
type budget struct {
	mu     sync.Mutex // guards all below
	left   time.Duration
	number int
}

type budgetKey struct{}

// Mail begins the budget of one mail: all fetches in the context together hold
// it up for Settings.Wait at most. A fetch outside of such a context has a
// budget of its own.
func (f *Fetcher) Mail(ctx context.Context) context.Context {
	return context.WithValue(ctx, budgetKey{}, f.newBudget())
}

func (f *Fetcher) newBudget() *budget {
	return &budget{left: f.client.Load().Wait, number: perMail}
}

func (f *Fetcher) budget(ctx context.Context) *budget {
	if b, ok := ctx.Value(budgetKey{}).(*budget); ok {
		return b
	}
	return f.newBudget()
}

// take takes one fetch out of the budget, if it has one.
func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.number == 0 {
		return false
	}
	b.number--
	return true
}

// await waits for a result as long as the budget lasts.
func await[T any](ctx context.Context, b *budget, result <-chan T) (r T, ok bool) {
	b.mu.Lock()
	left := b.left
	b.mu.Unlock()
	began := time.Now()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.left = max(0, b.left-time.Since(began))
	}()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case r = <-result:
		return r, true
	case <-timer.C:
	case <-ctx.Done():
	}
	// What is there at once costs no time.
	select {
	case r = <-result:
		return r, true
	default:
		return r, false
	}
}
