package faults_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"mailseal/test/daemon"
)

// A raw is a connection of an MTA of ours, that does what no MTA does.
type raw struct{ net.Conn }

func dial(d *daemon.Daemon) (raw, error) {
	c, err := d.Dial()
	if err != nil {
		return raw{}, err
	}
	c.SetDeadline(time.Now().Add(daemon.Patience))
	return raw{c}, nil
}

func packet(code byte, data string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
	return append(append(b, code), data...)
}

func (r raw) send(code byte, data string) error {
	_, err := r.Write(packet(code, data))
	return err
}

// reply reads the next answer; those that only say that there is more to come
// are passed over.
func (r raw) reply() (code byte, data string, err error) {
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return 0, "", err
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[:])-1)
		if _, err := io.ReadFull(r, rest); err != nil {
			return 0, "", err
		}
		if head[4] != 'p' {
			return head[4], string(rest), nil
		}
	}
}

func (r raw) ask(code byte, data string, want byte) error {
	if err := r.send(code, data); err != nil {
		return err
	}
	got, text, err := r.reply()
	if err == nil && got != want {
		err = fmt.Errorf("answer to %q is %q %q", code, got, text)
	}
	return err
}

// negotiate offers all that Postfix does.
func (r raw) negotiate() error {
	return r.ask('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff", 'O')
}

// begin tells the client and the envelope of a mail, and its header.
func (r raw) begin() error {
	return errors.Join(
		r.send('C', "client.example.test\x004\x00\x19127.0.0.1\x00"), r.send('H', "client.example.test\x00"),
		r.ask('M', "<"+author+">\x00", 'c'), r.ask('R', "<bob@example.net>\x00", 'c'),
		r.send('L', "From\x00 "+author+"\x00"), r.send('L', "To\x00 bob@example.net\x00"),
		r.send('L', "Content-Type\x00 text/plain\x00"), r.send('N', ""))
}

// end tells the end of a mail and returns the last answer, past all edits.
func (r raw) end() (code byte, text string, err error) {
	if err := r.send('E', ""); err != nil {
		return 0, "", err
	}
	for {
		code, text, err = r.reply()
		if err != nil || code != 'm' && code != 'h' && code != 'i' && code != 'b' {
			return code, text, err
		}
	}
}
