package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	"mailseal/internal/spool"
)

// Read reads a mail from a file or a pipe, with LF or CRLF. Its envelope is
// empty. The caller closes the Body. A header over a bound of l is a
// *LimitError, a body over the spool's limit is spool.ErrTooLarge.
func Read(r io.Reader, s *spool.Store, l Limits) (*Message, error) {
	br := readers.Get().(*bufio.Reader)
	br.Reset(r)
	defer func() {
		br.Reset(nil)
		readers.Put(br)
	}()
	m, err := readHeader(br, l.withDefaults())
	if err != nil {
		return nil, err
	}
	f := s.Create()
	if _, err := br.WriteTo(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("read mail: %w", err)
	}
	m.Body = f
	return m, nil
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 32<<10) }}

// readHeader reads up to the empty line, and that too.
func readHeader(br *bufio.Reader, l Limits) (*Message, error) {
	var raw []byte
	m := &Message{separator: endNone}
	atLineStart := true
	for {
		line, err := br.ReadSlice('\n') // or a piece of a long line
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("read mail: %w", err)
		}
		if atLineStart && err == nil && isEmptyLine(line) {
			_, m.separator = cutLineEnd(string(line))
			break
		}
		if int64(len(raw)+len(line)) > l.Header {
			return nil, &LimitError{Bound: BoundHeader, Limit: l.Header}
		}
		raw = append(raw, line...)
		if err == io.EOF {
			break
		}
		atLineStart = err == nil
	}
	h, usual, err := parseHeader(string(raw), l)
	if err != nil {
		return nil, err
	}
	if usual == endNone {
		usual = m.separator
	}
	m.Header = h
	m.Newline = "\r\n"
	if usual == endLF {
		m.Newline = "\n"
	}
	return m, nil
}

func isEmptyLine(line []byte) bool {
	return string(line) == "\n" || string(line) == "\r\n"
}

// WriteTo writes the mail, byte for byte as it was read.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(m.head())
	if err != nil || m.Body == nil {
		return int64(n), err
	}
	body, err := NewReader(m.Body).WriteTo(w)
	return int64(n) + body, err
}

// head returns the header and the empty line.
func (m *Message) head() []byte {
	usual := m.Newline
	if usual == "" {
		usual = "\r\n"
	}
	// What was received without an end stays so only where it still is last.
	cut := m.separator == endNone && (m.Body == nil || m.Body.Size() == 0)
	var raw []byte
	for i, f := range m.Header {
		end := f.end
		if end == endNone && !(cut && i == len(m.Header)-1) {
			end = endUsual
		}
		raw = append(raw, f.raw...)
		raw = append(raw, end.newline(usual)...)
	}
	if cut {
		return raw
	}
	separator := m.separator
	if separator == endNone {
		separator = endUsual
	}
	return append(raw, separator.newline(usual)...)
}
