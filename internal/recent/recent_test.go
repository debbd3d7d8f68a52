package recent

import (
	"sync"
	"testing"
)

func TestCache(t *testing.T) {
	c := New[int, string](4)
	if _, ok := c.Get(1); ok {
		t.Error("found in an empty cache")
	}
	c.Put(1, "one")
	for i := range 1000 {
		c.Put(i+100, "other")
		if v, ok := c.Get(1); !ok || v != "one" {
			t.Fatalf("what is asked for again and again was gone after %d others", i+1)
		}
		if n := len(c.young) + len(c.mature); n > 4 {
			t.Fatalf("holds %d values", n)
		}
	}
	if _, ok := c.Get(100); ok {
		t.Error("what nobody asks for is still there")
	}
	c.Put(1, "two")
	if v, _ := c.Get(1); v != "two" {
		t.Errorf("got %q after it was replaced", v)
	}
}

func TestConcurrent(t *testing.T) {
	c := New[int, int](8)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				c.Put(i%16, i%16)
				if v, ok := c.Get(i % 16); ok && v != i%16 {
					t.Errorf("%d for %d", v, i%16)
				}
			}
		})
	}
	wg.Wait()
}
