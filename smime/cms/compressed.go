package cms

import (
	"bufio"
	"compress/zlib"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"

	"mailseal/smime/cms/ber"
	"mailseal/smime/cms/syntax"
)

var oidZlib = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 3, 8}

// Compressed is a read CompressedData (RFC 3274 section 1.1), its content already passed on.
type Compressed struct {
	ContentType asn1.ObjectIdentifier
	Size        int64 // decompressed
}

// ReadCompressed reads a ContentInfo that holds a CompressedData, to the end of r. What is decompressed goes to o.Content, within
// the bounds that Limits.Inflated and Limits.Ratio set; the error says whether it was all.
func ReadCompressed(r io.Reader, o ReadOptions) (*Compressed, error) {
	p := newObject(r, o)
	a, err := p.openPlain(OIDCompressedData)
	if err != nil {
		return nil, err
	}
	if !a.Algorithm.Equal(oidZlib) {
		return nil, fmt.Errorf("%w: compression %s", ErrUnsupported, nameOf(a.Algorithm))
	}
	if err := p.expect(ber.Sequence); err != nil {
		return nil, err
	}
	c := &Compressed{}
	oid, present, err := p.contentInfo(func(compressed io.Reader) (err error) {
		c.Size, err = p.inflate(compressed)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !present:
		return nil, p.Malformed("there is no compressed content")
	}
	c.ContentType = oid
	if err := p.Leave(); err != nil {
		return nil, err
	}
	return c, p.close()
}

// inflate decompresses what zlib compressed (RFC 1950).
func (p *object) inflate(compressed io.Reader) (int64, error) {
	in := &counting{r: compressed}
	buffered := bufio.NewReaderSize(in, 16<<10)
	out := &bounded{w: p.content, limits: p.limits, in: in}
	z, err := zlib.NewReader(buffered)
	if err == nil {
		_, err = io.Copy(out, z)
	}
	switch {
	case in.err != nil: // of the object, or the source
		return 0, in.err
	case out.err != nil:
		return 0, out.err
	case err != nil:
		return 0, p.Malformed("compressed content: " + err.Error())
	}
	switch _, err := buffered.ReadByte(); err {
	case io.EOF:
		return out.n, nil
	case nil:
		return 0, p.Malformed("octets behind compressed content")
	default:
		return 0, err
	}
}

// counting counts what it reads and remembers why it ended.
type counting struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != io.EOF {
		c.err = err
	}
	return n, err
}

// ratioFree is what may be decompressed of anything: small mails compress well.
const ratioFree = 1 << 20

// bounded passes on what is decompressed, so long as it is not too much.
type bounded struct {
	w      io.Writer // nil: nowhere
	limits Limits
	in     *counting
	n      int64
	err    error
}

func (b *bounded) Write(p []byte) (int, error) {
	b.n += int64(len(p))
	switch {
	case b.n > b.limits.Inflated:
		b.err = fmt.Errorf("%w: more than %d octets decompressed", ErrLimit, b.limits.Inflated)
	case b.n > ratioFree && b.n/int64(b.limits.Ratio) > b.in.n:
		b.err = fmt.Errorf("%w: decompressed to more than %d times its size", ErrLimit, b.limits.Ratio)
	case b.w != nil:
		_, b.err = b.w.Write(p)
	}
	if b.err != nil {
		return 0, b.err
	}
	return len(p), nil
}

// openPlain goes to the EncapsulatedContentInfo of an object of that type, which has a version and an algorithm before it.
func (p *object) openPlain(want asn1.ObjectIdentifier) (a pkix.AlgorithmIdentifier, err error) {
	oid, err := p.open()
	if err != nil {
		return a, err
	}
	if !oid.Equal(want) {
		return a, fmt.Errorf("%w content type %s, not %s", ErrUnsupported, nameOf(oid), nameOf(want))
	}
	if err = p.enter(ber.Sequence); err != nil {
		return a, err
	}
	if _, err = p.version(); err != nil {
		return a, err
	}
	h, err := p.must()
	if err != nil {
		return a, err
	}
	return p.algorithm(h)
}

// Compress writes a ContentInfo with content compressed by zlib, in BER as its size shows only at the end.
func Compress(w io.Writer, content io.Reader) error {
	start := slices.Concat([]byte{0x30, 0x80}, encodedOID(OIDCompressedData), []byte{0xa0, 0x80, 0x30, 0x80, 2, 1, 0},
		syntax.Algorithm(oidZlib, nil), []byte{0x30, 0x80}, encodedOID(OIDData), []byte{0xa0, 0x80, 0x24, 0x80})
	if _, err := w.Write(start); err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(pieces{w}, 16<<10)
	z := zlib.NewWriter(buffered)
	_, err := io.Copy(z, content)
	if err = errors.Join(err, z.Close(), buffered.Flush()); err != nil {
		return err
	}
	_, err = w.Write(make([]byte, 2*6))
	return err
}
