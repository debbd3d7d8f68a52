package smime

import (
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"mailseal/internal/message"
)

// A conveyor reads a body in blocks and shows them to who hashes. Those of a
// large body are read, and checked, ahead in a goroutine of its own, which has
// ended when Close returns. Its memory does not depend on the body's size.
type conveyor struct {
	r     *message.Reader
	check func([]byte) error // may be nil; an error of it ends the reading
	now   load               // what is read from
	rest  []byte             // of now

	ahead bool      // read ahead after the first block
	full  chan load // read, in order; nil before that
	empty chan *block
	stop  chan struct{}
	done  chan struct{}
}

// A load is a block with what was read into it, and what came after that.
type load struct {
	b     *block
	n     int
	err   error
	panic any // of the goroutine, to go off where somebody recovers
}

type block [blockSize]byte

const (
	blockSize = 128 << 10
	firstSize = 32 << 10
	blocks    = 3 // one being read into, one waiting, one being read from
)

var blockPool = sync.Pool{New: func() any { return new(block) }}

func newConveyor(b message.Body, check func([]byte) error) *conveyor {
	c := &conveyor{r: message.NewReader(b), check: check, ahead: b.Size() > 2*blockSize}
	c.now.b = blockPool.Get().(*block)
	return c
}

// start begins to read ahead.
func (c *conveyor) start() {
	c.full, c.empty = make(chan load, blocks), make(chan *block, blocks)
	c.stop, c.done = make(chan struct{}), make(chan struct{})
	for range blocks - 1 {
		c.empty <- blockPool.Get().(*block)
	}
	go c.run()
}

func (c *conveyor) run() {
	defer close(c.done)
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		select {
		case <-c.stop:
			return
		case b := <-c.empty:
			l := c.guarded(b)
			c.full <- l // never blocks: it has a place for each block
			if l.err != nil {
				return
			}
		}
	}
}

func (c *conveyor) guarded(b *block) (l load) {
	defer func() {
		if v := recover(); v != nil {
			l = load{b: b, err: io.ErrUnexpectedEOF, panic: fmt.Sprintf("%v\n%s", v, debug.Stack())}
		}
	}()
	return c.fill(b, blockSize)
}

func (c *conveyor) fill(b *block, size int) load {
	n, err := 0, error(nil)
	for n < size && err == nil {
		var m int
		m, err = c.r.Read(b[n:size])
		n += m
	}
	if c.check != nil && n > 0 {
		if e := c.check(b[:n]); e != nil {
			return load{b: b, err: e}
		}
	}
	return load{b: b, n: n, err: err}
}

// next makes rest the next block. Its error is that of the reading.
func (c *conveyor) next() error {
	switch {
	case c.now.err != nil:
		return c.now.err
	case !c.ahead:
		c.now = c.fill(c.now.b, blockSize)
	case c.full == nil:
		// Hashing begins with a short block while the next is fetched.
		if c.now = c.fill(c.now.b, firstSize); c.now.err == nil {
			c.start()
		}
	default:
		c.empty <- c.now.b
		c.now = <-c.full
	}
	if c.now.panic != nil {
		panic(c.now.panic)
	}
	c.rest = c.now.b[:c.now.n]
	return nil
}

func (c *conveyor) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// WriteTo hands whole blocks to w, without a copy.
func (c *conveyor) WriteTo(w io.Writer) (int64, error) {
	var done int64
	for {
		if len(c.rest) == 0 {
			if err := c.next(); err == io.EOF {
				return done, nil
			} else if err != nil {
				return done, err
			}
			continue
		}
		n, err := w.Write(c.rest)
		done += int64(n)
		c.rest = c.rest[n:]
		if err != nil {
			return done, err
		}
	}
}

// Close ends the reading and frees the blocks.
func (c *conveyor) Close() error {
	if c.full != nil {
		close(c.stop)
		<-c.done
		close(c.full)
		for l := range c.full {
			blockPool.Put(l.b)
		}
		close(c.empty)
		for b := range c.empty {
			blockPool.Put(b)
		}
	}
	blockPool.Put(c.now.b)
	c.now, c.rest = load{err: io.ErrClosedPipe}, nil
	return nil
}
