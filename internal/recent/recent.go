// Package recent remembers results that are dear to make and asked for again
// and again, as the same few peers write most of the mail.
package recent

import "sync"

// A Cache maps keys to values, and holds no more than a number of them. The
// same value must be right for a key for ever; its owner makes a new Cache when
// that is no longer so. It may be used by any number of goroutines.
type Cache[K comparable, V any] struct {
	mu     sync.Mutex // guards all below
	size   int
	young  map[K]V
	mature map[K]V
}

// New makes a Cache that holds at most size values.
func New[K comparable, V any](size int) *Cache[K, V] {
	return &Cache[K, V]{size: max(size, 2), young: make(map[K]V)}
}

// Get returns the value of a key, if it is still there.
func (c *Cache[K, V]) Get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.young[k]
	if !ok {
		if v, ok = c.mature[k]; ok {
			c.put(k, v)
		}
	}
	return v, ok
}

// Put remembers a value. What has not been asked for since half the Cache was
// filled goes first, so that a flood of strangers drives out strangers.
func (c *Cache[K, V]) Put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(k, v)
}

func (c *Cache[K, V]) put(k K, v V) {
	if _, again := c.young[k]; !again && len(c.young) >= c.size/2 {
		c.young, c.mature = make(map[K]V), c.young
	}
	delete(c.mature, k)
	c.young[k] = v
}
