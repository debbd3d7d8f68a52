package mtarig

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// An Entry is one mail in an MTA's queue.
type Entry struct {
	Queue      string // Postfix: active, deferred, hold ...; sendmail: deferred or quarantined
	ID         string
	Sender     string
	Recipients []Recipient // those that are still to be served
}

// A Recipient waits in the queue. sendmail keeps one reason for all of them.
type Recipient struct {
	Address string
	Reason  string // why the last attempt did not succeed; "" before the first
}

// parsePostqueue reads what `postqueue -j` prints: an object a line.
func parsePostqueue(out []byte) ([]Entry, error) {
	var entries []Entry
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var e struct {
			Queue      string `json:"queue_name"`
			ID         string `json:"queue_id"`
			Sender     string `json:"sender"`
			Recipients []struct {
				Address string `json:"address"`
				Reason  string `json:"delay_reason"`
			} `json:"recipients"`
		}
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return entries, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the output of postqueue: %w", err)
		}
		entry := Entry{Queue: e.Queue, ID: e.ID, Sender: e.Sender}
		for _, r := range e.Recipients {
			entry.Recipients = append(entry.Recipients, Recipient(r))
		}
		entries = append(entries, entry)
	}
}

// readQueue reads sendmail's queue files: qf holds a mail's envelope, hf that
// of one in quarantine (sendmail's op.me, appendix B.3).
func readQueue(dir string) ([]Entry, error) {
	files, err := filepath.Glob(filepath.Join(dir, "[qh]f*"))
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // delivered between the two looks
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, parseControl(filepath.Base(f), b))
	}
	return entries, nil
}

func parseControl(name string, b []byte) Entry {
	e := Entry{Queue: "deferred", ID: name[2:]}
	if name[0] == 'h' {
		e.Queue = "quarantined"
	}
	var reason string
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		l := lines.Text()
		if l == "" {
			continue
		}
		switch rest := l[1:]; l[0] {
		case 'S':
			e.Sender = strings.Trim(rest, "<>")
		case 'M', 'q':
			reason = rest
		case 'R': // flags, a colon, the address
			_, addr, _ := strings.Cut(rest, ":")
			e.Recipients = append(e.Recipients, Recipient{Address: strings.Trim(addr, "<>")})
		}
	}
	for i := range e.Recipients {
		e.Recipients[i].Reason = reason
	}
	return e
}

// waitQueue polls a queue until it is as wanted.
func waitQueue(queue func() ([]Entry, error), ok func([]Entry) bool, timeout time.Duration) ([]Entry, error) {
	var last []Entry
	err := poll(timeout, func() (bool, error) {
		var err error
		last, err = queue()
		return err == nil && ok(last), err
	})
	if err != nil {
		return last, fmt.Errorf("wait for the queue, which holds %+v: %w", last, err)
	}
	return last, nil
}
