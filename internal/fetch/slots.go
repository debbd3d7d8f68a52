package fetch

import (
	"context"
	"errors"
	"sync"
)

// Bounds of what is under way at once.
const (
	maxAtOnce  = 8
	maxPerHost = 2
	maxFlights = 64 // with those that wait for a slot
)

var errBusy = errors.New("too much is being fetched already")

// slots bound how much is fetched at once, in all and from one host.
type slots struct {
	all   chan struct{}
	mu    sync.Mutex // guards all below
	hosts map[string]*hostSlots
}

type hostSlots struct {
	slots chan struct{}
	users int // who have one or wait for one
}

func newSlots() *slots {
	return &slots{all: make(chan struct{}, maxAtOnce), hosts: make(map[string]*hostSlots)}
}

// enter waits for a slot. Who has got one leaves by calling the function.
func (s *slots) enter(ctx context.Context, host string) (leave func(), err error) {
	s.mu.Lock()
	h := s.hosts[host]
	if h == nil {
		h = &hostSlots{slots: make(chan struct{}, maxPerHost)}
		s.hosts[host] = h
	}
	h.users++
	s.mu.Unlock()
	forget := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(s.hosts, host)
		}
	}
	// The host's first: a slow one must not hold slots of the others.
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		forget()
		return nil, errBusy
	}
	select {
	case s.all <- struct{}{}:
	case <-ctx.Done():
		<-h.slots
		forget()
		return nil, errBusy
	}
	return func() {
		<-s.all
		<-h.slots
		forget()
	}, nil
}
