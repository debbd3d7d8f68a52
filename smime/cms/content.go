package cms

import (
	"bytes"
	"crypto"
	"hash"
	"io"
	"time"

	"mailseal/smime/cms/ber"
)

// Content is read into one small block that stays in the processor's cache and hashed there. Only where a good part of it has
// shown that reading takes longer than hashing, as out of base64, the two run side by side, in large blocks: to hand over
// small ones costs a fifth of the hashing.
const (
	firstBlock  = 16 << 10
	inlineBlock = 32 << 10
	passedBlock = 256 << 10
	trial       = 512 << 10
)

// digest is content that went by: its size, its hashes and what it may be mistaken for.
type digest struct {
	size int64
	sums map[crypto.Hash][]byte
	// attributes is the size at which the content would be a SET OF Attribute by its beginning, 0 if it cannot be one.
	attributes int64

	hashes  []crypto.Hash
	running []hash.Hash
}

func newDigest(hashes []crypto.Hash) *digest {
	d := &digest{hashes: hashes, running: make([]hash.Hash, len(hashes)), sums: make(map[crypto.Hash][]byte, len(hashes))}
	for i, h := range hashes {
		d.running[i] = h.New()
	}
	return d
}

// hash runs b through every hash.
func (d *digest) hash(b []byte) {
	for _, h := range d.running {
		h.Write(b)
	}
}

func (d *digest) finish() *digest {
	for i, h := range d.hashes {
		d.sums[h] = d.running[i].Sum(nil)
	}
	return d
}

// digestContent hashes r to its end in constant memory and passes it on to w, if there is one.
func digestContent(r io.Reader, w io.Writer, hashes []crypto.Hash) (*digest, error) {
	if w == nil {
		w = io.Discard
	}
	d := newDigest(hashes)
	block := make([]byte, firstBlock)
	var reading, hashing time.Duration
	for {
		start := time.Now()
		n, err := readBlock(r, block)
		if d.size == 0 {
			d.attributes = attributesSize(block[:n])
		}
		d.size += int64(n)
		if _, werr := w.Write(block[:n]); werr != nil {
			return nil, werr
		}
		middle := time.Now()
		d.hash(block[:n])
		reading, hashing = reading+middle.Sub(start), hashing+time.Since(middle)
		switch {
		case err != nil:
		case d.size > trial && reading > hashing && len(hashes) > 0:
			err = d.sideBySide(r, w)
		case len(block) < inlineBlock:
			block = make([]byte, inlineBlock)
		}
		if err == io.EOF {
			return d.finish(), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// sideBySide takes the rest of r, hashing one block in a goroutine while the next is read. The goroutine ends before it does. It
// returns io.EOF at the end.
func (d *digest) sideBySide(r io.Reader, w io.Writer) (err error) {
	free, full := make(chan []byte, 2), make(chan []byte, 2)
	free <- make([]byte, passedBlock)
	free <- make([]byte, passedBlock)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range full {
			d.hash(b)
			free <- b[:cap(b)]
		}
	}()
	defer func() {
		close(full)
		<-done
	}()
	for err == nil {
		block := <-free
		var n int
		n, err = readBlock(r, block)
		d.size += int64(n)
		full <- block[:n]
		// The goroutine only reads the block, and it comes back through free after this write.
		if _, werr := w.Write(block[:n]); werr != nil {
			return werr
		}
	}
	return err
}

// readBlock fills b, with less only where r ends or breaks.
func readBlock(r io.Reader, b []byte) (n int, err error) {
	for idle := 0; n < len(b) && err == nil; {
		var m int
		m, err = r.Read(b[n:])
		n += m
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// looksLikeAttributes says whether the content is an encoded SET OF Attribute. Somebody who strips the signed attributes
// off a signature and puts them in the content's place has a valid signature over content that nobody signed: so such content is
// taken only under signed attributes of its own.
func (d *digest) looksLikeAttributes() bool { return d.attributes > 0 && d.attributes == d.size }

// attributesSize returns how long the SET OF Attribute is that b is the beginning of, 0 if it is not.
func attributesSize(b []byte) int64 {
	if len(b) == 0 || b[0] != 0x31 {
		return 0
	}
	r := ber.NewReader(bytes.NewReader(b), ber.Limits{})
	set, err := r.Next()
	if err != nil || set.Length == ber.Indefinite || r.Enter() != nil {
		return 0
	}
	if h, err := r.Next(); err != nil || h.Tag != ber.Sequence || r.Enter() != nil {
		return 0
	}
	if h, err := r.Next(); err != nil || h.Tag != ber.OID {
		return 0
	}
	if h, err := r.Next(); err != nil || h.Tag != ber.Set {
		return 0
	}
	return int64(set.Size) + set.Length
}
