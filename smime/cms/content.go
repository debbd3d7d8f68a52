package cms

import (
	"bytes"
	"crypto"
	"hash"
	"io"
	"time"

	"mailseal/smime/cms/ber"
)

// Content is hashed where it lies, in the reader's own buffer if that shows it. Only where the beginning has shown that
// everything else takes longer than hashing, as out of base64, the two run side by side, in large blocks: to hand over small ones
// costs a fifth of the hashing.
const (
	trial     = 512 << 10 // octets after which that is decided
	blockSize = 256 << 10
	headSize  = 512
)

// digest is content that went by: its size, its hashes and its beginning.
type digest struct {
	size   int64
	sums   map[crypto.Hash][]byte
	head   []byte
	hashes []crypto.Hash
}

// digestContent hashes r to its end in constant memory and passes it on to w, if there is one.
func digestContent(r io.Reader, w io.Writer, hashes []crypto.Hash) (*digest, error) {
	d := &digester{digest: &digest{hashes: hashes}, next: w, running: make([]hash.Hash, len(hashes))}
	for i, h := range hashes {
		d.running[i] = newHash(h)
	}
	defer d.stop() // also when r panics
	if _, err := io.Copy(d, r); err != nil {
		return nil, err
	}
	d.stop()
	d.sums = make(map[crypto.Hash][]byte, len(hashes))
	for i, h := range hashes {
		d.sums[h] = d.running[i].Sum(nil)
	}
	return d.digest, nil
}

// digester is where content goes.
type digester struct {
	*digest
	next    io.Writer // nil: nowhere
	running []hash.Hash

	hashing, other time.Duration // during the trial
	left           time.Time     // when Write returned last

	// Side by side: a block being filled, those to be hashed, those that were, and the goroutine's end.
	block      []byte
	full, free chan []byte
	done       chan struct{}
}

func (d *digester) Write(b []byte) (int, error) {
	if len(d.head) < headSize {
		d.head = append(d.head, b[:min(len(b), headSize-len(d.head))]...)
	}
	deciding := d.size < trial && len(d.running) > 0
	d.size += int64(len(b))
	if d.next != nil {
		if _, err := d.next.Write(b); err != nil {
			return 0, err
		}
	}
	switch {
	case d.full != nil:
		d.pass(b)
	case !deciding:
		d.hash(b)
	default:
		start := time.Now()
		d.hash(b)
		if !d.left.IsZero() {
			d.other += start.Sub(d.left)
		}
		d.left = time.Now()
		d.hashing += d.left.Sub(start)
		if d.size >= trial && d.other > d.hashing {
			d.sideBySide()
		}
	}
	return len(b), nil
}

// hash runs b through every hash.
func (d *digester) hash(b []byte) {
	for _, h := range d.running {
		h.Write(b)
	}
}

// sideBySide starts the goroutine that hashes from now on; stop ends it.
func (d *digester) sideBySide() {
	d.free, d.full, d.done = make(chan []byte, 2), make(chan []byte, 2), make(chan struct{})
	d.block = make([]byte, 0, blockSize)
	d.free <- make([]byte, 0, blockSize)
	go func() {
		defer close(d.done)
		for b := range d.full {
			d.hash(b)
			d.free <- b[:0]
		}
	}()
}

// pass copies b into blocks for the goroutine.
func (d *digester) pass(b []byte) {
	for len(b) > 0 {
		n := min(len(b), blockSize-len(d.block))
		d.block = append(d.block, b[:n]...)
		b = b[n:]
		if len(d.block) == blockSize {
			d.full <- d.block
			d.block = <-d.free
		}
	}
}

// stop waits for what is still to be hashed.
func (d *digester) stop() {
	if d.full == nil {
		return
	}
	d.full <- d.block
	close(d.full)
	<-d.done
	d.full = nil
}

// looksLikeAttributes says whether the content is an encoded SET OF Attribute. Somebody who strips the signed attributes
// off a signature and puts them in the content's place has a valid signature over content that nobody signed: so such content is
// taken only under signed attributes of its own. Its beginning and its length decide.
func (d *digest) looksLikeAttributes() bool {
	if len(d.head) == 0 || d.head[0] != 0x31 {
		return false
	}
	r := ber.NewReader(bytes.NewReader(d.head), ber.Limits{})
	if h, err := r.Next(); err != nil || h.Length != d.size-int64(h.Size) || r.Enter() != nil {
		return false
	}
	if h, err := r.Next(); err != nil || h.Tag != ber.Sequence || r.Enter() != nil {
		return false
	}
	if h, err := r.Next(); err != nil || h.Tag != ber.OID {
		return false
	}
	h, err := r.Next()
	return err == nil && h.Tag == ber.Set
}
