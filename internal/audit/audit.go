// Package audit is a file to which events are added, one a line, and from which
// none can be taken without a trace: every line begins with a hash over itself
// and the hash of the line before.
//
//	audit.log    HASH {"n":1,"at":"2026-11-22T04:44:06Z","event":"issue","by":"uid 0","details":{"serial":"4F..."}}
//	audit.head   N HASH, of the last line
//
// HASH is SHA-256 over the previous line's hash in hexadecimal digits, a blank,
// the JSON text and the newline; sixty-four zeros stand for the line before the
// first. A changed, inserted, moved or missing line breaks the chain. Lines cut
// from the end do not; for these there is the head, and whoever keeps a copy of
// it elsewhere knows of them even where both files were changed.
//
// A line is on the disk when Append returns. Two writers of one file are the
// callers' affair, and so is who may read it.
package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mailseal/internal/durable"
)

// ErrBroken: the file is not what was written.
var ErrBroken = errors.New("the audit file was changed")

// An Event is what happened.
type Event struct {
	// N counts from 1. Append sets it.
	N  int       `json:"n"`
	At time.Time `json:"at"`
	// What is a word, as "issue".
	What string `json:"event"`
	// By is who asked for it.
	By string `json:"by,omitempty"`
	// Details are cut where they are long: they may come from anybody.
	Details map[string]string `json:"details,omitempty"`
}

const (
	maxDetail = 1000
	maxLine   = 64 << 10
	hashLen   = 2 * sha256.Size
)

// A Head is the last line of a file. The zero Head is that of an empty one.
type Head struct {
	N    int
	Hash string
}

func (h Head) previous() string {
	if h.Hash == "" {
		return strings.Repeat("0", hashLen)
	}
	return h.Hash
}

// Gap is the event that Append writes by itself where lines are missing that
// the head knows of: the file goes on, and Check hands the gap to who asks.
const Gap = "gap"

