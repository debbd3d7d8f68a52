package main

import "fmt"

// A cell is one thing that is measured.
type cell struct {
	mta      string // "postfix" or "sendmail"
	network  string // "unix" or "tcp": between MTA and milter
	size     size
	sessions int
	setup    string // name of one of setups
}

func (c cell) String() string {
	return fmt.Sprintf("%s/%s/%s/x%d/%s", c.mta, c.network, c.size, c.sessions, c.setup)
}

// A size is a mail's length in bytes.
type size int

const (
	small size = 10 << 10
	large size = 1 << 20
)

func (s size) String() string {
	if s >= 1<<20 {
		return fmt.Sprintf("%dMB", s>>20)
	}
	return fmt.Sprintf("%dKB", s>>10)
}

// What the cells are made of, in the order of the tables.
var (
	mtas     = []string{"postfix", "sendmail"}
	networks = []string{"unix", "tcp"}
	sizes    = []size{small, large}
	sessions = []int{1, 10}
)

// cells lists those that are wanted. Set-ups are the innermost: what is
// compared runs next to each other.
func cells(want func(cell) bool) []cell {
	var all []cell
	for _, mta := range mtas {
		for _, network := range networks {
			for _, size := range sizes {
				for _, n := range sessions {
					for _, s := range setups {
						if c := (cell{mta, network, size, n, s.name}); want(c) {
							all = append(all, c)
						}
					}
				}
			}
		}
	}
	return all
}
