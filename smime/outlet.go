package smime

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"mailseal/internal/message"
)

// A stream is a body on its way to the one who hashes it: each block is checked
// and handed on where it lies. It is read once, by WriteTo as io.Copy calls it.
type stream struct {
	io.Reader // for who does not
	body      message.Body
	check     func([]byte) error // may be nil; its error ends the reading
}

func newStream(b message.Body, check func([]byte) error) *stream {
	return &stream{body: b, check: check, Reader: &checkedReader{message.NewReader(b), check}}
}

// WriteTo writes the body to w.
func (c *stream) WriteTo(w io.Writer) (n int64, err error) {
	out := newOutlet(w, c.body.Size())
	err = errPanicked // unless put returns
	defer func() { n, err = out.written, out.close(err) }()
	err = c.put(out)
	return
}

// errPanicked has the goroutine of an outlet end when the check of a block, or
// the reading of one, panics.
var errPanicked = errors.New("panic while reading")

func (c *stream) put(out *outlet) error {
	b := blockPool.Get().(*block)
	defer blockPool.Put(b)
	for r := message.NewReader(c.body); ; {
		n, err := io.ReadFull(r, b[:])
		if e := out.checked(b[:n], c.check); e != nil {
			return e
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

type checkedReader struct {
	io.Reader
	check func([]byte) error
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.check != nil && n > 0 {
		if e := c.check(p[:n]); e != nil {
			return 0, e
		}
	}
	return n, err
}

type block [blockSize]byte

const (
	blockSize = 64 << 10
	blocks    = 4       // of an outlet on their way
	queueFrom = 4 << 20 // what is smaller is hashed sooner than handed over
)

var blockPool = sync.Pool{New: func() any { return new(block) }}

// An outlet hands bytes on to a writer. Where there are many, the writer runs
// in a goroutine of its own, so that reading and checking what follows goes on
// meanwhile; the goroutine has ended when close returns.
type outlet struct {
	w       io.Writer
	written int64

	full  chan []byte // in order; nil where all is written at once
	free  chan *block
	now   *block // being filled
	n     int    // of now
	done  chan struct{}
	err   error // of the goroutine, after done
	panic any
}

func newOutlet(w io.Writer, size int64) *outlet {
	o := &outlet{w: w}
	if size < queueFrom {
		return o
	}
	o.full, o.free, o.done = make(chan []byte, blocks), make(chan *block, blocks), make(chan struct{})
	for range blocks {
		o.free <- blockPool.Get().(*block)
	}
	o.now = <-o.free
	go o.run()
	return o
}

func (o *outlet) run() {
	defer close(o.done)
	defer func() {
		if v := recover(); v != nil {
			o.panic = fmt.Sprintf("%v\n%s", v, debug.Stack()) // goes off in close
		}
		for b := range o.full {
			o.free <- (*block)(b[:blockSize])
		}
	}()
	for b := range o.full {
		_, o.err = o.w.Write(b)
		o.free <- (*block)(b[:blockSize])
		if o.err != nil {
			return
		}
	}
}

// checked puts p if check, which may be nil, has nothing against it.
func (o *outlet) checked(p []byte, check func([]byte) error) error {
	if len(p) == 0 {
		return nil
	}
	if check != nil {
		if err := check(p); err != nil {
			return err
		}
	}
	return o.put(p)
}

// put writes p, now or later.
func (o *outlet) put(p []byte) error {
	o.written += int64(len(p))
	if o.full == nil {
		_, err := o.w.Write(p)
		return err
	}
	for len(p) > 0 {
		n := copy(o.now[o.n:], p)
		p, o.n = p[n:], o.n+n
		if o.n == blockSize {
			o.full <- o.now[:]
			o.now, o.n = <-o.free, 0
		}
	}
	return nil
}

// close waits until all is written, unless err says that it is in vain.
func (o *outlet) close(err error) error {
	if o.full == nil {
		return err
	}
	if err == nil && o.n > 0 {
		o.full <- o.now[:o.n]
		o.now = <-o.free
	}
	close(o.full)
	<-o.done
	blockPool.Put(o.now)
	close(o.free)
	for b := range o.free {
		blockPool.Put(b)
	}
	if o.panic != nil {
		panic(o.panic)
	}
	if err == nil {
		err = o.err
	}
	return err
}
