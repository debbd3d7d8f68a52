package recipient

import "slices"

// Keys are ours, and say who may read what they open.
type Keys interface {
	// For returns those that i is for, as Info.For has it.
	For(i *Info) []Key
	// Enough reports whether all who shall read the content have it by keys, which open the same.
	Enough(keys []Key) bool
}

// List is a few keys: to have one of them is enough.
type List []Key

// For returns those that i is for.
func (l List) For(i *Info) (found []Key) {
	for _, k := range l {
		if i.For(k) {
			found = append(found, k)
		}
	}
	return found
}

// Enough is satisfied with any key.
func (l List) Enough(keys []Key) bool { return len(keys) > 0 }

// maxFound bounds the keys of a Ring that one RecipientInfo finds: a forger may name all of them.
const maxFound = 256

// Ring is any number of keys with certificates, found by the names of recipients.
type Ring struct {
	keys []Key
	by   map[string][]int // what a certificate may be named by -> indices in keys
}

// NewRing makes a Ring. A key without certificate, which nobody can name, is left out.
func NewRing(keys []Key) *Ring {
	r := &Ring{by: make(map[string][]int)}
	for _, k := range keys {
		if k.Certificate == nil {
			continue
		}
		for _, name := range namesOf(k.Certificate) {
			r.by[name] = append(r.by[name], len(r.keys))
		}
		r.keys = append(r.keys, k)
	}
	return r
}

// For returns the keys that i is for, at most 256, in the order in which it names them.
func (r *Ring) For(i *Info) (found []Key) {
	var seen []int
	for _, id := range i.Recipients {
		for _, n := range r.by[id.name()] {
			if len(found) == maxFound {
				return found
			}
			if !slices.Contains(seen, n) && i.For(r.keys[n]) {
				seen, found = append(seen, n), append(found, r.keys[n])
			}
		}
	}
	return found
}

// Enough is satisfied with any key.
func (r *Ring) Enough(keys []Key) bool { return len(keys) > 0 }
