package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	milterlib "github.com/emersion/go-milter"

	"mailseal/internal/message"
)

// An outbox gathers packets and writes them in large pieces: a mail of ordinary
// size with all its edits and the answer in one, a large one without ever
// being in memory as a whole.
type outbox struct {
	w   io.Writer
	buf []byte // grows to outboxSize and not beyond
	err error  // the first error of w; later writes do nothing
}

// Room for a body chunk with what comes before it, and then some.
const outboxSize = 128 << 10

// errBody marks an error of the body that is written, not of the connection.
var errBody = errors.New("read new body")

// plan writes edits.
func (o *outbox) plan(p *plan) error {
	if err := o.append(p.head); err != nil {
		return err
	}
	if p.replace {
		if err := o.body(p.body); err != nil {
			return err
		}
	}
	return o.append(p.tail)
}

// append adds bytes that are whole packets.
func (o *outbox) append(b []byte) error {
	for len(b) > 0 {
		room, err := o.room(1)
		if err != nil {
			return err
		}
		n := min(len(b), room)
		o.buf = append(o.buf, b[:n]...)
		b = b[n:]
	}
	return o.err
}

// room makes room for at least want bytes and says how much there is.
func (o *outbox) room(want int) (int, error) {
	if outboxSize-len(o.buf) < want {
		if err := o.flush(); err != nil {
			return 0, err
		}
	}
	return outboxSize - len(o.buf), o.err
}

// body writes SMFIR_REPLBODY packets of at most 65535 bytes. The library makes
// one of any size and copies it twice; and its own client, for one, takes no
// more than 1 MiB. An empty body is one packet without data. Lines end in
// CRLF, and a CRLF may be cut: both MTAs put it together again.
func (o *outbox) body(b message.Body) error {
	size := b.Size()
	for off := int64(0); ; {
		n := int(min(size-off, milterlib.MaxBodyChunk))
		if _, err := o.room(5 + n); err != nil {
			return err
		}
		start := len(o.buf)
		packet := binary.BigEndian.AppendUint32(o.buf, uint32(1+n))
		packet = append(packet, byte(milterlib.ActReplBody))
		packet = append(packet, make([]byte, n)...)
		if got, err := b.ReadAt(packet[start+5:], off); got < n {
			// Not even a part of this packet may go out: the answer that
			// comes now says that the mail is not to be taken.
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("%w: %w", errBody, err)
		}
		o.buf = packet
		if off += int64(n); off >= size {
			return nil
		}
	}
}

// flush writes what there is.
func (o *outbox) flush() error {
	if o.err == nil && len(o.buf) > 0 {
		_, o.err = o.w.Write(o.buf)
	}
	o.buf = o.buf[:0]
	return o.err
}
