// Package hashdir keeps the links by which OpenSSL finds certificates and CRLs
// in a folder, as c_rehash and `openssl rehash` make them:
//
//	2c52b46b.0  -> cacert.pem     the first CA of this name
//	2c52b46b.1  -> other.pem      another one, or the same renewed
//	2c52b46b.r0 -> crl.pem        a CRL of that name
//
// Sendmail's CACertPath and CRLPath and Postfix's CApath are such folders, and
// are looked into at every connection. A look-up tries .0, .1 and so on and ends
// at the first number that is missing. Therefore, unlike openssl, which removes
// all links and makes them anew, this package changes what differs and nothing
// else, and in an order in which a CA that was found before, and shall be found
// after, is found all the time, wherever a crash ends it.
//
// What is a link of ours: one that leads to a file of the same folder. Those
// that lead elsewhere, and files that bear such a name, belong to somebody else
// and stay. Dangling links go, whoever made them.
package hashdir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"mailseal/internal/folder"
)

// Options say what the folder's files do not.
type Options struct {
	// Bundles are names of files whose every certificate gets a link. Of
	// other files those with one certificate or CRL get one, as with openssl.
	Bundles []string
}

// A Change is one link that is made, or removed where it has no target.
type Change struct {
	Name   string `json:"name"`
	Target string `json:"target,omitempty"`
}

func (c Change) String() string {
	if c.Target == "" {
		return "remove link " + c.Name
	}
	return "link " + c.Name + " to " + c.Target
}

// A Plan is what a folder lacks, and has too much, in the order in which it is
// to be done.
type Plan struct {
	Changes []Change
	// Notes are what somebody should look at.
	Notes []string
}

// Inspect compares a folder's links with its files. It changes nothing.
func Inspect(dir string, o Options) (Plan, error) {
	f, err := read(dir, o.Bundles)
	if err != nil {
		return Plan{}, fmt.Errorf("hash links: %w", err)
	}
	p := Plan{Notes: f.notes}
	var removed []Change
	for _, k := range f.keys() {
		set, remove := settle(f.wanted[k], f.slots[k])
		for _, s := range set {
			p.Changes = append(p.Changes, Change{k.name(s.number), s.target})
		}
		for _, number := range remove {
			removed = append(removed, Change{Name: k.name(number)})
		}
	}
	for _, name := range f.leftovers {
		removed = append(removed, Change{Name: name})
	}
	p.Changes = append(p.Changes, removed...)
	return p, nil
}

// Apply carries a plan out. What was done is on the disk when it returns nil;
// after an error, or a crash, a new plan has the rest.
func Apply(dir string, p Plan) error {
	if len(p.Changes) == 0 {
		return nil
	}
	f, err := folder.Open(dir)
	if err != nil {
		return fmt.Errorf("hash links: %w", err)
	}
	defer f.Close()
	synced := true
	for _, c := range p.Changes {
		if c.Target == "" && !synced {
			// Nothing goes before what replaces it is certain to stay.
			if err := f.Sync(); err != nil {
				return fmt.Errorf("hash links: %w", err)
			}
			synced = true
		}
		if err := apply(f, c); err != nil {
			return fmt.Errorf("hash links: %s: %w", c, err)
		}
		synced = synced && c.Target == ""
	}
	return f.Sync()
}

func apply(f *folder.Folder, c Change) error {
	if info, err := f.Lstat(c.Name); err == nil && info.Mode.Type() != fs.ModeSymlink {
		return errors.New("that is no link any more")
	}
	if c.Target == "" {
		return f.Remove(c.Name)
	}
	tmp := temporary(c.Name)
	if err := f.Remove(tmp); err != nil {
		return err
	}
	if err := f.Symlink(c.Target, tmp); err != nil {
		return err
	}
	if err := f.Rename(tmp, c.Name); err != nil {
		return errors.Join(err, f.Remove(tmp))
	}
	return nil
}

// A slot is a number of one hash and what has it.
type slot struct {
	number  int
	target  string // as it stands in the link; a file's own name
	foreign bool
	// dangling: for a look-up it is as good as missing.
	dangling bool
}

// settle finds what is to be done about one hash, whose links shall lead to some
// files: which numbers are set, in order, and which are removed then. Links that
// are right stay where they are.
func settle(wanted []string, has map[int]slot) (set []slot, remove []int) {
	targets := assign(wanted, has)
	var replaced []slot
	for _, n := range slices.Sorted(maps.Keys(targets)) {
		s := slot{number: n, target: targets[n]}
		if old, ok := has[n]; !ok || old.dangling {
			set = append(set, s)
		} else if old.target != s.target {
			replaced = append(replaced, s)
		}
	}
	// What is replaced may be how another one was found until now. So all
	// have further numbers while it lasts.
	if used := maps.Clone(has); len(replaced) > 1 {
		maps.DeleteFunc(used, func(_ int, s slot) bool { return s.dangling })
		for _, s := range set {
			used[s.number] = s
		}
		for _, s := range replaced {
			if !slices.Contains(wanted, s.target) {
				continue
			}
			for s.number = 0; used[s.number].target != ""; s.number++ {
			}
			used[s.number] = s
			set, remove = append(set, s), append(remove, s.number)
		}
	}
	for n, s := range has {
		if targets[n] == "" && !s.foreign {
			remove = append(remove, n)
		}
	}
	// From the highest on, so that there is no gap meanwhile.
	slices.Sort(remove)
	remove = slices.Compact(remove)
	slices.Reverse(remove)
	return append(set, replaced...), remove
}

// assign gives every file a number: as many are ours as there are files, and
// those below what is somebody else's, which would not be found behind a gap.
func assign(wanted []string, has map[int]slot) map[int]string {
	last, fill := -1, ""
	for n, s := range has {
		if s.foreign && n > last {
			last, fill = n, s.target
		}
	}
	var numbers []int
	for n := 0; len(numbers) < len(wanted) || n < last; n++ {
		if !has[n].foreign {
			numbers = append(numbers, n)
		}
	}
	targets := map[int]string{}
	missing := slices.Clone(wanted)
	for _, n := range numbers {
		if i := slices.Index(missing, has[n].target); i >= 0 {
			targets[n] = missing[i]
			missing = slices.Delete(missing, i, i+1)
		}
	}
	for _, n := range numbers {
		if targets[n] != "" {
			continue
		}
		targets[n] = fill
		if len(missing) > 0 {
			targets[n], missing = missing[0], missing[1:]
		}
	}
	return targets
}
