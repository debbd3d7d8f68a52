package cms

import (
	"bytes"
	"crypto"
	"hash"
	"io"

	"mailseal/smime/cms/ber"
)

// Content of one block is hashed at once; more is hashed while the next block is read.
const (
	firstBlock = 16 << 10
	nextBlock  = 64 << 10
	prefixSize = 4 << 10
)

// digest is content that went by: its size, its hashes and its beginning.
type digest struct {
	size   int64
	sums   map[crypto.Hash][]byte
	prefix []byte
}

// digestContent reads r to its end, through every hash and into w, in constant memory.
func digestContent(r io.Reader, w io.Writer, hashes []crypto.Hash) (*digest, error) {
	if w == nil {
		w = io.Discard
	}
	running := make([]hash.Hash, len(hashes))
	for i, h := range hashes {
		running[i] = h.New()
	}
	d := &digest{sums: make(map[crypto.Hash][]byte, len(hashes))}
	block := make([]byte, firstBlock)
	n, err := readBlock(r, block)
	d.size = int64(n)
	d.prefix = block[:min(n, prefixSize)]
	for _, h := range running {
		h.Write(block[:n])
	}
	if n > 0 {
		if _, werr := w.Write(block[:n]); werr != nil {
			return nil, werr
		}
	}
	if err == nil {
		err = d.rest(r, w, running)
	}
	if err != io.EOF {
		return nil, err
	}
	for i, h := range hashes {
		d.sums[h] = running[i].Sum(nil)
	}
	return d, nil
}

// rest hashes what follows the first block in a goroutine that ends before rest does. It returns io.EOF at the end.
func (d *digest) rest(r io.Reader, w io.Writer, running []hash.Hash) (err error) {
	free, full := make(chan []byte, 2), make(chan []byte, 2)
	free <- make([]byte, nextBlock)
	free <- make([]byte, nextBlock)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range full {
			for _, h := range running {
				h.Write(b)
			}
			free <- b[:nextBlock]
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
		if n == 0 {
			break
		}
		full <- block[:n]
		// The hashing goroutine only reads the block, and it comes back through free after this write.
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
// taken only under signed attributes of its own. Its beginning and its length decide.
func (d *digest) looksLikeAttributes() bool {
	r := ber.NewReader(bytes.NewReader(d.prefix), ber.Limits{})
	h, err := r.Next()
	if err != nil || h.Tag != ber.Set || h.Length != ber.Indefinite && h.Length != d.size-int64(h.Size) || r.Enter() != nil {
		return false
	}
	if h, err = r.Next(); err != nil || h.Tag != ber.Sequence || r.Enter() != nil {
		return false
	}
	if h, err = r.Next(); err != nil || h.Tag != ber.OID {
		return false
	}
	h, err = r.Next()
	return err == nil && h.Tag == ber.Set
}