// Append adds an event to a file, which it makes where it is not there.
func Append(path string, e Event) error {
	head, err := prepare(path)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	known, err := readHead(path)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if known.N > head.N || (known.N == head.N && known != head) {
		gap := Event{At: e.At, What: Gap, Details: map[string]string{"lines": strconv.Itoa(known.N), "hash": known.Hash}}
		if head, err = add(path, head, gap); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	if _, err := add(path, head, e); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// add writes the line that follows head.
func add(path string, head Head, e Event) (Head, error) {
	e.N = head.N + 1
	e.At = e.At.UTC().Truncate(time.Second)
	e.By = cut(e.By)
	details := make(map[string]string, len(e.Details))
	for k, v := range e.Details {
		details[k] = cut(v)
	}
	e.Details = details
	text, err := json.Marshal(e)
	if err != nil {
		return head, err
	}
	if len(text) > maxLine-hashLen-2 {
		return head, fmt.Errorf("an event of %d bytes", len(text))
	}
	next := Head{e.N, chain(head.previous(), text)}
	if err := durable.Append(path, fmt.Appendf(nil, "%s %s\n", next.Hash, text)); err != nil {
		return head, err
	}
	// The line is on the disk: that is what counts. A head that could not be
	// written is behind, and the next event writes it again.
	_ = writeHead(path, next)
	return next, nil
}

func cut(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxDetail {
		return s
	}
	s = s[:maxDetail]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "..."
}

func chain(previous string, text []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", previous, text)
	return hex.EncodeToString(h.Sum(nil))
}

// prepare makes a file ready for the next line and finds the last one. A part
// of a line at the end is what a power cut has left of one that was never
// acknowledged.
func prepare(path string) (Head, error) {
	b, size, err := tail(path)
	if errors.Is(err, fs.ErrNotExist) {
		if head, err := readHead(path); err != nil || head.N > 0 {
			return Head{}, errors.Join(fmt.Errorf("%s is gone, though it had %d lines: %w", path, head.N, ErrBroken), err)
		}
		return Head{}, durable.Create(path, nil, 0o600)
	}
	if err != nil {
		return Head{}, err
	}
	if torn := len(b) - (bytes.LastIndexByte(b, '\n') + 1); torn > 0 {
		if torn == len(b) && int64(torn) < size {
			return Head{}, fmt.Errorf("%s: its last line is longer than %d bytes: %w", path, maxLine, ErrBroken)
		}
		if err := os.Truncate(path, size-int64(torn)); err != nil {
			return Head{}, err
		}
		b = b[:len(b)-torn]
	}
	return lastOf(path, b)
}

// Last is the last event of a file, one without a number where there is none.
func Last(path string) (Event, error) {
	b, _, err := tail(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Event{}, nil
	}
	if err != nil {
		return Event{}, fmt.Errorf("audit: %w", err)
	}
	e, _, err := parse(lastLine(b[:bytes.LastIndexByte(b, '\n')+1]))
	if err != nil {
		return Event{}, fmt.Errorf("audit: %s: last line: %w", path, err)
	}
	return e, nil
}

// tail reads the end of a file, as much as a line can be long.
func tail(path string) (b []byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	from := max(0, info.Size()-maxLine)
	b, err = io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	return b, info.Size(), err
}

func lastLine(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return b[bytes.LastIndexByte(b, '\n')+1:]
}

func lastOf(path string, b []byte) (Head, error) {
	if len(b) == 0 {
		return Head{}, nil
	}
	e, hash, err := parse(lastLine(b))
	if err != nil {
		return Head{}, fmt.Errorf("%s: last line: %w", path, err)
	}
	return Head{e.N, hash}, nil
}

// parse reads a line without its newline. No line is no event.
func parse(line []byte) (Event, string, error) {
	var e Event
	if len(line) == 0 {
		return e, "", nil
	}
	if len(line) < hashLen+2 || line[hashLen] != ' ' {
		return e, "", fmt.Errorf("no hash before it: %w", ErrBroken)
	}
	if err := json.Unmarshal(line[hashLen+1:], &e); err != nil || e.N < 1 {
		return e, "", fmt.Errorf("no event (%v): %w", err, ErrBroken)
	}
	return e, string(line[:hashLen]), nil
}

func headPath(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".head"
}

// writeHead is not durable on purpose: a head that is older than the file's
// end is a good one, for lines may follow it.
func writeHead(path string, h Head) error {
	f, err := os.OpenFile(headPath(path), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// Always as long as before, and in one write: there is no half of it.
	_, err = fmt.Fprintf(f, "%019d %s\n", h.N, h.Hash)
	return errors.Join(err, f.Close())
}

func readHead(path string) (Head, error) {
	b, err := os.ReadFile(headPath(path))
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(b) == 0) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	var h Head
	if _, err := fmt.Sscanf(string(b), "%d %s\n", &h.N, &h.Hash); err != nil || len(h.Hash) != hashLen || h.N < 1 {
		return Head{}, fmt.Errorf("%s: want a number and a hash: %w", headPath(path), ErrBroken)
	}
	return h, nil
}

// Check reads a file from its begin, makes sure that it is whole, and hands its
// events to do, which may be nil. It returns the last line, for who keeps that
// elsewhere.
func Check(path string, do func(Event) error) (Head, error) {
	want, err := readHead(path)
	if err != nil {
		return Head{}, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && want.N == 0 {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	defer f.Close()
	head, err := check(f, path, want, do)
	if err == nil && head.N < want.N {
		err = fmt.Errorf("%s: it had %d lines and has %d: %w", path, want.N, head.N, ErrBroken)
	}
	return head, err
}

func check(r io.Reader, path string, want Head, do func(Event) error) (Head, error) {
	var head Head
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return head, nil
		}
		at := fmt.Sprintf("%s:%d", path, head.N+1)
		if err == io.EOF {
			return head, fmt.Errorf("%s: the last line has no end: a crash cut it, the next event takes it away", at)
		}
		if err != nil {
			return head, fmt.Errorf("%s: %w", at, errors.Join(err, ErrBroken))
		}
		line = line[:len(line)-1]
		e, hash, err := parse(line)
		if err != nil {
			return head, fmt.Errorf("%s: %w", at, err)
		}
		if hash == "" || e.N != head.N+1 || hash != chain(head.previous(), line[hashLen+1:]) {
			return head, fmt.Errorf("%s: the hash does not fit this line and the one before: %w", at, ErrBroken)
		}
		head = Head{e.N, hash}
		if head.N == want.N && head != want {
			return head, fmt.Errorf("%s: the line is not the one that %s knows: %w", at, headPath(path), ErrBroken)
		}
		if do == nil {
			continue
		}
		if err := do(e); err != nil {
			return head, err
		}
	}
}
